//! The command line: one file a verb, with its options, its help and a short run.
//!
//! The answer goes to standard output, talk to standard error. Exit codes: 0 fine; 1 an error-level finding, or
//! refused; 2 could not tell (usage, I/O).

mod generate;
#[cfg(feature = "payload")]
mod head;
mod info;
mod text;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Makes, reads and checks the HashiCorp Raft state of op-conductor clusters, offline.
///
/// `generate` writes the first state of a whole cluster, so that all nodes start as equals and the named leader
/// leads first. `info` and `verify` read the state of any node, running or not, and change nothing.
#[derive(Debug, Parser)]
#[command(name = "op-conductor-init", version, max_term_width = 100, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    ignored: Ignored,
}

const EXIT_STATUS: &str =
    "Exit status: 0 fine; 1 an error was found, or the call was refused; 2 could not tell (usage, I/O).";

#[derive(Debug, Subcommand)]
enum Verb {
    Generate(Box<generate::Options>),
    Info(info::Options),
    Verify(verify::Options),
}

/// The ancestor's logging flags: accepted, so that its scripts go on working, and ignored.
#[derive(Debug, clap::Args)]
struct Ignored {
    #[arg(long = "log.level", hide = true, global = true)]
    log_level: Option<String>,
    #[arg(long = "log.format", hide = true, global = true)]
    log_format: Option<String>,
    #[arg(long = "log.color", hide = true, global = true, num_args = 0..=1, require_equals = true)]
    log_color: Option<Option<String>>,
    #[arg(long = "log.pid", hide = true, global = true, num_args = 0..=1, require_equals = true)]
    log_pid: Option<Option<String>>,
}

/// How to print the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fine,
    /// An error was found, or the call was refused.
    Bad,
}

/// Runs the command with the process's arguments.
pub fn main() -> ExitCode {
    let matches = without_empty_variables(Cli::command()).get_matches_from(arguments());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli.verb) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            talk(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// The process's arguments, without the ancestor's prefix: `op-conductor-init raft generate` is `generate`.
fn arguments() -> impl Iterator<Item = OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "raft") {
        arguments.remove(1);
    }
    arguments.into_iter()
}

fn run(verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Generate(options) => options.run(),
        Verb::Info(options) => options.run(),
        Verb::Verify(options) => options.run(),
    }
}

/// A variable that is set to nothing counts as not set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| {
            let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
            if is_empty { arg.env(None::<&'static str>) } else { arg }
        })
        .mut_subcommands(without_empty_variables)
}

/// Prints the answer.
fn answer(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints a line that is not part of the answer.
fn talk(text: &str) {
    // Nobody is left to tell when even this fails.
    drop(writeln!(io::stderr(), "{text}"));
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
