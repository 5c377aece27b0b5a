//! bbolt's locks on the stores of servers: a node that runs holds them, and none can start while they are held.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::dir::{Error, LOG_FILE, STABLE_FILE, StateDir};
use crate::durable::IoError;
use crate::durable::{Kind, Moved, flock_until, open_file, try_flock};

/// Handles that a replacement needs besides those of the locks, at the moment of the swap.
const OTHER_HANDLES: u64 = 16;

/// bbolt's exclusive locks on all stores of some servers, held until this is dropped.
///
/// With more stores than handles some are only looked at until the swap, and then each server's log alone is locked: a node
/// can't start without that.
#[derive(Debug)]
#[must_use]
pub struct StateLock {
    held: Vec<Held>,
    lock_timeout: Duration,
    /// Most handles to keep.
    most: u64,
}

/// A store that was locked.
#[derive(Debug)]
struct Held {
    seen: Seen,
    is_log: bool,
    /// None when the lock was let go again.
    file: Option<File>,
}

/// How a store was when it was locked.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn new(metadata: &Metadata) -> Seen {
        let (device, inode, len) = (metadata.dev(), metadata.ino(), metadata.len());
        Seen { device, inode, len, modified: metadata.modified().ok() }
    }
}

/// Locks the stores of all `dirs` as bbolt does, as far as they exist, waiting for at most `lock_timeout` in all.
/// Nothing is created. For mutations only: reading waits for nobody.
pub fn lock(dirs: &[StateDir], lock_timeout: Duration) -> Result<StateLock, Error> {
    let mut lock = StateLock::unlocked(lock_timeout);
    let deadline = Instant::now() + lock_timeout;
    dirs.iter().try_for_each(|dir| lock.add(dir, deadline))?;
    Ok(lock)
}

impl StateLock {
    /// Locks nothing yet. Half of the handles are for what the call does until the swap.
    fn unlocked(lock_timeout: Duration) -> StateLock {
        StateLock { held: Vec::new(), lock_timeout, most: handles() / 2 }
    }

    /// What is to be locked before a commit moves anything; see [`crate::durable::Staging::commit`]. `dirs` are the
    /// directories of which something will be moved.
    ///
    /// # Errors
    /// [`Error::Locked`] when a node started meanwhile, and [`Error::Changed`] when one came and went.
    pub fn hold(&mut self, dirs: &[StateDir], moved: Moved<'_>) -> Result<(), Error> {
        let deadline = Instant::now() + self.lock_timeout;
        match moved {
            Moved::Interrupted(paths) => paths.iter().try_for_each(|path| match is_store(path) {
                true => self.add_store(path, deadline),
                false => self.add(&StateDir::new(path), deadline),
            }),
            Moved::Entries => {
                self.make_room(dirs.len() as u64);
                dirs.iter().try_for_each(|dir| self.again(dir, deadline))
            }
        }
    }

    fn add(&mut self, dir: &StateDir, deadline: Instant) -> Result<(), Error> {
        self.add_store(&dir.log_path(), deadline)?;
        self.add_store(&dir.stable_path(), deadline)
    }

    /// Locks a store that is there.
    fn add_store(&mut self, path: &Path, deadline: Instant) -> Result<(), Error> {
        let Some((file, seen)) = open(path)? else { return Ok(()) };
        if self.position(&seen).is_some() {
            return Ok(());
        }
        self.flock(path, &file, deadline)?;
        let file = (self.kept() < self.most).then_some(file);
        self.held.push(Held { seen, is_log: path.ends_with(LOG_FILE), file });
        Ok(())
    }

    /// Locks what had to be let go, and sees that nothing else is there.
    fn again(&mut self, dir: &StateDir, deadline: Instant) -> Result<(), Error> {
        for path in [dir.log_path(), dir.stable_path()] {
            let Some((file, seen)) = open(&path)? else { continue };
            let Some(at) = self.position(&seen) else {
                // By a node that runs, or one that has run since.
                self.flock(&path, &file, deadline)?;
                return Err(Error::Changed { path });
            };
            if self.held[at].file.is_some() {
                continue;
            }
            self.flock(&path, &file, deadline)?;
            if self.held[at].seen != seen {
                return Err(Error::Changed { path });
            }
            self.held[at].file = Some(file).filter(|_| self.held[at].is_log || self.kept() < self.most);
        }
        Ok(())
    }

    /// Lets go what the swap of `servers` servers can do without when there are more stores than handles.
    fn make_room(&mut self, servers: u64) {
        self.most = handles().saturating_sub(OTHER_HANDLES);
        if 2 * servers <= self.most {
            return;
        }
        self.held.iter_mut().filter(|held| !held.is_log).for_each(|held| held.file = None);
        // From here on the logs alone are kept.
        self.most = 0;
    }

    fn flock(&self, path: &Path, file: &File, deadline: Instant) -> Result<(), Error> {
        match flock_until(file, Kind::Exclusive, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Locked { path: path.to_owned(), lock_timeout: self.lock_timeout }),
            Err(source) if has_no_locks(&source) => Err(Error::NoLocks { path: path.to_owned(), source }),
            Err(source) => Err(Error::Io(IoError { doing: "locking", path: path.to_owned(), source })),
        }
    }

    fn position(&self, seen: &Seen) -> Option<usize> {
        self.held.iter().position(|held| (held.seen.device, held.seen.inode) == (seen.device, seen.inode))
    }

    fn kept(&self) -> u64 {
        self.held.iter().filter(|held| held.file.is_some()).count() as u64
    }
}

/// Keeps a node from starting on the stores in `dir` while they are read; none when it runs, or when the file system has no
/// locks and nobody can say. Waits for nobody.
pub fn lock_shared(dir: &StateDir) -> Result<Option<StateLock>, Error> {
    let mut held = Vec::new();
    for path in [dir.log_path(), dir.stable_path()] {
        let fail = |source| Error::Io(IoError { doing: "locking", path: path.clone(), source });
        let file = match open_file(&path) {
            Err(error) if is_no_store(error.kind()) => continue,
            file => file.map_err(fail)?,
        };
        let seen = Seen::new(&file.metadata().map_err(fail)?);
        match try_flock(&file, Kind::Shared) {
            Ok(true) => held.push(Held { seen, is_log: path.ends_with(LOG_FILE), file: Some(file) }),
            Ok(false) => return Ok(None),
            Err(source) if has_no_locks(&source) => return Ok(None),
            Err(source) => return Err(fail(source)),
        }
    }
    Ok(Some(StateLock { held, lock_timeout: Duration::ZERO, most: 0 }))
}

/// Opens a store to lock it, if there is one: on NFS an exclusive lock needs a handle that may write.
/// (Linux fs/nfs/file.c nfs_flock, fs/locks.c)
fn open(path: &Path) -> Result<Option<(File, Seen)>, Error> {
    let fail = |source| Error::Io(IoError { doing: "locking", path: path.to_owned(), source });
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => return Ok(None),
        Err(error) if is_no_store(error.kind()) => return Ok(None),
        Err(error) => return Err(fail(error)),
        Ok(_) => {}
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY) => open_file(path).map_err(fail)?,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(fail(errno.into())),
    };
    let seen = Seen::new(&file.metadata().map_err(fail)?);
    Ok(Some((file, seen)))
}

fn is_store(path: &Path) -> bool {
    path.ends_with(LOG_FILE) || path.ends_with(STABLE_FILE)
}

/// A file in place of the directory has no stores, and what is not a file is not one.
fn is_no_store(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput)
}

fn has_no_locks(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF))
}

/// How many files this process may have open.
fn handles() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
