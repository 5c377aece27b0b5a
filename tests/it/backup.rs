//! Backups, as an operator makes, lists, verifies and prunes them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::state::{cluster, run, run_in, snapshot, tree};
use op_conductor_init::state::{StateDir, lock};
use serde_json::Value;
use tempfile::TempDir;

/// A cluster of three, with a snapshot each, and a directory for backups.
fn place() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let state = cluster(dir.path());
    for id in ["a", "b", "c"] {
        snapshot(&state.join(id), 2, 1);
    }
    let backups = dir.path().join("backups");
    (dir, state, backups)
}

fn backup(state: &Path, backups: &Path, more: &[&str]) -> Value {
    let flags = ["backup", "--format", "json", "--state-dir", state.to_str().unwrap(), "--backup-dir"];
    let (code, stdout, stderr) = run(&[&flags[..], &[backups.to_str().unwrap()], more].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn path(made: &Value) -> PathBuf {
    PathBuf::from(made["backup"].as_str().unwrap())
}

/// Ids of what `backups verify` finds, and its exit code.
fn verify(backup: &Path) -> (i32, Vec<String>) {
    let (code, stdout, stderr) = run(&["backups", "verify", backup.to_str().unwrap(), "--format", "json"]);
    let found: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    let ids = found["findings"].as_array().unwrap().iter().filter(|it| it["severity"] != "note");
    (code, ids.map(|it| it["id"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn a_stopped_cluster_is_copied_byte_for_byte_and_sha256sum_agrees() {
    let (_dir, state, backups) = place();
    let before = tree(&state);
    let made = backup(&state, &backups, &[]);
    assert_eq!(tree(&state), before, "the source is never changed");
    let directory = path(&made);
    for (name, bytes) in &before {
        if name.ends_with('/') {
            assert!(directory.join(name).is_dir(), "{name}");
        } else {
            assert!(fs::read(directory.join(name)).unwrap() == *bytes, "{name}");
        }
    }
    let mut sums = Command::new("sha256sum");
    let sums = sums.args(["--strict", "--quiet", "-c", "SHA256SUMS"]).current_dir(&directory).output().unwrap();
    assert!(sums.status.success(), "{sums:?}");
    let of_a = &made["manifest"]["nodes"][0];
    assert_eq!((&of_a["id"], &of_a["running"]), (&"a".into(), &false.into()));
    let (_, info, _) = run(&["info", "--format", "json", "--state-dir", state.join("a").to_str().unwrap()]);
    let info: Value = serde_json::from_str(&info).unwrap();
    for key in ["current_term", "vote", "first_index", "last_index", "last_term", "entry_count", "snapshots"] {
        assert_eq!(of_a["info"][key], info["nodes"][0][key], "{key} is what info says");
    }
    assert_eq!(verify(&directory).0, 0);
}

#[test]
fn an_archive_holds_the_same_and_verifies() {
    let (_dir, state, backups) = place();
    let directory = path(&backup(&state, &backups, &[]));
    let archive = path(&backup(&state, &backups, &["--archive"]));
    assert!(archive.to_str().unwrap().ends_with(".tar.zst"));
    assert_eq!(verify(&archive), verify(&directory));
    let names: Vec<_> = fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing else is left: {names:?}");
}

#[test]
fn a_single_server_is_backed_up_under_its_name() {
    let (_dir, state, backups) = place();
    let directory = path(&backup(&state.join("b"), &backups, &[]));
    assert!(directory.join("b/raft-log.db").is_file());
    assert!(directory.join("cluster.json").is_file(), "the description beside the directory belongs to it");
    assert!(!directory.join("a").exists());
    let here = path(&{
        let (code, stdout, stderr) = run_in(
            &state.join("b"),
            &["backup", "--state-dir", ".", "--backup-dir", backups.to_str().unwrap(), "--format", "json"],
        );
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()
    });
    assert!(here.join("b/raft-log.db").is_file(), "its name is known from within too");
}

#[test]
fn a_backup_in_the_same_second_has_another_name() {
    let (_dir, state, backups) = place();
    let mut names: Vec<PathBuf> = (0..4).map(|_| path(&backup(&state, &backups, &[]))).collect();
    names.dedup();
    assert_eq!(names.len(), 4);
    assert!(names.iter().any(|name| name.to_str().unwrap().ends_with("-2")), "{names:?}");
}

#[test]
fn a_backup_within_the_state_is_refused_by_whatever_way() {
    let (dir, state, _) = place();
    let link = dir.path().join("link");
    symlink(&state, &link).unwrap();
    let before = tree(&state);
    for (source, target) in [
        (state.clone(), state.join("backups")),
        (state.join("a"), state.join("a/x/y")),
        (state.clone(), link.join("backups")),
        (link.clone(), state.join("backups")),
        (state.clone(), state.clone()),
        (state.clone(), link.join("a/../backups")),
    ] {
        let flags = ["backup", "--state-dir", source.to_str().unwrap(), "--backup-dir", target.to_str().unwrap()];
        let (code, _, stderr) = run(&flags);
        assert_eq!(code, 1, "{target:?}: {stderr}");
        assert!(stderr.contains("is inside"), "{stderr}");
    }
    assert_eq!(tree(&state), before);
}

#[test]
fn damaged_state_is_no_backup_and_nothing_is_left_behind() {
    let (_dir, state, backups) = place();
    let log = state.join("b/raft-log.db");
    fs::write(&log, vec![7; 40_000]).unwrap();
    let flags = ["backup", "--state-dir", state.to_str().unwrap(), "--backup-dir", backups.to_str().unwrap()];
    let (code, _, stderr) = run(&flags);
    assert_eq!(code, 1);
    assert!(stderr.contains("the state is not sound") && stderr.contains("b/raft-log.db"), "{stderr}");
    assert!(!backups.exists(), "not even the directory, which wasn't there before");
}

#[test]
fn a_replacement_that_is_half_done_is_no_state_to_back_up() {
    let (_dir, state, backups) = place();
    let stage = state.join(".op-conductor-init-dead");
    fs::create_dir(&stage).unwrap();
    let journal = r#"{"version":1,"replaced":".replaced-20260101-000000","entries":[{"name":"a","new":1,"old":2}]}"#;
    fs::write(stage.join("journal.json"), journal).unwrap();
    for source in [&state, &state.join("a")] {
        let flags = ["backup", "--state-dir", source.to_str().unwrap(), "--backup-dir", backups.to_str().unwrap()];
        let (code, _, stderr) = run(&flags);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("a replacement was interrupted"), "{stderr}");
    }
    assert!(!backups.exists());
}

#[test]
fn a_target_that_cannot_be_written_is_an_error_of_the_system() {
    let (_dir, state, _) = place();
    let flags = ["backup", "--state-dir", state.to_str().unwrap(), "--backup-dir"];
    let (code, _, stderr) = run(&[&flags[..], &["/proc/backups"]].concat());
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn each_damage_of_a_backup_has_its_finding() {
    type Damage = fn(&Path);
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let cases: [(&str, Damage); 8] = [
        ("BACKUP-001", |directory| fs::remove_file(directory.join("b/raft-stable.db")).unwrap()),
        ("BACKUP-002", |directory| fs::write(directory.join("cluster.json"), "{}").unwrap()),
        ("BACKUP-003", |directory| fs::write(directory.join("a/more"), "").unwrap()),
        ("BACKUP-004", |directory| {
            let text = fs::read_to_string(directory.join("manifest.json")).unwrap();
            fs::write(directory.join("manifest.json"), text.replacen("0600", "0644", 1)).unwrap();
        }),
        ("BACKUP-004", |directory| fs::remove_file(directory.join("SHA256SUMS")).unwrap()),
        ("BACKUP-005", |directory| {
            let text = fs::read_to_string(directory.join("manifest.json")).unwrap();
            let changed = text.replacen("\"current_term\": ", "\"current_term\": 1", 1);
            fs::write(directory.join("manifest.json"), &changed).unwrap();
        }),
        ("BACKUP-002", |_| {}),
        ("BACKUP-002", |_| {}),
    ];
    for (number, (id, damage)) in cases.iter().enumerate() {
        let (_dir, state, backups) = place();
        let directory = path(&backup(&state, &backups, &[]));
        damage(&directory);
        match number {
            6 => flip(&directory.join("c/raft-log.db"), 5000),
            7 => flip(&directory.join("a/snapshots/1-2-1/state.bin"), 600),
            _ => {}
        }
        let (code, ids) = verify(&directory);
        assert!(ids.contains(&(*id).to_owned()), "{id}: {ids:?}");
        let only_a_warning = *id == "BACKUP-003" || number == 4;
        assert_eq!(code, i32::from(!only_a_warning), "{id}");
    }
}

#[test]
fn a_damaged_archive_is_refused_wherever_the_damage_is() {
    let (_dir, state, backups) = place();
    let archive = path(&backup(&state, &backups, &["--archive"]));
    let bytes = fs::read(&archive).unwrap();
    let whole = zstd::decode_all(bytes.as_slice()).unwrap();
    let (mut refused, mut tried) = (0, 0);
    for at in (0..bytes.len()).step_by(bytes.len() / 23) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        // A few bits of a compressed stream mean nothing.
        let is_damage = !zstd::decode_all(damaged.as_slice()).is_ok_and(|content| content == whole);
        fs::write(&archive, damaged).unwrap();
        let (code, stdout, stderr) = run(&["backups", "verify", archive.to_str().unwrap()]);
        assert_eq!(code, i32::from(is_damage), "byte {at}: {stdout}{stderr}");
        (refused, tried) = (refused + code, tried + 1);
    }
    assert!(refused * 10 > tried * 8, "{refused} of {tried} were refused");
    fs::write(&archive, &bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(run(&["backups", "verify", archive.to_str().unwrap()]).0, 1, "cut off");
}

#[test]
fn prune_keeps_the_newest_and_never_removes_the_last_that_verifies() {
    let (_dir, state, backups) = place();
    let made: Vec<PathBuf> = (0..5).map(|_| path(&backup(&state, &backups, &[]))).collect();
    fs::create_dir(backups.join("raft-backup-20200101-000000")).unwrap();
    let prune = |more: &[&str]| {
        let flags = ["backups", "prune", backups.to_str().unwrap(), "--format", "json"];
        let (code, stdout, stderr) = run(&[&flags[..], more].concat());
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()["pruned"].clone()
    };
    let there = |made: &[PathBuf]| made.iter().map(|path| path.exists()).collect::<Vec<_>>();
    assert_eq!(prune(&["--keep", "3", "--dry-run"])["removed"].as_array().unwrap().len(), 2);
    assert_eq!(there(&made), [true; 5], "a dry run removes nothing");
    prune(&["--keep", "4"]);
    assert_eq!(there(&made), [false, true, true, true, true]);
    for directory in &made[3..] {
        fs::remove_file(directory.join("a/raft-log.db")).unwrap();
    }
    let pruned = prune(&["--keep", "1"]);
    assert_eq!(there(&made), [false, false, true, false, true], "{pruned:#}");
    assert_eq!(pruned["last_sound"][0], made[2].file_name().unwrap().to_str().unwrap());
    assert_eq!(pruned["left"][0], "raft-backup-20200101-000000", "what has no manifest is left alone");
}

#[test]
fn list_tells_what_each_backup_has() {
    let (_dir, state, backups) = place();
    let directory = path(&backup(&state, &backups, &[]));
    backup(&state.join("c"), &backups, &["--archive"]);
    let (code, stdout, stderr) = run(&["backups", "list", backups.to_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains(directory.file_name().unwrap().to_str().unwrap()), "{stdout}");
    assert!(
        stdout.contains("a, b, c") && stdout.ends_with(&format!("2 backups in {}.\n", backups.display())),
        "{stdout}"
    );
    let (code, _, stderr) = run(&["backups", "verify", backups.to_str().unwrap()]);
    assert_eq!(code, 1, "the directory above is no backup");
    assert!(stderr.contains("is a directory of backups, not a backup"), "{stderr}");
}

#[test]
fn a_node_that_makes_snapshots_and_removes_old_ones_is_copied_with_one_that_fits() {
    let (dir, state, backups) = place();
    let (node, scratch) = (state.join("a"), dir.path().join("scratch"));
    let _held = lock(&[StateDir::new(&node)], std::time::Duration::ZERO).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = "1-2-1".to_owned();
            for turn in 0_u64.. {
                // As raft does: made under another name, renamed, and then the one before goes.
                let (index, name) = (1 + turn % 2, format!("1-{}-1", 1 + turn % 2));
                snapshot(&scratch, index, 1);
                if last != name {
                    fs::rename(scratch.join("snapshots").join(&name), node.join("snapshots").join(&name)).unwrap();
                    fs::remove_dir_all(node.join("snapshots").join(&last)).unwrap();
                    last = name;
                }
                if done.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(turn % 7));
            }
        });
        let made: Vec<PathBuf> = (0..12).map(|_| path(&backup(&node, &backups, &[]))).collect();
        done.store(true, Ordering::Relaxed);
        for directory in made {
            assert_eq!(verify(&directory), (0, vec![]));
            assert!((1..=2).contains(&fs::read_dir(directory.join("a/snapshots")).unwrap().count()));
        }
    });
}

#[test]
fn a_snapshot_behind_the_logs_end_is_waited_for_and_then_an_error() {
    let (_dir, state, backups) = place();
    let _held = lock(&[StateDir::new(state.join("a"))], std::time::Duration::ZERO).unwrap();
    snapshot(&state.join("a"), 9, 4);
    let flags = ["backup", "--state-dir", state.to_str().unwrap(), "--backup-dir", backups.to_str().unwrap()];
    let (code, _, stderr) = run(&flags);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("a snapshot of index 9 is after the log's end"), "{stderr}");
    assert!(!backups.exists());
}

#[test]
fn a_node_that_holds_its_locks_is_copied_without_them() {
    let (_dir, state, backups) = place();
    let _held = lock(&[StateDir::new(state.join("b"))], std::time::Duration::ZERO).unwrap();
    let made = backup(&state, &backups, &["--lock-timeout", "0s"]);
    let running: Vec<bool> =
        made["manifest"]["nodes"].as_array().unwrap().iter().map(|node| node["running"].as_bool().unwrap()).collect();
    assert_eq!(running, [false, true, false]);
    assert_eq!(verify(&path(&made)).0, 0);
}
