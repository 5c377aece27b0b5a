//! `log diff`: where two logs part.

use std::path::{Path, PathBuf};

use op_conductor_init::raft::codec::decode_log;
use op_conductor_init::raft::{Index, Log};
use op_conductor_init::state::entries::{Bounds, Entries};

use super::entry::Columns;
use super::{failure, open};
use crate::cli::answer::log::Diff as Answer;
use crate::cli::args::FormatOption;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{print, print_json};
use crate::cli::values::Format;

/// Compare the logs of two servers: the first index that differs, and how
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  op-conductor-init log diff ./raft-state/sequencer-1 ./raft-state/sequencer-2
  op-conductor-init log diff --format json ./backup/sequencer-1 \\
    ./raft-state/sequencer-1

Generated logs differ in their last entries on purpose: the entries of the
first leader replace those of the others. One log may also be shorter, or
begin later.

Exit status: 0 equal where both have entries; 1 different; 2 inconclusive.")]
pub(super) struct Options {
    /// A server's directory
    a: PathBuf,

    /// Another server's directory
    b: PathBuf,

    #[command(flatten)]
    format: FormatOption,
}

/// What two logs have in common.
#[derive(Debug, Default)]
struct Common {
    /// First and last index at which both have the same entry.
    equal: Option<(Index, Index)>,
    /// The first index at which they have different ones, with both.
    differs: Option<(Index, Vec<u8>, Vec<u8>)>,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let bounds = [bounds(&self.a)?, bounds(&self.b)?];
        let from = bounds[0].zip(bounds[1]).map_or(Index(0), |(a, b)| a.0.max(b.0));
        let common = compare(open("A", &self.a, from)?, open("B", &self.b, from)?)?;
        match self.format.get() {
            Format::Text => print(&self.text(bounds, &common))?,
            Format::Json => {
                print_json(&Answer::new([&self.a, &self.b], bounds, common.equal, common.differs.as_ref()))?;
            }
        }
        Ok(if common.differs.is_some() { Verdict::Bad } else { Verdict::Fine })
    }

    fn text(&self, bounds: [Bounds; 2], common: &Common) -> String {
        let mut text = String::new();
        for (name, path, bounds) in [("A", &self.a, bounds[0]), ("B", &self.b, bounds[1])] {
            let range = bounds.map_or_else(|| "empty".to_owned(), |(first, last)| format!("{first}..{last}"));
            text += &format!("{name}  {range}  {}\n", path.display());
        }
        text += &match common.equal {
            Some((first, last)) if first == last => format!("Equal at index {first}.\n"),
            Some((first, last)) => format!("Equal from index {first} to {last}.\n"),
            None => "The logs have no index in common.\n".to_owned(),
        };
        if let Some((index, a, b)) = &common.differs {
            let columns = Columns::up_to(*index);
            text += &format!("They differ at index {index}:\n   {}\n", columns.header());
            for (name, bytes) in [("A", a), ("B", b)] {
                let row = decode_log(bytes).map_or_else(|error| error.to_string(), |log| columns.row(&log));
                text += &format!("{name}  {row}\n");
            }
            text += &match (decode_log(a), decode_log(b)) {
                (Ok(a), Ok(b)) => format!("Different: {}.\n", differences(&a, &b).join(", ")),
                _ => String::new(),
            };
        }
        text
    }
}

fn bounds(directory: &Path) -> Result<Bounds, Failure> {
    open("A and B", directory, Index(0))?.bounds().map_err(failure)
}

/// Goes through both until they differ or one ends.
fn compare(mut a: Entries, mut b: Entries) -> Result<Common, Failure> {
    let mut common = Common::default();
    loop {
        let (Some((at, a)), Some((other, b))) = (a.next_bytes().map_err(failure)?, b.next_bytes().map_err(failure)?)
        else {
            return Ok(common);
        };
        if at != other || a != b {
            common.differs = Some((at.min(other), a.to_vec(), b.to_vec()));
            return Ok(common);
        }
        common.equal = Some((common.equal.map_or(at, |(first, _)| first), at));
    }
}

/// The names of what is different in two entries.
fn differences(a: &Log<'_>, b: &Log<'_>) -> Vec<&'static str> {
    let fields = [
        ("index", a.index != b.index),
        ("term", a.term != b.term),
        ("type", a.kind != b.kind),
        ("data", a.data != b.data),
        ("extensions", a.extensions != b.extensions),
        ("time appended", a.appended_at != b.appended_at),
    ];
    let names: Vec<&str> = fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    if names.is_empty() { vec!["the encoding alone"] } else { names }
}
