//! The folder of one server: raft-log.db, raft-stable.db, snapshots/. (op-conductor consensus/raft.go)

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable::{self, lock_exclusive};

/// The log store.
pub const LOG_FILE: &str = "raft-log.db";
/// The stable store.
pub const STABLE_FILE: &str = "raft-stable.db";
/// The snapshot store.
pub const SNAPSHOTS_FOLDER: &str = "snapshots";

/// Path of a server's folder, whether it exists or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The folder `<storage dir>/<server id>`.
    pub fn new(path: PathBuf) -> StateDir {
        StateDir { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state that is there: databases, and `snapshots` unless that is empty.
    pub fn state_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut there = Vec::new();
        for name in [LOG_FILE, STABLE_FILE] {
            let path = self.path.join(name);
            if path.symlink_metadata().is_ok() {
                there.push(path);
            }
        }
        let snapshots = self.path.join(SNAPSHOTS_FOLDER);
        match fs::read_dir(&snapshots) {
            Ok(mut entries) => there.extend(entries.next().is_some().then_some(snapshots)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(there)
    }

    /// Locks the databases that are there, as bbolt does, so that no node can be running. op-conductor holds these
    /// locks all its life. (bbolt bolt_unix.go flock)
    ///
    /// # Errors
    /// [`durable::Error::Locked`] after `timeout`.
    pub fn lock(&self, timeout: Duration) -> Result<Vec<File>, durable::Error> {
        let mut locks = Vec::new();
        for name in [LOG_FILE, STABLE_FILE] {
            let path = self.path.join(name);
            match File::open(&path) {
                Ok(file) => {
                    lock_exclusive(&file, &path, timeout)?;
                    locks.push(file);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(durable::Error::Io { doing: "opening", path, source }),
            }
        }
        Ok(locks)
    }
}
