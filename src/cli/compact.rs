//! `compact`: databases written afresh.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{ArgGroup, Args};
use op_conductor_init::compact::{self, Compacted, Error, Target};
use op_conductor_init::durable;
use op_conductor_init::state::dir;
use serde_json::json;

use super::args::{FormatOption, LockTimeoutOption, StateDirOption};
use super::failure::Failure;
use super::generate::talk_about_recovery;
use super::progress::Bar;
use super::text::{bytes, count, table};
use super::values::Format;
use super::{Outcome, answer};

const HELP: &str = "\
Examples:
  A server that is stopped, in its place; what was there is kept beside it:
    op-conductor-init compact --state-dir ./raft-state/sequencer-1 --in-place

  All servers of a directory, into another one:
    op-conductor-init compact --state-dir ./raft-state --output-dir ./small

Entries, their order and everything else stay the same. What was written is read
again and compared before anything is replaced.

Exit status:
  0  compacted
  1  refused: a node is running, a file is damaged, or the output is there
  2  could not tell: wrong usage, no room, or an I/O error; nothing was changed";

/// Write the databases of a server, or of all, afresh: same content, no free pages
#[derive(Debug, Args)]
#[command(
    override_usage = "op-conductor-init compact --state-dir <DIR> --output-dir <DIR>\n       op-conductor-init compact --state-dir <DIR> --in-place"
)]
#[command(after_help = HELP, group = ArgGroup::new("target").required(true).args(["output_dir", "in_place"]))]
pub(super) struct Options {
    #[command(flatten)]
    state_dir: StateDirOption,

    /// Write to this directory, and leave the state as it is
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,

    /// Replace the state. It is kept in .replaced-<time> beside it
    #[arg(long)]
    in_place: bool,

    /// With --in-place: remove what was there, once the new is in its place
    #[arg(long)]
    discard_replaced: bool,

    #[command(flatten)]
    lock_timeout: LockTimeoutOption,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Outcome, Failure> {
        let target = self.output_dir.as_deref().map_or(Target::InPlace, Target::Directory);
        let outcome = compact::compact(self.state_dir.path(), target, self.lock_timeout.get(), &Bar::bytes("compact"))
            .map_err(failure)?;
        if let Some(recovery) = &outcome.recovery {
            talk_about_recovery(recovery);
        }
        let kept = match outcome.replaced {
            Some(replaced) if self.discard_replaced => discard(&replaced)?,
            replaced => replaced,
        };
        answer(&match self.format.get() {
            Format::Text => text(&outcome.files, kept.as_deref()),
            Format::Json => format!("{:#}\n", json!({"files": outcome.files, "replaced": kept})),
        })?;
        Ok(Outcome::Fine)
    }
}

/// Removes what was replaced. The new state is in its place already, whatever happens here.
fn discard(replaced: &Path) -> Result<Option<PathBuf>, Failure> {
    let removed = std::fs::remove_dir_all(replaced);
    removed
        .with_context(|| format!("compacted, but {} could not be removed", replaced.display()))
        .map_err(Failure::unable)?;
    Ok(None)
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
        text += &format!("What was there before is in {}.\n", kept.display());
    }
    text
}

fn percent(part: u64, whole: u64) -> String {
    format!("{}%", part.saturating_mul(100) / whole.max(1))
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Damaged { .. } => Failure::refused(error).with_hint(Some("verify tells all that is wrong with it")),
        Error::State(dir::Error::Locked { .. }) | Error::Nested { .. } => Failure::refused(error),
        Error::Existing { .. } => Failure::refused(error).with_hint(Some("name an --output-dir that is empty")),
        Error::Durable(ref inner) | Error::State(dir::Error::Durable(ref inner)) => {
            let hint = inner.hint();
            let refused = matches!(inner, durable::Error::Locked { .. });
            let failure = if refused { Failure::refused(error) } else { Failure::unable(error) };
            failure.with_hint(hint)
        }
        Error::Read(_) | Error::State(_) | Error::Io { .. } | Error::Bolt { .. } | Error::Differs { .. } => {
            Failure::unable(error)
        }
        Error::NoSpace { .. } => Failure::unable(error).with_hint(Some("--output-dir may be on another disk")),
    }
}
