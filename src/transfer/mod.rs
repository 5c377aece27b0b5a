//! A log as lines of JSON, one entry each: out of a server's log, and into a new server's directory.
//!
//! Import takes the lines in any order. While they come in order they are written at once; from the first that doesn't
//! on, they go through the scratch store. Memory holds a few entries, however long the log.

pub mod scratch;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bolt::{self, BulkWriter};
use crate::report::Progress;
use scratch::Scratch;

use crate::raft::codec::{decode_log, encode_log};
use crate::raft::{AppendedAt, CONF_BUCKET, CURRENT_TERM, Index, LOGS_BUCKET, Log, LogType, Term};

/// An entry as a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Position in the log.
    pub index: u64,
    /// Term of the leader that made it.
    pub term: u64,
    /// Number of the type: 0 command, 1 noop, 4 barrier, 5 configuration.
    #[serde(rename = "type")]
    pub kind: u8,
    /// When it was appended; none for the zero time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appended_at: Option<Time>,
    /// What it carries, in hexadecimal digits; none is Go's nil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Or the name of the file that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_file: Option<String>,
    /// Bytes of middleware, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<String>,
}

/// A time, as exact as raft has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Time {
    /// In UTC, as RFC 3339 writes it.
    Utc(jiff::Timestamp),
    /// What RFC 3339 can't say: seconds since the year 1, nanoseconds, minutes east of UTC (-1 is UTC itself).
    Exact(i64, u32, i16),
}

impl From<AppendedAt> for Time {
    fn from(at: AppendedAt) -> Time {
        match at.timestamp().filter(|_| at.zone == AppendedAt::ZERO.zone) {
            Some(time) => Time::Utc(time),
            None => Time::Exact(at.seconds, at.nanos, at.zone),
        }
    }
}

impl From<Time> for AppendedAt {
    fn from(time: Time) -> AppendedAt {
        match time {
            Time::Exact(seconds, nanos, zone) => AppendedAt { seconds, nanos, zone },
            Time::Utc(time) => {
                // Before 1970 seconds and nanoseconds are both negative in jiff, never in Go.
                let nanos = time.subsec_nanosecond();
                let (seconds, nanos) =
                    if nanos < 0 { (time.as_second() - 1, nanos + 1_000_000_000) } else { (time.as_second(), nanos) };
                AppendedAt::from_unix(seconds, nanos.unsigned_abs())
            }
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    if whole { bytes } else { None }
}

impl Line {
    /// The line of an entry. With `payloads`, data goes to a file of that directory.
    pub fn new(log: &Log<'_>, payloads: Option<&Path>) -> io::Result<Line> {
        let mut line = Line {
            index: log.index.0,
            term: log.term.0,
            kind: log.kind.to_byte(),
            appended_at: (log.appended_at != AppendedAt::ZERO).then(|| log.appended_at.into()),
            data: None,
            data_file: None,
            extensions: log.extensions.as_deref().map(to_hex),
        };
        match (log.data.as_deref(), payloads.filter(|_| log.kind == LogType::Command)) {
            (Some(data), Some(directory)) => {
                let name = format!("{}.ssz", log.index);
                File::create_new(directory.join(&name))?.write_all(data)?;
                line.data_file = Some(name);
            }
            (data, _) => line.data = data.map(to_hex),
        }
        Ok(line)
    }

    /// The entry of a line.
    fn entry(self, payloads: Option<&Path>) -> Result<Log<'static>, String> {
        let bytes = |name: &str, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => from_hex(&text).map(Some).ok_or_else(|| format!("{name}: expected hexadecimal digits")),
        };
        let data = match (self.data, self.data_file) {
            (Some(_), Some(_)) => return Err("both data and data_file".to_owned()),
            (data, None) => bytes("data", data)?,
            (None, Some(name)) => {
                let directory = payloads.ok_or("data_file: --payloads names the directory of such files")?;
                if name.is_empty() || name.contains('/') || name == ".." {
                    return Err(format!("data_file: expected the name of a file in --payloads, found {name:?}"));
                }
                let path = directory.join(name);
                Some(std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        Ok(Log {
            index: Index(self.index),
            term: Term(self.term),
            kind: LogType::from_byte(self.kind),
            data: data.map(Cow::Owned),
            extensions: bytes("extensions", self.extensions)?.map(Cow::Owned),
            appended_at: self.appended_at.map_or(AppendedAt::ZERO, Into::into),
        })
    }
}

/// Why lines could not become a log. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lines can't be read.
    #[error("reading line {line}")]
    Read {
        /// Number of the line, from 1 on.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no entry.
    #[error("line {line}: {reason}")]
    Line {
        /// Number of the line, from 1 on.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// There was not one entry.
    #[error("no entries: not one line")]
    Empty,
    /// The order can't be made.
    #[error(transparent)]
    Scratch(#[from] scratch::Error),
    /// The log can't be written.
    #[error("writing the log")]
    Bolt(#[from] bolt::Error),
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// First index.
    pub first_index: Index,
    /// Last index.
    pub last_index: Index,
    /// Term of the last entry.
    pub last_term: Term,
    /// How many lines didn't come in order, and went through the scratch store.
    pub reordered: u64,
}

/// Which numbers have been seen: a bit a number, for those that there are.
#[derive(Debug, Default)]
struct Seen(BTreeMap<u64, u64>);

impl Seen {
    /// Adds a number; false when it was there.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = (self.0.entry(number / 64).or_default(), 1 << (number % 64));
        let added = *word & bit == 0;
        *word |= bit;
        added
    }
}

/// Reads lines in any order and writes them as a log store to `file`, which is empty.
pub fn import(
    lines: impl BufRead,
    payloads: Option<&Path>,
    file: File,
    page_size: usize,
    progress: &dyn Progress,
) -> Result<Imported, Error> {
    let mut order = Order::default();
    // A handle of its own, to begin again should the first line not be the lowest.
    let again = file.try_clone().map_err(bolt_io)?;
    let mut writer = BulkWriter::new(file, page_size)?;
    let mut logs = writer.bucket(LOGS_BUCKET, 0)?;
    let mut lines = Lines { lines, number: 0, text: String::new(), progress };
    while let Some(log) = lines.next(payloads)? {
        match order.place(&log, lines.number)? {
            Place::Next => logs.push(&log.index.to_key(), &encoded(&log))?,
            Place::Later => order.set_aside(&log, lines.number)?,
            Place::Before => {
                logs.finish()?;
                writer.finish()?;
                order.take_back(&again)?;
                again.set_len(0).map_err(bolt_io)?;
                order.set_aside(&log, lines.number)?;
                writer = BulkWriter::new(again.try_clone().map_err(bolt_io)?, page_size)?;
                logs = writer.bucket(LOGS_BUCKET, 0)?;
            }
        }
    }
    let imported = order.rest(|index, value| Ok(logs.push(&index.to_key(), value)?))?;
    logs.finish()?;
    writer.bucket(CONF_BUCKET, 0)?.finish()?;
    writer.finish()?;
    Ok(imported)
}

/// Writes a stable store with nothing but the term.
pub fn stable(term: Term, file: File, page_size: usize) -> Result<(), bolt::Error> {
    let mut writer = BulkWriter::new(file, page_size)?;
    let mut conf = writer.bucket(CONF_BUCKET, 0)?;
    conf.push(CURRENT_TERM.as_bytes(), &term.0.to_be_bytes())?;
    conf.finish()?;
    writer.bucket(LOGS_BUCKET, 0)?.finish()?;
    writer.finish().map(drop)
}

fn bolt_io(source: io::Error) -> Error {
    Error::Bolt(bolt::Error::Io { what: "writing the log", source })
}

fn encoded(log: &Log<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_log(log, &mut bytes);
    bytes
}

/// Lines, counted.
struct Lines<'p, R> {
    lines: R,
    number: u64,
    text: String,
    progress: &'p dyn Progress,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self, payloads: Option<&Path>) -> Result<Option<Log<'static>>, Error> {
        loop {
            self.text.clear();
            self.number += 1;
            let line = self.number;
            let read = self.lines.read_line(&mut self.text).map_err(|source| Error::Read { line, source })?;
            if read == 0 {
                return Ok(None);
            }
            self.progress.advance(read as u64);
            if self.text.trim().is_empty() {
                continue;
            }
            let fail = |reason| Error::Line { line, reason };
            // Where in the line it is wrong helps nobody.
            let words =
                |error: serde_json::Error| error.to_string().split(" at line ").next().unwrap_or_default().to_owned();
            let parsed = serde_json::from_str::<Line>(&self.text);
            let parsed = parsed.map_err(|error| fail(format!("not the JSON of an entry: {}", words(error))))?;
            return parsed.entry(payloads).map(Some).map_err(fail);
        }
    }
}

/// Where an entry goes.
enum Place {
    /// Right behind what was written.
    Next,
    /// Behind that, with others between.
    Later,
    /// In front of what was written.
    Before,
}

/// The order that lines are brought into.
#[derive(Debug, Default)]
struct Order {
    seen: Seen,
    /// First and last index that were written, and the last one's term.
    written: Option<(Index, Index, Term)>,
    /// Lines of what was written: index and line where a run of neighbours begins.
    lines: Vec<(u64, u64)>,
    scratch: Option<Scratch>,
    set_aside: u64,
}

impl Order {
    fn place(&mut self, log: &Log<'_>, line: u64) -> Result<Place, Error> {
        let fail = |reason| Error::Line { line, reason };
        if log.index.0 == 0 {
            return Err(fail("expected an index of 1 or more, found 0".to_owned()));
        }
        if !self.seen.insert(log.index.0) {
            return Err(fail(format!("index {} a second time", log.index)));
        }
        match self.written {
            None if self.scratch.is_none() => {
                self.written = Some((log.index, log.index, log.term));
                self.lines.push((log.index.0, line));
                Ok(Place::Next)
            }
            None => Ok(Place::Later),
            Some((first, ..)) if log.index < first => Ok(Place::Before),
            Some((first, last, term)) if log.index.0 == last.0 + 1 => {
                check_term(log.term, term, log.index).map_err(fail)?;
                self.written = Some((first, log.index, log.term));
                if self.line_of(log.index.0) != line {
                    self.lines.push((log.index.0, line));
                }
                Ok(Place::Next)
            }
            Some(_) => Ok(Place::Later),
        }
    }

    /// The line of an index that was written.
    fn line_of(&self, index: u64) -> u64 {
        let run = self.lines.partition_point(|(first, _)| *first <= index);
        let run = run.checked_sub(1).map(|run| self.lines[run]);
        run.map_or(0, |(first, line)| line + (index - first))
    }

    /// Keeps an entry, with the number of its line in front.
    fn set_aside(&mut self, log: &Log<'_>, line: u64) -> Result<(), Error> {
        self.put(log.index, line, &encoded(log))
    }

    fn put(&mut self, index: Index, line: u64, value: &[u8]) -> Result<(), Error> {
        self.set_aside += 1;
        if self.scratch.is_none() {
            self.scratch = Some(Scratch::create()?);
        }
        let mut kept = line.to_le_bytes().to_vec();
        kept.extend_from_slice(value);
        self.scratch.as_mut().map_or(Ok(()), |scratch| scratch.put(index.0, kept))?;
        Ok(())
    }

    /// Sets aside all that was written: something comes before it.
    fn take_back(&mut self, file: &File) -> Result<(), Error> {
        let reader = bolt::Reader::open(file)?;
        let bucket = reader.bucket(LOGS_BUCKET)?;
        let bucket = bucket.ok_or_else(|| bolt::Error::NoBucket { name: LOGS_BUCKET.to_vec() })?;
        let mut cursor = bucket.cursor();
        while let Some(entry) = cursor.next()? {
            if let Ok(index) = Index::from_key(entry.key) {
                self.put(index, self.line_of(index.0), entry.value)?;
            }
        }
        self.written = None;
        Ok(())
    }

    /// Gives what was set aside, in order, and looks whether it is a log.
    fn rest(mut self, mut push: impl FnMut(Index, &[u8]) -> Result<(), Error>) -> Result<Imported, Error> {
        let mut written = self.written;
        let mut append = |index: Index, kept: &[u8]| {
            let (number, value) = kept.split_at(8);
            let line = u64::from_le_bytes(number.try_into().unwrap_or_default());
            let fail = |reason| Error::Line { line, reason };
            let term = decode_log(value).map_err(|error| fail(error.to_string()))?.term;
            if let Some((_, last, last_term)) = written {
                if index.0 != last.0 + 1 {
                    return Err(fail(format!("index {index}, but {} is missing", last.0 + 1)));
                }
                check_term(term, last_term, index).map_err(fail)?;
            }
            written = Some((written.map_or(index, |(first, ..)| first), index, term));
            push(index, value)
        };
        if let Some(scratch) = &mut self.scratch {
            scratch.each(|index, kept| append(Index(index), kept))?;
        }
        let (first_index, last_index, last_term) = written.ok_or(Error::Empty)?;
        Ok(Imported { first_index, last_index, last_term, reordered: self.set_aside })
    }
}

fn check_term(term: Term, before: Term, index: Index) -> Result<(), String> {
    if term < before {
        return Err(format!("index {index} has term {term}, the one before it {before}: terms never go back"));
    }
    Ok(())
}

/// Where payloads are written to: a new directory.
pub fn payload_directory(path: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir(path)?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::entries::Entries;

    fn log(index: u64, term: u64) -> Log<'static> {
        Log {
            index: Index(index),
            term: Term(term),
            kind: if index.is_multiple_of(5) { LogType::Noop } else { LogType::Command },
            data: (!index.is_multiple_of(5)).then(|| vec![u8::try_from(index % 251).unwrap(); 20].into()),
            extensions: index.is_multiple_of(3).then(|| vec![1, 2].into()),
            appended_at: match index % 4 {
                0 => AppendedAt::ZERO,
                1 => AppendedAt::from_unix(1_800_000_000, 123_456_789),
                2 => AppendedAt { seconds: 1, nanos: 2, zone: 60 },
                _ => AppendedAt::from_unix(-5, 999_999_999),
            },
        }
    }

    fn lines(logs: impl Iterator<Item = Log<'static>>) -> String {
        logs.map(|log| serde_json::to_string(&Line::new(&log, None).unwrap()).unwrap() + "\n").collect()
    }

    fn try_import(text: &str) -> Result<(Imported, Vec<Log<'static>>), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raft-log.db");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let imported = import(text.as_bytes(), None, file, 4096, &()).map_err(|error| error.to_string())?;
        assert_eq!(bolt::check(File::open(&path).unwrap()).unwrap().problems, []);
        let mut entries = Entries::open(dir.path(), Index(0)).unwrap();
        let mut found = Vec::new();
        while let Some(log) = entries.next_log().unwrap() {
            let owned = |bytes: Option<Cow<'_, [u8]>>| bytes.map(|bytes| Cow::Owned(bytes.into_owned()));
            found.push(Log {
                data: owned(log.data),
                extensions: owned(log.extensions),
                ..Log { data: None, extensions: None, ..log }
            });
        }
        Ok((imported, found))
    }

    #[test]
    fn export_and_import_give_the_same_entries_in_any_order() {
        let logs = || (7..1007).map(|index| log(index, index / 10));
        let expected: Vec<_> = logs().collect();
        let (imported, found) = try_import(&lines(logs())).unwrap();
        assert_eq!((imported.first_index, imported.last_index, imported.reordered), (Index(7), Index(1006), 0));
        assert_eq!(found, expected);
        // Each once, far from its neighbours; the first line is not the lowest.
        let shuffled = (0..1000).map(|number| 7 + number * 379 % 1000).map(|index| log(index, index / 10));
        let (imported, found) = try_import(&lines(shuffled)).unwrap();
        assert!(imported.reordered > 900, "{imported:?}");
        assert_eq!(found, expected);
        let (_, found) = try_import(&lines(logs().rev())).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_line() {
        let refused = |text: String| try_import(&text).unwrap_err();
        let of = |indexes: &[(u64, u64)]| lines(indexes.iter().map(|(index, term)| log(*index, *term)));
        assert_eq!(refused(of(&[(1, 1), (2, 1), (2, 1)])), "line 3: index 2 a second time");
        assert_eq!(refused(of(&[(1, 1), (4, 1), (2, 1)])), "line 2: index 4, but 3 is missing");
        assert_eq!(
            refused(of(&[(1, 2), (2, 1)])),
            "line 2: index 2 has term 1, the one before it 2: terms never go back"
        );
        assert_eq!(
            refused(of(&[(3, 3), (1, 1), (2, 4)])),
            "line 1: index 3 has term 3, the one before it 4: terms never go back"
        );
        assert_eq!(refused(of(&[(0, 1)])), "line 1: expected an index of 1 or more, found 0");
        assert_eq!(refused("\n\n".to_owned()), "no entries: not one line");
        assert!(refused("{}".to_owned()).starts_with("line 1: not the JSON of an entry: missing field"));
        let odd = r#"{"index":1,"term":1,"type":0,"data":"abc"}"#;
        assert_eq!(refused(odd.to_owned()), "line 1: data: expected hexadecimal digits");
        let outside = r#"{"index":1,"term":1,"type":0,"data_file":"../x"}"#;
        assert!(refused(outside.to_owned()).starts_with("line 1: data_file"));
    }
}
