//! Backups of running nodes: a real raft store is written to all the time, and holds its locks.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::state::run;
use crate::common::{number, oracle};
use op_conductor_init::raft::Index;
use op_conductor_init::state::entries::Entries;
use serde_json::Value;

/// A writer that is ended with the test.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hammer(dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(oracle("1.7.3"));
    command.args(["hammer", "--dir", dir.to_str().unwrap()]).args(more).stdout(Stdio::null());
    command
}

/// Fills the log of `a` to about `mib`, and goes on writing to it.
fn hammered(directory: &Path, mib: u64, interval: &str) -> Writer {
    let dir = directory.join("a");
    while dir.join("raft-log.db").metadata().map_or(0, |it| it.len()) < mib << 20 {
        assert!(hammer(&dir, &["--run-for", "500ms", "--interval", "0", "--batch", "512"]).status().unwrap().success());
    }
    let writer = Writer(hammer(&dir, &["--run-for", "3600s", "--interval", interval]).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    let before = last(&dir);
    while last(&dir) < before + 10 {
        assert!(Instant::now() < end, "the writer writes");
        std::thread::sleep(Duration::from_millis(50));
    }
    writer
}

fn last(dir: &Path) -> u64 {
    Entries::open(dir, Index(0)).unwrap().bounds().unwrap().map_or(0, |(_, last)| last.0)
}

fn backup(dir: &Path, to: &Path) -> (PathBuf, Value) {
    let flags = ["backup", "--format", "json", "--state-dir", dir.to_str().unwrap()];
    let (code, stdout, stderr) = run(&[&flags[..], &["--backup-dir", to.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    let made: Value = serde_json::from_str(&stdout).unwrap();
    (PathBuf::from(made["backup"].as_str().unwrap()), made)
}

/// Sees that raft reads the copy to its end, and that the tool finds nothing.
fn opens_in_raft(copy: &Path) {
    let (code, stdout, stderr) = run(&["backups", "verify", copy.to_str().unwrap()]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let node = copy.join("a");
    let files = ["raft-log.db", "raft-stable.db"].map(|file| node.join(file));
    let check = Command::new(oracle("1.7.3")).arg("check").args(&files).output().unwrap();
    assert!(check.status.success(), "{check:?}");
    let read =
        Command::new(oracle("1.7.3")).args(["read", "--quiet", "--dir", node.to_str().unwrap()]).output().unwrap();
    let state: Value = serde_json::from_slice(&read.stdout).unwrap_or_else(|error| panic!("{error}: {read:?}"));
    assert!(state["log"].get("error").is_none(), "{state:#}");
    assert_eq!(state["log"]["last"].as_u64().unwrap(), last(&node));
}

/// Sees that the copy's entries are the first that were ever written.
fn is_a_prefix(copy: &Path, whole: &Path) {
    let (mut copied, mut written) =
        (Entries::open(&copy.join("a"), Index(0)).unwrap(), Entries::open(whole, Index(0)).unwrap());
    let mut next = 1;
    while let Some((index, bytes)) = copied.next_bytes().unwrap() {
        assert_eq!(index, Index(next));
        assert_eq!(written.next_bytes().unwrap(), Some((index, bytes)), "entry {index}");
        next += 1;
    }
    assert!(next > 1, "there are entries");
}

fn backups_of_a_busy_node(mib: u64, interval: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (dir, to) = (directory.path().join("a"), directory.path().join("backups"));
    let writer = hammered(directory.path(), mib, interval);
    let before = last(&dir);
    let mut made = Vec::new();
    for _ in 0..number("BACKUPS", 5) {
        let (copy, answer) = backup(&dir, &to);
        assert_eq!(answer["manifest"]["nodes"][0]["running"], true);
        opens_in_raft(&copy);
        made.push(copy);
    }
    assert!(last(&dir) > before, "the writer went on");
    drop(writer);
    made.iter().for_each(|copy| is_a_prefix(copy, &dir));
}

#[test]
fn a_short_log_with_a_commit_every_2_ms_is_backed_up_again_and_again() {
    backups_of_a_busy_node(8, "2ms");
}

#[test]
fn a_longer_log_with_a_commit_every_50_ms_is_backed_up_again_and_again() {
    backups_of_a_busy_node(number("LONG_MIB", 64), "50ms");
}
