//! The command line: one file a verb, each with its options, its help and a short run.

mod answer;
mod args;
mod backup;
mod backups;
mod compact;
mod expected;
mod explain;
mod extras;
mod failure;
#[cfg(feature = "gate")]
mod gate;
mod generate;
mod github;
mod go_tool;
#[cfg(feature = "payload")]
mod head;
mod info;
mod junit;
mod log;
mod op_cdtr;
mod output;
mod output_file;
mod pages;
mod progress;
mod prompt;
#[cfg(feature = "payload")]
mod recover;
mod restore;
#[cfg(feature = "payload")]
mod restored_head;
mod snapshot;
mod text;
mod values;
mod variables;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[cfg(not(feature = "gate"))]
use failure::Failure;
use failure::Verdict;
use output::{notice, print_error};
use variables::Environment;

const EXIT_STATUS: &str = "\
Exit status:
  0  fine
  1  an error was found, or the call was refused
  2  inconclusive: wrong usage, or an I/O error";

#[cfg(not(feature = "gate"))]
const NO_GATE: &str = "\
This build has no gate. To get it, build with --features gate:
  cargo install --path . --features gate
or use the image that docker/build.sh makes. It needs Docker to run.";

/// Make, show, verify, back up and restore the raft state of op-conductor clusters, offline
///
/// generate writes the first state of a whole cluster, so that all servers start as equals and the named leader leads
/// first. info and verify read the state of any server, running or not, and change nothing.
#[derive(Debug, Parser)]
#[command(name = "op-conductor-init", version, max_term_width = 80, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,

    /// Write no answer and no notes: errors and the exit status remain
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Generate(Box<generate::Generate>),
    Info(info::Options),
    Verify(verify::Options),
    Explain(explain::Options),
    Log(Box<log::LogCommand>),
    Pages(pages::Pages),
    Snapshot(snapshot::SnapshotCommand),
    Compact(compact::Options),
    Backup(backup::Options),
    Backups(backups::Backups),
    Restore(Box<restore::Options>),
    #[cfg(feature = "payload")]
    Recover(recover::RecoverCommand),
    #[cfg(feature = "gate")]
    Gate(Box<gate::Gate>),
    /// Boot a cluster's state on real op-conductor or raft, in containers (not in this build)
    #[cfg(not(feature = "gate"))]
    #[command(after_help = NO_GATE)]
    Gate {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _ignored: Vec<OsString>,
    },
    Completions(extras::Completions),
    Man(extras::Man),
}

/// Runs the command and says how it ended.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    op_cdtr::warnings(std::env::vars_os()).iter().for_each(notice);
    if let Some(failure) = op_cdtr::answer(&args) {
        notice(&failure);
        return ExitCode::from(failure.exit_code());
    }
    let declared = command();
    let environment = Environment::of_process();
    let line = environment.apply(&declared, go_tool::without_its_words(args));
    let warnings = environment.warnings(&declared);
    let wants_json = wants_json(&line.words);
    let cli = match declared.try_get_matches_from(line.words).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                warnings.iter().for_each(notice);
                if wants_json {
                    print_error(&failure::usage_answer(&error));
                }
            }
            // There is no way to report that the terminal is gone.
            let _ = error.print();
            if let Some(variable) = variable_of(&error, &line.set) {
                notice(format_args!("\nnote: the value comes from the variable {variable}"));
            }
            return ExitCode::from(if error.use_stderr() { failure::UNABLE } else { 0 });
        }
    };
    output::set_quiet(cli.quiet);
    warnings.iter().for_each(notice);
    let result = match cli.verb {
        Verb::Generate(generate) => generate.run().map(|()| Verdict::Fine),
        Verb::Info(info) => info.run(),
        Verb::Verify(verify) => verify.run(),
        Verb::Explain(explain) => explain.run(),
        Verb::Log(log) => log.run(),
        Verb::Pages(pages) => pages.run(),
        Verb::Snapshot(snapshot) => snapshot.run(),
        Verb::Compact(compact) => compact.run(),
        Verb::Backup(backup) => backup.run(),
        Verb::Backups(backups) => backups.run(),
        Verb::Restore(restore) => restore.run(),
        #[cfg(feature = "payload")]
        Verb::Recover(recover) => recover.run(),
        Verb::Completions(completions) => completions.run(command()),
        Verb::Man(man) => man.run(command()),
        #[cfg(feature = "gate")]
        Verb::Gate(gate) => gate.run(),
        #[cfg(not(feature = "gate"))]
        Verb::Gate { .. } => Err(Failure::unable(anyhow::anyhow!("this build has no gate"))
            .with_hint(Some("build it with --features gate, or use the image that docker/build.sh makes"))),
    };
    match result {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(failure::REFUSED),
        #[cfg(feature = "gate")]
        Ok(Verdict::Inconclusive) => ExitCode::from(failure::UNABLE),
        Err(failure) => {
            if let Some(answer) = failure.answer().filter(|_| wants_json) {
                print_error(&answer);
            }
            output::error(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The command line as it is declared, with variables.
fn command() -> clap::Command {
    let command = Cli::command();
    // Flags that two verbs share.
    #[cfg(feature = "gate")]
    let command = command.mut_subcommand("gate", |gate| gate.mut_args(gate::adapt));
    variables::declare(command)
}

/// Whether the answer is for a program, also when the words can't be understood.
fn wants_json(words: &[OsString]) -> bool {
    let two = words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    two || words.iter().any(|word| word == "--format=json")
}

/// The variable that set the flag which is wrong.
fn variable_of<'a>(error: &clap::Error, set: &'a [(String, String)]) -> Option<&'a str> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    // As `--flag <VALUE>`, or `--flag[=<BOOL>]`.
    let flag = shown.split([' ', '[', '=']).next()?;
    set.iter().find(|(set, _)| set == flag).map(|(_, variable)| variable.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
