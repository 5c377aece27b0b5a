//! `compact`: databases written afresh.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{ArgGroup, Args};
use op_conductor_init::compact::{self, Compacted, Error, Target};
use serde_json::json;

use super::args::{FormatOption, LockTimeoutOption, StateDirOption};
use super::failure::{Failure, directory_hint, server_hint};
use super::generate::talk_about_recovery;
use super::progress::Bar;
use super::text::{bytes, count, table};
use super::values::Format;
use super::{Outcome, answer_after, talk};

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
        outcome.recovered.iter().for_each(talk_about_recovery);
        let kept = match outcome.replaced {
            Some(replaced) if self.discard_replaced => discard(replaced, "compacted")?,
            replaced => replaced,
        };
        answer_after(
            "compacted",
            &match self.format.get() {
                Format::Text => text(&outcome.files, kept.as_deref()),
                Format::Json => format!("{:#}\n", json!({"files": outcome.files, "replaced": kept})),
            },
        )?;
        Ok(Outcome::Fine)
    }
}

/// Removes raft's files of what was replaced; where the rest is. The new state is in its place already, whatever happens
/// here, as `done` says.
pub(super) fn discard(replaced: PathBuf, done: &str) -> Result<Option<PathBuf>, Failure> {
    let kept = op_conductor_init::state::discard(&replaced)
        .with_context(|| format!("{done}, but {} could not be removed", replaced.display()))
        .map_err(Failure::unable)?;
    for path in &kept {
        talk(format_args!("note: not a file of raft's, and kept: {}", path.display()));
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
        Error::Nested { .. } => Failure::refused(error),
        Error::Inside { .. } => Failure::refused(error).with_hint(Some("name an --output-dir elsewhere")),
        Error::Existing { .. } => Failure::refused(error).with_hint(Some("name an --output-dir that is empty")),
        Error::Durable(ref inner) => {
            let (hint, refused) = (directory_hint(inner), inner.is_refusal());
            if refused { Failure::refused(error) } else { Failure::unable(error) }.with_hint(hint)
        }
        Error::State(ref inner) => {
            let (hint, refused) = (server_hint(inner), inner.is_refusal());
            if refused { Failure::refused(error) } else { Failure::unable(error) }.with_hint(hint)
        }
        Error::NoSpace { .. } => Failure::unable(error).with_hint(Some("--output-dir may be on another disk")),
        _ => Failure::unable(error),
    }
}
