//! `compact`: databases written afresh.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{ArgGroup, Args};
use op_conductor_init::compact::{self, Compacted, Error, Target};

use super::answer::backups::Compaction;
use super::args::{FormatOption, LockTimeoutOption, StateDirOption};
use super::failure::{Failure, Verdict, directory_hint, server_hint};
use super::generate::report_recovery;
use super::output::{notice, print, print_json};
use super::progress::Bar;
use super::text::{bytes, count, table};
use super::values::Format;

const HELP: &str = "\
Examples:
  One stopped server in place; the old files are kept next to it:
    op-conductor-init compact --state-dir ./raft-state/sequencer-1 --in-place

  All servers of a directory, into a new directory:
    op-conductor-init compact --state-dir ./raft-state --output-dir ./small

Entries, their order and everything else stay the same. The new files are read
back and compared before anything is replaced.

Exit status:
  0  compacted
  1  refused: a node is running, a file is damaged, or the output exists
  2  failed: wrong usage, no space, or an I/O error; nothing was changed";

/// Rewrite the databases of one server or of all: same content, no free pages
#[derive(Debug, Args)]
#[command(
    override_usage = "op-conductor-init compact --state-dir <DIR> --output-dir <DIR>\n       op-conductor-init compact --state-dir <DIR> --in-place"
)]
#[command(after_help = HELP, group = ArgGroup::new("target").required(true).args(["output_dir", "in_place"]))]
pub(super) struct Options {
    #[command(flatten)]
    state_dir: StateDirOption,

    /// Write to this directory and leave the state unchanged
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,

    /// Replace the state. The old state is kept in .replaced-<time> next to it
    #[arg(long)]
    in_place: bool,

    /// With --in-place: remove the old files once the new ones are in place
    #[arg(long)]
    discard_replaced: bool,

    #[command(flatten)]
    lock_timeout: LockTimeoutOption,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let target = self.output_dir.as_deref().map_or(Target::InPlace, Target::Directory);
        let outcome = compact::compact(self.state_dir.path(), target, self.lock_timeout.get(), &Bar::bytes("compact"))
            .map_err(failure)?;
        outcome.recovered.iter().for_each(report_recovery);
        let kept = match outcome.replaced {
            Some(replaced) if self.discard_replaced => discard(replaced, "compacted")?,
            replaced => replaced,
        };
        match self.format.get() {
            Format::Text => print(&text(&outcome.files, kept.as_deref())).map_err(|it| it.after("compacted"))?,
            Format::Json => {
                print_json(&Compaction::new(&outcome.files, kept.as_deref())).map_err(|it| it.after("compacted"))?;
            }
        }
        Ok(Verdict::Fine)
    }
}

/// Removes raft's files of what was replaced; where the rest is. The new state is in its place already, whatever happens
/// here, as `done` says.
pub(super) fn discard(replaced: PathBuf, done: &str) -> Result<Option<PathBuf>, Failure> {
    let kept = op_conductor_init::state::discard(&replaced)
        .with_context(|| format!("{done}, but {} could not be removed", replaced.display()))
        .map_err(Failure::unable)?;
    for path in &kept {
        notice(format_args!("note: not a file of raft's, and kept: {}", path.display()));
    }
    Ok(replaced.exists().then_some(replaced))
}

fn text(files: &[Compacted], kept: Option<&Path>) -> String {
    let row = |file: &Compacted| {
        vec![
            file.id.clone(),
            file.file.to_owned(),
            bytes(file.before),
            bytes(file.after),
            percent(file.after, file.before),
        ]
    };
    let mut text = table(&["ID", "FILE", "BEFORE", "AFTER", "IS"], files.iter().map(row));
    let (before, after) = files.iter().fold((0, 0), |(before, after), file| (before + file.before, after + file.after));
    let of = count(files.len() as u64, "file", "files");
    text += &format!("{of}: {} before, {} now ({}).\n", bytes(before), bytes(after), percent(after, before));
    if let Some(kept) = kept {
        text += &format!("The old state is in {}.\n", kept.display());
    }
    text
}

fn percent(part: u64, whole: u64) -> String {
    format!("{}%", part.saturating_mul(100) / whole.max(1))
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Damaged { .. } => {
            Failure::refused(error).with_hint(Some("verify reports everything that is wrong with it"))
        }
        Error::Nested { .. } => Failure::refused(error),
        Error::Inside { .. } => Failure::refused(error).with_hint(Some("name an --output-dir elsewhere")),
        Error::Existing { .. } => Failure::refused(error).with_hint(Some("name an --output-dir that is empty")),
        Error::Durable(ref inner) => {
            let (hint, refused) = (directory_hint(inner), inner.is_refusal());
            Failure::refused_if(refused, error).with_hint(hint)
        }
        Error::State(ref inner) => {
            let (hint, refused) = (server_hint(inner), inner.is_refusal());
            Failure::refused_if(refused, error).with_hint(hint)
        }
        Error::NoSpace { .. } => Failure::unable(error).with_hint(Some("--output-dir may be on another disk")),
        _ => Failure::unable(error),
    }
}
