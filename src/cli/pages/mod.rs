//! `pages`: a bolt file, page by page.

mod map;
mod show;

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use op_conductor_init::bolt::{self, Metas, PageId, PageUse, Survey, TreeItem};
use op_conductor_init::state::{self, Database};

use super::answer::pages as answer;
use super::args::FormatOption;
use super::failure::{Failure, Verdict};
use super::output::{print, print_json};
use super::text::{bytes, count, table};
use super::values::Format;

const HELP: &str = "\
Examples:
  What is in this file, and how full is it?
    op-conductor-init pages ./raft-state/sequencer-1/raft-log.db map

  Page 12, byte by byte, for a bug report without the values:
    op-conductor-init pages --redact raft-log.db show 12 --hex

Works on the files of running nodes: no lock is taken, nothing is changed.

Exit status: 0 shown; 2 not a bolt file, unknown page, or an I/O error.";

/// Show the pages of a bolt file: the use of each, and what is on it
#[derive(Debug, Args)]
#[command(after_help = HELP, mut_arg("format", |arg| arg.global(true)))]
pub(super) struct Options {
    /// The file: a raft-log.db, a raft-stable.db, or any other bbolt file
    file: PathBuf,

    /// Hide all values, so that the answer can be shared
    #[arg(long, global = true)]
    redact: bool,

    #[command(flatten)]
    format: FormatOption,

    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// One row for each branch and leaf, and for each run of other pages (the default)
    List,
    /// One page: its header and its elements
    Show {
        /// Number of the page
        id: u64,
        /// Show its bytes too
        #[arg(long)]
        hex: bool,
    },
    /// Buckets, branches and leaves as a tree
    Tree,
    /// Both metas, which one is used, and why
    Meta,
    /// A picture of the file: used, free and lost pages
    Map,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        match self.format.get() {
            Format::Text => {
                print(&state::read_committed(&self.file, |reader| self.text(reader)).map_err(Failure::unable)?)?;
            }
            Format::Json => {
                print_json(&state::read_committed(&self.file, |reader| self.json(reader)).map_err(Failure::unable)?)?;
            }
        }
        Ok(Verdict::Fine)
    }

    fn text(&self, reader: &Database) -> Result<String, bolt::Error> {
        match &self.verb {
            None | Some(Verb::List) => list(reader),
            Some(Verb::Show { id, hex }) => show::page(reader, PageId(*id), *hex, self.redact),
            Some(Verb::Tree) => tree(reader),
            Some(Verb::Meta) => Ok(metas(reader.metas(), reader.file_len())),
            Some(Verb::Map) => Ok(map::map(&reader.survey()?)),
        }
    }

    fn json(&self, reader: &Database) -> Result<answer::Pages, bolt::Error> {
        Ok(match &self.verb {
            None | Some(Verb::List) => answer::Pages::List(answer::List::new(reader)?),
            Some(Verb::Show { id, hex }) => {
                answer::Pages::Show(Box::new(answer::Page::new(reader, PageId(*id), *hex, self.redact)?))
            }
            Some(Verb::Tree) => answer::Pages::Tree(answer::Tree::new(reader)?),
            Some(Verb::Meta) => answer::Pages::Meta(answer::MetaPages::new(reader.metas(), reader.file_len())),
            Some(Verb::Map) => answer::Pages::Map(answer::Map::new(&reader.survey()?)),
        })
    }
}

/// The word for a use: what should not be is in capitals.
fn word(kind: PageUse) -> String {
    let word = answer::use_word(kind);
    if matches!(kind, PageUse::Lost | PageUse::Damaged) { word.to_uppercase() } else { word.to_owned() }
}

fn list(reader: &Database) -> Result<String, bolt::Error> {
    let survey = reader.survey()?;
    let mut pages = std::collections::BTreeMap::new();
    reader.walk_tree(&mut |item| {
        if let TreeItem::Page(page) = item {
            pages.insert(page.id, (page.count, page.used, page.len));
        }
        true
    })?;
    let row = |(kind, first, length): (PageUse, PageId, u64)| {
        let last = first.0 + length - 1;
        let id = if length == 1 { first.to_string() } else { format!("{first}..{last}") };
        let (elements, full) = match pages.get(&first) {
            Some((count, used, len)) => (count.to_string(), format!("{}%", used * 100 / (*len).max(1))),
            None => (String::new(), String::new()),
        };
        vec![id, word(kind), length.to_string(), elements, full]
    };
    let mut text = table(&["PAGE", "USE", "PAGES", "ELEMENTS", "FULL"], survey.runs().map(row));
    damaged(&survey, &mut text);
    Ok(text)
}

/// Why pages are damaged.
fn damaged(survey: &Survey, text: &mut String) {
    for (page, error) in &survey.damaged {
        _ = writeln!(text, "  page {page}: {error}");
    }
}

fn tree(reader: &Database) -> Result<String, bolt::Error> {
    let mut text = String::new();
    let mut line = |depth: usize, line: &str| _ = writeln!(text, "{:indent$}{line}", "", indent = 2 * depth);
    reader.walk_tree(&mut |item| {
        match item {
            TreeItem::Page(page) => {
                let keys = page
                    .keys
                    .as_ref()
                    .map_or_else(String::new, |(first, last)| format!(", {} to {}", show::key(first), show::key(last)));
                let overflow = match page.overflow {
                    0 => String::new(),
                    pages => format!(" and {} of overflow", count(u64::from(pages), "page", "pages")),
                };
                let bucket = page.bucket.as_ref().map_or_else(String::new, |(name, header)| match name.as_slice() {
                    [] => "top level: ".to_owned(),
                    name => format!("bucket {} (sequence {}): ", show::key(name), header.sequence),
                });
                let elements = count(page.count as u64, "element", "elements");
                let (kind, id) = (page.kind.name(), page.id);
                line(page.depth, &format!("{bucket}{kind} {id}{overflow}: {elements}{keys}"));
            }
            TreeItem::Inline(depth, name, header) => {
                let name = show::key(name);
                line(depth, &format!("bucket {name} (sequence {}): inside the page above", header.sequence));
            }
            TreeItem::Damaged(depth, page, error) => line(depth, &format!("DAMAGED {page}: {error}")),
        }
        true
    })?;
    Ok(text)
}

fn metas(metas: &Metas, file_len: u64) -> String {
    let mut text = String::new();
    for (slot, meta) in metas.slots.iter().enumerate() {
        let counts = if slot == metas.live { "  <- used" } else { "" };
        _ = writeln!(text, "Meta {slot}{counts}");
        match meta {
            Ok(meta) => {
                let freelist = meta.freelist.map_or_else(|| "not on disk".to_owned(), |page| format!("page {page}"));
                for (name, value) in [
                    ("transaction", meta.txid.to_string()),
                    ("page size", bytes(u64::from(meta.page_size))),
                    ("root", format!("page {}, sequence {}", meta.root.root, meta.root.sequence)),
                    ("freelist", freelist),
                    ("high-water mark", format!("page {}", meta.high_water)),
                ] {
                    _ = writeln!(text, "  {name:<16} {value}");
                }
            }
            Err(error) => _ = writeln!(text, "  not valid: {error}"),
        }
    }
    let why = match &metas.slots {
        [Ok(first), Ok(second)] if first.txid == second.txid => {
            "both are valid and have the same transaction: bbolt uses meta 0"
        }
        [Ok(_), Ok(_)] => "both are valid, and it has the higher transaction",
        _ => "the other one is not valid: bbolt silently goes back to this state",
    };
    let end = metas.live().high_water.0.saturating_mul(metas.page_size as u64);
    _ = writeln!(text, "\nMeta {} is used: {why}.", metas.live);
    _ = writeln!(text, "The file has {file_len} bytes; pages are used up to byte {end}.");
    text
}
