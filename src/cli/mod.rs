//! The command line: one file a verb, each with its options, its help and a short run.

mod backup;
mod backups;
mod compact;
mod explain;
mod extras;
mod failure;
#[cfg(feature = "gate")]
mod gate;
mod generate;
#[cfg(feature = "payload")]
mod head;
mod info;
mod junit;
mod log;
mod pages;
mod progress;
mod restore;
mod snapshot;
mod text;
mod values;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::Failure;

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
    command: Command,
    #[command(flatten)]
    _log: LogFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Verb(Verb),
    /// The verbs again, for scripts that were written for the Go tool of this name.
    #[command(hide = true)]
    Raft {
        #[command(subcommand)]
        verb: Verb,
    },
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
}

/// Flags of the Go tool of this name: taken, so that its scripts go on working, and without effect.
#[derive(Debug, Args)]
struct LogFlags {
    #[arg(long = "log.level", global = true, hide = true)]
    _level: Option<String>,
    #[arg(long = "log.format", global = true, hide = true)]
    _format: Option<String>,
    #[arg(long = "log.color", global = true, hide = true, num_args = 0..=1, require_equals = true)]
    _color: Option<Option<String>>,
    #[arg(long = "log.pid", global = true, hide = true, num_args = 0..=1, require_equals = true)]
    _pid: Option<Option<String>>,
}

/// Runs the command and says how it ended.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = without_empty_variables(command()).try_get_matches_from(args);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told that the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::UNABLE } else { 0 });
        }
    };
    let (Command::Verb(verb) | Command::Raft { verb }) = cli.command;
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
        Err(failure) => {
            talk(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The command line as it is declared, but for flags that two verbs share.
fn command() -> clap::Command {
    #[cfg(feature = "gate")]
    return {
        let adapt = |command: clap::Command| command.mut_subcommand("gate", |gate| gate.mut_args(gate::adapt));
        adapt(Cli::command().mut_subcommand("raft", adapt))
    };
    #[cfg(not(feature = "gate"))]
    Cli::command()
}

/// A variable that is set to nothing is not set: that is how an orchestrator's template leaves one out.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// Writes the answer to stdout.
fn answer(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(printable(text).as_bytes()) {
        // `| head` has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::unable(anyhow::Error::new(error).context("writing to stdout"))),
    }
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
