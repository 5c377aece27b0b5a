//! `log search`: where something is, in the log or in a snapshot.

use std::ops::RangeInclusive;
use std::path::Path;

use clap::ArgGroup;
use op_conductor_init::payload::StoredHead;
use op_conductor_init::raft::Index;
use op_conductor_init::state;
use op_conductor_init::state::entries::{Block, Span};

use super::entry::Columns;
use super::{FilterOptions, StateDirOption, failure, open};
use crate::cli::answer::log::{Entry, InSnapshot};
use crate::cli::args::FormatOption;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{Lines, Reader, notice};
use crate::cli::values::Format;

/// Find entries by index, term, type, block or time
///
/// A block no longer in the log is looked up in the snapshot.
#[derive(Debug, clap::Args)]
#[command(override_usage = "op-conductor-init log search --state-dir <DIR> [OPTIONS]")]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["index", "kinds", "term", "block", "since"]))]
#[command(after_help = "\
Examples:
  op-conductor-init log search --state-dir ./raft-state/sequencer-1 \\
    --block 0x9f3c
  op-conductor-init log search --state-dir ./raft-state/sequencer-1 \\
    --type configuration --term 3..7

Exit status: 0 found; 1 nothing found; 2 inconclusive.")]
pub(super) struct Options {
    #[command(flatten)]
    directory: StateDirOption,

    /// This index, or a range: 10..20
    #[arg(long, value_name = "INDEX")]
    index: Option<Span>,

    #[command(flatten)]
    filter: FilterOptions,

    /// How many entries to show at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    most: u64,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let span = self.index.clone().map_or(0..=u64::MAX, |Span(span)| span);
        let found = self.in_log(&span)?;
        if found == self.most {
            notice(format_args!("note: stopped after {found} entries (--most)"));
        }
        if found > 0 || self.in_snapshot()? {
            return Ok(Verdict::Fine);
        }
        notice("nothing found");
        Ok(Verdict::Bad)
    }

    /// Shows what the log has; how many they were.
    fn in_log(&self, span: &RangeInclusive<u64>) -> Result<u64, Failure> {
        let mut entries = open("--state-dir", self.directory.path()?, Index(*span.start()))?;
        let bounds = entries.bounds().map_err(failure)?;
        let columns = Columns::up_to(bounds.map_or(Index(0), |(_, last)| last));
        let filter = self.filter.filter();
        let mut output = Lines::new();
        let mut found = 0;
        while let Some(log) = entries.next_log().map_err(failure)? {
            if log.index.0 > *span.end() || found == self.most {
                break;
            }
            if !filter.wants(&log) {
                continue;
            }
            if found == 0 && self.format.get() == Format::Text {
                output.text(&columns.header())?;
            }
            found += 1;
            let reader = match self.format.get() {
                Format::Text => output.text(&columns.row(&log)),
                Format::Json => output.json(&Entry::new(&log)),
            };
            if reader? == Reader::Gone {
                break;
            }
        }
        output.end()?;
        Ok(found)
    }

    /// Whether the snapshot has the block: raft truncates the log before it.
    fn in_snapshot(&self) -> Result<bool, Failure> {
        let Some(block) = &self.filter.block else { return Ok(false) };
        let Some(stored) = head_of_snapshot(self.directory.path()?, block)? else { return Ok(false) };
        let StoredHead { head, index, term, .. } = stored;
        let mut output = Lines::new();
        match self.format.get() {
            Format::Text => output.text(&format!("in the snapshot at index {index}, term {term}: {head}"))?,
            Format::Json => output.json(&InSnapshot { snapshot_index: index, snapshot_term: term, block: head })?,
        };
        output.end()?;
        Ok(true)
    }
}

fn head_of_snapshot(directory: &Path, block: &Block) -> Result<Option<StoredHead>, Failure> {
    let heads = state::heads_of_snapshots(directory).map_err(Failure::unable)?;
    Ok(heads.into_iter().find(|stored| block.is(&stored.head)))
}
