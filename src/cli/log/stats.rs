//! `log stats`: how many entries of which kind, how large, how fast.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use op_conductor_init::payload::Head;
use op_conductor_init::raft::{Index, Log, LogType, Term};
use op_conductor_init::report::Progress;

use super::{StateDirOption, failure, open};
use crate::cli::answer::log::{Group, OfTerm, Stats as Answer};
use crate::cli::args::FormatOption;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{print, print_json};
use crate::cli::progress::Bar;
use crate::cli::text::{bytes, count, table};
use crate::cli::values::Format;

/// How many terms are counted separately; when leadership spins there can be millions.
const MOST_TERMS: usize = 1_000;
/// How many of them are shown to people.
const SHOWN_TERMS: usize = 20;

/// Count entries and bytes by type and by term, and show how fast they were appended
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  op-conductor-init log stats --state-dir ./raft-state/sequencer-1
  op-conductor-init log stats --state-dir ./raft-state/sequencer-1 --format json

Exit status: 0 counted; 2 inconclusive.")]
pub(super) struct Options {
    #[command(flatten)]
    directory: StateDirOption,

    #[command(flatten)]
    format: FormatOption,
}

impl Group {
    fn add(&mut self, len: u64) {
        self.entries += 1;
        self.data_len += len;
        self.largest = self.largest.max(len);
    }

    fn row(self, name: String) -> Vec<String> {
        let mean = self.data_len.checked_div(self.entries).unwrap_or_default();
        vec![name, self.entries.to_string(), bytes(self.data_len), bytes(mean), bytes(self.largest)]
    }
}

#[derive(Debug, Default)]
struct Summary {
    bounds: Option<(Index, Index)>,
    all: Group,
    by_type: BTreeMap<String, Group>,
    by_term: BTreeMap<Term, Group>,
    /// Terms that were counted and then forgotten, because there were too many.
    older_terms: u64,
    /// First and last time that a leader appended.
    times: Option<(Timestamp, Timestamp)>,
    dated: u64,
    blocks: Option<(u64, u64)>,
}

impl Summary {
    fn add(&mut self, log: &Log<'_>) {
        let data = log.data.as_deref().unwrap_or_default();
        let len = data.len() as u64;
        self.bounds = Some((self.bounds.map_or(log.index, |(first, _)| first), log.index));
        self.all.add(len);
        self.by_type.entry(log.kind.to_string()).or_default().add(len);
        self.by_term.entry(log.term).or_default().add(len);
        if self.by_term.len() > MOST_TERMS {
            self.by_term.pop_first();
            self.older_terms += 1;
        }
        if let Some(time) = log.appended_at.timestamp() {
            self.dated += 1;
            self.times = Some(self.times.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        }
        if log.kind == LogType::Command
            && let Ok(head) = Head::peek(data)
        {
            let number = head.number;
            self.blocks = Some(self.blocks.map_or((number, number), |(low, high)| (low.min(number), high.max(number))));
        }
    }

    /// Entries a second, between the first and the last that a leader appended.
    fn rate(&self) -> Option<f64> {
        let (first, last) = self.times?;
        let seconds = last.duration_since(first).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let between = self.dated.saturating_sub(1) as f64;
        (seconds > 0.0).then(|| between / seconds)
    }
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let mut entries = open("--state-dir", self.directory.path()?, Index(0))?;
        let mut counted = Summary::default();
        let bounds = entries.bounds().map_err(failure)?;
        let bar = Bar::entries("stats", bounds.map_or(0, |(first, last)| last.0.saturating_sub(first.0)));
        while let Some(log) = entries.next_log().map_err(failure)? {
            counted.add(&log);
            bar.advance(1);
        }
        drop(bar);
        match self.format.get() {
            Format::Text => print(&text(&counted))?,
            Format::Json => print_json(&json(&counted))?,
        }
        Ok(Verdict::Fine)
    }
}

fn text(counted: &Summary) -> String {
    let Some((first, last)) = counted.bounds else { return "The log is empty.\n".to_owned() };
    let all = counted.all;
    let mut text =
        format!("Log {first}..{last}: {}, {} of data\n", count(all.entries, "entry", "entries"), bytes(all.data_len));
    if let Some((low, high)) = counted.blocks {
        _ = writeln!(text, "Blocks {low}..{high}");
    }
    if let Some((from, to)) = counted.times {
        let rate = counted.rate().map_or_else(String::new, |rate| format!(", {rate:.2} entries a second"));
        _ = writeln!(text, "Appended from {from:.0} to {to:.0}{rate}");
    }
    text.push('\n');
    text += &table(
        &["TYPE", "ENTRIES", "DATA", "MEAN", "LARGEST"],
        counted.by_type.iter().map(|(kind, group)| group.row(kind.clone())),
    );
    text.push('\n');
    let shown = counted.by_term.iter().rev().take(SHOWN_TERMS);
    text +=
        &table(&["TERM", "ENTRIES", "DATA", "MEAN", "LARGEST"], shown.map(|(term, group)| group.row(term.to_string())));
    let hidden = counted.by_term.len().saturating_sub(SHOWN_TERMS) as u64 + counted.older_terms;
    if hidden > 0 {
        _ = writeln!(text, "  and {}", count(hidden, "older term", "older terms"));
    }
    text
}

fn json(counted: &Summary) -> Answer<'_> {
    Answer {
        first_index: counted.bounds.map(|(first, _)| first),
        last_index: counted.bounds.map(|(_, last)| last),
        all: counted.all,
        by_type: &counted.by_type,
        by_term: counted.by_term.iter().map(|(term, group)| OfTerm { term: *term, count: *group }).collect(),
        older_terms: counted.older_terms,
        first_appended_at: counted.times.map(|(first, _)| first.to_string()),
        last_appended_at: counted.times.map(|(_, last)| last.to_string()),
        entries_per_second: counted.rate(),
        lowest_block: counted.blocks.map(|(low, _)| low),
        highest_block: counted.blocks.map(|(_, high)| high),
    }
}
