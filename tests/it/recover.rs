//! `recover`: from what is left of a cluster to a plan, and from the plan to the same state on every machine.

use std::fs;
use std::path::{Path, PathBuf};

use op_conductor_init::bolt::Db;
use op_conductor_init::payload::Envelope;
use op_conductor_init::raft::codec::encode_log;
use op_conductor_init::raft::{AppendedAt, CONF_BUCKET, CURRENT_TERM, Index, LOGS_BUCKET, Log, LogType, Term};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use serde_json::Value;

use crate::common::state::{cluster, run, tree};
use crate::schemas::assert_form;

const BLOCK_100: &[u8] = include_bytes!("../vectors/payload/v3.ssz");

/// A cluster of a, b and c that has run: a led in term 5, and c has not got the last block, 101.
struct Left {
    dir: tempfile::TempDir,
    state: PathBuf,
}

impl Left {
    fn new() -> Left {
        let dir = tempfile::tempdir().unwrap();
        let state = cluster(dir.path());
        let block = Envelope::decode(BLOCK_100).unwrap().child().unwrap().encode();
        for id in ["a", "b", "c"] {
            let log = state.join(id).join(LOG_FILE);
            append(&log, 3, 4, LogType::Noop, None);
            append(&log, 4, 5, LogType::Noop, None);
            if id != "c" {
                append(&log, 5, 5, LogType::Command, Some(&block));
            }
            put(&state.join(id).join(STABLE_FILE), CONF_BUCKET, CURRENT_TERM.as_bytes(), &5_u64.to_be_bytes());
        }
        Left { dir, state }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn server(&self, id: &str) -> String {
        self.state.join(id).to_str().unwrap().to_owned()
    }

    /// The answer, with the directory's name left out.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let (code, stdout, stderr) = run(args);
        let plain = |text: String| text.replace(self.dir.path().to_str().unwrap(), "DIR");
        (code, plain(stdout), plain(stderr))
    }

    fn plan(&self, inputs: &[String]) -> Value {
        let plan = self.path("plan.json");
        let inputs = inputs.iter().map(String::as_str);
        let args: Vec<&str> = ["recover", "plan", "--output", &plan].into_iter().chain(inputs).collect();
        let (code, _, stderr) = run(&args);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_slice(&fs::read(&plan).unwrap()).unwrap()
    }
}

fn append(path: &Path, index: u64, term: u64, kind: LogType, data: Option<&[u8]>) {
    let (index, term, appended_at) = (Index(index), Term(term), AppendedAt::from_unix(1_700_000_000, 0));
    let mut value = Vec::new();
    encode_log(&Log { index, term, kind, data: data.map(Into::into), extensions: None, appended_at }, &mut value);
    put(path, LOGS_BUCKET, &index.to_key(), &value);
}

fn put(path: &Path, bucket: &[u8], key: &[u8], value: &[u8]) {
    let mut db = Db::open(fs::read(path).unwrap()).unwrap();
    let mut tx = db.begin().unwrap();
    tx.put(bucket, key, value).unwrap();
    tx.commit().unwrap();
    fs::write(path, db.into_storage()).unwrap();
}

#[test]
fn help_alone_leads_through_a_lost_quorum() {
    insta::assert_snapshot!(run(&["recover", "--help"]).1);
    insta::assert_snapshot!(run(&["recover", "plan", "--help"]).1);
    insta::assert_snapshot!(run(&["recover", "apply", "--help"]).1);
    insta::assert_snapshot!(run(&["recover", "collect", "--help"]).1);
}

#[test]
fn two_servers_of_three_are_planned_applied_and_verified() {
    let left = Left::new();
    let plan = left.path("plan.json");
    let args = ["recover", "plan", &left.server("a"), &left.server("c"), "--output", &plan];
    let (code, stdout, stderr) = left.run(&args);
    assert_eq!((code, stderr.as_str()), (0, ""));
    insta::assert_snapshot!(stdout);
    fs::remove_dir_all(left.server("b")).unwrap();
    let state = left.state.to_str().unwrap();
    for id in ["a", "b", "c"] {
        let (code, stdout, stderr) = run(&["recover", "apply", &plan, "--state-dir", state, "--only", id]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains("written"), "{stdout}");
    }
    let (code, stdout, _) = left.run(&["verify", "--state-dir", state, "--expect", &plan, "--fail-on", "warning"]);
    assert_eq!(code, 0, "{stdout}");
    insta::assert_snapshot!(stdout);
    let again = run(&["recover", "apply", &plan, "--state-dir", state]);
    assert!(again.0 == 0 && again.1.matches("unchanged").count() == 3, "{again:?}");
}

#[test]
fn one_server_of_three_is_refused_with_what_may_be_lost() {
    let left = Left::new();
    let plan = left.path("plan.json");
    let (code, stdout, stderr) = left.run(&["recover", "plan", &left.server("c"), "--output", &plan]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(stdout + "--\n" + &stderr);
    assert!(!Path::new(&plan).exists());
    let allow = "recover-001,RECOVER-002";
    let (code, _, stderr) = run(&["recover", "plan", &left.server("c"), "--output", &plan, "--allow", allow]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_plan_has_the_form_of_its_schema_and_reading_changes_nothing() {
    let left = Left::new();
    let before = tree(&left.state);
    let plan = left.plan(&[left.server("a"), left.server("b"), left.server("c")]);
    assert_form("recover-plan-file", &plan);
    assert_eq!(tree(&left.state), before);
    let (code, stdout, _) = run(&["recover", "plan", left.state.to_str().unwrap(), "--format", "json"]);
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_form("recover-plan", &answer);
    assert_eq!((code, &answer["status"], &answer["plan"]["servers"]), (0, &"planned".into(), &plan["servers"]));
}

#[test]
fn every_answer_for_programs_has_the_form_of_its_schema() {
    let left = Left::new();
    let answer = |args: &[&str]| -> Value {
        let (_, stdout, stderr) = run(&[args, &["--format", "json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
    };
    let (plan, facts) = (left.path("plan.json"), left.path("b.json"));
    let refused = answer(&["recover", "plan", &left.server("c"), "--output", &plan]);
    assert_form("recover-plan", &refused);
    assert_eq!(refused["status"], "refused");
    assert_form("recover-collect", &answer(&["recover", "collect", &left.server("b"), "--output", &facts]));
    left.plan(&[left.server("a"), left.server("b"), left.server("c")]);
    let apply = ["recover", "apply", &plan, "--state-dir", left.state.to_str().unwrap()];
    assert_form("recover-apply", &answer(&apply));
    assert_form("recover-apply", &answer(&apply));
}

#[test]
fn another_plan_is_never_written_over() {
    let left = Left::new();
    left.plan(&[left.server("a"), left.server("b")]);
    left.plan(&[left.server("b"), left.server("a")]);
    let plan = left.path("plan.json");
    let (code, _, stderr) = run(&["recover", "plan", &left.server("a"), &left.server("c"), "--output", &plan]);
    assert!(code == 1 && stderr.contains("is there already, and is another file"), "{stderr}");
}

#[test]
fn a_server_that_ran_again_is_told_to_plan_anew() {
    let left = Left::new();
    left.plan(&[left.server("a"), left.server("b")]);
    put(&left.state.join("b").join(STABLE_FILE), CONF_BUCKET, CURRENT_TERM.as_bytes(), &6_u64.to_be_bytes());
    let before = tree(&left.state);
    let (plan, state) = (left.path("plan.json"), left.state.to_str().unwrap());
    let (code, _, stderr) = run(&["recover", "apply", &plan, "--state-dir", state, "--only", "b"]);
    assert!(code == 1 && stderr.contains("it ran again") && stderr.contains("plan anew"), "{stderr}");
    assert_eq!(tree(&left.state), before);
    let (code, stdout, _) = run(&["verify", "--state-dir", state, "--expect", &plan]);
    assert!(code == 1 && stdout.contains("RECOVER-009"), "{stdout}");
}

#[test]
fn collected_facts_and_backups_are_inputs_too() {
    let left = Left::new();
    let facts = left.path("b.json");
    let (code, stdout, stderr) = left.run(&["recover", "collect", &left.server("b"), "--output", &facts]);
    assert_eq!((code, stdout.as_str()), (0, "Collected the facts about 1 server in DIR/b.json\n"), "{stderr}");
    let backups = left.path("backups");
    run(&["backup", "--state-dir", &left.server("c"), "--backup-dir", &backups, "--archive"]);
    let backup = fs::read_dir(&backups).unwrap().next().unwrap().unwrap().path();
    let plan = left.plan(&[left.server("a"), facts, backup.to_str().unwrap().to_owned()]);
    let origins: Vec<_> = plan["inputs"].as_array().unwrap().iter().map(|it| it["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["directory", "collected", "backup"]);
    assert_eq!(plan["coverage"]["counted"], serde_json::json!(["a", "b"]));
    assert_eq!(plan["head"]["number"], 101);
}

#[test]
fn what_is_no_input_is_named() {
    let left = Left::new();
    let file = left.path("file");
    fs::write(&file, "hello").unwrap();
    let (code, _, stderr) = left.run(&["recover", "plan", &file]);
    assert!(code == 2 && stderr.contains("DIR/file"), "{stderr}");
    let (code, _, stderr) = left.run(&["recover", "apply", &file, "--state-dir", "."]);
    assert!(code == 2 && stderr.contains("is not a plan"), "{stderr}");
}

#[test]
fn members_leader_and_head_are_changed_by_flags() {
    let left = Left::new();
    let state = left.state.to_str().unwrap();
    let head = left.path("head.ssz");
    fs::write(&head, BLOCK_100).unwrap();
    let flags = ["--set", "a=new:1", "--remove", "b", "--add", "d=d:1", "--nonvoters", "c", "--initial-leader", "d"];
    let (code, stdout, stderr) =
        left.run(&[&["recover", "plan", state, "--unsafe-head", &head, "--allow", "RECOVER-003"], &flags[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    insta::assert_snapshot!(stdout);
}

/// The call is killed at any moment: each server is as it was, or as planned, and the next call finishes it for all.
#[test]
fn an_apply_that_is_killed_leaves_old_or_new_and_the_next_one_finishes() {
    let mut interrupted = 0;
    for step in 0..25 {
        let left = Left::new();
        left.plan(&[left.server("a"), left.server("b"), left.server("c")]);
        let (plan, state) = (left.path("plan.json"), left.state.to_str().unwrap());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
        command.args(["recover", "apply", &plan, "--state-dir", state]).env_clear();
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(step * 4));
        let _ = child.kill();
        interrupted += usize::from(!child.wait().unwrap().success());
        let (code, _, stderr) = run(&["recover", "apply", &plan, "--state-dir", state]);
        assert_eq!(code, 0, "after {step}: {stderr}");
        let (code, stdout, _) = run(&["verify", "--state-dir", state, "--expect", &plan]);
        assert_eq!(code, 0, "after {step}: {stdout}");
    }
    assert!(interrupted > 0, "some calls were killed in time");
}
