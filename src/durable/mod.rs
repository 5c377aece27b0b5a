//! Staging, fsync, swap and journal: the only place that replaces anything.
//!
//! The output directory is often the root of a mounted volume: it can't be renamed, and what stands beside it is
//! another file system. So the new entries are made inside it, and swapped in one by one:
//!
//! ```text
//! <root>/.op-conductor-init-x7Rq2w/     the stage, 0700
//!        new/<name>                     each entry as it shall be
//!        old/<name>                     what was there, moved here by the swap
//!        journal.json                   from here on it is decided: names and inodes of the entries
//! <root>/.replaced-20260131-235959/     old/ in the end, under a name that people find
//! ```
//!
//! 1. Stage: write everything to `new`, fsync files and directories.
//! 2. Commit: write the journal beside its name, fsync, rename it. An error until here leaves nothing behind.
//! 3. Swap: for each entry exchange `new/<name>` with `<root>/<name>` and move what came back to `old`. Where the file
//!    system can't exchange, two renames.
//! 4. Retire: rename `old` to `.replaced-<UTC time>`, then remove journal and stage.
//!
//! The inodes in the journal tell what has happened to each entry, so a crash at any point of 3 and 4 is rolled
//! forward by [`Root::recover`]. An error in 3 rolls all entries back. Either way all entries are old, or all are new.

mod disk;
mod error;
mod fresh;
mod io_error;
mod journal;
mod lock;
mod open;
mod staging;
mod swap;
mod syncer;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};

use disk::Disk;
use swap::Swap;

pub use disk::Owner;
pub use error::Error;
pub use fresh::Fresh;
pub use io_error::IoError;
pub use journal::{Entry, Journal, Pending, pending};
pub(crate) use lock::{Kind, flock_until, try_flock};
pub use open::{ReadError, open_file, read_file};
pub use staging::Staging;
pub use syncer::{Paced, Syncer};

/// Mode of the directories that lead to the output directory, and of that itself, where they are made.
const ROOT_MODE: u32 = 0o755;

/// The output directory, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    /// flock on the directory itself: needs no file that would be left over.
    _lock: File,
    /// Directories that were made to reach it, outermost first; removed again unless something is committed.
    created: Vec<PathBuf>,
    owner: Option<Owner>,
    disk: Disk,
}

/// What became of a replacement that was interrupted.
#[derive(Debug)]
pub struct Recovery {
    /// Names of the entries.
    pub entries: Vec<String>,
    /// Where the entries from before went, if there were any.
    pub replaced: Option<PathBuf>,
    /// Why it was rolled back; none if it was finished.
    pub undone: Option<Error>,
}

impl Root {
    /// Makes the directory where it is missing, and locks it, waiting for at most `lock_timeout`. What is made belongs to
    /// `owner`, here and in the stage.
    pub fn open(path: &Path, owner: Option<Owner>, lock_timeout: Duration) -> Result<Root, Error> {
        Root::open_on(Disk::default(), path, owner, lock_timeout)
    }

    fn open_on(mut disk: Disk, path: &Path, owner: Option<Owner>, lock_timeout: Duration) -> Result<Root, Error> {
        let mut created = Vec::new();
        let locked =
            make_directories(&mut disk, path, owner, &mut created).and_then(|()| lock_directory(path, lock_timeout));
        match locked {
            Ok(lock) => Ok(Root { path: path.to_owned(), _lock: lock, created, owner, disk }),
            Err(error) => {
                remove_directories(&mut disk, &created);
                Err(error)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finishes a replacement that was interrupted, or rolls it back where it can't be finished, and removes stages
    /// that came to nothing.
    ///
    /// Hold the locks of the entries that [`pending`] names before calling this.
    pub fn recover(&mut self) -> Result<Option<Recovery>, Error> {
        let mut recovery = None;
        for Pending { stage, journal } in pending(&self.path)? {
            let Some(journal) = journal else {
                self.disk.remove_tree(&stage)?;
                continue;
            };
            let settled = Swap { root: &self.path, stage: &stage, journal: &journal }.settle(&mut self.disk);
            let (replaced, undone) = match settled {
                Ok(replaced) => (replaced, None),
                Err(Error::Undone { cause }) => (None, Some(*cause)),
                Err(error) => return Err(error),
            };
            let entries = journal.entries.into_iter().map(|entry| entry.name).collect();
            recovery = Some(Recovery { entries, replaced, undone });
        }
        Ok(recovery)
    }

    /// Begins a replacement.
    ///
    /// # Errors
    /// Also when an interrupted one is to be recovered first.
    pub fn stage(self) -> Result<Staging, Error> {
        match pending(&self.path)?.into_iter().next() {
            Some(Pending { stage, .. }) => Err(Error::Pending { stage }),
            None => Staging::begin(self),
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        remove_directories(&mut self.disk, &self.created);
    }
}

fn make_directories(
    disk: &mut Disk,
    path: &Path,
    owner: Option<Owner>,
    created: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|at| !at.as_os_str().is_empty() && fs::symlink_metadata(at).is_err()).collect();
    for directory in missing.into_iter().rev() {
        match disk.create_dir(directory) {
            // Another process was faster, or the path goes over "..".
            Err(_) if directory.is_dir() => continue,
            made => made?,
        }
        created.push(directory.to_owned());
        disk.set_mode(directory, ROOT_MODE)?;
        disk.set_owner(directory, owner)?;
    }
    Ok(())
}

/// Removes directories as far as they are empty, outermost last.
fn remove_directories(disk: &mut Disk, created: &[PathBuf]) {
    for directory in created.iter().rev() {
        // What can't be removed isn't empty: somebody else uses it by now.
        let _ = disk.remove_dir(directory);
    }
}

/// Keeps other processes of this tool from replacing anything in the directory `path` while it is read. A lock on the
/// directory itself: nothing is written.
pub fn lock_shared(path: &Path, lock_timeout: Duration) -> Result<File, Error> {
    lock_there(path, Kind::Shared, lock_timeout)
}

/// Keeps other processes of this tool that do the same out of the directory `path`.
pub fn lock_exclusive(path: &Path, lock_timeout: Duration) -> Result<File, Error> {
    lock_there(path, Kind::Exclusive, lock_timeout)
}

fn lock_there(path: &Path, kind: Kind, lock_timeout: Duration) -> Result<File, Error> {
    let fail = |doing| move |source| Error::Io { doing, path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = File::from(open(path, flags, Mode::empty()).map_err(io::Error::from).map_err(fail("opening"))?);
    match flock_until(&directory, kind, Instant::now() + lock_timeout).map_err(fail("locking"))? {
        true => Ok(directory),
        false => Err(Error::Locked { path: path.to_owned(), lock_timeout }),
    }
}

fn lock_directory(path: &Path, lock_timeout: Duration) -> Result<File, Error> {
    let deadline = Instant::now() + lock_timeout;
    let fail = |source| Error::Io { doing: "locking", path: path.to_owned(), source };
    loop {
        let directory =
            File::open(path).map_err(|source| Error::Io { doing: "opening", path: path.to_owned(), source })?;
        let locked = directory.metadata().map_err(fail)?;
        if !locked.is_dir() {
            return Err(Error::NotADirectory { path: path.to_owned() });
        }
        if !flock_until(&directory, Kind::Exclusive, deadline).map_err(fail)? {
            return Err(Error::Locked { path: path.to_owned(), lock_timeout });
        }
        // Who held it before may have made the directory, failed, and removed it again.
        match fs::metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (locked.dev(), locked.ino()) => return Ok(directory),
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(fail(source)),
            _ => {}
        }
    }
}
