//! An entry as a line of JSON, both ways.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::durable::{ReadError, read_file};
use crate::raft::{self, AppendedAt, Index, Log, LogType, Term};
use crate::report::Progress;

/// Bytes of the longest payload: bbolt takes no longer value.
const MAX_PAYLOAD_LEN: u64 = (1 << 31) - 2;

/// Bytes of the longest line: a payload of more than 128 MiB belongs in a file of its own.
const MAX_LINE_LEN: u64 = 256 << 20;

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
    /// Its data, in hexadecimal digits; absent for Go's nil.
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
    /// A time that RFC 3339 can't express: seconds since the year 1, nanoseconds, minutes east of UTC (-1 is UTC itself).
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

/// Why a line is not an entry, or not one of this log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Other JSON, or none.
    #[error("not the JSON of an entry: {}", without_position(cause))]
    Json {
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// Bytes that aren't written in digits.
    #[error("{field}: expected hexadecimal digits")]
    Digits {
        /// Name of the field.
        field: &'static str,
    },
    /// The data is there twice.
    #[error("both data and data_file")]
    TwiceData,
    /// A line that goes on and on.
    #[error("expected a line of less than {most} bytes")]
    TooLong {
        /// Bytes that a line must stay below.
        most: u64,
    },
    /// A payload in a file, and no directory of such files.
    #[error("data_file: the directory of payload files is missing")]
    NoPayloads,
    /// A payload in a file outside the directory.
    #[error("data_file: expected the name of a file in the directory of payload files, found {name:?}")]
    OutsidePayloads {
        /// The text that should be a name.
        name: String,
    },
    /// A payload's file can't be read.
    #[error("data_file")]
    Payload {
        /// What happened.
        source: ReadError,
    },
    /// raft counts from 1.
    #[error("expected an index of 1 or more, found 0")]
    IndexZero,
    /// An index that another line has.
    #[error("index {index} a second time")]
    Repeated {
        /// The index.
        index: Index,
    },
    /// An index that no line has, before this one.
    #[error("index {index}, but {missing} is missing")]
    Gap {
        /// The line's index.
        index: Index,
        /// The first index that is missing.
        missing: u64,
    },
    /// Terms never go back.
    #[error("index {index} has term {term}, the one before it {before}: terms never go back")]
    Term {
        /// The line's index.
        index: Index,
        /// Its term.
        term: Term,
        /// The term of the entry before.
        before: Term,
    },
    /// The entry, as it comes back from the scratch store, can't be decoded.
    #[error(transparent)]
    Decode(#[from] raft::Error),
}

/// Without the position within the line, which helps nobody.
fn without_position(error: &serde_json::Error) -> String {
    error.to_string().split(" at line ").next().unwrap_or_default().to_owned()
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
            extensions: log.extensions.as_deref().map(const_hex::encode),
        };
        match (log.data.as_deref(), payloads.filter(|_| log.kind == LogType::Command)) {
            (Some(data), Some(directory)) => {
                let name = format!("{}.ssz", log.index);
                File::create_new(directory.join(&name))?.write_all(data)?;
                line.data_file = Some(name);
            }
            (data, _) => line.data = data.map(const_hex::encode),
        }
        Ok(line)
    }

    /// The entry of a line; data in a file is read from the directory `payloads`.
    fn entry(self, payloads: Option<&Path>) -> Result<Log<'static>, LineError> {
        let data = match (self.data, self.data_file) {
            (Some(_), Some(_)) => return Err(LineError::TwiceData),
            (data, None) => data.map(|text| decode_digits("data", &text)).transpose()?,
            (None, Some(name)) => Some(read_payload(name, payloads)?),
        };
        let extensions = self.extensions.map(|text| decode_digits("extensions", &text)).transpose()?;
        Ok(Log {
            index: Index(self.index),
            term: Term(self.term),
            kind: LogType::from_byte(self.kind),
            data: data.map(Cow::Owned),
            extensions: extensions.map(Cow::Owned),
            appended_at: self.appended_at.map_or(AppendedAt::ZERO, Into::into),
        })
    }
}

fn decode_digits(field: &'static str, text: &str) -> Result<Vec<u8>, LineError> {
    // const-hex passes over a prefix, which no export writes.
    let digits = Some(text).filter(|text| !text.starts_with("0x"));
    digits.and_then(|text| const_hex::decode(text).ok()).ok_or(LineError::Digits { field })
}

fn read_payload(name: String, payloads: Option<&Path>) -> Result<Vec<u8>, LineError> {
    let directory = payloads.ok_or(LineError::NoPayloads)?;
    if name.is_empty() || name.contains('/') || name == ".." {
        return Err(LineError::OutsidePayloads { name });
    }
    read_file(&directory.join(name), MAX_PAYLOAD_LEN).map_err(|source| LineError::Payload { source })
}

/// Where payloads are written to: a new directory.
pub fn payload_directory(path: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir(path)?;
    Ok(path.to_owned())
}

/// Lines, counted.
pub(super) struct Lines<'p, R> {
    lines: R,
    /// Number of the line that was read last, from 1 on.
    pub(super) number: u64,
    text: String,
    progress: &'p dyn Progress,
}

impl<'p, R: BufRead> Lines<'p, R> {
    pub(super) fn new(lines: R, progress: &'p dyn Progress) -> Lines<'p, R> {
        Lines { lines, number: 0, text: String::new(), progress }
    }

    /// The entry of the next line that isn't empty.
    pub(super) fn next(&mut self, payloads: Option<&Path>) -> Result<Option<Log<'static>>, Error> {
        loop {
            self.text.clear();
            self.number += 1;
            let line = self.number;
            let mut bounded = (&mut self.lines).take(MAX_LINE_LEN);
            let read = bounded.read_line(&mut self.text).map_err(|source| Error::Read { line, source })?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == MAX_LINE_LEN {
                return Err(Error::Line { line, source: LineError::TooLong { most: MAX_LINE_LEN } });
            }
            self.progress.advance(read as u64);
            if line == 1 && self.text.starts_with('\u{feff}') {
                self.text.remove(0);
            }
            if !self.text.trim().is_empty() {
                let parsed = serde_json::from_str::<Line>(&self.text).map_err(|cause| LineError::Json { cause });
                let entry = parsed.and_then(|parsed| parsed.entry(payloads));
                return entry.map(Some).map_err(|source| Error::Line { line, source });
            }
        }
    }
}
