//! bbolt's own check on every damage: where it finds a problem, fails or crashes, we have an error.

use std::process::Command;

use crate::common::damage::{CASES, damaged, problems};
use crate::common::oracle;
use serde_json::Value;

#[test]
fn bbolt_finds_nothing_that_we_call_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let mut verb = Command::new(oracle("1.8.0"));
    verb.args(["check", "--time-limit", "1s"]);
    for (number, (_, _, damage)) in CASES.iter().enumerate() {
        let path = directory.path().join(format!("{number}.db"));
        std::fs::write(&path, damaged(*damage).0).unwrap();
        verb.arg(path);
    }
    let output = verb.output().unwrap();
    let answers: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), CASES.len(), "one answer a file");
    let mut noticed = 0;
    for ((name, _, damage), answer) in CASES.iter().zip(answers) {
        let harmless = problems(&damaged(*damage)).iter().all(|problem| problem.kind.is_harmless());
        assert!(answer["ok"] == true || !harmless, "{name}: {answer}");
        noticed += usize::from(answer["ok"] != true);
    }
    // Fails when the oracle notices nothing at all.
    assert!(noticed > CASES.len() / 2, "bbolt notices {noticed} of {}", CASES.len());
}
