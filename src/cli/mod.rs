//! The command line: one file a verb, each with its options, its help and a short run.

mod args;
mod backup;
mod backups;
mod compact;
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
mod output;
mod pages;
mod progress;
mod prompt;
mod restore;
mod snapshot;
mod text;
mod values;
mod variables;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::Failure;
use variables::Environment;

const EXIT_STATUS: &str = "\
Exit status:
  0  fine
  1  an error was found, or the call was refused
  2  could not tell: wrong usage, or an I/O error";

/// Makes, shows and verifies the raft state of op-conductor clusters, offline.
///
/// generate writes the first state of a whole cluster, so that all servers start as equals and the named leader leads
/// first. info and verify read the state of any server, running or not, and change nothing.
#[derive(Debug, Parser)]
#[command(name = "op-conductor-init", version, max_term_width = 80, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
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
    #[cfg(feature = "gate")]
    Gate(Box<gate::Gate>),
    /// Boot a cluster's state on real op-conductor or raft, in containers
    #[cfg(not(feature = "gate"))]
    #[command(disable_help_flag = true)]
    Gate {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _ignored: Vec<OsString>,
    },
    Completions(extras::Completions),
    Man(extras::Man),
}

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fine,
    /// It found an error.
    Bad,
    /// It could not find out; the answer says why.
    #[cfg(feature = "gate")]
    Inconclusive,
}

/// Runs the command and says how it ended.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let declared = command();
    let environment = Environment::of_process();
    let line = environment.apply(&declared, go_tool::without_its_words(args));
    let warnings = environment.warnings(&declared);
    let verb = match declared.try_get_matches_from(line.words).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli.verb,
        Err(error) => {
            if error.use_stderr() {
                warnings.iter().for_each(talk);
            }
            // There is no way to report that the terminal is gone.
            let _ = error.print();
            if let Some(variable) = variable_of(&error, &line.set) {
                talk(format_args!("\nnote: the value is that of the variable {variable}"));
            }
            return ExitCode::from(if error.use_stderr() { failure::UNABLE } else { 0 });
        }
    };
    warnings.iter().for_each(talk);
    let result =
        match verb {
            Verb::Generate(generate) => generate.run().map(|()| Outcome::Fine),
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
            Verb::Completions(completions) => completions.run(command()),
            Verb::Man(man) => man.run(command()),
            #[cfg(feature = "gate")]
            Verb::Gate(gate) => gate.run(),
            #[cfg(not(feature = "gate"))]
            Verb::Gate { .. } => Err(Failure::unable(anyhow::anyhow!("this build has no gate"))
                .with_hint(Some("build it with --features gate"))),
        };
    match result {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(failure::REFUSED),
        #[cfg(feature = "gate")]
        Ok(Outcome::Inconclusive) => ExitCode::from(failure::UNABLE),
        Err(failure) => {
            talk(&failure);
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

/// The variable that set the flag which is wrong.
fn variable_of<'a>(error: &clap::Error, set: &'a [(String, String)]) -> Option<&'a str> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    // As `--flag <VALUE>`, or `--flag[=<BOOL>]`.
    let flag = shown.split([' ', '[', '=']).next()?;
    set.iter().find(|(set, _)| set == flag).map(|(_, variable)| variable.as_str())
}

/// Writes the answer to stdout.
fn answer(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(printable(text).as_bytes()) {
        // `| head` has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::unable(anyhow::Error::new(error).context("writing to stdout"))),
    }
}

/// Writes the answer of a call that has changed something: what was done is reported even when this fails.
fn answer_after(done: &str, text: &str) -> Result<(), Failure> {
    answer(text).map_err(|failure| failure.after(done))
}

/// Text in which names that come from files can't move the cursor: control characters are escaped, but for line ends.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => vec![c],
        c if c.is_control() => c.escape_default().collect(),
        c => vec![c],
    };
    text.chars().flat_map(shown).collect()
}

/// Writes a line of talk to stderr.
fn talk(line: impl std::fmt::Display) {
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{}", printable(&line.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_cannot_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\u{9b}ü"), "a\\u{1b}[2Jb\\r\nc\\u{9b}ü");
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
