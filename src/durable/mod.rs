//! Staging, fsync, swap and journal: the only place that replaces anything.
//!
//! The output directory is often the root of a mounted volume: it can't be renamed, and what stands beside it is
//! another file system. So the new entries are made inside it, and swapped in one by one:
//!
//! ```text
//! <root>/.op-conductor-init-x7Rq2w/     the stage, 0700
//!        new/<name>                     each entry as it will be
//!        old/<name>                     what was there, moved here by the swap
//!        journal.json                   from here on it is decided: names and inodes of the entries
//! <root>/.replaced-20260131-235959/     old/ in the end, under a name that people find
//! ```
//!
//! 1. Stage: write everything to `new`, fsync files and directories.
//! 2. Commit: the caller locks what will be moved, write the journal beside its name, fsync, rename it. An error until here
//!    leaves nothing behind.
//! 3. Swap: for each entry exchange `new/<name>` with `<root>/<name>` and move what came back to `old`. Where the file
//!    system can't exchange, two renames.
//! 4. Retire: rename `old` to `.replaced-<UTC time>`, then remove journal and stage.
//!
//! The inodes in the journal tell what has happened to each entry, so a crash at any point of 3 and 4 is rolled
//! forward by [`Root::settle`]. An error in 3 rolls all entries back. Either way all entries are old, or all are new.
//!
//! The directory is resolved once and held by handle: all of this happens in it, wherever its path leads by then. A stage
//! is settled only if this user made it ([`Pending::is_trusted`]).

mod directory;
mod disk;
mod error;
mod io_error;
mod journal;
mod lock;
mod open;
mod publication;
mod room;
mod root;
mod staging;
mod swap;
mod syncer;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Mode, OFlags, open};

pub(crate) use directory::Directory;
pub use disk::Owner;
pub use error::{Error, JournalError};
pub use io_error::IoError;
#[cfg(feature = "payload")]
pub(crate) use journal::REPLACED_PREFIX;
pub(crate) use journal::is_left_over;
pub use journal::{Decided, Entry, Journal, Pending, pending};
pub(crate) use lock::{Kind, flock_until, try_flock};
pub use open::{ReadError, open_file, open_file_itself, read_file};
pub use publication::Publication;
pub use room::{free_space, parent, temp_dir};
pub use root::{Moved, Recovery, Root};
pub use staging::{Committed, Staging};
pub use syncer::{Paced, Syncer};

/// Mode of the directories that lead to the output directory, and of that itself, where they are made.
const ROOT_MODE: u32 = 0o755;

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
    let fail = |doing| move |source| Error::Io(IoError { doing, path: path.to_owned(), source });
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = File::from(open(path, flags, Mode::empty()).map_err(io::Error::from).map_err(fail("opening"))?);
    match flock_until(&directory, kind, Instant::now() + lock_timeout).map_err(fail("locking"))? {
        true => Ok(directory),
        false => Err(Error::Locked { path: path.to_owned(), lock_timeout }),
    }
}

/// The first stage of a replacement that was interrupted in one of `directories`, and may have left some entries old and
/// some new. What isn't there or may not be read has none.
pub fn interrupted<'a>(directories: impl IntoIterator<Item = &'a Path>) -> Result<Option<PathBuf>, Error> {
    for directory in directories {
        match pending(directory) {
            Ok(found) => {
                if let Some(half) = found.into_iter().find(Pending::may_be_half) {
                    return Ok(Some(half.stage));
                }
            }
            Err(Error::Io(IoError { source, .. }))
                if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether `path`, of which the end need not exist, is in one of `directories` or is one of them, by whatever way it is
/// reached: links, `..` and bind mounts included.
pub fn is_within<'a>(path: &Path, directories: impl IntoIterator<Item = &'a Path>) -> io::Result<bool> {
    let mut there = Directory::open_to_pass(Path::new("."))?;
    // Parts that are still to be made, in which `..` leads back.
    let mut missing = 0_u32;
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) if missing > 0 => missing += 1,
            Component::ParentDir if missing > 0 => missing -= 1,
            Component::RootDir => there = Directory::open_to_pass(Path::new("/"))?,
            part => match there.pass(part) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing += 1,
                // A file: what counts is the directory that it is in.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => break,
                next => there = next?,
            },
        }
    }
    let ids: Vec<_> = directories.into_iter().filter_map(|path| Directory::open(path).ok()?.id().ok()).collect();
    there.is_within(&ids)
}

/// The time, or the last one that has a name when the clock is beyond it.
pub(crate) fn utc_now() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::MAX)
}
