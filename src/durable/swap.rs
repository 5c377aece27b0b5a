//! From the commit point on: each entry swapped in, or all put back.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::directory::Directory;
use super::disk::{At, Disk};
use super::error::Error;
use super::io_error::IoError;
use super::journal::{Entry, JOURNAL, Journal};

/// A decided replacement.
#[derive(Debug)]
pub(super) struct Swap<'a> {
    pub(super) root: &'a Directory,
    pub(super) stage: &'a Directory,
    pub(super) journal: &'a Journal,
}

/// How far an entry has come.
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

/// The directories in which an entry may be, and its name in each.
struct Places<'a> {
    new: Directory,
    place: Directory,
    old: Directory,
    name: &'a OsStr,
}

impl Places<'_> {
    fn staged(&self) -> At<'_> {
        At::new(&self.new, self.name)
    }

    fn place(&self) -> At<'_> {
        At::new(&self.place, self.name)
    }

    fn old(&self) -> At<'_> {
        At::new(&self.old, self.name)
    }
}

impl Swap<'_> {
    /// Finishes the replacement from wherever it is, and says where the old entries are.
    pub(super) fn settle(&self, disk: &mut Disk) -> Result<Option<PathBuf>, Error> {
        let unfinished = |cause| Error::Unfinished { stage: self.stage.path().to_owned(), cause: Box::new(cause) };
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

    /// Where the entry `name` will have been after this, before anything is moved: its path now.
    pub(super) fn path_after(&self, name: &str) -> Option<PathBuf> {
        let entry = self.journal.entries.iter().find(|entry| entry.name == name)?;
        let (new, place) = (self.stage.path().join("new").join(name), self.root.path().join(name));
        match self.progress_of(entry).ok()? {
            Progress::Staged | Progress::Between => Some(new),
            Progress::Exchanged | Progress::Done => Some(place),
        }
    }

    fn roll_forward(&self, disk: &mut Disk) -> Result<(), Error> {
        if self.is_retired()? {
            return Ok(());
        }
        for entry in &self.journal.entries {
            let at = self.places(entry)?;
            match progress(&at, entry)? {
                Progress::Staged if inode(at.place())? != entry.old => {
                    return Err(Error::Changed { path: at.place().path() });
                }
                Progress::Staged if entry.old.is_none() => disk.rename_new(at.staged(), at.place())?,
                Progress::Staged => {
                    if disk.exchange(at.staged(), at.place()).map_err(mount_point)? {
                        disk.rename_new(at.staged(), at.old())?;
                    } else {
                        disk.rename_new(at.place(), at.old()).map_err(mount_point)?;
                        disk.rename_new(at.staged(), at.place())?;
                    }
                }
                Progress::Between => disk.rename_new(at.staged(), at.place())?,
                Progress::Exchanged => disk.rename_new(at.staged(), at.old())?,
                Progress::Done => {}
            }
        }
        self.sync(disk)
    }

    fn roll_back(&self, disk: &mut Disk) -> Result<(), Error> {
        if self.is_retired()? {
            // There is nothing that could be put back.
            return Err(Error::Changed { path: self.stage.path().join("old") });
        }
        for entry in self.journal.entries.iter().rev() {
            let at = self.places(entry)?;
            match progress(&at, entry)? {
                Progress::Staged => {}
                Progress::Between => disk.rename_new(at.old(), at.place())?,
                Progress::Exchanged => drop(disk.exchange(at.staged(), at.place())?),
                Progress::Done if inode(at.place())? != Some(entry.new) => {
                    return Err(Error::Changed { path: at.place().path() });
                }
                Progress::Done => {
                    disk.rename_new(at.place(), at.staged())?;
                    if entry.old.is_some() {
                        disk.rename_new(at.old(), at.place())?;
                    }
                }
            }
        }
        self.sync(disk)
    }

    /// Gives what was replaced its lasting name. An empty directory is not kept.
    fn retire(&self, disk: &mut Disk) -> Result<Option<PathBuf>, Error> {
        if self.is_retired()? {
            let replaced = At::new(self.root, &self.journal.replaced);
            return Ok(inode(replaced)?.map(|_| replaced.path()));
        }
        let olds = child(self.stage, "old")?;
        for entry in self.journal.entries.iter().filter(|entry| entry.old.is_some() && !entry.name.contains('/')) {
            if olds.child(&entry.name).is_ok_and(|old| old.is_empty().unwrap_or(false)) {
                disk.remove_dir(At::new(&olds, &entry.name))?;
            }
        }
        if olds.is_empty().map_err(|source| reading(&olds, source))? {
            disk.remove_dir(At::new(self.stage, "old"))?;
            return Ok(None);
        }
        let name = self.free_name()?;
        let replaced = At::new(self.root, &name);
        disk.rename_new(At::new(self.stage, "old"), replaced)?;
        disk.sync_directory(self.root)?;
        Ok(Some(replaced.path()))
    }

    fn free_name(&self) -> Result<String, Error> {
        let mut name = self.journal.replaced.clone();
        for suffix in 2_u32.. {
            if inode(At::new(self.root, &name))?.is_none() {
                break;
            }
            name = format!("{}-{suffix}", self.journal.replaced);
        }
        Ok(name)
    }

    /// Removes the journal, and with it all meaning of the stage, then the stage.
    fn clear(&self, disk: &mut Disk) -> Result<(), Error> {
        disk.remove_file(At::new(self.stage, JOURNAL))?;
        let name = self.stage.path().file_name().unwrap_or_default();
        // Should the journal come back, or the stage stay, then the next command deals with it and nothing is half.
        let _ = disk.sync_directory(self.stage).and_then(|()| disk.remove_tree(At::new(self.root, name)));
        Ok(())
    }

    fn sync(&self, disk: &mut Disk) -> Result<(), Error> {
        disk.sync_directory(self.root)?;
        disk.sync_directory(self.stage)?;
        for name in ["new", "old"] {
            disk.sync_directory(&child(self.stage, name)?)?;
        }
        let mut within: Vec<&str> =
            self.journal.entries.iter().filter_map(|entry| Some(entry.name.split_once('/')?.0)).collect();
        within.dedup();
        for name in within {
            disk.sync_directory(&child(self.root, name)?)?;
            for side in ["new", "old"] {
                disk.sync_directory(&child(&child(self.stage, side)?, name)?)?;
            }
        }
        Ok(())
    }

    /// Whether what was replaced has its lasting name already: all entries are new, then.
    fn is_retired(&self) -> Result<bool, Error> {
        Ok(inode(At::new(self.stage, "old"))?.is_none())
    }

    fn progress_of(&self, entry: &Entry) -> Result<Progress, Error> {
        if self.is_retired()? {
            return Ok(Progress::Done);
        }
        progress(&self.places(entry)?, entry)
    }

    fn places<'a>(&self, entry: &'a Entry) -> Result<Places<'a>, Error> {
        let (new, old) = (child(self.stage, "new")?, child(self.stage, "old")?);
        match entry.name.split_once('/') {
            None => {
                let place = self.root.try_clone().map_err(|source| reading(self.root, source))?;
                Ok(Places { new, place, old, name: entry.name.as_ref() })
            }
            Some((within, name)) => Ok(Places {
                new: child(&new, within)?,
                place: child(self.root, within)?,
                old: child(&old, within)?,
                name: name.as_ref(),
            }),
        }
    }
}

fn child(parent: &Directory, name: &str) -> Result<Directory, Error> {
    parent.child(name).map_err(|source| Error::Io(IoError { doing: "opening", path: parent.path().join(name), source }))
}

fn progress(at: &Places<'_>, entry: &Entry) -> Result<Progress, Error> {
    match inode(at.staged())? {
        None => Ok(Progress::Done),
        Some(inside) if inside == entry.new && inode(at.old())?.is_some() => Ok(Progress::Between),
        Some(inside) if inside == entry.new => Ok(Progress::Staged),
        Some(_) if inode(at.place())? == Some(entry.new) => Ok(Progress::Exchanged),
        Some(_) => Err(Error::Changed { path: at.place().path() }),
    }
}

/// The inode of an entry, if there is one; a symbolic link has its own.
pub(super) fn inode(at: At<'_>) -> Result<Option<u64>, Error> {
    at.directory.inode(at.name).map_err(|source| Error::Io(IoError { doing: "looking at", path: at.path(), source }))
}

fn reading(directory: &Directory, source: io::Error) -> Error {
    Error::Io(IoError { doing: "reading", path: directory.path().to_owned(), source })
}

/// What rename says of a mount point.
fn mount_point(error: Error) -> Error {
    match error {
        Error::Io(IoError { path, source, .. })
            if [Errno::BUSY, Errno::XDEV].iter().any(|known| source.raw_os_error() == Some(known.raw_os_error())) =>
        {
            Error::MountPoint { path }
        }
        other => other,
    }
}
