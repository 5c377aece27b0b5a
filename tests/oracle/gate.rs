//! The command `gate`, as a CI job and a person with Ctrl-C use it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::common::nothing_left;
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A run of the built command, and the containers that it may leave.
struct Run {
    child: Child,
    temp: TempDir,
}

impl Run {
    fn start(args: &[&str]) -> Run {
        Run::start_with(args, &[])
    }

    fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Run {
        let temp = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
        command.arg("gate").args(args).env("TMPDIR", temp.path()).envs(variables.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Run { child, temp }
    }

    /// Waits for its end; whatever it was, nothing is left.
    fn end(self) -> Output {
        let name = format!("oci{}-", self.child.id());
        let output = self.child.wait_with_output().unwrap();
        nothing_left(&name);
        let left: Vec<_> = std::fs::read_dir(self.temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?} is left in the temporary directory");
        output
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Outcomes of a target's checks, by name.
fn outcomes(target: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    target["checks"].as_array().unwrap().iter().map(|check| (word(&check["name"]), word(&check["outcome"]))).collect()
}

fn generate(directory: &Path, nodes: &str, more: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
    command.args(["generate", "--server-ids", "a,b,c", "--initial-leader", "b", "--nodes", nodes]);
    let output = command.args(["--output-dir", directory.to_str().unwrap()]).args(more).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn help_explains_what_is_looked_at() {
    let output = Command::new(env!("CARGO_BIN_EXE_op-conductor-init")).args(["gate", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn a_sample_cluster_is_accepted_and_junit_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let junit = directory.path().join("gate.xml");
    let target = "op-conductor:v0.7.3,raft:1.8.0";
    let run =
        Run::start(&["--target", target, "--parallel", "2", "--junit", junit.to_str().unwrap(), "--format", "json"]);
    let output = run.end();
    let found = json(&output);
    assert_eq!(output.status.code(), Some(0), "{found:#}");
    assert_eq!(found["verdict"], "accepted by 2 targets");
    let all = ["boot", "first-leader", "members", "sequencing", "next-block", "restart", "state-left"];
    let passed = |name: &&str| ((*name).to_owned(), "passed".to_owned());
    assert_eq!(outcomes(&found["targets"][0]), all.iter().map(passed).collect::<Vec<_>>());
    let without = all.iter().filter(|name| **name != "sequencing").map(passed).collect::<Vec<_>>();
    assert_eq!(outcomes(&found["targets"][1]), without);
    let report = Report::deserialize_from_str(&std::fs::read_to_string(&junit).unwrap()).unwrap();
    assert_eq!((report.tests, report.failures, report.errors, report.test_suites.len()), (13, 0, 0, 2));
}

#[test]
fn state_without_a_head_is_not_accepted_by_op_conductor() {
    let directory = tempfile::tempdir().unwrap();
    generate(directory.path(), "a:1000,b:1000,c:1000", &[]);
    let junit = directory.path().join("gate.xml");
    let args = ["--state-dir", directory.path().to_str().unwrap(), "--junit", junit.to_str().unwrap()];
    let output = Run::start(&args).end();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("  passed   first-leader  b led first"), "{shown}");
    assert!(shown.contains("  failed   sequencing    the state has no unsafe head, so nobody sequences"), "{shown}");
    assert!(shown.ends_with("Verdict: NOT accepted by 1 of 1 target.\n"), "{shown}");
    let report = Report::deserialize_from_str(&std::fs::read_to_string(&junit).unwrap()).unwrap();
    let case = report.test_suites[0].test_cases.iter().find(|case| case.name.as_str() == "sequencing").unwrap();
    assert!(matches!(case.status, TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. }), "{case:?}");
}

#[test]
fn addresses_of_another_machine_are_changed_in_the_copy_alone() {
    let directory = tempfile::tempdir().unwrap();
    generate(directory.path(), "192.0.2.7:50050,localhost:50051,c.example.:50052", &[]);
    let log = directory.path().join("b/raft-log.db");
    let before = std::fs::read(&log).unwrap();
    let args = ["--state-dir", directory.path().to_str().unwrap(), "--target", "raft:1.7.3", "--format", "json"];
    let output = Run::start(&args).end();
    let found = json(&output);
    assert_eq!(output.status.code(), Some(0), "{found:#}");
    let moved: Vec<&str> = found["moved"].as_array().unwrap().iter().map(|it| it["from"].as_str().unwrap()).collect();
    assert_eq!(moved, ["192.0.2.7:50050", "localhost:50051"]);
    assert_eq!(found["first_leaders"], serde_json::json!(["b"]));
    assert_eq!(std::fs::read(&log).unwrap(), before);
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    for (signal, code, after) in [(Signal::INT, 130, 3000), (Signal::TERM, 143, 1500), (Signal::TERM, 143, 300)] {
        let run = Run::start(&["--target", "op-conductor:v0.9.4"]);
        std::thread::sleep(Duration::from_millis(after));
        kill_process(Pid::from_child(&run.child), signal).unwrap();
        let output = run.end();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("interrupted by"), "{said}");
    }
}

#[test]
fn what_is_kept_is_named() {
    let run = Run::start(&["--target", "raft:1.7.3", "--keep", "--format", "json"]);
    let output = run.child.wait_with_output().unwrap();
    let found = json(&output);
    let kept = found["targets"][0]["kept"].as_str().unwrap();
    let label = format!("label=op-conductor-init.cluster={kept}");
    let containers = Command::new("docker").args(["ps", "-aq", "--filter", &label]).output().unwrap();
    let containers = text(&containers.stdout);
    assert_eq!(containers.lines().count(), 3, "{found:#}");
    assert!(Command::new("docker").args(["rm", "-f"]).args(containers.lines()).output().unwrap().status.success());
    assert!(Command::new("docker").args(["network", "rm", kept]).output().unwrap().status.success());
    nothing_left(kept);
}

#[test]
fn what_cannot_be_told_is_one_sentence_and_exit_2() {
    let no_docker = Run::start_with(&[], &[("DOCKER_HOST", "unix:///nonexistent.sock")]).end();
    assert_eq!(no_docker.status.code(), Some(2));
    let said = text(&no_docker.stderr);
    assert!(said.starts_with("error: no Docker daemon answers") && said.lines().count() == 1, "{said}");

    let image = crate::common::image_of_the_oracle();
    let no_conductor = Run::start(&["--image", &image]).end();
    let said = text(&no_conductor.stderr);
    assert_eq!(no_conductor.status.code(), Some(2), "{said}");
    assert!(said.contains("its --help has no --raft.server.id: it is not an op-conductor"), "{said}");

    let no_directory = Run::start(&["--state-dir", "/nonexistent"]).end();
    assert_eq!(no_directory.status.code(), Some(2));
    assert!(text(&no_directory.stderr).contains("--state-dir: /nonexistent"), "{no_directory:?}");
}
