//! The order that lines are brought into: written at once while they come in order, through the scratch store else.

use std::collections::BTreeMap;
use std::fs::File;

use super::line::LineError;
use super::scratch::Scratch;
use super::{Error, Imported, encoded};
use crate::bolt::{self, Reader};
use crate::raft::codec::decode_log;
use crate::raft::{Index, LOGS_BUCKET, Log, Term};

/// Where an entry goes.
pub(super) enum Position {
    /// Right after what was written.
    Next,
    /// After that, with others between.
    Later,
    /// Before what was written.
    Before,
}

/// The order that lines are brought into.
#[derive(Debug, Default)]
pub(super) struct Order {
    seen: Seen,
    /// First and last index that were written, and the last one's term.
    written: Option<(Index, Index, Term)>,
    /// Lines of what was written: index and line where a run of neighbours begins.
    lines: Vec<(u64, u64)>,
    scratch: Option<Scratch>,
    set_aside: u64,
}

impl Order {
    /// Where an entry goes, which is recorded as gone there.
    pub(super) fn position(&mut self, log: &Log<'_>, line: u64) -> Result<Position, Error> {
        let fail = |source| Error::Line { line, source };
        if log.index.0 == 0 {
            return Err(fail(LineError::IndexZero));
        }
        if !self.seen.insert(log.index.0) {
            return Err(fail(LineError::Repeated { index: log.index }));
        }
        match self.written {
            None if self.scratch.is_none() => {
                self.written = Some((log.index, log.index, log.term));
                self.lines.push((log.index.0, line));
                Ok(Position::Next)
            }
            None => Ok(Position::Later),
            Some((first, ..)) if log.index < first => Ok(Position::Before),
            Some((first, last, term)) if log.index.0 == last.0 + 1 => {
                check_term(log.term, term, log.index).map_err(fail)?;
                self.written = Some((first, log.index, log.term));
                if self.line_of(log.index.0) != line {
                    self.lines.push((log.index.0, line));
                }
                Ok(Position::Next)
            }
            Some(_) => Ok(Position::Later),
        }
    }

    /// The line of an index that was written.
    fn line_of(&self, index: u64) -> u64 {
        let run = self.lines.partition_point(|(first, _)| *first <= index);
        let run = run.checked_sub(1).map(|run| self.lines[run]);
        run.map_or(0, |(first, line)| line + (index - first))
    }

    /// Keeps an entry for later, its line number before it.
    pub(super) fn set_aside(&mut self, log: &Log<'_>, line: u64) -> Result<(), Error> {
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
    pub(super) fn take_back(&mut self, file: &File) -> Result<(), Error> {
        let reader = Reader::open(file)?;
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

    /// Pushes what was set aside, in order, if it continues the log.
    pub(super) fn rest(mut self, mut push: impl FnMut(Index, &[u8]) -> Result<(), Error>) -> Result<Imported, Error> {
        let mut written = self.written;
        let mut append = |index: Index, kept: &[u8]| {
            let (number, value) = kept.split_at(8);
            let line = u64::from_le_bytes(number.try_into().unwrap_or_default());
            let fail = |source| Error::Line { line, source };
            let term = decode_log(value).map_err(|error| fail(error.into()))?.term;
            if let Some((_, last, last_term)) = written {
                if index.0 != last.0 + 1 {
                    return Err(fail(LineError::Gap { index, missing: last.0 + 1 }));
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

fn check_term(term: Term, before: Term, index: Index) -> Result<(), LineError> {
    if term < before { Err(LineError::Term { index, term, before }) } else { Ok(()) }
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
