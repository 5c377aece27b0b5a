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

/// The answer for programs, after it is compared with its schema.
fn json(output: &Output) -> Value {
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let schema: Value = serde_json::from_str(include_str!("../../docs/schema/gate.json")).unwrap();
    let errors: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&answer).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{answer:#}");
    answer
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

/// A block of tests/vectors/payload.
fn vector(name: &str) -> String {
    format!("{}/tests/vectors/payload/{name}.ssz", env!("CARGO_MANIFEST_DIR"))
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
    let target = "v0.7.3,raft:1.8.0";
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
    let moments = [(Signal::INT, 130, 3000), (Signal::TERM, 143, 1500), (Signal::TERM, 143, 300)];
    for (signal, code, after) in moments {
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
fn without_docker_all_answers_say_so_and_the_status_is_2() {
    let directory = tempfile::tempdir().unwrap();
    let (junit, page) = (directory.path().join("gate.xml"), directory.path().join("gate.html"));
    let no_docker = [("DOCKER_HOST", "unix:///nonexistent.sock")];
    let files = ["--junit", junit.to_str().unwrap(), "--html", page.to_str().unwrap()];
    let output = Run::start_with(&[&["--format", "json"][..], &files].concat(), &no_docker).end();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), String::new()));
    let found = json(&output);
    assert_eq!(found["verdict"], "inconclusive for 1 of 1 target");
    assert_eq!(found["targets"][0]["target"], "op-conductor:v0.9.4");
    let first = &found["targets"][0]["checks"][0];
    assert!(first["detail"].as_str().unwrap().starts_with("no Docker daemon answers"), "{first}");
    let report = Report::deserialize_from_str(&std::fs::read_to_string(&junit).unwrap()).unwrap();
    assert_eq!((report.tests, report.errors, report.failures), (7, 1, 0));
    assert!(std::fs::read_to_string(&page).unwrap().contains("no Docker daemon answers"));

    let shown = text(&Run::start_with(&[], &no_docker).end().stdout);
    assert_eq!(shown.matches("no Docker daemon answers").count(), 1, "{shown}");
}

#[test]
fn what_cannot_be_booted_is_named_and_the_status_is_2() {
    let image = crate::common::image_of_the_oracle();
    let output = Run::start(&["--image", &image, "--target", "v0.9.0", "--format", "json"]).end();
    let found = json(&output);
    assert_eq!(output.status.code(), Some(2), "{found:#}");
    let reason = |number: usize| found["targets"][number]["reason"].as_str().unwrap();
    assert!(
        reason(0).contains("v0.9.0 can't be built") && reason(0).contains("v0.9.3 is the nearest"),
        "{}",
        reason(0)
    );
    assert!(reason(1).contains("it is not an op-conductor"), "{}", reason(1));

    let no_directory = Run::start(&["--state-dir", "/nonexistent"]).end();
    assert_eq!(no_directory.status.code(), Some(2));
    assert!(text(&no_directory.stderr).contains("--state-dir: /nonexistent"), "{no_directory:?}");
}

#[test]
fn an_isthmus_head_fails_on_the_first_release_where_it_sequences() {
    let directory = tempfile::tempdir().unwrap();
    generate(directory.path(), "a:1000,b:1000,c:1000", &["--unsafe-head", &vector("v4")]);
    let state = directory.path().to_str().unwrap();
    let output = Run::start(&["--state-dir", state, "--target", "v0.1.0", "--timeout", "8s", "--format", "json"]).end();
    let found = json(&output);
    assert_eq!(output.status.code(), Some(1), "{found:#}");
    let failed = found["targets"][0]["checks"].as_array().unwrap().iter().find(|check| check["outcome"] == "failed");
    let failed = failed.unwrap();
    assert_eq!(failed["name"], "sequencing");
    assert!(failed["detail"].as_str().unwrap().contains("v0.1.0-rc.1 can't read a V4 payload"), "{failed}");
}

#[test]
fn another_block_on_one_server_fails_in_the_state_that_is_left() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    generate(directory.path(), "a:1000,b:1000,c:1000", &["--unsafe-head", &vector("v3")]);
    generate(other.path(), "a:1000,b:1000,c:1000", &["--unsafe-head", &vector("v3-no-txs")]);
    std::fs::copy(other.path().join("c/raft-log.db"), directory.path().join("c/raft-log.db")).unwrap();
    let state = directory.path().to_str().unwrap();
    let output = Run::start(&["--state-dir", state, "--target", "raft:1.7.3", "--format", "json"]).end();
    let found = json(&output);
    assert_eq!(output.status.code(), Some(1), "{found:#}");
    let last = found["targets"][0]["checks"].as_array().unwrap().last().unwrap();
    assert_eq!((last["name"].as_str(), last["outcome"].as_str()), (Some("state-left"), Some("failed")), "{found:#}");
}

#[test]
fn a_cluster_is_upgraded_server_by_server_and_goes_back() {
    let output = Run::start(&["--upgrade", "v0.7.3..v0.9.4,raft:1.7.3..raft:1.8.0", "--format", "json"]).end();
    let found = json(&output);
    assert_eq!(output.status.code(), Some(0), "{found:#}");
    let steps = ["snapshot", "upgrade-1", "upgrade-2", "upgrade-3", "new-snapshot"];
    let back = ["rollback-1", "rollback-2", "rollback-3", "state-left"];
    let all = [&["boot", "first-leader", "members", "sequencing", "next-block"][..], &steps, &back].concat();
    let passed = |name: &&str| ((*name).to_owned(), "passed".to_owned());
    assert_eq!(outcomes(&found["targets"][0]), all.iter().map(passed).collect::<Vec<_>>());
    let raft = outcomes(&found["targets"][1]);
    assert_eq!(raft.len(), all.len() - 3, "without sequencing and snapshots: {raft:?}");
    let detail = |number: usize| found["targets"][0]["checks"][number]["detail"].as_str().unwrap();
    assert!(detail(8).starts_with("leadership went from sequencer-2 to"), "the leader is the last: {}", detail(8));
    assert!(detail(12).starts_with("leadership went from"), "and so on the way back: {}", detail(12));
    let versions: Vec<&Value> = (0..2).map(|number| &found["targets"][0]["images"][number]["version"]).collect();
    assert_eq!(versions, ["v0.7.3", "v0.9.4"]);
}

#[test]
fn the_page_shows_what_json_says() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("gate.html");
    let output = Run::start(&["--target", "raft:1.7.3", "--format", "json", "--html", page.to_str().unwrap()]).end();
    let (found, page) = (json(&output), std::fs::read_to_string(&page).unwrap());
    let target = &found["targets"][0];
    let timeline = target["timeline"].as_array().unwrap();
    assert_eq!(page.matches("<li>").count(), timeline.len());
    let count = |event: &str| timeline.iter().filter(|moment| moment["event"] == event).count();
    assert_eq!(page.matches("<rect class=\"leader\"").count(), count("leader"));
    assert_eq!(page.matches("\u{25b6}<title>").count(), count("started"));
    assert_eq!(page.matches("\u{25c6}<title>").count(), count("committed"));
    for check in target["checks"].as_array().unwrap() {
        assert!(page.contains(check["detail"].as_str().unwrap()), "{check}");
    }
    for foreign in ["<script", "http://", "https://", "src=", "url("] {
        assert!(!page.contains(foreign), "the page is self-contained: {foreign}");
    }
}

#[test]
fn the_script_for_ci_verifies_and_boots_and_leaves_its_reports() {
    let directory = tempfile::tempdir().unwrap();
    let (state, reports) = (directory.path().join("state"), directory.path().join("reports"));
    let summary = directory.path().join("summary.md");
    generate(&state, "a:1000,b:1000,c:1000", &["--unsafe-head", &vector("v3")]);
    let program = Path::new(env!("CARGO_BIN_EXE_op-conductor-init")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci/check.sh");
    let mut command = Command::new(script);
    command.env("PATH", path).env("STATE_DIR", &state).env("TARGETS", "raft:1.7.3").env("REPORTS", &reports);
    let output = command.env("FORMAT", "github").env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for report in ["verify.xml", "gate.xml", "gate.html"] {
        assert!(reports.join(report).is_file(), "{report}");
    }
    let summary = std::fs::read_to_string(&summary).unwrap();
    assert!(summary.starts_with("## verify: fine") && summary.contains("## gate: accepted by 1 target"), "{summary}");
}
