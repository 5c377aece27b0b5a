//! A copy of a server's directory, with all that raft reads and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::StateDir;
use super::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::durable::IoError;

/// Copies both databases and the snapshots of `from` to the new directory `to`, with modes as this process makes them.
/// A file that is missing or isn't a regular one is left out: verification reports it.
pub fn copy_state(from: &StateDir, to: &Path) -> Result<(), IoError> {
    create(to)?;
    copy_file(&from.log_path(), &to.join(LOG_FILE))?;
    copy_file(&from.stable_path(), &to.join(STABLE_FILE))?;
    let Some(snapshots) = entries(&from.snapshots_path())? else { return Ok(()) };
    create(&to.join(SNAPSHOTS_DIR))?;
    for snapshot in snapshots {
        let to = to.join(SNAPSHOTS_DIR).join(snapshot.file_name().unwrap_or_default());
        create(&to)?;
        for file in entries(&snapshot)?.unwrap_or_default() {
            copy_file(&file, &to.join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn create(directory: &Path) -> Result<(), IoError> {
    fs::create_dir(directory).map_err(IoError::when("creating", directory))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), IoError> {
    match fs::metadata(from) {
        Ok(metadata) if metadata.is_file() => fs::copy(from, to).map(drop).map_err(IoError::when("copying", from)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(IoError::when("copying", from)(error)),
    }
}

/// The entries of a directory, by name; none when it doesn't exist.
fn entries(directory: &Path) -> Result<Option<BTreeSet<PathBuf>>, IoError> {
    let found = match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        found => found.and_then(|found| found.map(|entry| Ok(entry?.path())).collect()),
    };
    found.map(Some).map_err(IoError::when("reading", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_raft_reads_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (StateDir::new(temp.path().join("a")), StateDir::new(temp.path().join("b")));
        fs::create_dir_all(from.snapshots_path().join("1-2-3/not-a-file")).unwrap();
        fs::write(from.snapshots_path().join("1-2-3/meta.json"), "meta").unwrap();
        fs::write(from.log_path(), "log").unwrap();
        fs::write(from.path().join("jwt.hex"), "secret").unwrap();
        copy_state(&from, to.path()).unwrap();
        assert_eq!(to.contents().unwrap().unwrap(), [LOG_FILE, SNAPSHOTS_DIR]);
        assert_eq!(fs::read(to.log_path()).unwrap(), b"log");
        let snapshot = StateDir::new(to.snapshots_path().join("1-2-3"));
        assert_eq!(snapshot.contents().unwrap().unwrap(), ["meta.json"]);
        let again = copy_state(&from, to.path()).unwrap_err();
        assert_eq!(again.to_string(), format!("creating {}", to.path().display()));
    }
}
