//! Whether a node could open its files: modes and owners.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::report::{Finding, Severity};
use crate::state::StateDir;
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};

/// Reading and writing a file; a directory must be entered too.
const FILE: u32 = 0o6;
const DIRECTORY: u32 = 0o7;

/// Judges the server's directory `dir` by who owns it: op-conductor runs as that user, or the directory is not its own.
pub(super) fn check(dir: &StateDir) -> Vec<Finding> {
    let path = dir.path();
    let Ok(directory) = path.metadata() else { return Vec::new() };
    let mut found = Vec::new();
    for (name, needed) in [("", DIRECTORY), (LOG_FILE, FILE), (STABLE_FILE, FILE), (SNAPSHOTS_DIR, DIRECTORY)] {
        // What is missing is told elsewhere.
        let Ok(metadata) = path.join(name).metadata() else { continue };
        if let Some(message) = closed(&metadata, &directory, needed) {
            let hint = format!(
                "chown -R {}:{} and chmod u+rwX, or the owner that op-conductor runs as",
                directory.uid(),
                directory.gid()
            );
            let finding = Finding::new("NODE-007", Severity::Warning, message).in_node(dir.id()).hint(hint);
            found.push(if name.is_empty() { finding } else { finding.in_file(name) });
        }
    }
    found
}

/// Why the directory's owner can't use what has this metadata.
fn closed(metadata: &Metadata, directory: &Metadata, needed: u32) -> Option<String> {
    let (mode, uid, gid) = (metadata.mode() & 0o777, metadata.uid(), metadata.gid());
    let allowed = if uid == directory.uid() {
        mode >> 6
    } else if gid == directory.gid() {
        mode >> 3
    } else {
        mode
    };
    let is_roots = directory.uid() == 0;
    // root may do all, and what root is given by another isn't worth a word.
    if allowed & needed == needed || is_roots {
        return None;
    }
    let owner = if uid == directory.uid() { "its owner".to_owned() } else { format!("{uid}:{gid}") };
    Some(format!(
        "mode {mode:04o} of {owner}: a node that runs as the directory's owner, {}:{}, can't open it for writing",
        directory.uid(),
        directory.gid()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_file_that_the_directories_owner_cannot_write_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join(LOG_FILE);
        File::create(&log).unwrap();
        let messages = || check(&StateDir::new(dir.path())).into_iter().map(|found| found.message).collect::<Vec<_>>();
        let is_root = fs::metadata(&log).unwrap().uid() == 0;
        if is_root {
            assert_eq!(messages(), [""; 0], "root opens all");
            chown(dir.path(), Some(1000), Some(1000)).unwrap();
            let expected =
                "mode 0644 of 0:0: a node that runs as the directory's owner, 1000:1000, can't open it for writing";
            assert_eq!(messages(), [expected]);
            chown(&log, Some(1000), Some(1000)).unwrap();
        }
        assert_eq!(messages(), [""; 0]);
        fs::set_permissions(&log, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(messages().len(), 1);
        assert!(messages()[0].starts_with("mode 0400 of its owner: "), "{:?}", messages());
    }
}
