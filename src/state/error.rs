//! Why a server's state could not be looked at.

use std::io;
use std::path::{Path, PathBuf};

use super::dir::{LOG_FILE, STABLE_FILE};
use super::entries;
use crate::bolt::{self, LiveError};

/// Why a directory could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system said no.
    #[error("{}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk failed while a database was read.
    #[error("{}", path.display())]
    Bolt {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: bolt::Error,
    },
    /// The entries of a log can't be read in chunks either.
    #[error(transparent)]
    Entries(#[from] entries::Error),
    /// A writer committed during each attempt to read.
    #[error("{}: it changed during each of {attempts} attempts to read it", path.display())]
    Moving {
        /// Which file.
        path: PathBuf,
        /// Attempts that were made.
        attempts: u32,
    },
    /// The directory is not a server's and holds none.
    #[error("{}: no raft state here: expected {LOG_FILE} and {STABLE_FILE}, or directories that hold them", path.display())]
    NoState {
        /// Which directory.
        path: PathBuf,
    },
}

impl Error {
    /// Why the database `path` could not be read between two commits.
    pub(crate) fn live(path: &Path, error: LiveError) -> Error {
        let path = path.to_owned();
        match error {
            LiveError::Open(source) => Error::Io { path, source },
            LiveError::Bolt(source) => Error::Bolt { path, source },
            LiveError::Moving { attempts } => Error::Moving { path, attempts },
        }
    }
}
