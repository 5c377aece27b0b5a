//! Reading a database while another process writes it.
//!
//! bolt is copy-on-write: what is read between two looks at the metas that agree is one committed state. What isn't is
//! read again, right after a commit, and when it is short from a copy in memory: copying is much faster than reading
//! pages, so it fits between two commits.

use std::io;
use std::time::Duration;

use super::error::Error;
use super::read::Reader;
use super::storage::ReadAt;

/// How often and how a database is read again when it changes during the read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts in all, for a file of up to `long_len` bytes.
    pub attempts: u32,
    /// Attempts in all for a longer one, whose next attempt hardly does better.
    pub attempts_of_long: u32,
    /// Bytes of a file that isn't long.
    pub long_len: u64,
    /// Bytes of a file that is copied to memory from the second attempt on; a longer one is read where it is.
    pub copied_len: u64,
    /// The pause before the second attempt; before the third it is twice that, and so on.
    pub pause: Duration,
}

impl Limits {
    /// For all pages of a file.
    pub const ALL_PAGES: Limits = Limits {
        attempts: 20,
        attempts_of_long: 3,
        long_len: COPIED_LEN,
        copied_len: COPIED_LEN,
        pause: Duration::from_millis(5),
    };
    /// For a few pages of a file, however long that is.
    pub const FEW_PAGES: Limits = Limits { attempts_of_long: 20, ..Limits::ALL_PAGES };
    /// For a part that the reader makes smaller at each attempt.
    pub const SHRINKING_PART: Limits =
        Limits { attempts: 12, attempts_of_long: 12, long_len: u64::MAX, copied_len: 0, pause: Duration::ZERO };
    /// For copying a file to another file.
    pub const COPY: Limits =
        Limits { attempts: 3, attempts_of_long: 1, long_len: 64 << 20, copied_len: 0, pause: Duration::ZERO };
    /// For copying a file of a few pages.
    pub const COPY_OF_SHORT: Limits = Limits { attempts: 50, ..Limits::COPY };
}

/// Bytes of a file that fits into memory several times.
const COPIED_LEN: u64 = 32 << 20;
/// How long the next commit of a busy writer is waited for.
const NEXT_COMMIT: Duration = Duration::from_millis(50);
/// Commits that are followed without a pause. raft-boltdb makes two in a row, when it appends and cuts the log's front.
const COMMITS_IN_A_ROW: u32 = 4;

/// Why a database can't be read within one committed state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// It can't be opened.
    #[error("opening the file")]
    Open(#[source] io::Error),
    /// It can't be read.
    #[error(transparent)]
    Bolt(#[from] Error),
    /// A transaction was committed during each attempt.
    #[error("it changed during each of {attempts} attempts to read it")]
    Moving {
        /// Attempts that were made.
        attempts: u32,
    },
}

/// Where a live database is read from.
#[derive(Debug)]
pub enum LiveSource<S> {
    /// The database itself.
    Itself(S),
    /// One committed state, with a writer's next pages perhaps in the places that it leaves free.
    Copy(Vec<u8>),
}

/// Attempts to read a database within one committed state.
///
/// ```text
/// loop {
///     let reader = attempts.next(open)?;       // LiveError::Moving when there were enough
///     let found = ...;                         // may be anything, when the database moved
///     if reader.is_current()? { break found }
/// }
/// ```
#[derive(Debug)]
pub struct Attempts {
    limits: Limits,
    /// Attempts that were begun.
    made: u32,
    /// Attempts that are allowed, by the length that the file had last.
    allowed: u32,
}

impl Attempts {
    /// None is made yet.
    pub fn new(limits: Limits) -> Attempts {
        Attempts { limits, made: 0, allowed: limits.attempts }
    }

    /// How many were made before the present one.
    pub fn earlier(&self) -> u32 {
        self.made.saturating_sub(1)
    }

    /// Opens the database for the next attempt.
    ///
    /// # Errors
    /// [`LiveError::Moving`] when enough were made; all errors of [`Reader::open`] as [`LiveError::Bolt`].
    pub fn next<S: ReadAt>(
        &mut self,
        mut open: impl FnMut() -> io::Result<S>,
    ) -> Result<Reader<LiveSource<S>>, LiveError> {
        loop {
            if self.made >= self.allowed {
                return Err(LiveError::Moving { attempts: self.made });
            }
            std::thread::sleep(self.limits.pause * self.made);
            let source = open().map_err(LiveError::Open)?;
            let len = source.byte_len().map_err(LiveError::Open)?;
            self.allowed = if len > self.limits.long_len { self.limits.attempts_of_long } else { self.limits.attempts };
            self.made += 1;
            if self.made == 1 {
                return Ok(Reader::open(LiveSource::Itself(source))?);
            }
            if let Some(reader) = after_commit(source, len <= self.limits.copied_len)? {
                return Ok(reader);
            }
        }
    }
}

/// Reads `source` right after a commit, as far as one comes soon; `None` if both metas were being written.
fn after_commit<S: ReadAt>(source: S, copies: bool) -> Result<Option<Reader<LiveSource<S>>>, Error> {
    let Some(seen) = open_if_written(&source)? else { return Ok(None) };
    // Written to now, so that no time goes into making room between two commits.
    let mut bytes = if copies { vec![1; usize::try_from(seen.file_len()).unwrap_or_default()] } else { Vec::new() };
    seen.wait_for_commit(NEXT_COMMIT)?;
    drop(seen);
    if !copies {
        return open_if_written(LiveSource::Itself(source));
    }
    for _ in 0..COMMITS_IN_A_ROW {
        let Some(reader) = open_if_written(&source)? else { continue };
        bytes.resize(usize::try_from(reader.file_len().min(COPIED_LEN)).unwrap_or_default(), 0);
        let read = reader.read_raw(&mut bytes)?;
        if reader.is_current()? {
            bytes.truncate(read);
            return Ok(Some(Reader::open(LiveSource::Copy(bytes))?));
        }
    }
    Ok(None)
}

/// A reader of what is committed; `None` while a database is being created.
fn open_if_written<S: ReadAt>(source: S) -> Result<Option<Reader<S>>, Error> {
    match Reader::open(source) {
        Err(Error::Empty | Error::NoMeta { .. }) => Ok(None),
        reader => reader.map(Some),
    }
}

/// What `read` returns of one committed state; it gets the number of earlier attempts too.
///
/// # Errors
/// Those of [`Attempts::next`], and what `read` fails with on a state that doesn't move.
pub fn read_committed<S: ReadAt, T>(
    limits: Limits,
    mut open: impl FnMut() -> io::Result<S>,
    mut read: impl FnMut(&Reader<LiveSource<S>>, u32) -> Result<T, Error>,
) -> Result<T, LiveError> {
    let mut attempts = Attempts::new(limits);
    loop {
        let reader = attempts.next(&mut open)?;
        let result = read(&reader, attempts.earlier());
        // What was read of a database that moved may be anything.
        if reader.is_current()? {
            return Ok(result?);
        }
    }
}

impl<S: ReadAt> ReadAt for LiveSource<S> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            LiveSource::Itself(source) => source.read_at(buf, offset),
            LiveSource::Copy(bytes) => bytes.read_at(buf, offset),
        }
    }

    fn byte_len(&self) -> io::Result<u64> {
        match self {
            LiveSource::Itself(source) => source.byte_len(),
            LiveSource::Copy(bytes) => bytes.byte_len(),
        }
    }

    fn second_reader(&self) -> Option<Box<dyn ReadAt + Send>> {
        match self {
            LiveSource::Itself(source) => source.second_reader(),
            LiveSource::Copy(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::bolt::Db;

    const BUCKET: &[u8] = b"conf";

    /// A database that commits `commits` times more, once after each look at its value.
    struct Writer {
        bytes: RefCell<Vec<u8>>,
        commits: RefCell<u64>,
    }

    impl Writer {
        fn new(commits: u64) -> Writer {
            let mut db = Db::create(Vec::new(), 4096).unwrap();
            let mut tx = db.begin().unwrap();
            tx.create_bucket_if_not_exists(BUCKET).unwrap();
            tx.put(BUCKET, b"left", &commits.to_be_bytes()).unwrap();
            tx.commit().unwrap();
            Writer { bytes: RefCell::new(db.into_storage()), commits: RefCell::new(commits) }
        }

        fn commit(&self) {
            let mut left = self.commits.borrow_mut();
            if *left > 0 {
                *left -= 1;
                let mut db = Db::open(self.bytes.take()).unwrap();
                let mut tx = db.begin().unwrap();
                tx.put(BUCKET, b"left", &left.to_be_bytes()).unwrap();
                tx.commit().unwrap();
                self.bytes.replace(db.into_storage());
            }
        }

        fn value(&self, limits: Limits) -> Result<(u64, u32), LiveError> {
            let mut number = 0;
            let found = read_committed(
                limits,
                || Ok(self),
                |reader, earlier| {
                    number = earlier;
                    let value = reader.bucket(BUCKET)?.unwrap().get(b"left")?.unwrap();
                    self.commit();
                    Ok(u64::from_be_bytes(value.try_into().unwrap()))
                },
            );
            found.map(|value| (value, number))
        }
    }

    impl ReadAt for &Writer {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.bytes.borrow().read_at(buf, offset)
        }

        fn byte_len(&self) -> io::Result<u64> {
            self.bytes.borrow().byte_len()
        }
    }

    const QUICK: Limits = Limits { pause: Duration::ZERO, ..Limits::COPY };

    #[test]
    fn a_database_that_moves_is_read_again_until_it_stands_still() {
        assert_eq!(Writer::new(0).value(QUICK).unwrap(), (0, 0));
        assert_eq!(Writer::new(2).value(QUICK).unwrap(), (0, 2));
        let error = Writer::new(3).value(QUICK).unwrap_err();
        assert_eq!(error.to_string(), "it changed during each of 3 attempts to read it");
    }

    #[test]
    fn a_copy_is_one_committed_state_whatever_is_written_meanwhile() {
        let copies = Limits { copied_len: COPIED_LEN, ..QUICK };
        // The second attempt reads a copy, which no commit moves.
        assert_eq!(Writer::new(9).value(copies).unwrap(), (8, 1));
    }

    #[test]
    fn a_long_database_has_its_own_number_of_attempts() {
        let long = Limits { long_len: 0, attempts_of_long: 2, ..QUICK };
        assert!(matches!(Writer::new(9).value(long), Err(LiveError::Moving { attempts: 2 })));
    }

    #[test]
    fn what_is_not_a_database_is_an_error_at_the_first_attempt() {
        let found = read_committed(Limits::ALL_PAGES, || Ok(vec![0; 10_000]), |_, _| Ok(()));
        assert!(matches!(found, Err(LiveError::Bolt(Error::NoMeta { .. }))));
        let absent = read_committed(Limits::COPY, || Err::<Vec<u8>, _>(io::ErrorKind::NotFound.into()), |_, _| Ok(()));
        assert!(matches!(absent, Err(LiveError::Open(_))));
    }
}
