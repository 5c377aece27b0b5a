//! `info` and `verify`, as the built command: what they say, and that they touch nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::command::{THREE, run, shown};
use insta::assert_snapshot;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// A directory with `raft-state` of three servers, with a head or without.
fn cluster(head: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let payload = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/payload/v3.ssz");
    let more: &[&str] = if head { &["--unsafe-head", payload] } else { &[] };
    let output = run(dir.path(), &[&["generate"], &THREE[..], more].concat());
    assert!(output.status.success());
    dir
}

/// Everything below a directory: its length, its time of change, its inode.
fn tree(directory: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                open.push(path.clone());
            }
            found.insert(path, (meta.len(), meta.ctime(), meta.ctime_nsec(), meta.ino()));
        }
    }
    found
}

#[test]
fn info_shows_a_server() {
    let dir = cluster(true);
    assert_snapshot!(shown(&run(dir.path(), &["info", "--state-dir", "raft-state/sequencer-2"])));
}

#[test]
fn info_shows_a_cluster_as_a_table() {
    let dir = cluster(false);
    assert_snapshot!(shown(&run(dir.path(), &["info", "--state-dir", "raft-state"])));
}

#[test]
fn info_tells_programs_the_same() {
    let dir = cluster(true);
    let args = ["info", "--state-dir", "raft-state/sequencer-1", "--format", "json"];
    assert_snapshot!(shown(&run(dir.path(), &args)));
}

#[test]
fn verify_is_content_with_what_was_generated() {
    let dir = cluster(true);
    assert_snapshot!(shown(&run(dir.path(), &["verify", "--state-dir", "raft-state"])));
}

#[test]
fn a_warning_fails_only_when_asked_to() {
    let dir = cluster(false);
    let verify = |more: &[&str]| run(dir.path(), &[&["verify", "--state-dir", "raft-state"], more].concat());
    assert_eq!(verify(&[]).status.code(), Some(0));
    assert_eq!(verify(&["--fail-on", "warning"]).status.code(), Some(1));
    assert_snapshot!(shown(&verify(&["--format", "json"])));
}

#[test]
fn damage_is_told_with_its_place_and_what_to_do() {
    let dir = cluster(true);
    let state = dir.path().join("raft-state");
    // A stable store of no byte, a directory of another cluster, a bit of the log.
    fs::write(state.join("sequencer-1/raft-stable.db"), b"").unwrap();
    let other = cluster(false);
    fs::copy(other.path().join("raft-state/sequencer-2/raft-log.db"), state.join("sequencer-2/raft-log.db")).unwrap();
    let log = state.join("sequencer-3/raft-log.db");
    let mut bytes = fs::read(&log).unwrap();
    bytes[2 * 4096 + 8] ^= 1;
    fs::write(&log, bytes).unwrap();
    let output = run(dir.path(), &["verify", "--state-dir", "raft-state"]);
    assert_eq!(output.status.code(), Some(1));
    assert_snapshot!(shown(&output));
    assert_eq!(fs::read(state.join("sequencer-1/raft-stable.db")).unwrap(), b"", "bbolt would have filled it");
}

#[test]
fn a_release_that_cannot_read_the_payload_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let payload = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/payload/v4.ssz");
    let generated = run(dir.path(), &[&["generate"], &THREE[..], &["--unsafe-head", payload]].concat());
    assert!(generated.status.success());
    let verify = |release: &str| run(dir.path(), &["verify", "--state-dir", "raft-state", "--for", release]);
    assert_eq!(verify("v0.9.4").status.code(), Some(0));
    assert_eq!(verify("v0.1.0-rc.1").status.code(), Some(1));
    assert_eq!(verify("op-conductor:v0").status.code(), Some(2));
}

#[test]
fn a_directory_without_state_is_an_error_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for verb in ["info", "verify"] {
        for path in ["nowhere", "."] {
            let output = run(dir.path(), &[verb, "--state-dir", path]);
            assert_eq!(output.status.code(), Some(2), "{verb} {path}");
            assert!(String::from_utf8(output.stderr).unwrap().contains(path), "{verb} {path}");
        }
    }
    assert_eq!(tree(dir.path()), BTreeMap::new());
}

#[test]
fn reading_changes_nothing_and_waits_for_no_lock() {
    let dir = cluster(true);
    let state = dir.path().join("raft-state");
    let locks: Vec<File> = ["raft-log.db", "raft-stable.db"]
        .map(|name| File::open(state.join("sequencer-1").join(name)).unwrap())
        .into_iter()
        .inspect(|file| flock(file, FlockOperation::LockExclusive).unwrap())
        .collect();
    let before = tree(&state);
    for verb in ["info", "verify"] {
        for path in ["raft-state", "raft-state/sequencer-1", "raft-state/sequencer-1/"] {
            assert_eq!(run(dir.path(), &[verb, "--state-dir", path]).status.code(), Some(0), "{verb} {path}");
        }
    }
    assert_eq!(tree(&state), before);
    drop(locks);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = cluster(false);
    let mut child = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"))
        .current_dir(dir.path())
        .args(["info", "--state-dir", "raft-state"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn the_ids_of_directories_are_checked_also_from_inside() {
    let dir = cluster(true);
    let output = run(&dir.path().join("raft-state/sequencer-3"), &["info", "--state-dir", "."]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("Server sequencer-3 in ."), "{text}");
    fs::rename(dir.path().join("raft-state/sequencer-3"), dir.path().join("raft-state/other")).unwrap();
    let output = run(dir.path(), &["verify", "--state-dir", "raft-state/other"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("NODE-002"));
}
