//! A backup or a restore that is killed, or runs out of disk: old or new after the next command, and nothing half.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::state::{cluster, run, snapshot, tree};
use serde_json::Value;

fn backup(state: &Path, backups: &Path) -> PathBuf {
    let flags = ["backup", "--format", "json", "--state-dir", state.to_str().unwrap(), "--backup-dir"];
    let (code, stdout, stderr) = run(&[&flags[..], &[backups.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    let made: Value = serde_json::from_str(&stdout).unwrap();
    PathBuf::from(made["backup"].as_str().unwrap())
}

/// The servers' directories, without what restores keep.
fn servers(state: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = tree(state);
    found.retain(|path, _| !path.starts_with('.'));
    found
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", from.to_str().unwrap(), to.to_str().unwrap()]).status().unwrap();
    assert!(copied.success());
}

/// Runs the built command under strace, which kills it at its `number`th call of one of these. False when it ended before.
fn killed(args: &[&str], calls: &str, number: u32) -> bool {
    let inject = format!("inject={calls}:signal=SIGKILL:when={number}");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace={calls}"), "-e", &inject, "-o", "/dev/null"])
        .arg(env!("CARGO_BIN_EXE_op-conductor-init"))
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    !status.success()
}

/// Calls that change what is on the disk. strace counts each kind for itself.
const CHANGES: [&str; 8] =
    ["write", "mkdir,mkdirat", "renameat2", "fsync", "unlink,rmdir,unlinkat", "fchmod,fchmodat", "openat", "fdatasync"];

#[test]
fn a_restore_that_is_killed_at_any_change_leaves_old_or_new() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let state = cluster(dir.path());
    for id in ["a", "b", "c"] {
        snapshot(&state.join(id), 2, 1);
    }
    let backup = backup(&state, &dir.path().join("backups"));
    let new = servers(&state);
    for id in ["a", "b", "c"] {
        fs::remove_dir_all(state.join(id).join("snapshots")).unwrap();
    }
    let old = servers(&state);
    let pristine = dir.path().join("pristine");
    copy(&state, &pristine);
    let lines = dir.path().join("lines");
    fs::write(&lines, "{\"index\":1,\"term\":1,\"type\":1}\n").unwrap();
    let args = ["restore", "--force", "--backup-dir", backup.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
    let (mut kills, mut news) = (0, 0);
    for calls in CHANGES {
        // All of the few, some of the many.
        for number in (1..60).chain((60..2000).step_by(37)) {
            let was_killed = killed(&args, calls, number);
            if !was_killed {
                break;
            }
            kills += 1;
            // Any command that writes there settles it first; this one changes nothing else that counts.
            let other = state.join("other");
            let settle = ["log", "import", "--state-dir", other.to_str().unwrap(), lines.to_str().unwrap()];
            let (code, _, stderr) = run(&settle);
            assert_eq!(code, 0, "{stderr}");
            fs::remove_dir_all(other).unwrap();
            let found = servers(&state);
            news += u32::from(found == new);
            assert!(found == old || found == new, "{calls} {number}");
            let stages = fs::read_dir(&state).unwrap().filter(|entry| {
                entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with(".op-conductor-init")
            });
            assert_eq!(stages.count(), 0, "{calls} {number}: nothing is left over");
            fs::remove_dir_all(&state).unwrap();
            copy(&pristine, &state);
        }
        fs::remove_dir_all(&state).unwrap();
        copy(&pristine, &state);
    }
    assert!(kills > 60 && news > 0 && news < kills, "{kills} kills, {news} of them after the decision");
}

#[test]
fn a_backup_that_is_killed_at_any_change_is_whole_or_not_there() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let state = cluster(dir.path());
    let before = tree(&state);
    let mut kills = 0;
    for form in [&[][..], &["--archive"]] {
        for calls in CHANGES {
            for number in (1..40).chain((40..2000).step_by(61)) {
                let backups = dir.path().join("backups");
                let flags =
                    ["backup", "--state-dir", state.to_str().unwrap(), "--backup-dir", backups.to_str().unwrap()];
                if !killed(&[&flags[..], form].concat(), calls, number) {
                    fs::remove_dir_all(&backups).unwrap();
                    break;
                }
                kills += 1;
                let names = |path: &Path| -> Vec<String> {
                    fs::read_dir(path)
                        .into_iter()
                        .flatten()
                        .map(|it| it.unwrap().file_name().into_string().unwrap())
                        .collect()
                };
                for name in names(&backups).iter().filter(|name| !name.starts_with('.')) {
                    let (code, stdout, _) = run(&["backups", "verify", backups.join(name).to_str().unwrap()]);
                    assert_eq!(code, 0, "{calls} {number}: {stdout}");
                }
                backup(&state, &backups);
                assert!(names(&backups).iter().all(|name| !name.starts_with('.')), "{calls} {number}: left over");
                fs::remove_dir_all(&backups).unwrap();
            }
        }
    }
    assert!(kills > 60, "{kills} kills");
    assert!(tree(&state) == before, "the source is never changed");
}

/// A tmpfs, until it is dropped. Needs root, as Docker's own tests do.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf, size: &str) -> Mount {
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=755");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs", path.to_str().unwrap()]).status();
        assert!(mounted.unwrap().success(), "mounting needs root");
        Mount(path)
    }

    fn read_only(&self) {
        let again = Command::new("mount").args(["-o", "remount,ro", self.0.to_str().unwrap()]).status();
        assert!(again.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_first_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = cluster(dir.path());
    let (code, _, stderr) = {
        let small = Mount::new(dir.path().join("small"), "100k");
        let out = run(&[
            "backup",
            "--state-dir",
            state.to_str().unwrap(),
            "--backup-dir",
            small.0.join("b").to_str().unwrap(),
        ]);
        assert_eq!(fs::read_dir(&small.0).unwrap().count(), 0);
        out
    };
    assert_eq!(code, 2);
    assert!(stderr.contains("bytes are needed"), "{stderr}");
    let made = backup(&state, &dir.path().join("backups"));
    let small = Mount::new(dir.path().join("target"), "300k");
    copy(&state.join("a"), &small.0.join("a"));
    copy(&state.join("b"), &small.0.join("b"));
    let before = tree(&small.0);
    let flags =
        ["restore", "--force", "--backup-dir", made.to_str().unwrap(), "--state-dir", small.0.to_str().unwrap()];
    let (code, stdout, stderr) = run(&flags);
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains("GUARD-009"), "{stdout}");
    let (code, _, stderr) = run(&[&flags[..], &["--allow", "GUARD-009"]].concat());
    assert_eq!(code, 2, "it can't, all the same: {stderr}");
    assert!(tree(&small.0) == before, "what didn't fit is gone again");
}

#[test]
fn a_target_that_is_read_only_is_an_error_and_a_source_that_is_can_be_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let source = Mount::new(dir.path().join("source"), "4m");
    let state = cluster(&source.0);
    source.read_only();
    let made = backup(&state, &dir.path().join("backups"));
    let before = tree(&state);
    let (code, _, stderr) =
        run(&["restore", "--force", "--backup-dir", made.to_str().unwrap(), "--state-dir", state.to_str().unwrap()]);
    assert_eq!(code, 2, "{stderr}");
    assert!(tree(&state) == before);
}

#[test]
fn a_target_on_its_own_mount_is_restored_within_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = cluster(dir.path());
    let made = backup(&state, &dir.path().join("backups"));
    let volume = Mount::new(dir.path().join("volume"), "8m");
    fs::create_dir(volume.0.join("lost+found")).unwrap();
    let restore = |state: &Path, more: &[&str]| {
        let flags =
            ["restore", "--force", "--backup-dir", made.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
        let (code, stdout, stderr) = run(&[&flags[..], more].concat());
        assert_eq!(code, 0, "{stdout}{stderr}");
    };
    // The volume holds the servers' directories.
    restore(&volume.0, &[]);
    restore(&volume.0, &[]);
    let mut found = servers(&volume.0);
    assert!(found.remove("lost+found/").is_some());
    assert!(found == tree(&state));
    // The volume is one server's directory.
    let own = Mount::new(dir.path().join("own/a"), "8m");
    fs::create_dir(own.0.join("lost+found")).unwrap();
    copy(&volume.0.join("b/raft-log.db"), &own.0.join("raft-log.db"));
    fs::create_dir_all(own.0.join("snapshots/1-9-1")).unwrap();
    let allow =
        ["--node", "a", "--allow", "GUARD-002", "--allow", "GUARD-004", "--allow", "GUARD-005", "--allow", "GUARD-010"];
    restore(&own.0, &allow);
    let found = servers(&own.0);
    assert_eq!(found["raft-log.db"], tree(&state.join("a"))["raft-log.db"]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["lost+found/", "raft-log.db", "raft-stable.db", "snapshots/"]);
}

#[test]
fn a_long_copy_can_be_killed_at_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let state = cluster(dir.path());
    let made = backup(&state, &dir.path().join("backups"));
    let new = servers(&state);
    let args = ["restore", "--force", "--backup-dir", made.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
    for at in 0..20 {
        let mut child =
            Command::new(env!("CARGO_BIN_EXE_op-conductor-init")).args(args).stdout(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_millis(3 * at);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        child.wait().unwrap();
        let (code, _, stderr) = run(&args);
        assert_eq!(code, 0, "{stderr}");
        assert!(servers(&state) == new);
    }
}
