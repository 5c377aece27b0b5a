//! Builds new entries in a staging directory and swaps them in.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::directory::Directory;
use super::disk::{At, Disk, Owner};
use super::error::Error;
use super::io_error::IoError;
use super::journal::{Entry, JOURNAL, Journal, REPLACED_PREFIX, STAGE_PREFIX, is_one_name};
use super::swap::{Swap, inode};
use super::{Moved, ROOT_MODE, Recovery, Root, utc_now};

/// New entries of the output directory. Dropped without [`Staging::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Staging {
    root: Root,
    stage: Directory,
    /// Where the new entries are built.
    new: Directory,
    /// Names of directories of the output directory that stay, and in which entries are replaced.
    staying: Vec<String>,
    /// Names of the entries, and the inode of what was in their place when they were begun.
    entries: Vec<(String, Option<u64>)>,
    /// After the commit point the stage is the journal's, and no more ours to remove.
    decided: bool,
}

/// What a commit did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Committed {
    /// Where the entries from before are, if there were any.
    pub replaced: Option<PathBuf>,
    /// What was settled first, because earlier calls had been interrupted.
    pub recovered: Vec<Recovery>,
}

impl Staging {
    pub(super) fn begin(mut root: Root) -> Result<Staging, Error> {
        let stage = root.disk.create_temp_dir(&root.directory, STAGE_PREFIX)?;
        let made = ["new", "old"].map(|name| {
            let made = root.disk.create_dir(At::new(&stage, name))?;
            root.disk.set_mode(At::new(&stage, name), ROOT_MODE)?;
            Ok(made)
        });
        match made {
            [Ok(new), Ok(_)] => {
                Ok(Staging { root, stage, new, staying: Vec::new(), entries: Vec::new(), decided: false })
            }
            [Err(error), _] | [_, Err(error)] => {
                let name = stage.path().file_name().unwrap_or_default().to_owned();
                // The error that led here matters more; what is left is removed by the next command.
                let _ = root.disk.remove_tree(At::new(&root.directory, &name));
                Err(error)
            }
        }
    }

    /// The output directory.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// From now on the directory `name` of the output directory stays, and entries in it are replaced: paths that begin
    /// with `name` name these.
    ///
    /// # Errors
    /// [`Error::Symlink`] and [`Error::MountPoint`] for what can't hold entries of the same replacement.
    pub fn replace_within(&mut self, name: &str) -> Result<(), Error> {
        self.root.check_replaceable(name)?;
        for side in ["new", "old"] {
            let side = child(&self.stage, side.as_ref())?;
            self.root.disk.create_dir(At::new(&side, name))?;
            self.root.disk.set_mode(At::new(&side, name), ROOT_MODE)?;
        }
        self.staying.push(name.to_owned());
        Ok(())
    }

    /// Makes a directory, of exactly this mode.
    ///
    /// `path` is relative to the output directory; its first part is the entry that will be replaced.
    pub fn create_dir(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        let (directory, name) = self.enter(path.as_ref())?;
        let at = At::new(&directory, name);
        self.root.disk.create_dir(at)?;
        self.root.set_attributes(at, self.root.owner, mode)
    }

    /// Writes a file, of exactly this mode. As for `path`, see [`Staging::create_dir`].
    pub fn write_file(&mut self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let (directory, name) = self.enter(path.as_ref())?;
        let at = At::new(&directory, name);
        self.root.disk.write_new(at, bytes)?;
        self.root.set_attributes(at, self.root.owner, mode)
    }

    /// Makes a file that the caller writes, and whose mode and owner it sets at the end. As for `path`, see
    /// [`Staging::create_dir`].
    pub fn create_file(&mut self, path: impl AsRef<Path>) -> Result<File, Error> {
        let (directory, name) = self.enter(path.as_ref())?;
        self.root.disk.create_new(At::new(&directory, name))
    }

    /// Where a path of the output directory is staged: what is there may be read until the commit.
    pub fn staged(&self, path: impl AsRef<Path>) -> PathBuf {
        self.new.path().join(path)
    }

    /// As [`Staging::staged`], by the handle where the system has a path for that: what is written there is written to the
    /// stage, whatever somebody renames meanwhile.
    pub fn held(&self, path: impl AsRef<Path>) -> PathBuf {
        // proc(5) /proc/pid/fd: the link leads to the directory itself.
        let by_handle = PathBuf::from(format!("/proc/self/fd/{}", self.new.as_fd().as_raw_fd()));
        let is_there = by_handle
            .metadata()
            .is_ok_and(|metadata| self.new.id().is_ok_and(|id| id == (metadata.dev(), metadata.ino())));
        if is_there { by_handle.join(path) } else { self.staged(path) }
    }

    /// Sets exactly this mode, and the owner of all that is staged.
    pub fn set_mode(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        self.set_attributes(path, mode, None)
    }

    /// Sets exactly this mode, and the owner of all that is staged, or else `owner`.
    pub fn set_attributes(&mut self, path: impl AsRef<Path>, mode: u32, owner: Option<Owner>) -> Result<(), Error> {
        let (directory, name) = self.enter(path.as_ref())?;
        let at = At::new(&directory, name);
        let owner = self.root.owner.or(owner);
        self.change_attributes(at, mode, owner)
    }

    /// Sets the mode and the owner of what is replaced.
    pub fn copy_attributes(&mut self, path: impl AsRef<Path>, like: &Metadata) -> Result<(), Error> {
        let (directory, name) = self.enter(path.as_ref())?;
        let owner = Owner { uid: like.uid(), gid: like.gid() };
        self.change_attributes(At::new(&directory, name), like.mode(), Some(owner))
    }

    /// Sets the owner where it is another, and the mode: not everybody may set what is so already.
    fn change_attributes(&mut self, at: At<'_>, mode: u32, owner: Option<Owner>) -> Result<(), Error> {
        let looking = |source| Error::Io(IoError { doing: "looking at", path: at.path(), source });
        let now = at.directory.look_at(at.name).map_err(looking)?.map(|it| Owner { uid: it.st_uid, gid: it.st_gid });
        self.root.set_attributes(at, owner.filter(|owner| now != Some(*owner)), mode)
    }

    /// Makes everything durable, settles what was interrupted, decides, and swaps the entries in.
    ///
    /// Before anything is moved `hold` is called: it locks the stores in what will move, or returns an error, and then
    /// nothing is decided. What it locks must stay locked until this returns.
    pub fn commit<E: From<Error>>(mut self, hold: &mut dyn FnMut(Moved<'_>) -> Result<(), E>) -> Result<Committed, E> {
        self.make_durable()?;
        let recovered = self.root.settle(hold)?;
        hold(Moved::Entries)?;
        let journal = self.decide()?;
        let swap = Swap { root: &self.root.directory, stage: &self.stage, journal: &journal };
        let settled = swap.settle(&mut self.root.disk);
        if !matches!(settled, Err(Error::Undone { .. })) {
            self.root.created.clear();
        }
        Ok(Committed { replaced: settled?, recovered })
    }

    /// The directory that a path is in, where it is staged, and its name in there. The first part of the path becomes one
    /// of the entries, or the second in a directory that stays.
    fn enter<'a>(&mut self, path: &'a Path) -> Result<(Directory, &'a OsStr), Error> {
        let invalid = |source| Error::Io(IoError { doing: "staging", path: path.to_owned(), source });
        let parts: Option<Vec<&str>> =
            path.components().map(|part| part.as_os_str().to_str().filter(|part| is_one_name(part))).collect();
        let parts = parts.unwrap_or_default();
        let entry = match parts.as_slice() {
            [] => return Err(invalid(std::io::ErrorKind::InvalidInput.into())),
            [first, second, ..] if self.staying.iter().any(|name| name == first) => format!("{first}/{second}"),
            [first, ..] => (*first).to_owned(),
        };
        if !self.entries.iter().rev().any(|(known, _)| *known == entry) {
            let old = self.root.inode_after(&entry)?;
            self.entries.push((entry, old));
        }
        self.new.parent_of(path).map_err(invalid)
    }

    fn make_durable(&mut self) -> Result<(), Error> {
        sync_tree(&mut self.root.disk, &self.stage)?;
        self.root.disk.sync_directory(&self.root.directory)?;
        for (parent, _) in &self.root.created {
            self.root.disk.sync_directory(parent)?;
        }
        Ok(())
    }

    /// The way to the commit point.
    fn decide(&mut self) -> Result<Journal, Error> {
        let journal = Journal::new(replaced_name(), self.journal_entries()?);
        let (beside, at) = (At::new(&self.stage, "journal.new"), At::new(&self.stage, JOURNAL));
        self.root.disk.write_new(beside, &journal.encode())?;
        self.root.disk.sync(beside)?;
        self.root.disk.rename_new(beside, at)?;
        let synced = self.root.disk.sync_directory(&self.stage);
        if let Err(error) = synced {
            // Not surely durable, so it must not stay decided, either.
            self.root.disk.remove_file(at)?;
            return Err(error);
        }
        self.decided = true;
        Ok(journal)
    }

    fn journal_entries(&self) -> Result<Vec<Entry>, Error> {
        let entry = |(name, old): &(String, Option<u64>)| {
            let missing = || Error::Changed { path: self.new.path().join(name) };
            let (directory, last) = self.new.parent_of(Path::new(name)).map_err(|_| missing())?;
            let new = inode(At::new(&directory, last))?.ok_or_else(missing)?;
            Ok(Entry { name: name.clone(), new, old: *old })
        };
        self.entries.iter().map(entry).collect()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.decided {
            let name = self.stage.path().file_name().unwrap_or_default();
            // The error that led here matters more; what is left is removed by the next command.
            let _ = self.root.disk.remove_tree(At::new(&self.root.directory, name));
        }
    }
}

/// Syncs all files and directories in `directory`, and that itself, inner ones first.
pub(super) fn sync_tree(disk: &mut Disk, directory: &Directory) -> Result<(), Error> {
    let fail = |source| Error::Io(IoError { doing: "reading", path: directory.path().to_owned(), source });
    for (name, kind) in directory.entries().map_err(fail)? {
        if kind == FileType::Directory {
            sync_tree(disk, &child(directory, &name)?)?;
        } else {
            disk.sync(At::new(directory, &name))?;
        }
    }
    disk.sync_directory(directory)
}

fn child(directory: &Directory, name: &OsStr) -> Result<Directory, Error> {
    directory
        .child(name)
        .map_err(|source| Error::Io(IoError { doing: "opening", path: directory.path().join(name), source }))
}

fn replaced_name() -> String {
    format!("{REPLACED_PREFIX}{}", utc_now().strftime("%Y%m%d-%H%M%S"))
}
