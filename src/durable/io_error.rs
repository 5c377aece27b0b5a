//! What the file system refused, to do what, to which path.

use std::io;
use std::path::{Path, PathBuf};

/// The file system said no.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}", path.display())]
pub struct IoError {
    /// What was being done, as in `reading`.
    pub doing: &'static str,
    /// To which file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl IoError {
    /// For `map_err`: what was being done to `path` when the system said no.
    pub fn when(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> IoError {
        move |source| IoError { doing, path: path.to_owned(), source }
    }

    /// Whether the path doesn't exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}
