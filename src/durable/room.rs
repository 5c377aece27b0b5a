//! Places on a disk: the directory of a path, what is free, and directories that last as long as the call.

use std::path::Path;

use rustix::fs::statvfs;
use tempfile::TempDir;

use super::io_error::IoError;

/// The directory that holds `path`: of a bare name the working directory, and of the root itself the root.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        None if path.has_root() => path,
        _ => Path::new("."),
    }
}

/// Bytes that this user may still write in `directory`.
pub fn free_space(directory: &Path) -> Result<u64, IoError> {
    let stat = statvfs(directory).map_err(|errno| IoError::when("looking at", directory)(errno.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A new directory in the system's temporary directory, which TMPDIR names; its name says what it is for. It is removed
/// with the value.
pub fn temp_dir(purpose: &str) -> Result<TempDir, IoError> {
    let directory = tempfile::Builder::new().prefix(&format!("op-conductor-init-{purpose}-")).tempdir();
    directory.map_err(|error| IoError::when("creating a directory in", &std::env::temp_dir())(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_directory_that_holds_it() {
        let parents = ["a/b", "/a", "a", "", "/"].map(|path| parent(Path::new(path)));
        assert_eq!(parents, ["a", "/", ".", ".", "/"].map(Path::new));
    }
}
