//! Reading cluster.json.

use std::path::{Path, PathBuf};

use crate::cluster::ClusterFile;
use crate::durable::{ReadError, read_file};

/// Bytes of the longest cluster.json that is read: one of 10,000 servers with the longest names is shorter.
pub(crate) const MAX_CLUSTER_FILE_LEN: u64 = 16 << 20;

/// Why there is no description of a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterFileError {
    /// It can't be read, or is too large.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is something else.
    #[error("{}", path.display())]
    Decode {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Reads the cluster.json `path`; none when it doesn't exist.
pub fn read_cluster_file(path: &Path) -> Result<Option<ClusterFile>, ClusterFileError> {
    let bytes = match read_file(path, MAX_CLUSTER_FILE_LEN) {
        Err(error) if error.is_not_found() => return Ok(None),
        bytes => bytes?,
    };
    ClusterFile::decode(&bytes).map(Some).map_err(|source| ClusterFileError::Decode { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn what_is_too_large_or_something_else_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.json");
        assert!(read_cluster_file(&path).unwrap().is_none());
        fs::write(&path, "[]").unwrap();
        let error = read_cluster_file(&path).unwrap_err();
        assert_eq!(error.to_string(), path.display().to_string());
        File::create(&path).unwrap().set_len(MAX_CLUSTER_FILE_LEN + 1).unwrap();
        let error = read_cluster_file(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("{} is too large: expected at most 16777216 bytes", path.display()));
    }
}
