//! Removing what a replacement kept: raft's own files and nothing else.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::cluster::CLUSTER_FILE;
use crate::durable::IoError;
use crate::durable::{self, Directory};
use crate::raft::{META_FILE, STATE_FILE};

/// What a directory is in which something is removed.
#[derive(Clone, Copy)]
enum Level {
    /// `.replaced-<time>`: servers' directories, or what was in one.
    Replaced,
    Server,
    Snapshots,
    Snapshot,
}

impl Level {
    fn is_raft_file(self, name: &str) -> bool {
        match self {
            Level::Replaced => [LOG_FILE, STABLE_FILE, CLUSTER_FILE].contains(&name),
            Level::Server => [LOG_FILE, STABLE_FILE].contains(&name),
            Level::Snapshots => false,
            Level::Snapshot => [META_FILE, STATE_FILE].contains(&name),
        }
    }

    /// What the directory `name` in this one is; none when raft doesn't make it.
    fn inside(self, name: &str) -> Option<Level> {
        match self {
            Level::Replaced | Level::Server if name == SNAPSHOTS_DIR => Some(Level::Snapshots),
            Level::Replaced => Some(Level::Server),
            Level::Snapshots => Some(Level::Snapshot),
            Level::Server | Level::Snapshot => None,
        }
    }
}

/// Removes what a replacement kept in the directory `replaced`: the files that raft and this tool make, and directories that
/// are empty then. Other files, symbolic links, and what is mounted in there stay: their paths are returned.
pub fn discard(replaced: &Path) -> Result<Vec<PathBuf>, durable::Error> {
    let fail = |source| durable::Error::Io(IoError { doing: "removing", path: replaced.to_owned(), source });
    let (Some(above), Some(name)) = (replaced.parent(), replaced.file_name()) else {
        return Err(fail(std::io::ErrorKind::InvalidInput.into()));
    };
    let above = Directory::open(above).map_err(fail)?;
    let mut kept = Vec::new();
    let directory = above.child(name).map_err(fail)?;
    remove_files(&directory, Level::Replaced, &mut kept)?;
    if directory.entries().map_err(fail)?.is_empty() {
        above.remove_dir(name).map_err(fail)?;
    }
    Ok(kept)
}

fn remove_files(directory: &Directory, level: Level, kept: &mut Vec<PathBuf>) -> Result<(), durable::Error> {
    let fail = |source| durable::Error::Io(IoError { doing: "removing", path: directory.path().to_owned(), source });
    for (name, kind) in directory.entries().map_err(fail)? {
        let text = name.to_str().unwrap_or_default();
        if kind == FileType::RegularFile
            && level.is_raft_file(text)
            && !directory.is_mount_point(&name).map_err(fail)?
        {
            directory.remove_file(&name).map_err(fail)?;
            continue;
        }
        let inside = level.inside(text).filter(|_| kind == FileType::Directory);
        let Some(inside) = inside.filter(|_| !directory.is_mount_point(&name).unwrap_or(true)) else {
            kept.push(directory.path().join(&name));
            continue;
        };
        let child = directory.child(&name).map_err(fail)?;
        remove_files(&child, inside, kept)?;
        if child.entries().map_err(fail)?.is_empty() {
            directory.remove_dir(&name).map_err(fail)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_rafts_own_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let replaced = dir.path().join(".replaced-1");
        let write = |path: &str| {
            let path = replaced.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        for path in ["a/raft-log.db", "a/raft-stable.db", "a/snapshots/1-2-3/meta.json", "a/snapshots/1-2-3/state.bin"]
        {
            write(path);
        }
        write("cluster.json");
        assert_eq!(discard(&replaced).unwrap(), [""; 0].map(PathBuf::from));
        assert!(!replaced.exists(), "a directory that is empty goes too");
        let others = ["a/jwt.hex", "a/keys/raft-log.db", "a/snapshots/1-2-3/note", "notes"];
        others.iter().for_each(|path| write(path));
        write("a/raft-log.db");
        symlink("/etc/passwd", replaced.join("a/raft-stable.db")).unwrap();
        let mut kept = discard(&replaced).unwrap();
        kept.sort();
        let expected = ["a/jwt.hex", "a/keys", "a/raft-stable.db", "a/snapshots/1-2-3/note", "notes"];
        assert_eq!(kept, expected.map(|path| replaced.join(path)));
        assert!(!replaced.join("a/raft-log.db").exists() && replaced.join("a/keys/raft-log.db").exists());
    }
}
