//! The state of a running node: a real raft store appends and deletes all the time, and holds its locks, while the
//! built command looks at it again and again.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{number, oracle};
use serde_json::Value;

/// A writer that is ended with the test.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_op-conductor-init")).args(args).output().unwrap()
}

/// A node `a` in `directory`, whose stores real raft-boltdb writes to; `more` tells how.
fn hammered(directory: &Path, more: &[&str]) -> Writer {
    let dir = directory.join("a");
    let mut command = Command::new(oracle("1.7.3"));
    command.args(["hammer", "--run-for", "600s", "--dir", dir.to_str().unwrap()]).args(more);
    let writer = Writer(command.stdout(Stdio::null()).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    while !dir.join("raft-log.db").exists() || last_index(directory) < 100 {
        assert!(Instant::now() < end, "the writer writes");
        std::thread::sleep(Duration::from_millis(50));
    }
    writer
}

fn last_index(directory: &Path) -> u64 {
    let output = run(&["info", "--format", "json", "--state-dir", directory.to_str().unwrap()]);
    let info: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    info["nodes"][0]["last_index"].as_u64().unwrap_or(0)
}

/// Looks with each verb in turn: all is sound but for what is `known`, and goes on.
fn look(directory: &Path, known: &[&str]) {
    let looks = number("RUNNING_LOOKS", 60);
    let dir = directory.join("a");
    let dir = dir.to_str().unwrap();
    let log = format!("{dir}/raft-log.db");
    let before = last_index(directory);
    for number in 0..looks {
        let args: &[&str] = match number % 6 {
            0 | 5 => &["verify", "--state-dir", dir, "--format", "json"],
            1 => &["info", "--state-dir", dir],
            2 => &["log", "--state-dir", dir, "--format", "json"],
            3 => &["log", "stats", "--state-dir", dir],
            _ => &["pages", &log, "map"],
        };
        let start = Instant::now();
        let output = run(args);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let verifies = args[0] == "verify";
        assert!(verifies || output.status.code() == Some(0), "{args:?}\n{stdout}\n{stderr}");
        assert!(start.elapsed() < Duration::from_secs(30), "{args:?} waited {:?}", start.elapsed());
        match number % 6 {
            0 | 5 => {
                let report = serde_json::from_slice::<Value>(&output.stdout);
                let report = report.unwrap_or_else(|error| panic!("{error}: {stderr}"));
                let found = report["findings"].as_array().unwrap();
                let is_known = |finding: &Value| known.contains(&finding["id"].as_str().unwrap());
                assert!(found.iter().all(is_known), "{report:#}");
            }
            2 => {
                let index = |line: &str| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap();
                let indexes: Vec<u64> = stdout.lines().map(index).collect();
                assert!(indexes.windows(2).all(|pair| pair[1] == pair[0] + 1), "gaps in {indexes:?}");
            }
            4 => assert!(!stdout.contains("DAMAGED"), "{stdout}"),
            _ => {}
        }
    }
    assert!(last_index(directory) > before, "the writer went on");
}

#[test]
fn a_log_that_grows_is_read_without_its_lock() {
    let directory = tempfile::tempdir().unwrap();
    // Fifty commits a second are a hundred times what op-conductor does.
    let _writer = hammered(directory.path(), &["--interval", "20ms"]);
    // The writer's commands are no blocks.
    look(directory.path(), &["PAY-002", "PAY-003"]);
}

#[test]
fn a_log_that_is_cut_in_front_is_read_without_its_lock() {
    let directory = tempfile::tempdir().unwrap();
    let _writer = hammered(directory.path(), &["--interval", "20ms", "--batch", "20", "--truncate-front", "2000"]);
    // Nor does it make the snapshot that such a log would need.
    look(directory.path(), &["PAY-002", "PAY-003", "RAFT-015"]);
}

#[test]
fn a_long_log_of_a_busy_node_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    // Longer than what is copied to memory.
    drop(hammered(directory.path(), &["--entries-size", "102400", "--batch", "400", "--interval", "0"]));
    let before = last_index(directory.path());
    let _writer = hammered(directory.path(), &["--interval", "5ms"]);
    let dir = directory.path().join("a");
    for _ in 0..3 {
        let output = run(&["verify", "--state-dir", dir.to_str().unwrap(), "--format", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let mut found = report["findings"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap());
        // Whether it fits between two commits after all is the disk's to say.
        assert!(found.all(|id| ["PAY-002", "PAY-003", "NODE-006"].contains(&id)), "{report:#}");
        assert!(report["nodes"][0]["entry_count"].as_u64().unwrap() >= before, "{report:#}");
    }
    assert!(last_index(directory.path()) > before, "the writer went on");
}
