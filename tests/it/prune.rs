//! Removing old backups: what goes, what stays, and when nothing is removed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::state::{cluster, run};

/// A cluster, and a directory for its backups.
struct Place {
    _dir: TempDir,
    state: PathBuf,
    backups: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let state = cluster(dir.path());
        let backups = dir.path().join("backups");
        Place { _dir: dir, state, backups }
    }

    /// Backs up what is at `path` of the state; the name of the backup.
    fn backup(&self, path: &str, more: &[&str]) -> String {
        let state = self.state.join(path);
        let flags = ["backup", "--format", "json", "--state-dir", state.to_str().unwrap(), "--backup-dir"];
        let (code, stdout, stderr) = run(&[&flags[..], &[self.backups.to_str().unwrap()], more].concat());
        assert_eq!(code, 0, "{stderr}");
        let made: Value = serde_json::from_str(&stdout).unwrap();
        Path::new(made["backup"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn rename(&self, from: &str, to: &str) -> String {
        fs::rename(self.backups.join(from), self.backups.join(to)).unwrap();
        to.to_owned()
    }

    fn prune(&self, more: &[&str]) -> Value {
        let flags = ["backups", "prune", self.backups.to_str().unwrap(), "--format", "json"];
        let (code, stdout, stderr) = run(&[&flags[..], more].concat());
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()["pruned"].clone()
    }

    /// Names of what is in the directory, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.backups).unwrap();
        let mut names: Vec<String> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn damage(&self, name: &str) {
        fs::remove_file(self.backups.join(name).join("a/raft-log.db")).unwrap();
    }
}

fn sorted(names: &[&String]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).clone()).collect();
    names.sort();
    names
}

#[test]
fn a_link_to_the_newest_backup_is_not_a_backup() {
    let place = Place::new();
    let [_, _, newest] = [(); 3].map(|()| place.backup("", &[]));
    symlink(&newest, place.backups.join("raft-backup-latest")).unwrap();
    place.prune(&["--keep", "1"]);
    assert_eq!(place.names(), sorted(&[&newest, &"raft-backup-latest".to_owned()]));
}

#[test]
fn the_manifest_says_which_backup_is_older_and_not_the_name() {
    let place = Place::new();
    let oldest = place.backup("", &[]);
    let oldest = place.rename(&oldest, "raft-backup-before-upgrade");
    let middle = place.backup("", &[]);
    let middle = place.rename(&middle, "raft-backup-20990101-000000");
    let newest = place.backup("", &[]);
    let (_, stdout, _) = run(&["backups", "list", place.backups.to_str().unwrap(), "--format", "json"]);
    let listed: Value = serde_json::from_str(&stdout).unwrap();
    let names: Vec<&str> =
        listed["backups"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, [&oldest, &middle, &newest]);
    assert_eq!(place.prune(&["--keep", "2"])["removed"], serde_json::json!([oldest]));
    assert_eq!(place.prune(&["--keep", "1"])["removed"], serde_json::json!([middle]));
}

#[test]
fn each_set_of_servers_keeps_its_own_backups() {
    let place = Place::new();
    let made: Vec<String> = ["b", "b", "c", "c", "", ""].map(|path| place.backup(path, &[])).into();
    assert_eq!(place.prune(&["--keep", "2"])["removed"], serde_json::json!([]));
    place.prune(&["--keep", "1"]);
    assert_eq!(place.names(), sorted(&[&made[1], &made[3], &made[5]]));
}

#[test]
fn when_none_verifies_nothing_is_removed() {
    let place = Place::new();
    let made = [(); 3].map(|()| place.backup("", &[]));
    made.iter().for_each(|name| place.damage(name));
    let pruned = place.prune(&["--keep", "1"]);
    assert_eq!(pruned["none_sound"], serde_json::json!([made[0], made[1]]));
    assert_eq!(place.names(), sorted(&made.iter().collect::<Vec<_>>()));
}

#[test]
fn a_backup_that_cannot_be_looked_at_keeps_all() {
    let place = Place::new();
    let made = [(); 3].map(|()| place.backup("", &["--archive"]));
    let prune = ["backups", "prune", place.backups.to_str().unwrap(), "--keep", "1"];
    let output = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"))
        .env("TMPDIR", place.state.join("nowhere"))
        .args(prune)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "an archive is unpacked to be verified");
    assert_eq!(place.names(), sorted(&made.iter().collect::<Vec<_>>()));
}

#[test]
fn what_killed_calls_left_is_removed_and_named_and_nothing_else() {
    let place = Place::new();
    place.backup("", &[]);
    let left = place.backups.join(".op-conductor-init~new-dead");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("archive"), "half").unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o555)).unwrap();
    let pipe = place.backups.join(".op-conductor-init~new-pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let dry = place.prune(&["--keep", "1", "--dry-run"]);
    assert!(left.exists());
    let pruned = place.prune(&["--keep", "1"]);
    assert_eq!(
        (&dry["cleaned"], &pruned["cleaned"]),
        (&pruned["cleaned"], &serde_json::json!([".op-conductor-init~new-dead"]))
    );
    assert!(!left.exists() && fs::symlink_metadata(&pipe).is_ok());
}

#[test]
fn two_prunes_at_once_wait_for_each_other() {
    let place = Place::new();
    place.backup("", &[]);
    let held = fs::File::open(&place.backups).unwrap();
    held.lock().unwrap();
    let prune = ["backups", "prune", place.backups.to_str().unwrap(), "--keep", "1"];
    let (code, _, stderr) = run(&prune);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("is locked by another op-conductor-init"), "{stderr}");
    drop(held);
    assert_eq!(run(&prune).0, 0);
}
