//! What shall be, made out of the way and swapped in at once.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Owner};
use super::error::Error;
use super::journal::{Entry, JOURNAL, Journal, STAGE_PREFIX, is_one_name};
use super::swap::{Swap, inode};
use super::{ROOT_MODE, Root};

/// New entries of the output directory. Dropped without [`Staging::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Staging {
    root: Root,
    stage: PathBuf,
    /// Names of the entries, and what stood in their place when they were begun.
    entries: Vec<(String, Option<u64>)>,
    /// After the commit point the stage is the journal's, and no more ours to remove.
    decided: bool,
}

impl Staging {
    pub(super) fn begin(mut root: Root) -> Result<Staging, Error> {
        let stage = root.disk.create_temp_dir(&root.path, STAGE_PREFIX)?;
        let mut staging = Staging { root, stage, entries: Vec::new(), decided: false };
        for directory in ["new", "old"] {
            let directory = staging.stage.join(directory);
            staging.root.disk.create_dir(&directory)?;
            staging.root.disk.set_mode(&directory, ROOT_MODE)?;
        }
        Ok(staging)
    }

    /// Makes a directory, of exactly this mode.
    ///
    /// `path` is relative to the output directory; its first part is the entry that will be replaced.
    pub fn create_dir(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        let path = self.enter(path.as_ref())?;
        self.root.disk.create_dir(&path)?;
        self.finish(&path, mode)
    }

    /// Writes a file, of exactly this mode. As for `path`, see [`Staging::create_dir`].
    pub fn write_file(&mut self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let path = self.enter(path.as_ref())?;
        self.root.disk.write_new(&path, bytes)?;
        self.finish(&path, mode)
    }

    /// Makes a file that the caller writes, and then hands to [`Staging::keep`]. As for `path`, see
    /// [`Staging::create_dir`].
    pub fn create_file(&mut self, path: impl AsRef<Path>) -> Result<File, Error> {
        let path = self.enter(path.as_ref())?;
        self.root.disk.create_new(&path)
    }

    /// Where a path of the output directory is staged: what is there may be read until the commit.
    pub fn staged(&self, path: impl AsRef<Path>) -> PathBuf {
        self.stage.join("new").join(path)
    }

    /// Gives a staged file exactly this mode, and the owner of all that is staged.
    pub fn set_mode(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        let path = self.enter(path.as_ref())?;
        self.finish(&path, mode)
    }

    /// Gives a staged file or directory the mode and the owner of what it takes the place of.
    pub fn keep(&mut self, path: impl AsRef<Path>, like: &Metadata) -> Result<(), Error> {
        let path = self.enter(path.as_ref())?;
        let ours =
            fs::metadata(&path).map_err(|source| Error::Io { doing: "looking at", path: path.clone(), source })?;
        if (ours.uid(), ours.gid()) != (like.uid(), like.gid()) {
            self.root.disk.set_owner(&path, Some(Owner { uid: like.uid(), gid: like.gid() }))?;
        }
        self.root.disk.set_mode(&path, like.mode() & 0o7777)
    }

    /// Gives a staged file or directory this mode, and the owner of all that is staged, or else `owner`.
    pub fn give(&mut self, path: impl AsRef<Path>, mode: u32, owner: Option<Owner>) -> Result<(), Error> {
        let path = self.enter(path.as_ref())?;
        let ours =
            fs::metadata(&path).map_err(|source| Error::Io { doing: "looking at", path: path.clone(), source })?;
        let owner = self.root.owner.or(owner).filter(|owner| (owner.uid, owner.gid) != (ours.uid(), ours.gid()));
        self.root.disk.set_owner(&path, owner)?;
        self.root.disk.set_mode(&path, mode)
    }

    /// Makes everything durable, decides, and swaps the entries in. Returns where the entries from before are, if there
    /// were any.
    pub fn commit(mut self) -> Result<Option<PathBuf>, Error> {
        let journal = self.decide()?;
        let swap = Swap { root: &self.root.path, stage: &self.stage, journal: &journal };
        let settled = swap.settle(&mut self.root.disk);
        if !matches!(settled, Err(Error::Undone { .. })) {
            self.root.created.clear();
        }
        settled
    }

    /// Where a path of the output directory is staged. The first part of the path becomes one of the entries.
    fn enter(&mut self, path: &Path) -> Result<PathBuf, Error> {
        let mut parts = path.components().map(|part| part.as_os_str().to_str().filter(|part| is_one_name(part)));
        let Some(Some(name)) = parts.next().filter(|_| parts.all(|part| part.is_some())) else {
            let source = io::ErrorKind::InvalidInput.into();
            return Err(Error::Io { doing: "staging", path: path.to_owned(), source });
        };
        if !self.entries.iter().any(|(entry, _)| entry == name) {
            let old = inode(&self.root.path.join(name))?;
            self.entries.push((name.to_owned(), old));
        }
        Ok(self.stage.join("new").join(path))
    }

    fn finish(&mut self, path: &Path, mode: u32) -> Result<(), Error> {
        self.root.disk.set_owner(path, self.root.owner)?;
        self.root.disk.set_mode(path, mode)
    }

    /// The way to the commit point.
    fn decide(&mut self) -> Result<Journal, Error> {
        sync_tree(&mut self.root.disk, &self.stage)?;
        self.root.disk.sync(&self.root.path)?;
        for created in &self.root.created {
            self.root.disk.sync(created.parent().filter(|up| !up.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        }
        let journal = Journal::new(replaced_name(), self.journal_entries()?);
        let (path, beside) = (self.stage.join(JOURNAL), self.stage.join("journal.new"));
        self.root.disk.write_new(&beside, &journal.encode())?;
        self.root.disk.sync(&beside)?;
        self.root.disk.rename_new(&beside, &path)?;
        let synced = self.root.disk.sync(&self.stage);
        if let Err(error) = synced {
            // Not surely durable, so it must not stay decided, either.
            self.root.disk.remove_file(&path)?;
            return Err(error);
        }
        self.decided = true;
        Ok(journal)
    }

    fn journal_entries(&self) -> Result<Vec<Entry>, Error> {
        let entry = |(name, old): &(String, Option<u64>)| {
            let path = self.stage.join("new").join(name);
            let missing = || Error::Changed { path: path.clone() };
            Ok(Entry { name: name.clone(), new: inode(&path)?.ok_or_else(missing)?, old: *old })
        };
        self.entries.iter().map(entry).collect()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.decided {
            // The error that led here matters more; what is left is removed by the next command.
            let _ = self.root.disk.remove_tree(&self.stage);
        }
    }
}

/// Syncs all files and directories below `directory`, and that itself, inner ones first.
pub(super) fn sync_tree(disk: &mut Disk, directory: &Path) -> Result<(), Error> {
    let fail = |source| Error::Io { doing: "reading", path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_type().map_err(fail)?.is_dir() {
            sync_tree(disk, &entry.path())?;
        } else {
            disk.sync(&entry.path())?;
        }
    }
    disk.sync(directory)
}

fn replaced_name() -> String {
    jiff::Timestamp::now().strftime(".replaced-%Y%m%d-%H%M%S").to_string()
}
