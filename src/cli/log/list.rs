//! `log`: entries as a table, or one JSON object a line.

use op_conductor_init::raft::{Log, LogType};
use op_conductor_init::report::Progress;
use op_conductor_init::state::entries::Indexes;

use super::entry::{Columns, whole};
use super::{FilterOptions, StateDirOption, failure, open};
use crate::cli::answer::log::Entry;
use crate::cli::args::FormatOption;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{Lines, Reader};
use crate::cli::progress::Bar;
use crate::cli::values::Format;

#[derive(Debug, clap::Args)]
pub(super) struct ListOptions {
    #[command(flatten)]
    directory: StateDirOption,

    /// Which indexes: 10..20 (both included), 10.., ..20, 15, or ~10 for the last ten [default: all]
    #[arg(value_name = "RANGE")]
    indexes: Option<Indexes>,

    #[command(flatten)]
    filter: FilterOptions,

    /// Show the payload of each command in full
    #[arg(long)]
    payload: bool,

    #[command(flatten)]
    format: FormatOption,
}

impl ListOptions {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let directory = self.directory.path()?;
        let bounds = open("--state-dir", directory, op_conductor_init::raft::Index(0))?.bounds().map_err(failure)?;
        let range = self.indexes.clone().unwrap_or_default().within(bounds);
        let mut entries = open("--state-dir", directory, *range.start())?;
        let filter = self.filter.filter();
        let columns = Columns::up_to(bounds.map_or(*range.start(), |(_, last)| last));
        let mut output = Lines::new();
        let bar = Bar::entries("log", range.end().0.saturating_sub(range.start().0));
        if self.format.get() == Format::Text && output.text(&columns.header())? == Reader::Gone {
            return Ok(Verdict::Fine);
        }
        while let Some(log) = entries.next_log().map_err(failure)? {
            if log.index > *range.end() {
                break;
            }
            bar.advance(1);
            if !filter.wants(&log) {
                continue;
            }
            let reader = match self.format.get() {
                Format::Json => output.json(&self.entry(&log))?,
                Format::Text => {
                    let mut lines = columns.row(&log);
                    if self.payload && log.kind == LogType::Command {
                        let whole = whole(log.data.as_deref().unwrap_or_default());
                        lines += &whole.map_or_else(|error| format!("\n{error}"), |whole| format!("\n{whole:#}"));
                    }
                    output.text(&lines)?
                }
            };
            if reader == Reader::Gone {
                return Ok(Verdict::Fine);
            }
        }
        output.end()?;
        Ok(Verdict::Fine)
    }

    fn entry(&self, log: &Log<'_>) -> Entry {
        let mut entry = Entry::new(log);
        if self.payload && log.kind == LogType::Command {
            match whole(log.data.as_deref().unwrap_or_default()) {
                Ok(whole) => entry.payload = Some(whole),
                Err(error) => entry.error = Some(error),
            }
        }
        entry
    }
}
