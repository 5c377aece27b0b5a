//! The entries of a log, in order and in bounded memory, whether its node runs or not.
//!
//! A running node commits all the time, so a long log can't be read within one committed state. It is read in chunks,
//! each within one; a chunk begins by finding the last entry of the chunk before, in the same term. By raft's log
//! matching all chunks together are then a prefix of one log, though the node went on.

mod filter;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::bolt::{self, Limits, LiveError, LiveSource, Reader, read_committed};
use crate::durable::open_file;
use crate::raft::codec::decode_log;
use crate::raft::{self, Index, LOGS_BUCKET, Log, Term};
use crate::state::dir::LOG_FILE;

pub use filter::{Block, Filter, Indexes, Span};

/// Bytes of a chunk: it ends after the entry that reaches this length.
const CHUNK_LEN: usize = 4 << 20;
/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be opened.
    #[error("{}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is damaged, or no log store.
    #[error("{}", path.display())]
    Bolt {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: bolt::Error,
    },
    /// Bytes that raft can't decode.
    #[error("{}: the entry at index {index}", path.display())]
    Entry {
        /// Which file.
        path: PathBuf,
        /// Its index by its key.
        index: Index,
        /// What is wrong.
        source: raft::Error,
    },
    /// The node replaced entries that had been read already.
    #[error("{}: the node replaced entries from index {index} on while they were read: read again", path.display())]
    Replaced {
        /// Which file.
        path: PathBuf,
        /// The last entry that had been read.
        index: Index,
    },
    /// The node commits faster than a single entry can be read.
    #[error("{}: it changed during each of {attempts} attempts to read a few entries", path.display())]
    Moving {
        /// Which file.
        path: PathBuf,
        /// Attempts that were made, each for fewer entries.
        attempts: u32,
    },
}

/// Reads the entries of one log.
#[derive(Debug)]
pub struct Entries {
    path: PathBuf,
    file: File,
    chunk: Chunk,
    /// First index that is asked for.
    from: u64,
    /// The last entry that was returned.
    last: Option<(Index, Term)>,
    /// The log ends with this chunk.
    at_end: bool,
}

/// Some entries of one committed state.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Index by the key, and where the entry ends in `bytes`.
    ends: Vec<(Index, usize)>,
    /// How many of them were given already.
    given: usize,
}

/// The first and the last index of a log; none when it is empty.
pub type Bounds = Option<(Index, Index)>;

impl Entries {
    /// The log of the server's directory `directory`, from index `from` on.
    pub fn open(directory: &Path, from: Index) -> Result<Entries, Error> {
        Entries::open_file(&directory.join(LOG_FILE), from)
    }

    /// The log store `path`, from index `from` on.
    pub fn open_file(path: &Path, from: Index) -> Result<Entries, Error> {
        let file = open_file(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let chunk = Chunk::default();
        Ok(Entries { path: path.to_owned(), file, chunk, from: from.0, last: None, at_end: false })
    }

    /// The log store that is read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// First and last index now. A running node may go on.
    pub fn bounds(&self) -> Result<Bounds, Error> {
        self.committed(|reader, _| {
            let Some(bucket) = reader.bucket(LOGS_BUCKET)? else { return Ok(None) };
            let index = |key: &[u8]| Index::from_key(key).ok();
            let first = bucket.cursor().first()?.and_then(|entry| index(entry.key));
            let last = bucket.cursor().last()?.and_then(|entry| index(entry.key));
            Ok(first.zip(last))
        })
    }

    /// The next entry, decoded.
    pub fn next_log(&mut self) -> Result<Option<Log<'_>>, Error> {
        let Some(at) = self.advance()? else { return Ok(None) };
        self.log(at).map(Some)
    }

    /// The next entry as it is stored.
    pub fn next_bytes(&mut self) -> Result<Option<(Index, &[u8])>, Error> {
        let Some(at) = self.advance()? else { return Ok(None) };
        Ok(Some((self.chunk.ends[at].0, self.chunk.entry(at))))
    }

    /// Moves to the next entry of the chunk, or of the next chunk.
    fn advance(&mut self) -> Result<Option<usize>, Error> {
        if self.chunk.given == self.chunk.ends.len() && !self.refill()? {
            return Ok(None);
        }
        let at = self.chunk.given;
        self.chunk.given += 1;
        Ok(Some(at))
    }

    fn log(&self, at: usize) -> Result<Log<'_>, Error> {
        let (index, _) = self.chunk.ends[at];
        let fail = |source| Error::Entry { path: self.path.clone(), index, source };
        decode_log(self.chunk.entry(at)).map_err(fail)
    }

    /// Reads the next chunk; false at the end of the log.
    fn refill(&mut self) -> Result<bool, Error> {
        if self.at_end {
            return Ok(false);
        }
        if let Some(at) = self.chunk.ends.len().checked_sub(1) {
            // An entry that can't be decoded has no term to be recognized by: its bytes were given all the same.
            let term = decode_log(self.chunk.entry(at)).map_or(Term(0), |log| log.term);
            self.last = Some((self.chunk.ends[at].0, term));
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        let (from, last) = (self.from, self.last);
        let found = self.committed(|reader, most| chunk.fill(reader, from, last, most))?;
        self.chunk = chunk;
        match found {
            Found::Replaced(index) => Err(Error::Replaced { path: self.path.clone(), index }),
            Found::Some => Ok(true),
            Found::Last => {
                self.at_end = true;
                Ok(!self.chunk.ends.is_empty())
            }
        }
    }

    /// What `read` returns within one committed state; it gets the number of bytes to read at most.
    fn committed<T>(&self, mut read: impl FnMut(&LogStore<'_>, usize) -> Result<T, bolt::Error>) -> Result<T, Error> {
        let open = || Ok(&self.file);
        let result = read_committed(Limits::SHRINKING_PART, open, |reader, earlier| read(reader, CHUNK_LEN >> earlier));
        let path = || self.path.clone();
        result.map_err(|error| match error {
            LiveError::Open(source) => Error::Io { path: path(), source },
            LiveError::Bolt(source) => Error::Bolt { path: path(), source },
            LiveError::Moving { attempts } => Error::Moving { path: path(), attempts },
        })
    }
}

/// A log that a node may write to.
type LogStore<'a> = Reader<LiveSource<&'a File>>;

/// How filling a chunk ended.
enum Found {
    /// There may be more.
    Some,
    /// The log ends with it.
    Last,
    /// The entry at this index is not the one that was read before.
    Replaced(Index),
}

impl Chunk {
    fn entry(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        &self.bytes[start..self.ends[at].1]
    }

    /// Takes entries from `from`, or those after `last`, until there are `most` bytes.
    fn fill(
        &mut self,
        reader: &LogStore<'_>,
        from: u64,
        last: Option<(Index, Term)>,
        most: usize,
    ) -> Result<Found, bolt::Error> {
        self.bytes.clear();
        self.ends.clear();
        self.given = 0;
        let bucket = reader.bucket(LOGS_BUCKET)?;
        let bucket = bucket.ok_or_else(|| bolt::Error::NoBucket { name: LOGS_BUCKET.to_vec() })?;
        let mut cursor = bucket.cursor();
        let start = last.map_or(from, |(index, _)| index.0);
        let mut next = cursor.seek(&start.to_be_bytes())?;
        if let (Some((index, term)), Some(entry)) = (last, &next) {
            let is_there = entry.key == index.0.to_be_bytes();
            if is_there && decode_log(entry.value).map_or(Term(0), |log| log.term) != term {
                return Ok(Found::Replaced(index));
            }
            // When it is gone, a snapshot has cut the log up to a later entry, and what follows still follows.
            if is_there {
                next = cursor.next()?;
            }
        }
        while let Some(entry) = next {
            // raft doesn't find other keys.
            if let Ok(index) = Index::from_key(entry.key) {
                self.bytes.extend_from_slice(entry.value);
                self.ends.push((index, self.bytes.len()));
                if self.bytes.len() >= most {
                    return Ok(Found::Some);
                }
            }
            next = cursor.next()?;
        }
        Ok(Found::Last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt::Db;
    use crate::raft::codec::encode_log;
    use crate::raft::{AppendedAt, LogType};

    /// Puts entries of `len` bytes each, in one transaction.
    fn put(path: &Path, indexes: std::ops::Range<u64>, term: u64, len: usize) {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        let mut db =
            if file.metadata().unwrap().len() == 0 { Db::create(file, 4096).unwrap() } else { Db::open(file).unwrap() };
        let mut tx = db.begin().unwrap();
        tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
        for index in indexes {
            let log = Log {
                index: Index(index),
                term: Term(term),
                kind: LogType::Command,
                data: Some(vec![7; len].into()),
                extensions: None,
                appended_at: AppendedAt::ZERO,
            };
            let mut bytes = Vec::new();
            encode_log(&log, &mut bytes);
            tx.put(LOGS_BUCKET, &index.to_be_bytes(), &bytes).unwrap();
        }
        tx.commit().unwrap();
    }

    fn indexes(entries: &mut Entries) -> Vec<u64> {
        let mut found = Vec::new();
        while let Some(log) = entries.next_log().unwrap() {
            found.push(log.index.0);
        }
        found
    }

    #[test]
    fn a_log_of_many_chunks_is_read_from_any_index() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG_FILE);
        put(&path, 5..205, 1, CHUNK_LEN / 50);
        for from in [0, 5, 100, 204, 205] {
            let mut entries = Entries::open(directory.path(), Index(from)).unwrap();
            assert_eq!(entries.bounds().unwrap(), Some((Index(5), Index(204))));
            assert_eq!(indexes(&mut entries), (from.max(5)..205).collect::<Vec<_>>(), "from {from}");
        }
    }

    #[test]
    fn a_log_that_grows_is_read_to_its_new_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG_FILE);
        put(&path, 1..100, 1, CHUNK_LEN / 50);
        let mut entries = Entries::open(directory.path(), Index(0)).unwrap();
        assert_eq!(entries.next_log().unwrap().unwrap().index, Index(1));
        put(&path, 100..103, 2, 10);
        assert_eq!(indexes(&mut entries), (2..103).collect::<Vec<_>>());
    }

    #[test]
    fn an_entry_that_another_leader_replaced_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG_FILE);
        put(&path, 1..100, 1, CHUNK_LEN / 50);
        let mut entries = Entries::open(directory.path(), Index(0)).unwrap();
        assert_eq!(entries.next_log().unwrap().unwrap().index, Index(1));
        put(&path, 1..100, 2, CHUNK_LEN / 50);
        let error = loop {
            match entries.next_log() {
                Ok(log) => assert_eq!(log.unwrap().term, Term(1), "what was read is of one log"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Replaced { .. }), "{error}");
    }

    #[test]
    fn what_is_no_log_store_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG_FILE);
        assert!(matches!(Entries::open(directory.path(), Index(0)), Err(Error::Io { .. })));
        std::fs::write(&path, vec![1; 10_000]).unwrap();
        assert!(matches!(Entries::open(directory.path(), Index(0)).unwrap().next_log(), Err(Error::Bolt { .. })));
    }
}
