//! `log export`: entries as lines that `log import` takes.

use std::path::PathBuf;

use anyhow::Context;
use op_conductor_init::raft::Index;
use op_conductor_init::report::Progress;
use op_conductor_init::state::entries::Indexes;
use op_conductor_init::transfer::{Line, payload_directory};

use super::{StateDirOption, failure, open};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{Lines, Reader};
use crate::cli::progress::Bar;

/// Print complete entries as JSON lines, which log import reads
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  op-conductor-init log export --state-dir ./raft-state/sequencer-1 > log.ndjson
  op-conductor-init log export --state-dir ./raft-state/sequencer-1 \\
    --payloads ./blocks 100..200 > some.ndjson

Exit status: 0 exported; 2 no log, damage, or an I/O error.")]
pub(super) struct Options {
    #[command(flatten)]
    directory: StateDirOption,

    /// Which indexes: 10..20 (both included), 10.., ..20, 15, or ~10 for the last ten [default: all]
    #[arg(value_name = "RANGE")]
    indexes: Option<Indexes>,

    /// Write the data of each command to a file in this directory, which must not exist; the line names the file
    #[arg(long, value_name = "DIR")]
    payloads: Option<PathBuf>,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let directory = self.directory.path()?;
        let bounds = open("--state-dir", directory, Index(0))?.bounds().map_err(failure)?;
        let range = self.indexes.clone().unwrap_or_default().within(bounds);
        let mut entries = open("--state-dir", directory, *range.start())?;
        let payloads = self.payloads.as_deref().map(payload_directory).transpose();
        let payloads = payloads.context("--payloads: making the directory").map_err(Failure::unable)?;
        let mut output = Lines::new();
        let bar = Bar::entries("export", range.end().0.saturating_sub(range.start().0));
        while let Some(log) = entries.next_log().map_err(failure)? {
            if log.index > *range.end() {
                break;
            }
            bar.advance(1);
            let line = Line::new(&log, payloads.as_deref()).context("--payloads: writing").map_err(Failure::unable)?;
            if output.raw_json(&line)? == Reader::Gone {
                return Ok(Verdict::Fine);
            }
        }
        output.end()?;
        Ok(Verdict::Fine)
    }
}
