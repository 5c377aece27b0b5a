//! A backup that is being made: files and directories are copied into it, hashed, and recorded in its manifest.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::copy::{Copied, CopyError, copy};
use super::error::Error;
use super::manifest::{DirectoryEntry, FileEntry, Manifest};
use crate::durable::IoError;
use crate::durable::{Paced, Publication, Syncer, open_file, open_file_itself};
use crate::report::Progress;
use crate::state::LOST_FOUND;

/// A backup that is being made.
pub(super) struct Draft<'a> {
    pub(super) fresh: &'a mut Publication,
    /// Name of the directory that it is made in, within `fresh`.
    pub(super) top: &'a Path,
    pub(super) manifest: &'a mut Manifest,
    /// Makes files durable while others are copied.
    pub(super) syncer: Option<&'a Syncer>,
    pub(super) progress: &'a dyn Progress,
}

impl Draft<'_> {
    /// Copies a file as it is, and not through a symbolic link.
    pub(super) fn copy_file(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        let reading = |source| Error::Io(IoError { doing: "reading", path: from.to_owned(), source });
        self.copy_opened(open_file_itself(from).map_err(reading)?, from, path)
    }

    /// Copies a database, which may be a symbolic link to another disk.
    pub(super) fn copy_database(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        match open_file(from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::Io(IoError { doing: "reading", path: from.to_owned(), source })),
            Ok(source) => self.copy_opened(source, from, path),
        }
    }

    fn copy_opened(&mut self, mut source: File, from: &Path, path: &str) -> Result<(), Error> {
        let reading = |source| Error::Io(IoError { doing: "reading", path: from.to_owned(), source });
        let metadata = source.metadata().map_err(reading)?;
        let to = self.create_file(path, &metadata)?;
        let made = self.fresh.path().join(self.top).join(path);
        let copied = copy(&mut source, &mut Paced::new(&to, &made, self.syncer), self.progress)
            .map_err(|error| self.copy_error(error, from, path))?;
        self.finish_file(to, path, &metadata, copied)
    }

    /// Creates a directory, the copy of `from`.
    pub(super) fn create_directory(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        let looking = |source| Error::Io(IoError { doing: "looking at", path: from.to_owned(), source });
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

    /// Creates a file, the copy of one that has this metadata.
    pub(super) fn create_file(&mut self, path: &str, metadata: &Metadata) -> Result<File, Error> {
        Ok(self.fresh.create_file(self.top.join(path), metadata.mode() & 0o7777 | 0o400)?)
    }

    /// Records a file that was copied, and has it made durable.
    pub(super) fn finish_file(&mut self, file: File, path: &str, like: &Metadata, copied: Copied) -> Result<(), Error> {
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

    /// The error of a copy from `from` to `path`.
    pub(super) fn copy_error(&self, error: CopyError, from: &Path, path: &str) -> Error {
        match error {
            CopyError::Read(source) => Error::Io(IoError { doing: "reading", path: from.to_owned(), source }),
            CopyError::Write(source) => {
                Error::Io(IoError { doing: "writing", path: self.fresh.path().join(self.top).join(path), source })
            }
        }
    }

    /// Removes what was copied of the server `id`.
    pub(super) fn remove_server(&mut self, id: &str) -> Result<(), Error> {
        let inside = format!("{id}/");
        self.manifest.directories.retain(|directory| directory.path != id && !directory.path.starts_with(&inside));
        self.manifest.files.retain(|file| !file.path.starts_with(&inside));
        if self.fresh.path().join(self.top).join(id).exists() {
            self.fresh.remove(self.top.join(id))?;
        }
        Ok(())
    }

    /// Copies a directory with all that is in it.
    pub(super) fn copy_tree(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        self.create_directory(from, path)?;
        for (name, entry) in listing(from)? {
            let (from, path) = (entry.path(), format!("{path}/{name}"));
            let looking = |source| Error::Io(IoError { doing: "looking at", path: from.clone(), source });
            if name == LOST_FOUND {
                continue;
            }
            let kind = entry.file_type().map_err(looking)?;
            if kind.is_dir() {
                self.copy_tree(&from, &path)?;
            } else if kind.is_file() {
                self.copy_file(&from, &path)?;
            } else {
                return Err(Error::Unusual { path: from });
            }
        }
        Ok(())
    }
}

/// What is in a directory, by name.
pub(super) fn listing(directory: &Path) -> Result<Vec<(String, fs::DirEntry)>, Error> {
    let reading = |source| Error::Io(IoError { doing: "reading", path: directory.to_owned(), source });
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let name = entry.file_name().into_string().map_err(|_| Error::Name { path: entry.path() })?;
        entries.push((name, entry));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}
