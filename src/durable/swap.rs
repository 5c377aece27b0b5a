//! From the commit point on: each entry swapped in, or all put back.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::disk::Disk;
use super::error::Error;
use super::journal::{Entry, JOURNAL, Journal};

/// A decided replacement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Swap<'a> {
    pub(super) root: &'a Path,
    pub(super) stage: &'a Path,
    pub(super) journal: &'a Journal,
}

/// Where an entry stands on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The new one is staged; what was there is there.
    Staged,
    /// The new one is staged; what was there is in `old`. Only where two renames are needed.
    Between,
    /// The new one is in place, what was there is where the new one was. Only where exchange works.
    Exchanged,
    /// The new one is in place.
    Done,
}

impl Swap<'_> {
    /// Finishes the replacement from wherever it stands, and says where the old entries are.
    pub(super) fn settle(self, disk: &mut Disk) -> Result<Option<PathBuf>, Error> {
        let unfinished = |cause| Error::Unfinished { stage: self.stage.to_owned(), cause: Box::new(cause) };
        if let Err(cause) = self.roll_forward(disk) {
            return Err(match self.roll_back(disk).and_then(|()| self.clear(disk)) {
                Ok(()) => Error::Undone { cause: Box::new(cause) },
                Err(_) => unfinished(cause),
            });
        }
        let replaced = self.retire(disk).map_err(unfinished)?;
        self.clear(disk).map_err(unfinished)?;
        Ok(replaced)
    }

    fn roll_forward(self, disk: &mut Disk) -> Result<(), Error> {
        for entry in &self.journal.entries {
            let (new, place, old) = self.paths(entry);
            match self.progress(entry)? {
                Progress::Staged if inode(&place)? != entry.old => return Err(Error::Changed { path: place }),
                Progress::Staged if entry.old.is_none() => disk.rename_new(&new, &place)?,
                Progress::Staged => {
                    if disk.exchange(&new, &place).map_err(mount_point)? {
                        disk.rename_new(&new, &old)?;
                    } else {
                        disk.rename_new(&place, &old).map_err(mount_point)?;
                        disk.rename_new(&new, &place)?;
                    }
                }
                Progress::Between => disk.rename_new(&new, &place)?,
                Progress::Exchanged => disk.rename_new(&new, &old)?,
                Progress::Done => {}
            }
        }
        self.sync(disk)
    }

    fn roll_back(self, disk: &mut Disk) -> Result<(), Error> {
        let olds = self.stage.join("old");
        if inode(&olds)?.is_none() {
            // Retired already: there is nothing that could be put back.
            return Err(Error::Changed { path: olds });
        }
        for entry in self.journal.entries.iter().rev() {
            let (new, place, old) = self.paths(entry);
            match self.progress(entry)? {
                Progress::Staged => {}
                Progress::Between => disk.rename_new(&old, &place)?,
                Progress::Exchanged => drop(disk.exchange(&new, &place)?),
                Progress::Done if inode(&place)? != Some(entry.new) => return Err(Error::Changed { path: place }),
                Progress::Done => {
                    disk.rename_new(&place, &new)?;
                    if entry.old.is_some() {
                        disk.rename_new(&old, &place)?;
                    }
                }
            }
        }
        self.sync(disk)
    }

    /// Gives what was replaced its lasting name. An empty directory is not kept.
    fn retire(self, disk: &mut Disk) -> Result<Option<PathBuf>, Error> {
        let olds = self.stage.join("old");
        if inode(&olds)?.is_none() {
            let replaced = self.root.join(&self.journal.replaced);
            return Ok(inode(&replaced)?.map(|_| replaced));
        }
        for entry in self.journal.entries.iter().filter(|entry| entry.old.is_some()) {
            let old = olds.join(&entry.name);
            if is_empty_dir(&old) {
                disk.remove_dir(&old)?;
            }
        }
        if is_empty_dir(&olds) {
            disk.remove_dir(&olds)?;
            return Ok(None);
        }
        let replaced = self.free_name()?;
        disk.rename_new(&olds, &replaced)?;
        disk.sync(self.root)?;
        Ok(Some(replaced))
    }

    fn free_name(self) -> Result<PathBuf, Error> {
        let mut path = self.root.join(&self.journal.replaced);
        for suffix in 2_u32.. {
            if inode(&path)?.is_none() {
                break;
            }
            path = self.root.join(format!("{}-{suffix}", self.journal.replaced));
        }
        Ok(path)
    }

    /// Removes the journal, and with it all meaning of the stage, then the stage.
    fn clear(self, disk: &mut Disk) -> Result<(), Error> {
        disk.remove_file(&self.stage.join(JOURNAL))?;
        // Should the journal come back, or the stage stay, then the next command deals with it and nothing is half.
        let _ = disk.sync(self.stage).and_then(|()| disk.remove_tree(self.stage));
        Ok(())
    }

    fn sync(self, disk: &mut Disk) -> Result<(), Error> {
        disk.sync(self.root)?;
        disk.sync(self.stage)?;
        for directory in ["new", "old"] {
            let directory = self.stage.join(directory);
            if inode(&directory)?.is_some() {
                disk.sync(&directory)?;
            }
        }
        Ok(())
    }

    fn progress(self, entry: &Entry) -> Result<Progress, Error> {
        let (new, place, old) = self.paths(entry);
        match inode(&new)? {
            None => Ok(Progress::Done),
            Some(inside) if inside == entry.new && inode(&old)?.is_some() => Ok(Progress::Between),
            Some(inside) if inside == entry.new => Ok(Progress::Staged),
            Some(_) if inode(&place)? == Some(entry.new) => Ok(Progress::Exchanged),
            Some(_) => Err(Error::Changed { path: place }),
        }
    }

    fn paths(self, entry: &Entry) -> (PathBuf, PathBuf, PathBuf) {
        let name = &entry.name;
        (self.stage.join("new").join(name), self.root.join(name), self.stage.join("old").join(name))
    }
}

/// The inode of an entry, if there is one; a symbolic link has its own.
pub(super) fn inode(path: &Path) -> Result<Option<u64>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { doing: "looking at", path: path.to_owned(), source }),
    }
}

fn is_empty_dir(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_none())
}

/// What rename says of a mount point.
fn mount_point(error: Error) -> Error {
    match error {
        Error::Io { path, source, .. }
            if [Errno::BUSY, Errno::XDEV].iter().any(|known| source.raw_os_error() == Some(known.raw_os_error())) =>
        {
            Error::MountPoint { path, source }
        }
        other => other,
    }
}
