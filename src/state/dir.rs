//! The directory of one server: raft-log.db, raft-stable.db, snapshots/.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::durable::open_file;
use crate::durable::{self, Kind, Owner, Pending, Recovery, Root, flock_until, try_flock};

/// Name of the log store. (op-conductor consensus/raft.go NewRaftConsensus)
pub const LOG_FILE: &str = "raft-log.db";
/// Name of the stable store. (op-conductor consensus/raft.go NewRaftConsensus)
pub const STABLE_FILE: &str = "raft-stable.db";
/// Name of the snapshot store. (hashicorp/raft file_snapshot.go snapPath)
pub const SNAPSHOTS_DIR: &str = "snapshots";
/// Mode of the directory. (op-conductor consensus/raft.go NewRaftConsensus)
pub const DIR_MODE: u32 = 0o755;
/// Mode of the two stores. (raft-boltdb v2/bolt_store.go dbFileMode)
pub const FILE_MODE: u32 = 0o600;

/// The directory of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
    id: String,
    target: Option<PathBuf>,
}

/// Why a server's directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("{doing} {}", .path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A node is running.
    #[error(
        "{} is locked (waited {lock_timeout:?}): op-conductor holds it while it runs: stop the node first",
        .path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long we waited.
        lock_timeout: Duration,
    },
    /// The output directory can't be used.
    #[error(transparent)]
    Durable(#[from] durable::Error),
}

/// bbolt's exclusive locks on all stores of some servers, held until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct StateLock {
    _files: Vec<File>,
}

impl StateDir {
    /// The directory at `path`, whose last name is the id. That it exists is not checked, nor whether it is a link.
    pub fn new(path: impl Into<PathBuf>) -> StateDir {
        let path = path.into();
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        StateDir { path, id, target: None }
    }

    /// The existing directory at `path`, which may end in `.` or `..` or be a symbolic link.
    ///
    /// # Errors
    /// When there is none, or it may not be looked at.
    pub fn resolve(path: &Path) -> io::Result<StateDir> {
        let id = parent_and_name(path)?.1.to_string_lossy().into_owned();
        let is_link = path.symlink_metadata()?.is_symlink();
        let target = if is_link { Some(path.canonicalize()?) } else { None };
        Ok(StateDir { path: path.to_owned(), id, target })
    }

    /// Where it is, as it was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name by which op-conductor finds it, which must be the server's id. What isn't UTF-8 is replaced by U+FFFD.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the directory is when `path` is a symbolic link to it.
    pub fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// The directory itself: the link's target, or the path.
    pub fn real(&self) -> &Path {
        self.target().unwrap_or(&self.path)
    }

    /// Where the log store is.
    pub fn log_path(&self) -> PathBuf {
        self.path.join(LOG_FILE)
    }

    /// Where the stable store is.
    pub fn stable_path(&self) -> PathBuf {
        self.path.join(STABLE_FILE)
    }

    /// Where the snapshots are.
    pub fn snapshots_path(&self) -> PathBuf {
        self.path.join(SNAPSHOTS_DIR)
    }

    /// Names of what is in the directory, sorted; none if there is no directory.
    pub fn contents(&self) -> Result<Option<Vec<String>>, Error> {
        let fail = |source| Error::Io { doing: "reading", path: self.path.clone(), source };
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(fail)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(Some(names))
    }
}

/// The directory that has the entry `path`, which need not exist, and the entry's name: empty for the root of the file
/// system. A last name that is a symbolic link stays; `.` and `..` are resolved.
///
/// # Errors
/// When there is no working directory, or `path` ends in `..` and can't be resolved.
pub fn parent_and_name(path: &Path) -> io::Result<(PathBuf, OsString)> {
    let path = match path.file_name() {
        None => path.canonicalize()?,
        // `a` is in the working directory.
        Some(_) if path.parent().is_none_or(|parent| parent.as_os_str().is_empty()) => std::path::absolute(path)?,
        Some(_) => path.to_owned(),
    };
    let parent = path.parent().unwrap_or(&path).to_owned();
    Ok((parent, path.file_name().unwrap_or_default().to_owned()))
}

/// Locks the stores of all `dirs` as bbolt does, as far as they exist, waiting for at most `lock_timeout` in all.
/// Nothing is created. For mutations only: reading waits for nobody.
pub fn lock(dirs: &[StateDir], lock_timeout: Duration) -> Result<StateLock, Error> {
    let deadline = Instant::now() + lock_timeout;
    let mut files = Vec::new();
    for path in dirs.iter().flat_map(|dir| [dir.log_path(), dir.stable_path()]) {
        let fail = |source| Error::Io { doing: "locking", path: path.clone(), source };
        match open_file(&path) {
            // A file in place of the directory has no stores, and what is no file is none.
            Err(error) if is_no_store(error.kind()) => continue,
            Err(error) => return Err(fail(error)),
            Ok(file) if flock_until(&file, Kind::Exclusive, deadline).map_err(fail)? => files.push(file),
            Ok(_) => return Err(Error::Locked { path, lock_timeout }),
        }
    }
    Ok(StateLock { _files: files })
}

/// Keeps a node from starting on the stores in `dir` while they are read; none when it runs. Waits for nobody.
pub fn lock_shared(dir: &StateDir) -> Result<Option<StateLock>, Error> {
    let mut files = Vec::new();
    for path in [dir.log_path(), dir.stable_path()] {
        let fail = |source| Error::Io { doing: "locking", path: path.clone(), source };
        match open_file(&path) {
            Err(error) if is_no_store(error.kind()) => continue,
            Err(error) => return Err(fail(error)),
            Ok(file) if try_flock(&file, Kind::Shared).map_err(fail)? => files.push(file),
            Ok(_) => return Ok(None),
        }
    }
    Ok(Some(StateLock { _files: files }))
}

fn is_no_store(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput)
}

/// Opens an output directory for a mutation: locked against other processes of this tool, and with an interrupted
/// replacement settled first. That waits for running nodes too, so each wait is at most `lock_timeout`.
pub fn open_root(path: &Path, owner: Option<Owner>, lock_timeout: Duration) -> Result<(Root, Option<Recovery>), Error> {
    let mut root = Root::open(path, owner, lock_timeout)?;
    let pending = durable::pending(path)?;
    let entries = pending.iter().filter_map(|Pending { journal, .. }| journal.as_ref()).flat_map(|it| &it.entries);
    let dirs: Vec<StateDir> = entries.map(|entry| StateDir::new(path.join(&entry.name))).collect();
    let _locked_until_settled = lock(&dirs, lock_timeout)?;
    let recovery = root.recover()?;
    Ok((root, recovery))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn a_store_that_is_locked_is_named_with_its_cause() {
        let temp = tempfile::tempdir().unwrap();
        let dir = StateDir::new(temp.path());
        fs::write(dir.stable_path(), "").unwrap();
        let held = lock(std::slice::from_ref(&dir), NO_TIME).unwrap();
        let error = lock(std::slice::from_ref(&dir), NO_TIME).unwrap_err();
        let path = dir.stable_path();
        let expected = "is locked (waited 0ns): op-conductor holds it while it runs: stop the node first";
        assert_eq!(error.to_string(), format!("{} {expected}", path.display()));
        drop(held);
        assert!(lock(&[dir], NO_TIME).is_ok());
    }

    #[test]
    fn locking_creates_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let (absent, empty) = (StateDir::new(temp.path().join("absent")), StateDir::new(temp.path()));
        let _locked = lock(&[absent, empty], NO_TIME).unwrap();
        assert_eq!(StateDir::new(temp.path()).contents().unwrap(), Some(Vec::new()));
    }

    #[test]
    fn an_entry_that_does_not_exist_yet_has_a_parent_and_a_name() {
        let here = std::env::current_dir().unwrap();
        let of = |path: &str| parent_and_name(Path::new(path)).unwrap();
        assert_eq!(of("/a/new"), ("/a".into(), "new".into()));
        assert_eq!(of("new"), (here.clone(), "new".into()));
        assert_eq!(of(".").1, here.file_name().unwrap());
        assert_eq!(of("/"), ("/".into(), OsString::new()));
    }

    #[test]
    fn contents_are_sorted_and_an_absent_directory_has_none() {
        let temp = tempfile::tempdir().unwrap();
        let dir = StateDir::new(temp.path());
        fs::write(dir.stable_path(), "").unwrap();
        fs::write(dir.log_path(), "").unwrap();
        assert_eq!(dir.contents().unwrap().unwrap(), [LOG_FILE, STABLE_FILE]);
        assert_eq!(StateDir::new(temp.path().join("absent")).contents().unwrap(), None);
    }
}
