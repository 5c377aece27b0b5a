//! The output directory: resolved once, held open, and locked.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::ROOT_MODE;
use super::directory::Directory;
use super::disk::{At, Disk, Owner};
use super::error::Error;
use super::io_error::IoError;
use super::journal::{Decided, Journal, pending_in};
use super::lock::{Kind, flock_until};
use super::staging::Staging;
use super::swap::Swap;

/// The output directory, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct Root {
    /// The lock is on it: flock on the directory itself needs no file that would be left over.
    pub(super) directory: Directory,
    /// Directories that were made to reach it, outermost first; removed again unless something is committed.
    pub(super) created: Vec<Created>,
    pub(super) owner: Option<Owner>,
    pub(super) disk: Disk,
    /// Replacements that were interrupted after they were decided.
    interrupted: Vec<(Directory, Journal)>,
    /// Names of stages that came to nothing.
    left_over: Vec<OsString>,
}

/// A directory that was made: where, and its name.
pub(super) type Created = (Directory, OsString);

/// What became of a replacement that was interrupted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovery {
    /// Names of the entries.
    pub entries: Vec<String>,
    /// Where the entries from before went, if there were any.
    pub replaced: Option<PathBuf>,
    /// Why it was rolled back; none if it was finished.
    pub undone: Option<Error>,
}

/// What is about to be moved, and must not be in use.
#[derive(Debug, Clone, Copy)]
pub enum Moved<'a> {
    /// What an interrupted replacement still moves: paths of files and of servers' directories, which need not exist.
    Interrupted(&'a [PathBuf]),
    /// The entries of the call itself.
    Entries,
}

impl Root {
    /// Makes the directory where it is missing, and locks it, waiting for at most `lock_timeout`. What is made belongs to
    /// `owner`, here and in the stage.
    ///
    /// # Errors
    /// [`Error::Foreign`] when a replacement was interrupted that this user can't settle, among others.
    pub fn open(path: &Path, owner: Option<Owner>, lock_timeout: Duration) -> Result<Root, Error> {
        Root::open_on(Disk::default(), path, owner, lock_timeout)
    }

    pub(super) fn open_on(
        mut disk: Disk,
        path: &Path,
        owner: Option<Owner>,
        lock_timeout: Duration,
    ) -> Result<Root, Error> {
        let mut created = Vec::new();
        let opened = open_locked(&mut disk, path, owner, lock_timeout, &mut created);
        let (interrupted, left_over) = (Vec::new(), Vec::new());
        match opened {
            Ok((directory, is_locked)) => {
                let mut root = Root { directory, created, owner, disk, interrupted, left_over };
                root.look_for_stages(is_locked)?;
                Ok(root)
            }
            Err(error) => {
                remove_directories(&mut disk, &created);
                Err(error)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Whether something is called `name` in it.
    pub fn has(&self, name: &str) -> Result<bool, Error> {
        self.look_at(name).map(|stat| stat.is_some())
    }

    /// Whether a replacement was interrupted here, and will be settled before the next is decided.
    pub fn is_interrupted(&self) -> bool {
        !self.interrupted.is_empty()
    }

    /// Where the entry `name` is now that will be in its place when what was interrupted is settled: in its place, or
    /// still in a stage. Reading it is judging what the next replacement replaces.
    pub fn path_after(&self, name: &str) -> PathBuf {
        let staged = self
            .interrupted
            .iter()
            .rev()
            .find_map(|(stage, journal)| Swap { root: &self.directory, stage, journal }.path_after(name));
        staged.unwrap_or_else(|| self.path().join(name))
    }

    /// Checks that the entry `name` can be replaced, as far as that can be seen.
    ///
    /// # Errors
    /// [`Error::Symlink`], because the link's target would stay and the link go, and [`Error::MountPoint`].
    pub fn check_replaceable(&self, name: &str) -> Result<(), Error> {
        check_replaceable(&self.directory, name.as_ref())
    }

    /// Begins a replacement. Stages that came to nothing are removed, as far as they can be.
    pub fn stage(mut self) -> Result<Staging, Error> {
        for name in std::mem::take(&mut self.left_over) {
            // One that can't be removed means nothing, and is in nobody's way.
            let _ = self.disk.remove_tree(At::new(&self.directory, &name));
        }
        Staging::begin(self)
    }

    /// Finishes replacements that were interrupted, or rolls them back where they can't be finished. As for `hold`, see
    /// [`Staging::commit`].
    pub fn settle<E: From<Error>>(
        &mut self,
        hold: &mut dyn FnMut(Moved<'_>) -> Result<(), E>,
    ) -> Result<Vec<Recovery>, E> {
        let mut recovered = Vec::new();
        for (stage, journal) in std::mem::take(&mut self.interrupted) {
            hold(Moved::Interrupted(&self.moved_by(&stage, &journal)))?;
            let swap = Swap { root: &self.directory, stage: &stage, journal: &journal };
            let (replaced, undone) = match swap.settle(&mut self.disk) {
                Ok(replaced) => (replaced, None),
                Err(Error::Undone { cause }) => (None, Some(*cause)),
                Err(error) => return Err(error.into()),
            };
            let entries = journal.entries.into_iter().map(|entry| entry.name).collect();
            recovered.push(Recovery { entries, replaced, undone });
        }
        Ok(recovered)
    }

    /// All places in which an entry of an interrupted replacement may be.
    fn moved_by(&self, stage: &Directory, journal: &Journal) -> Vec<PathBuf> {
        let places = [self.path().to_owned(), stage.path().join("new"), stage.path().join("old")];
        journal.entries.iter().flat_map(|entry| places.each_ref().map(|place| place.join(&entry.name))).collect()
    }

    pub(super) fn set_attributes(&mut self, at: At<'_>, owner: Option<Owner>, mode: u32) -> Result<(), Error> {
        // The owner first: changing it may clear bits of the mode.
        self.disk.set_owner(at, owner)?;
        self.disk.set_mode(at, mode)
    }

    /// Inode of what will be called `name` when what was interrupted is settled. A name in a directory that stays has a
    /// slash.
    pub(super) fn inode_after(&self, name: &str) -> Result<Option<u64>, Error> {
        let path = self.path_after(name);
        let fail = |source| Error::Io(IoError { doing: "looking at", path: path.clone(), source });
        if path == self.path().join(name) {
            let (directory, last) = self.directory.parent_of(Path::new(name)).map_err(fail)?;
            check_replaceable(&directory, last)?;
            return directory.inode(last).map_err(fail);
        }
        // In the stage, which nobody else may enter.
        let staged = |(stage, _): &(Directory, Journal)| stage.child("new").ok()?.inode(name).ok().flatten();
        Ok(self.interrupted.iter().rev().find_map(staged))
    }

    fn look_at(&self, name: &str) -> Result<Option<rustix::fs::Stat>, Error> {
        let fail = |source| Error::Io(IoError { doing: "looking at", path: self.path().join(name), source });
        self.directory.look_at(name).map_err(fail)
    }

    /// Without the lock a stage may be another process's that is at work.
    fn look_for_stages(&mut self, is_locked: bool) -> Result<(), Error> {
        for pending in pending_in(&self.directory)? {
            match (pending.is_trusted, &pending.decided) {
                (true, Decided::Nothing) if is_locked => self.left_over.push(pending.name().to_owned()),
                (_, Decided::Nothing) => {}
                (true, Decided::Entries(journal)) => {
                    let opening = |source| Error::Io(IoError { doing: "opening", path: pending.stage.clone(), source });
                    let stage = self.directory.child(pending.name()).map_err(opening)?;
                    self.interrupted.push((stage, journal.clone()));
                }
                _ => return Err(Error::Foreign { stage: pending.stage, uid: pending.uid }),
            }
        }
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        remove_directories(&mut self.disk, &self.created);
    }
}

fn check_replaceable(directory: &Directory, name: &OsStr) -> Result<(), Error> {
    let path = || directory.path().join(name);
    let fail = |source| Error::Io(IoError { doing: "looking at", path: path(), source });
    match directory.look_at(name).map_err(fail)? {
        Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
            Err(Error::Symlink { path: path() })
        }
        Some(_) if directory.is_mount_point(name).map_err(fail)? => Err(Error::MountPoint { path: path() }),
        _ => Ok(()),
    }
}

/// Opens a directory as the user named it, with what is missing on the way.
pub(super) fn make_directories(
    disk: &mut Disk,
    path: &Path,
    owner: Option<Owner>,
    created: &mut Vec<Created>,
) -> Result<Directory, Error> {
    let fail = |source: io::Error| match Errno::from_io_error(&source) {
        Some(Errno::NOTDIR) => {
            let there = path.ancestors().find(|path| path.symlink_metadata().is_ok());
            Error::NotADirectory { path: there.unwrap_or(path).to_owned() }
        }
        _ => Error::Io(IoError { doing: "opening", path: path.to_owned(), source }),
    };
    match Directory::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map_err(fail),
    }
    // The parts that are there may be ones that we may only pass through, so they are opened at once.
    let parts: Vec<Component<'_>> = path.components().collect();
    let there = (0..parts.len()).rev().find(|len| {
        let path: PathBuf = parts[..*len].iter().collect();
        !path.as_os_str().is_empty() && path.symlink_metadata().is_ok()
    });
    let there = there.unwrap_or_default();
    let start: PathBuf = if there == 0 { PathBuf::from(".") } else { parts[..there].iter().collect() };
    let mut directory = Directory::open(&start).map_err(fail)?;
    for part in &parts[there..] {
        directory = match part {
            Component::Normal(name) => match disk.create_dir(At::new(&directory, name)) {
                // Another process was faster. What is there is taken as the user named it.
                Err(Error::Io(IoError { source, .. })) if source.kind() == io::ErrorKind::AlreadyExists => {
                    directory.step(*part).map_err(fail)?
                }
                made => {
                    let made = made?;
                    created.push((directory.try_clone().map_err(fail)?, name.to_os_string()));
                    let at = At::new(&directory, name);
                    disk.set_owner(at, owner)?;
                    disk.set_mode(at, ROOT_MODE)?;
                    made
                }
            },
            part => directory.step(*part).map_err(fail)?,
        };
    }
    Ok(directory)
}

/// Removes directories as far as they are empty, outermost last.
pub(super) fn remove_directories(disk: &mut Disk, created: &[Created]) {
    for (parent, name) in created.iter().rev() {
        // What can't be removed isn't empty: somebody else uses it by now.
        let _ = disk.remove_dir(At::new(parent, name));
    }
}

/// The directory, and whether it is locked: some file systems can't lock directories.
fn open_locked(
    disk: &mut Disk,
    path: &Path,
    owner: Option<Owner>,
    lock_timeout: Duration,
    created: &mut Vec<Created>,
) -> Result<(Directory, bool), Error> {
    let deadline = Instant::now() + lock_timeout;
    let fail = |source| Error::Io(IoError { doing: "locking", path: path.to_owned(), source });
    loop {
        let directory = make_directories(disk, path, owner, created)?;
        let is_locked = match flock_until(&directory, Kind::Exclusive, deadline) {
            Ok(true) => true,
            Ok(false) => return Err(Error::Locked { path: path.to_owned(), lock_timeout }),
            // An exclusive lock on NFS needs a handle that may write, which a directory's never is. The locks of the stores
            // are what keeps a node out.
            Err(error) if is_unsupported(&error) => false,
            Err(error) => return Err(fail(error)),
        };
        // Who held it before may have made the directory, failed, and removed it again.
        match Directory::open(path).and_then(|now| now.id()) {
            Ok(now) if now == directory.id().map_err(fail)? => return Ok((directory, is_locked)),
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(fail(source)),
            _ => {}
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS))
}
