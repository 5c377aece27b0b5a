//! Something new in a directory, which replaces nothing: made out of sight, and there by one rename when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::process::geteuid;

use super::directory::Directory;
use super::disk::{At, Disk};
use super::error::Error;
use super::io_error::IoError;
use super::lock::{Kind, try_flock};
use super::root::{Created, make_directories, remove_directories};
use super::staging::sync_tree;

/// What the name of the directory begins with that it is made in.
const PREFIX: &str = ".op-conductor-init~new-";

/// A new file or directory. Dropped without [`Publication::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Publication {
    directory: Directory,
    /// The lock is on it: who finds it without that may remove it.
    stage: Directory,
    /// Directories that were made to reach `directory`, outermost first.
    created: Vec<Created>,
    disk: Disk,
}

impl Publication {
    /// Begins in `directory`, which is made where it is missing. What a process left there that didn't come to its end is
    /// removed.
    pub fn begin(directory: &Path) -> Result<Publication, Error> {
        Publication::begin_on(Disk::default(), directory)
    }

    pub(super) fn begin_on(mut disk: Disk, directory: &Path) -> Result<Publication, Error> {
        let mut created = Vec::new();
        let begun = make_directories(&mut disk, directory, None, &mut created).and_then(|directory| {
            remove_left_over(&mut disk, &directory)?;
            let stage = make_stage(&mut disk, &directory)?;
            Ok((directory, stage))
        });
        match begun {
            Ok((directory, stage)) => Ok(Publication { directory, stage, created, disk }),
            Err(error) => {
                remove_directories(&mut disk, &created);
                Err(error)
            }
        }
    }

    /// Where it is being made: whatever has a name in there can be published.
    pub fn path(&self) -> &Path {
        self.stage.path()
    }

    /// Makes a directory, of exactly this mode. `path` is relative to [`Publication::path`].
    pub fn create_dir(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        let (directory, name) = self.parent_of(path.as_ref())?;
        self.disk.create_dir(At::new(&directory, name))?;
        self.disk.set_mode(At::new(&directory, name), mode)
    }

    /// Makes a file for the caller to write, of exactly this mode. As for `path`, see [`Publication::create_dir`].
    pub fn create_file(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<File, Error> {
        let (directory, name) = self.parent_of(path.as_ref())?;
        let file = self.disk.create_new(At::new(&directory, name))?;
        self.disk.set_mode(At::new(&directory, name), mode)?;
        Ok(file)
    }

    /// Writes a file, of exactly this mode. As for `path`, see [`Publication::create_dir`].
    pub fn write_file(&mut self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let (directory, name) = self.parent_of(path.as_ref())?;
        self.disk.write_new(At::new(&directory, name), bytes)?;
        self.disk.set_mode(At::new(&directory, name), mode)
    }

    /// Removes a directory with all that is in it.
    pub fn remove(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let (directory, name) = self.parent_of(path.as_ref())?;
        self.disk.remove_tree(At::new(&directory, name))
    }

    /// Removes a file.
    pub fn remove_file(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let (directory, name) = self.parent_of(path.as_ref())?;
        self.disk.remove_file(At::new(&directory, name))
    }

    /// Makes all durable, and renames what is called `made` to the first of the `names` that is free.
    pub fn publish(mut self, made: &str, names: impl IntoIterator<Item = String>) -> Result<PathBuf, Error> {
        sync_tree(&mut self.disk, &self.stage)?;
        for (parent, _) in &self.created {
            self.disk.sync_directory(parent)?;
        }
        let made = At::new(&self.stage, made);
        for name in names {
            let place = At::new(&self.directory, &name);
            match self.disk.rename_new(made, place) {
                Err(Error::Io(IoError { source, .. })) if source.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => {
                    renamed?;
                    self.created.clear();
                    self.disk.sync_directory(&self.directory)?;
                    return Ok(place.path());
                }
            }
        }
        Err(Error::Io(IoError { doing: "naming", path: made.path(), source: io::ErrorKind::AlreadyExists.into() }))
    }

    /// Names of what calls that were killed left in `directory`.
    pub fn left_over(directory: &Path) -> Result<Vec<String>, Error> {
        let found = left_over(&open(directory)?)?;
        Ok(found.into_iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect())
    }

    /// Removes what calls that were killed left in `directory`; its names.
    pub fn remove_left_over(directory: &Path) -> Result<Vec<String>, Error> {
        remove_left_over(&mut Disk::default(), &open(directory)?)
    }

    /// Removes an entry of `directory`: it is gone at once, and whole until then.
    pub fn retire(directory: &Path, name: &str) -> Result<(), Error> {
        let mut retired = Publication::begin(directory)?;
        let from = At::new(&retired.directory, name);
        retired.disk.rename_new(from, At::new(&retired.stage, "retired"))?;
        retired.disk.sync_directory(&retired.directory)
    }

    fn parent_of<'a>(&self, path: &'a Path) -> Result<(Directory, &'a OsStr), Error> {
        let fail = |source| Error::Io(IoError { doing: "opening", path: self.path().join(path), source });
        self.stage.parent_of(path).map_err(fail)
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        let name = self.stage.path().file_name().unwrap_or_default();
        // The error that led here matters more; what is left is removed by the next call.
        let _ = self.disk.remove_tree(At::new(&self.directory, name));
        remove_directories(&mut self.disk, &self.created);
    }
}

fn open(directory: &Path) -> Result<Directory, Error> {
    Directory::open(directory)
        .map_err(|source| Error::Io(IoError { doing: "opening", path: directory.to_owned(), source }))
}

/// Makes a directory and locks it. Another process may take it for left over in between, and remove it.
fn make_stage(disk: &mut Disk, directory: &Directory) -> Result<Directory, Error> {
    for _ in 0..10 {
        let stage = disk.create_temp_dir(directory, PREFIX)?;
        let name = stage.path().file_name().unwrap_or_default();
        let fail = |source| Error::Io(IoError { doing: "locking", path: stage.path().to_owned(), source });
        if try_flock(&stage, Kind::Exclusive).map_err(fail)? && directory.look_at(name).is_ok_and(|it| it.is_some()) {
            return Ok(stage);
        }
    }
    Err(Error::Changed { path: directory.path().to_owned() })
}

/// Stages that nobody works on any more, with their locks. Another user's isn't ours to remove.
fn left_over(directory: &Directory) -> Result<Vec<(OsString, Directory)>, Error> {
    let fail = |source| Error::Io(IoError { doing: "reading", path: directory.path().to_owned(), source });
    let mut found = Vec::new();
    for (name, kind) in directory.entries().map_err(fail)? {
        if kind != FileType::Directory || !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let Ok(stage) = directory.child(&name) else { continue };
        let is_ours = stage.metadata().is_ok_and(|stat| stat.st_uid == geteuid().as_raw());
        if is_ours && try_flock(&stage, Kind::Exclusive).unwrap_or(false) {
            found.push((name, stage));
        }
    }
    Ok(found)
}

/// Removes what nobody works on any more, as far as it can be removed; its names.
fn remove_left_over(disk: &mut Disk, directory: &Directory) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for (name, _lock) in left_over(directory)? {
        if disk.remove_tree(At::new(directory, &name)).is_ok() {
            removed.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(removed)
}
