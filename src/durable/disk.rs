//! Each change of the file system, as a step that a test can watch, fail, or stop at.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::{CHANGING_OWNER, Error};

/// Who a file shall belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// A change that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    CreateDir(&'a Path),
    Write(&'a Path),
    SetMode(&'a Path),
    SetOwner(&'a Path),
    Sync(&'a Path),
    Exchange(&'a Path, &'a Path),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
}

impl<'a> Step<'a> {
    fn error(self, source: io::Error) -> Error {
        let (doing, path): (_, &'a Path) = match self {
            Step::CreateDir(path) => ("creating", path),
            Step::Write(path) => ("writing", path),
            Step::SetMode(path) => ("changing the mode of", path),
            Step::SetOwner(path) => (CHANGING_OWNER, path),
            Step::Sync(path) => ("syncing", path),
            Step::Exchange(_, path) => ("replacing", path),
            Step::Rename(path, _) => ("renaming", path),
            Step::Remove(path) => ("removing", path),
        };
        Error::Io { doing, path: path.to_owned(), source }
    }
}

/// Called before each step; an error takes the step's place.
pub(super) type Watch = Box<dyn FnMut(Step<'_>) -> io::Result<()> + Send>;

/// The file system, for changes only.
#[derive(Default)]
pub(super) struct Disk {
    watch: Option<Watch>,
}

impl Disk {
    #[cfg(test)]
    pub(super) fn watched(watch: Watch) -> Disk {
        Disk { watch: Some(watch) }
    }

    fn step<T>(&mut self, step: Step<'_>, change: impl FnOnce() -> io::Result<T>) -> Result<T, Error> {
        let watched = self.watch.as_mut().map_or(Ok(()), |watch| watch(step));
        watched.and_then(|()| change()).map_err(|source| step.error(source))
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> Result<(), Error> {
        self.step(Step::CreateDir(path), || fs::create_dir(path))
    }

    /// Makes a directory of a random name, for this user only.
    pub(super) fn create_temp_dir(&mut self, parent: &Path, prefix: &str) -> Result<PathBuf, Error> {
        self.step(Step::CreateDir(parent), || {
            let mut builder = tempfile::Builder::new();
            builder.prefix(prefix).permissions(Permissions::from_mode(0o700));
            Ok(builder.tempdir_in(parent)?.keep())
        })
    }

    /// Writes a new file; not synced.
    pub(super) fn write_new(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let write = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes);
        self.step(Step::Write(path), write)
    }

    /// Makes a new file, to be written by the caller; not synced.
    pub(super) fn create_new(&mut self, path: &Path) -> Result<File, Error> {
        let create = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        self.step(Step::Write(path), create)
    }

    /// Sets a mode, whatever the umask.
    pub(super) fn set_mode(&mut self, path: &Path, mode: u32) -> Result<(), Error> {
        self.step(Step::SetMode(path), || fs::set_permissions(path, Permissions::from_mode(mode)))
    }

    pub(super) fn set_owner(&mut self, path: &Path, owner: Option<Owner>) -> Result<(), Error> {
        let Some(Owner { uid, gid }) = owner else { return Ok(()) };
        self.step(Step::SetOwner(path), || chown(path, Some(uid), Some(gid)))
    }

    /// Makes a file, or the names in a directory, durable.
    pub(super) fn sync(&mut self, path: &Path) -> Result<(), Error> {
        self.step(Step::Sync(path), || File::open(path)?.sync_all())
    }

    /// Swaps two entries; says whether the file system can do that.
    pub(super) fn exchange(&mut self, new: &Path, old: &Path) -> Result<bool, Error> {
        let exchange = || Ok(renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE)?);
        match self.step(Step::Exchange(new, old), exchange) {
            Err(Error::Io { source, .. }) if is_unsupported(&source) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Renames to a name that is free; an error if it isn't.
    pub(super) fn rename_new(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        self.step(Step::Rename(from, to), || {
            match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
                Err(error) if is_unsupported(&error) && fs::symlink_metadata(to).is_ok() => {
                    Err(io::ErrorKind::AlreadyExists.into())
                }
                Err(error) if is_unsupported(&error) => fs::rename(from, to),
                other => other,
            }
        })
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Result<(), Error> {
        self.step(Step::Remove(path), || fs::remove_file(path))
    }

    /// Removes a directory if it is empty.
    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(), Error> {
        self.step(Step::Remove(path), || fs::remove_dir(path))
    }

    pub(super) fn remove_tree(&mut self, path: &Path) -> Result<(), Error> {
        self.step(Step::Remove(path), || fs::remove_dir_all(path))
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

/// What renameat2 says where kernel or file system lack its flags.
fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [Errno::NOSYS, Errno::INVAL, Errno::OPNOTSUPP];
    unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
