//! The directory of one server: raft-log.db, raft-stable.db, snapshots/.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use crate::durable;
use crate::durable::IoError;

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
    #[error(transparent)]
    Io(#[from] IoError),
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
    /// The file system has no locks, so that nobody can say whether a node runs.
    #[error("{}: the file system has no locks", .path.display())]
    NoLocks {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A node has run since the state was looked at.
    #[error("{} changed in the meantime", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The output directory can't be used.
    #[error(transparent)]
    Durable(#[from] durable::Error),
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Durable(error) => error.hint(),
            Error::NoLocks { .. } => {
                Some("stop the node, copy the state to a local disk, change it there, and copy it back")
            }
            Error::Changed { .. } => Some("run it again when no node uses the directory"),
            Error::Locked { .. } | Error::Io(..) => None,
        }
    }

    /// Whether the call was refused for what is there, rather than failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::Durable(error) => error.is_refusal(),
            Error::Locked { .. } | Error::NoLocks { .. } | Error::Changed { .. } => true,
            Error::Io(..) => false,
        }
    }
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

    /// Whether the directory can be renamed: a mount point can't, nor one in a directory that we may not write to.
    pub fn can_be_replaced(&self) -> io::Result<bool> {
        let (above, name) = parent_and_name(&self.path)?;
        if access(&above, Access::WRITE_OK).is_err() {
            return Ok(false);
        }
        // Where we may write but not read, the look at the directory's own device has to do.
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev());
        match durable::Directory::open(&above) {
            Ok(above) => Ok(!above.is_mount_point(&name)?),
            Err(_) => Ok(device(&above)? == device(&self.path)?),
        }
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
        let fail = |source| Error::Io(IoError { doing: "reading", path: self.path.clone(), source });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::lock;

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
