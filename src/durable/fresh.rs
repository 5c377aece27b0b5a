//! Something new in a directory, which replaces nothing: made out of sight, and there by one rename when it is complete.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::process::geteuid;

use super::disk::Disk;
use super::error::Error;
use super::lock::{Kind, try_flock};
use super::staging::sync_tree;
use super::{make_directories, remove_directories};

/// What the name of the directory begins with that it is made in.
const PREFIX: &str = ".op-conductor-init~new-";

/// A file or directory to be. Dropped without [`Fresh::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Fresh {
    directory: PathBuf,
    stage: PathBuf,
    /// flock on the stage: who finds it without that may remove it.
    _lock: File,
    /// Directories that were made to reach `directory`, outermost first.
    created: Vec<PathBuf>,
    disk: Disk,
}

impl Fresh {
    /// Begins in `directory`, which is made where it is missing. What a process left there that didn't come to its end is
    /// removed.
    pub fn begin(directory: &Path) -> Result<Fresh, Error> {
        Fresh::begin_on(Disk::default(), directory)
    }

    pub(super) fn begin_on(mut disk: Disk, directory: &Path) -> Result<Fresh, Error> {
        let mut created = Vec::new();
        let begun = make_directories(&mut disk, directory, None, &mut created).and_then(|()| {
            remove_left_over(&mut disk, directory)?;
            make_stage(&mut disk, directory)
        });
        match begun {
            Ok((stage, lock)) => Ok(Fresh { directory: directory.to_owned(), stage, _lock: lock, created, disk }),
            Err(error) => {
                remove_directories(&mut disk, &created);
                Err(error)
            }
        }
    }

    /// Where it is being made: whatever has a name in there can be published.
    pub fn path(&self) -> &Path {
        &self.stage
    }

    /// Makes a directory, of exactly this mode. `path` is relative to [`Fresh::path`].
    pub fn create_dir(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        let path = self.stage.join(path);
        self.disk.create_dir(&path)?;
        self.disk.set_mode(&path, mode)
    }

    /// Makes a file for the caller to write, of exactly this mode. As for `path`, see [`Fresh::create_dir`].
    pub fn create_file(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<File, Error> {
        let path = self.stage.join(path);
        let file = self.disk.create_new(&path)?;
        self.disk.set_mode(&path, mode)?;
        Ok(file)
    }

    /// Writes a file, of exactly this mode. As for `path`, see [`Fresh::create_dir`].
    pub fn write_file(&mut self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let path = self.stage.join(path);
        self.disk.write_new(&path, bytes)?;
        self.disk.set_mode(&path, mode)
    }

    /// Removes a directory with all that is in it.
    pub fn remove(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.disk.remove_tree(&self.stage.join(path))
    }

    /// Removes a file.
    pub fn remove_file(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.disk.remove_file(&self.stage.join(path))
    }

    /// Makes all durable, and gives what is called `made` the first of the `names` that is free.
    pub fn publish(mut self, made: &str, names: impl IntoIterator<Item = String>) -> Result<PathBuf, Error> {
        sync_tree(&mut self.disk, &self.stage)?;
        for created in &self.created {
            self.disk.sync(created.parent().filter(|up| !up.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        }
        let made = self.stage.join(made);
        for name in names {
            let place = self.directory.join(name);
            match self.disk.rename_new(&made, &place) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => {
                    renamed?;
                    self.created.clear();
                    self.disk.sync(&self.directory)?;
                    return Ok(place);
                }
            }
        }
        Err(Error::Io { doing: "naming", path: made, source: io::ErrorKind::AlreadyExists.into() })
    }

    /// Names of what calls that were killed left in `directory`.
    pub fn left_over(directory: &Path) -> Result<Vec<String>, Error> {
        Ok(left_over(directory)?.into_iter().map(|(name, _)| name).collect())
    }

    /// Removes what calls that were killed left in `directory`; its names.
    pub fn remove_left_over(directory: &Path) -> Result<Vec<String>, Error> {
        remove_left_over(&mut Disk::default(), directory)
    }

    /// Removes an entry of `directory`: it is gone at once, and whole until then.
    pub fn retire(directory: &Path, name: &str) -> Result<(), Error> {
        let mut retired = Fresh::begin(directory)?;
        retired.disk.rename_new(&directory.join(name), &retired.stage.join("retired"))?;
        retired.disk.sync(directory)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // The error that led here matters more; what is left is removed by the next call.
        let _ = self.disk.remove_tree(&self.stage);
        remove_directories(&mut self.disk, &self.created);
    }
}

/// Makes a directory and locks it. Another process may take it for left over in between, and remove it.
fn make_stage(disk: &mut Disk, directory: &Path) -> Result<(PathBuf, File), Error> {
    for _ in 0..10 {
        let stage = disk.create_temp_dir(directory, PREFIX)?;
        let Ok(lock) = File::open(&stage) else { continue };
        let fail = |source| Error::Io { doing: "locking", path: stage.clone(), source };
        if try_flock(&lock, Kind::Exclusive).map_err(fail)? && stage.is_dir() {
            return Ok((stage, lock));
        }
    }
    Err(Error::Changed { path: directory.to_owned() })
}

/// Stages that nobody works on any more, with their locks. Another user's isn't ours to remove.
fn left_over(directory: &Path) -> Result<Vec<(String, OwnedFd)>, Error> {
    let fail = |source| Error::Io { doing: "reading", path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with(PREFIX) {
            continue;
        }
        // Not through a link, and a pipe would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(stage) = openat(CWD, entry.path(), flags, Mode::empty()) else { continue };
        let is_ours = fstat(&stage).is_ok_and(|stat| stat.st_uid == geteuid().as_raw());
        if is_ours && try_flock(&stage, Kind::Exclusive).unwrap_or(false) {
            found.push((name, stage));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Removes what nobody works on any more, as far as it can be removed; its names.
fn remove_left_over(disk: &mut Disk, directory: &Path) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for (name, _lock) in left_over(directory)? {
        if disk.remove_tree(&directory.join(&name)).is_ok() {
            removed.push(name);
        }
    }
    Ok(removed)
}
