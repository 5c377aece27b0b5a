//! `log`: the entries of one server, running or not.

mod diff;
pub(super) mod entry;
mod export;
mod import;
mod list;
mod search;
mod stats;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use op_conductor_init::raft::{Index, LogType};
use op_conductor_init::state::Servers;
use op_conductor_init::state::entries::{self, Block, Entries, Filter, Span};

use super::failure::{Failure, Verdict};

const HELP: &str = "\
Examples:
  The last 20 entries:
    op-conductor-init log --state-dir ./raft-state/sequencer-1 ~20

  All blocks of the last ten minutes, one JSON object per line:
    op-conductor-init log --state-dir ./raft-state/sequencer-1 \\
      --type command --since 10m --format json

  Where is block 1234567, and do two servers have the same log?
    op-conductor-init log search --state-dir ./raft-state/sequencer-1 \\
      --block 1234567
    op-conductor-init log diff ./raft-state/sequencer-1 ./raft-state/sequencer-2

Works on running nodes: no lock is taken or waited for, nothing is changed.

Exit status:
  0  shown
  1  search: nothing was found; diff: the logs differ
  2  inconclusive: no log, damage, wrong usage, or an I/O error";

/// Show the log of a server entry by entry; search, compare, count, export and import entries
#[derive(Debug, Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Option<LogVerb>,
    #[command(flatten)]
    list: list::ListOptions,
}

#[derive(Debug, Subcommand)]
enum LogVerb {
    Search(search::Options),
    Diff(diff::Options),
    Stats(stats::Options),
    Export(export::Options),
    Import(import::Options),
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        match &self.verb {
            None => self.list.run(),
            Some(LogVerb::Search(search)) => search.run(),
            Some(LogVerb::Diff(diff)) => diff.run(),
            Some(LogVerb::Stats(stats)) => stats.run(),
            Some(LogVerb::Export(export)) => export.run(),
            Some(LogVerb::Import(import)) => import.run(),
        }
    }
}

/// Conditions that entries are chosen by.
#[derive(Debug, Args)]
struct FilterOptions {
    /// Only entries of this type. Repeatable
    #[arg(long = "type", value_name = "TYPE", value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,

    /// Only entries of this term, or of a range: 3..7
    #[arg(long, value_name = "TERM")]
    term: Option<Span>,

    /// Only the entry of this block: a number, a range such as 10..20, or a hash (or its beginning)
    #[arg(long, value_name = "BLOCK")]
    block: Option<Block>,

    /// Only entries appended since: a time such as 2026-11-23T03:00:00Z, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
}

/// Types that an entry can have today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A payload for the state machine
    Command,
    /// Written by a new leader
    Noop,
    /// Waits until all before it is applied
    Barrier,
    /// The members
    Configuration,
}

impl FilterOptions {
    fn filter(&self) -> Filter {
        let kind = |kind: &Kind| match kind {
            Kind::Command => LogType::Command,
            Kind::Noop => LogType::Noop,
            Kind::Barrier => LogType::Barrier,
            Kind::Configuration => LogType::Configuration,
        };
        Filter {
            kinds: self.kinds.iter().map(kind).collect(),
            terms: self.term.clone(),
            block: self.block.clone(),
            since: self.since,
        }
    }
}

/// A time, or how long ago.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago: Option<SignedDuration> = text.parse().ok().filter(|ago: &SignedDuration| !ago.is_negative());
    let time = ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    time.ok_or_else(|| "expected a time such as 2026-11-23T03:00:00Z, or how long ago: 10m, 2h".to_owned())
}

/// Opens the log of one server.
fn open(flag: &str, directory: &Path, from: Index) -> Result<Entries, Failure> {
    one_server(flag, directory)?;
    Entries::open(directory, from).map_err(failure)
}

/// Ensures that a directory is one server's.
fn one_server(flag: &str, directory: &Path) -> Result<(), Failure> {
    let servers = Servers::find(directory)
        .map_err(|error| Failure::unable(anyhow::Error::new(error).context(flag.to_owned())))?;
    if servers.is_one() {
        return Ok(());
    }
    let names: Vec<String> = servers.dirs().iter().map(|dir| dir.path().display().to_string()).collect();
    let (what, hint) = match names.as_slice() {
        [only] => ("is a directory of servers".to_owned(), format!("name {only}")),
        names => (format!("holds {} servers", names.len()), format!("name one of {}", names.join(", "))),
    };
    let error = anyhow!("{flag}: {} {what}", directory.display());
    Err(Failure::unable(error).with_hint(Some(hint)))
}

fn failure(error: entries::Error) -> Failure {
    let damaged = matches!(error, entries::Error::Bolt { .. } | entries::Error::Entry { .. });
    Failure::unable(error).with_hint(damaged.then_some("verify reports what is wrong with the file"))
}

/// The directory that all of these need.
#[derive(Debug, Args)]
struct StateDirOption {
    /// A server's directory: <storage dir>/<server id>
    // An option, because the verbs below `log` have one of their own.
    #[arg(long, value_name = "DIR", required = true)]
    state_dir: Option<PathBuf>,
}

impl StateDirOption {
    fn path(&self) -> Result<&Path, Failure> {
        self.state_dir.as_deref().ok_or_else(|| Failure::unable(anyhow!("--state-dir is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_or_how_long_ago() {
        assert_eq!(since("2026-11-23T03:00:00Z"), Ok("2026-11-23T03:00:00Z".parse().unwrap()));
        let ago = Timestamp::now().duration_since(since("10m").unwrap()).as_secs();
        assert!((590..660).contains(&ago), "{ago} s");
        for bad in ["", "10", "-10m", "yesterday"] {
            assert!(since(bad).is_err(), "{bad:?}");
        }
    }
}
