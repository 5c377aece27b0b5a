//! Each change of the file system, as a step that a test can watch, fail, or stop at.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawMode, RenameFlags, Uid, chownat, fchmod, fsync, mkdirat, openat, renameat,
    renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::directory::Directory;
use super::error::{CHANGING_OWNER, Error};
use super::io_error::IoError;

/// Directories within directories that are removed; beyond that something is wrong.
const MOST_DEPTH: u32 = 64;

/// Who a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// An entry of a directory that is held open.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) directory: &'a Directory,
    pub(super) name: &'a OsStr,
}

impl<'a> At<'a> {
    pub(super) fn new(directory: &'a Directory, name: &'a (impl AsRef<OsStr> + ?Sized)) -> At<'a> {
        At { directory, name: name.as_ref() }
    }

    pub(super) fn path(self) -> PathBuf {
        self.directory.path().join(self.name)
    }

    fn open(self, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(openat(self.directory, self.name, flags, Mode::RUSR | Mode::WUSR)?))
    }
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
        Error::Io(IoError { doing, path: path.to_owned(), source })
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

    /// Makes a directory for this user only.
    pub(super) fn create_dir(&mut self, at: At<'_>) -> Result<Directory, Error> {
        self.step(Step::CreateDir(&at.path()), || {
            mkdirat(at.directory, at.name, Mode::RWXU)?;
            let made = at.directory.child(at.name)?;
            // Whatever the umask.
            fchmod(&made, Mode::RWXU)?;
            Ok(made)
        })
    }

    /// Makes a directory of a random name, for this user only.
    pub(super) fn create_temp_dir(&mut self, parent: &Directory, prefix: &str) -> Result<Directory, Error> {
        self.step(Step::CreateDir(parent.path()), || {
            loop {
                let name = format!("{prefix}{}", random_name());
                match mkdirat(parent, name.as_str(), Mode::RWXU) {
                    Err(Errno::EXIST) => continue,
                    made => made?,
                }
                let made = parent.child(&name)?;
                fchmod(&made, Mode::RWXU)?;
                return Ok(made);
            }
        })
    }

    /// Writes a new file; not synced.
    pub(super) fn write_new(&mut self, at: At<'_>, bytes: &[u8]) -> Result<(), Error> {
        self.step(Step::Write(&at.path()), || create(at)?.write_all(bytes))
    }

    /// Makes a new file, to be written by the caller; not synced.
    pub(super) fn create_new(&mut self, at: At<'_>) -> Result<File, Error> {
        self.step(Step::Write(&at.path()), || create(at))
    }

    /// Sets a mode, whatever the umask. Not through a symbolic link.
    pub(super) fn set_mode(&mut self, at: At<'_>, mode: u32) -> Result<(), Error> {
        let mode = Mode::from_raw_mode(RawMode::try_from(mode & 0o7777).unwrap_or_default());
        self.step(Step::SetMode(&at.path()), || Ok(fchmod(at.open(OFlags::RDONLY)?, mode)?))
    }

    /// Sets the owner, if there is one to be set. Not through a symbolic link.
    pub(super) fn set_owner(&mut self, at: At<'_>, owner: Option<Owner>) -> Result<(), Error> {
        let Some(Owner { uid, gid }) = owner else { return Ok(()) };
        self.step(Step::SetOwner(&at.path()), || {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            Ok(chownat(at.directory, at.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
        })
    }

    /// Makes a file, or the names in a directory, durable.
    pub(super) fn sync(&mut self, at: At<'_>) -> Result<(), Error> {
        self.step(Step::Sync(&at.path()), || at.open(OFlags::RDONLY)?.sync_all())
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_directory(&mut self, directory: &Directory) -> Result<(), Error> {
        self.step(Step::Sync(directory.path()), || Ok(fsync(directory)?))
    }

    /// Swaps two entries; says whether the file system can do that.
    pub(super) fn exchange(&mut self, new: At<'_>, old: At<'_>) -> Result<bool, Error> {
        let exchange = || Ok(renameat_with(new.directory, new.name, old.directory, old.name, RenameFlags::EXCHANGE)?);
        match self.step(Step::Exchange(&new.path(), &old.path()), exchange) {
            Err(Error::Io(IoError { source, .. })) if is_unsupported(&source) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Renames to a name that is free; an error if it isn't.
    pub(super) fn rename_new(&mut self, from: At<'_>, to: At<'_>) -> Result<(), Error> {
        self.step(Step::Rename(&from.path(), &to.path()), || {
            let renamed = renameat_with(from.directory, from.name, to.directory, to.name, RenameFlags::NOREPLACE);
            match renamed.map_err(io::Error::from) {
                Err(error) if is_unsupported(&error) => match to.directory.look_at(to.name)? {
                    Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    None => Ok(renameat(from.directory, from.name, to.directory, to.name)?),
                },
                other => other,
            }
        })
    }

    pub(super) fn remove_file(&mut self, at: At<'_>) -> Result<(), Error> {
        self.step(Step::Remove(&at.path()), || Ok(unlinkat(at.directory, at.name, AtFlags::empty())?))
    }

    /// Removes a directory if it is empty.
    pub(super) fn remove_dir(&mut self, at: At<'_>) -> Result<(), Error> {
        self.step(Step::Remove(&at.path()), || Ok(unlinkat(at.directory, at.name, AtFlags::REMOVEDIR)?))
    }

    /// Removes an entry with all that is in it. What is mounted in it stays, and is an error.
    pub(super) fn remove_tree(&mut self, at: At<'_>) -> Result<(), Error> {
        self.step(Step::Remove(&at.path()), || remove_tree(at, MOST_DEPTH))
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

fn create(at: At<'_>) -> io::Result<File> {
    at.open(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
}

fn remove_tree(at: At<'_>, depth: u32) -> io::Result<()> {
    let Some(stat) = at.directory.look_at(at.name)? else { return Ok(()) };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(unlinkat(at.directory, at.name, AtFlags::empty())?);
    }
    if depth == 0 || at.directory.is_mount_point(at.name)? {
        return Err(Errno::BUSY.into());
    }
    let directory = at.directory.child(at.name)?;
    if stat.st_mode & 0o700 != 0o700 {
        // Ours, but without leave to remove what is in it. If it isn't ours, removing will say so.
        let _ = fchmod(&directory, Mode::RWXU);
    }
    for (name, _) in directory.entries()? {
        remove_tree(At::new(&directory, &name), depth - 1)?;
    }
    Ok(unlinkat(at.directory, at.name, AtFlags::REMOVEDIR)?)
}

/// Twelve characters that nobody can guess: the standard library seeds its hashers from the system.
fn random_name() -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let random = RandomState::new().hash_one(0);
    let digit = |at: u32| usize::try_from((random >> (5 * at)) & 31).expect("it is below 32");
    (0..12).map(|at| char::from(DIGITS[digit(at)])).collect()
}

/// What renameat2 says where kernel or file system lack its flags.
fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [Errno::NOSYS, Errno::INVAL, Errno::OPNOTSUPP];
    unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
