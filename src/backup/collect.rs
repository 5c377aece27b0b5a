//! One server's directory, copied into a backup that is being made.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::copy::{Copied, CopyError, copy};
use super::error::Error;
use super::live;
use super::manifest::{DirectoryEntry, FileEntry, Manifest};
use crate::durable::open_file;
use crate::durable::{Fresh, Paced, Syncer};
use crate::report::Progress;
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE, lock_shared};
use crate::state::{LOST_FOUND, StateDir};

/// A backup that is being made.
pub(super) struct Making<'a> {
    pub(super) fresh: &'a mut Fresh,
    /// Name of the directory that it is made in, within `fresh`.
    pub(super) top: &'a Path,
    pub(super) manifest: &'a mut Manifest,
    /// Makes files durable while others are copied.
    pub(super) syncer: Option<&'a Syncer>,
    pub(super) progress: &'a dyn Progress,
}

/// How a server was copied.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) running: bool,
    pub(super) rewritten: Vec<String>,
}

impl Making<'_> {
    /// Copies the server in `dir`.
    pub(super) fn node(&mut self, dir: &StateDir) -> Result<Taken, Error> {
        let (id, directory) = (dir.id(), dir.path());
        // Held until all of it is copied.
        if let Some(_not_running) = lock_shared(dir)? {
            self.directory(directory, id)?;
            for name in [LOG_FILE, STABLE_FILE] {
                self.file_if_there(&directory.join(name), &format!("{id}/{name}"))?;
            }
            let snapshots = directory.join(SNAPSHOTS_DIR);
            if snapshots.is_dir() {
                self.tree(&snapshots, &format!("{id}/{SNAPSHOTS_DIR}"))?;
            }
            return Ok(Taken::default());
        }
        let rewritten = live::node(self, id, directory)?;
        Ok(Taken { running: true, rewritten })
    }

    /// Copies a file as it is.
    pub(super) fn file(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        let reading = |source| Error::Io { doing: "reading", path: from.to_owned(), source };
        let mut source = open_file(from).map_err(reading)?;
        let metadata = source.metadata().map_err(reading)?;
        let to = self.create(path, &metadata)?;
        let made = self.fresh.path().join(self.top).join(path);
        let copied = copy(&mut source, &mut Paced::new(&to, &made, self.syncer), self.progress)
            .map_err(|error| self.failed(error, from, path))?;
        self.done(to, path, &metadata, copied)
    }

    fn file_if_there(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        match self.file(from, path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            copied => copied,
        }
    }

    /// Makes a directory of which `from` is the original.
    pub(super) fn directory(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        let looking = |source| Error::Io { doing: "looking at", path: from.to_owned(), source };
        let metadata = from.metadata().map_err(looking)?;
        // Who makes a backup must be able to remove it.
        self.fresh.create_dir(self.top.join(path), metadata.mode() & 0o7777 | 0o700)?;
        self.manifest.directories.push(DirectoryEntry {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        });
        Ok(())
    }

    /// Makes a file of which another with this metadata is the original.
    pub(super) fn create(&mut self, path: &str, metadata: &Metadata) -> Result<File, Error> {
        Ok(self.fresh.create_file(self.top.join(path), metadata.mode() & 0o7777 | 0o400)?)
    }

    /// Notes a file that was copied, and has it made durable.
    pub(super) fn done(&mut self, file: File, path: &str, like: &Metadata, copied: Copied) -> Result<(), Error> {
        if let Some(syncer) = self.syncer {
            syncer.sync(file, &self.fresh.path().join(self.top).join(path));
        }
        self.manifest.files.push(FileEntry {
            path: path.to_owned(),
            size: copied.len,
            mode: like.mode() & 0o7777,
            uid: like.uid(),
            gid: like.gid(),
            sha256: copied.sha256,
        });
        Ok(())
    }

    pub(super) fn failed(&self, error: CopyError, from: &Path, path: &str) -> Error {
        match error {
            CopyError::Read(source) => Error::Io { doing: "reading", path: from.to_owned(), source },
            CopyError::Write(source) => {
                Error::Io { doing: "writing", path: self.fresh.path().join(self.top).join(path), source }
            }
        }
    }

    /// Forgets all of the server `id`, as far as it was copied.
    pub(super) fn forget(&mut self, id: &str) -> Result<(), Error> {
        let inside = format!("{id}/");
        self.manifest.directories.retain(|directory| directory.path != id && !directory.path.starts_with(&inside));
        self.manifest.files.retain(|file| !file.path.starts_with(&inside));
        if self.fresh.path().join(self.top).join(id).exists() {
            self.fresh.remove(self.top.join(id))?;
        }
        Ok(())
    }

    /// Copies a directory with all that is in it.
    fn tree(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        self.directory(from, path)?;
        for (name, entry) in listing(from)? {
            let (from, path) = (entry.path(), format!("{path}/{name}"));
            let looking = |source| Error::Io { doing: "looking at", path: from.clone(), source };
            if name == LOST_FOUND {
                continue;
            } else if entry.file_type().map_err(looking)?.is_dir() {
                self.tree(&from, &path)?;
            } else if from.metadata().map_err(looking)?.is_file() {
                self.file(&from, &path)?;
            } else {
                return Err(Error::Unusual { path: from });
            }
        }
        Ok(())
    }
}

/// What is in a directory, by name.
pub(super) fn listing(directory: &Path) -> Result<Vec<(String, fs::DirEntry)>, Error> {
    let reading = |source| Error::Io { doing: "reading", path: directory.to_owned(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let name = entry.file_name().into_string().map_err(|_| Error::Name { path: entry.path() })?;
        entries.push((name, entry));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}
