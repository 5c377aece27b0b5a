//! A log as lines of JSON, one entry each: out of a server's log, and into a new server's directory.
//!
//! Import takes the lines in any order. While they come in order they are written at once; from the first that doesn't,
//! they go through the scratch store. Memory holds a few entries, however long the log.

mod line;
mod order;
pub mod scratch;

use std::fs::File;
use std::io::{self, BufRead};
use std::path::Path;

use serde::Serialize;

use crate::bolt::{self, BulkWriter};
use crate::raft::codec::encode_log;
use crate::raft::{CONF_BUCKET, CURRENT_TERM, Index, LOGS_BUCKET, Log, Term};
use crate::report::Progress;
use line::Lines;
use order::{Order, Position};

pub use line::{Line, LineError, Time, payload_directory};

/// Why lines could not become a log. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lines can't be read.
    #[error("reading line {line}")]
    Read {
        /// Number of the line, from 1 on.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not an entry of this log.
    #[error("line {line}")]
    Line {
        /// Number of the line, from 1 on.
        line: u64,
        /// What is wrong with it.
        source: LineError,
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
    let mut lines = Lines::new(lines, progress);
    while let Some(log) = lines.next(payloads)? {
        match order.position(&log, lines.number)? {
            Position::Next => logs.push(&log.index.to_key(), &encoded(&log))?,
            Position::Later => order.set_aside(&log, lines.number)?,
            Position::Before => {
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::raft::{AppendedAt, LogType};
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
        let imported = import(text.as_bytes(), None, file, 4096, &())
            .map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
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
