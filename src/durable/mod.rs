//! Staging, fsync, swap and journal: the only place that replaces anything.
//!
//! The folder that holds the servers' folders is often the root of a volume: it can't be renamed, and what lies
//! beside it is another file system. So everything is staged *inside* it and swapped in entry by entry, under a
//! journal that makes all entries of one call new, or leaves all as they were:
//!
//! ```text
//! <root>/.op-conductor-init-<random>/    new/<name>      what shall be at <root>/<name>
//!                                        old/<name>      what was there
//!                                        journal.json    once this is there, the call is rolled forward
//! <root>/.replaced-<UTC time>/<name>     what was there, in the end
//! ```
//!
//! Without a journal a staging folder is thrown away. After a crash at any point the next call of [`Root::open`]
//! does one or the other.

mod files;
mod swap;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

pub use files::{Mode, Owner};
use files::{make_folder, sync_folder, write_file};
pub use swap::Journal;
use swap::{JOURNAL, finish, read_journal, undo, write_journal};

/// What staging folders are called, before the random part.
const STAGING_PREFIX: &str = ".op-conductor-init-";
/// What folders of replaced state are called, before the time.
const REPLACED_PREFIX: &str = ".replaced-";
const NEW: &str = "new";
const OLD: &str = "old";
/// How often a held lock is tried again. bbolt polls at the same pace. (bbolt db.go flockRetryTimeout)
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Why nothing was replaced, or why it is not finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no; everything is as it was.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds a lock.
    #[error("{}: locked by another process", path.display())]
    Locked {
        /// Which file or folder.
        path: PathBuf,
    },
    /// A folder that would have to be swapped can't be renamed.
    #[error("{} is a mount point and can't be replaced as a whole", path.display())]
    MountPoint {
        /// Which folder.
        path: PathBuf,
    },
    /// After the journal was written: the call is neither undone nor finished.
    #[error("interrupted while replacing, at {}: {source}", path.display())]
    Unfinished {
        /// The staging folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A test stops here as if the machine had.
    #[cfg(test)]
    #[error("crashed")]
    Crash,
}

impl Error {
    fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Io { doing, path: path.to_owned(), source }
    }
}

/// A folder that only this process changes as long as this lives.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    /// Holds the lock; no file is left behind by it.
    _lock: File,
    /// Folders that did not exist before, the innermost first.
    created: Vec<PathBuf>,
    recovered: Vec<Recovered>,
    steps: Steps,
}

/// What was done about an interrupted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// It had decided: these entries are now the new ones.
    Finished(Vec<String>),
    /// It had not: nothing of it is left.
    Discarded,
}

/// Counts the file operations, so that a test can stop before each.
#[derive(Debug, Default)]
struct Steps {
    #[cfg(test)]
    left: std::cell::Cell<Option<usize>>,
}

impl Steps {
    #[cfg_attr(not(test), expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "only a test stops"))]
    fn next(&self) -> Result<(), Error> {
        #[cfg(test)]
        if let Some(left) = self.left.get() {
            self.left.set(Some(left.checked_sub(1).ok_or(Error::Crash)?));
        }
        Ok(())
    }
}

impl Root {
    /// Opens the folder `path`, making it and its parents when missing, and finishes or discards what an interrupted
    /// call left. Waits at most `timeout` for another process that has it open.
    pub fn open(path: &Path, timeout: Duration) -> Result<Root, Error> {
        let created = make_parents(path)?;
        let lock = File::open(path).map_err(Error::io("opening the folder", path))?;
        lock_exclusive(&lock, path, timeout)?;
        let mut root =
            Root { path: path.to_owned(), _lock: lock, created, recovered: Vec::new(), steps: Steps::default() };
        root.recover()?;
        Ok(root)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was done about interrupted calls when this was opened.
    pub fn recovered(&self) -> &[Recovered] {
        &self.recovered
    }

    /// Gives up: removes the folders that [`Root::open`] made, unless something is in them.
    pub fn abandon(self) {
        for folder in &self.created {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }

    /// Begins to stage entries.
    pub fn stage(&self) -> Result<Staging<'_>, Error> {
        let path = tempfile::Builder::new()
            .prefix(STAGING_PREFIX)
            .tempdir_in(&self.path)
            .map_err(Error::io("making a staging folder in", &self.path))?
            .keep();
        let staging = Staging { root: self, path, names: Vec::new() };
        match staging.begin() {
            Ok(()) => Ok(staging),
            Err(error) => Err(staging.discard(error)),
        }
    }

    fn recover(&mut self) -> Result<(), Error> {
        for path in staging_folders(&self.path).map_err(Error::io("reading the folder", &self.path))? {
            match read_journal(&path).map_err(Error::io("reading the journal in", &path))? {
                Some(journal) => {
                    finish(&self.path, &path, &journal, &self.steps)?;
                    self.recovered.push(Recovered::Finished(journal.names()));
                }
                None => self.recovered.push(Recovered::Discarded),
            }
            fs::remove_dir_all(&path).map_err(Error::io("removing", &path))?;
        }
        Ok(())
    }
}

/// The journals of interrupted calls in `root`, without touching anything; `None` for one that had not decided yet.
pub fn pending(root: &Path) -> io::Result<Vec<Option<Journal>>> {
    staging_folders(root)?.iter().map(|path| read_journal(path)).collect()
}

fn staging_folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(STAGING_PREFIX.as_bytes()) && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Takes an exclusive lock on an open file or folder, waiting at most `timeout`.
pub fn lock_exclusive(file: &File, path: &Path, timeout: Duration) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::io("locking", path)(errno.into())),
        }
        if start.elapsed() >= timeout {
            return Err(Error::Locked { path: path.to_owned() });
        }
        std::thread::sleep(LOCK_POLL.min(timeout));
    }
}

fn make_parents(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && ancestor.symlink_metadata().is_err())
        .collect();
    let mut created = Vec::new();
    for folder in missing.into_iter().rev() {
        if let Err(source) = make_folder(folder, Mode::FOLDER, None) {
            created.iter().rev().for_each(|folder: &PathBuf| drop(fs::remove_dir(folder)));
            return Err(Error::io("making the folder", folder)(source));
        }
        created.push(folder.to_owned());
    }
    created.reverse();
    Ok(created)
}

/// Entries that wait to be swapped in together. Dropped without [`Staging::commit`], they are found and discarded by
/// the next call; [`Staging::discard`] does it now.
#[derive(Debug)]
pub struct Staging<'r> {
    root: &'r Root,
    path: PathBuf,
    names: Vec<String>,
}

impl Staging<'_> {
    fn begin(&self) -> Result<(), Error> {
        for name in [NEW, OLD] {
            self.root.steps.next()?;
            let folder = self.path.join(name);
            make_folder(&folder, Mode::FOLDER, None).map_err(Error::io("making the folder", &folder))?;
        }
        Ok(())
    }

    /// Stages a folder that shall be at `<root>/<name>`.
    pub fn folder(&mut self, name: &str, owner: Option<Owner>) -> Result<(), Error> {
        self.root.steps.next()?;
        let path = self.path.join(NEW).join(name);
        make_folder(&path, Mode::FOLDER, owner).map_err(Error::io("making the folder", &path))?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Writes a file into a staged folder.
    pub fn file_in(
        &mut self,
        folder: &str,
        name: &str,
        bytes: &[u8],
        mode: Mode,
        owner: Option<Owner>,
    ) -> Result<(), Error> {
        self.root.steps.next()?;
        let path = self.path.join(NEW).join(folder).join(name);
        write_file(&path, bytes, mode, owner).map_err(Error::io("writing", &path))
    }

    /// Stages a file that shall be at `<root>/<name>`.
    pub fn file(&mut self, name: &str, bytes: &[u8], mode: Mode, owner: Option<Owner>) -> Result<(), Error> {
        self.file_in("", name, bytes, mode, owner)?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Swaps all entries in; gives the folder that now holds what was there, if anything was.
    ///
    /// # Errors
    /// Everything is as before, except after [`Error::Unfinished`]: then the next call finishes it.
    pub fn commit(self) -> Result<Option<PathBuf>, Error> {
        let journal = match self.decide() {
            Ok(journal) => journal,
            Err(error) => return Err(self.discard(error)),
        };
        if let Err(error) = finish(&self.root.path, &self.path, &journal, &self.root.steps) {
            return Err(self.take_back(&journal, error));
        }
        self.root.steps.next()?;
        // Nothing is lost if this fails: the next call does it.
        drop(fs::remove_dir_all(&self.path));
        let replaced = self.root.path.join(&journal.replaced);
        Ok(replaced.is_dir().then_some(replaced))
    }

    /// Makes all that is staged durable, then writes the journal: from here on there is no way back but forward.
    fn decide(&self) -> Result<Journal, Error> {
        let new = self.path.join(NEW);
        for name in &self.names {
            let path = new.join(name);
            if path.is_dir() {
                self.root.steps.next()?;
                sync_folder(&path).map_err(Error::io("syncing", &path))?;
            }
        }
        self.root.steps.next()?;
        for folder in [&new, &self.path, &self.root.path] {
            sync_folder(folder).map_err(Error::io("syncing", folder))?;
        }
        let journal = Journal::new(&self.root.path, &self.path, &self.names)?;
        self.root.steps.next()?;
        write_journal(&self.path, &journal).map_err(Error::io("writing the journal in", &self.path))?;
        Ok(journal)
    }

    /// After a swap failed: back to what was there, if the system lets us.
    fn take_back(self, journal: &Journal, error: Error) -> Error {
        #[cfg(test)]
        if matches!(error, Error::Crash) {
            return error;
        }
        match undo(&self.root.path, &self.path, journal) {
            Ok(()) => self.discard(error),
            Err(source) => Error::Unfinished { path: self.path, source },
        }
    }

    /// Removes what was staged and hands the error on.
    #[must_use]
    pub fn discard(self, error: Error) -> Error {
        #[cfg(test)]
        if matches!(error, Error::Crash) {
            return error;
        }
        self.abandon();
        error
    }

    /// Removes what was staged.
    pub fn abandon(self) {
        drop(fs::remove_file(self.path.join(JOURNAL)));
        drop(fs::remove_dir_all(&self.path));
    }
}

#[cfg(test)]
mod tests;
