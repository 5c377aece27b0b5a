//! `log`, `pages` and `snapshot`, as the built command: what they show, and what they say when they can't.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::command::{run, shown};
use insta::assert_snapshot;
use op_conductor_init::bolt::Db;
use op_conductor_init::raft::codec::encode_log;
use op_conductor_init::raft::{AppendedAt, Index, LOGS_BUCKET, Log, LogType, Term};
use serde_json::Value;
use tempfile::TempDir;

const HEAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/payload/v3.ssz");

/// A directory with `raft-state` of the servers a, b and c, with a head.
fn cluster() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--nodes", "a.example:1,b.example:1,c.example:1", "--server-ids", "a,b,c", "--initial-leader", "b"];
    let output = run(dir.path(), &[&["generate", "--unsafe-head", HEAD], &flags[..]].concat());
    assert!(output.status.success(), "{}", shown(&output));
    dir
}

/// A store whose log has entries `1..=count` of `len` bytes, one a second, ten a term.
fn store(path: &Path, count: u64, len: usize) {
    let mut db = Db::create(File::options().read(true).write(true).create_new(true).open(path).unwrap(), 4096).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
    for index in 1..=count {
        let log = Log {
            index: Index(index),
            term: Term(index / 10),
            kind: if index % 10 == 0 { LogType::Noop } else { LogType::Command },
            data: Some(vec![7; len].into()),
            extensions: None,
            appended_at: AppendedAt::from_unix(1_800_000_000 + i64::try_from(index).unwrap(), 0),
        };
        let mut bytes = Vec::new();
        encode_log(&log, &mut bytes);
        tx.put(LOGS_BUCKET, &index.to_be_bytes(), &bytes).unwrap();
    }
    tx.commit().unwrap();
}

/// A directory `node` with such a log.
fn node(count: u64, len: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("node")).unwrap();
    store(&dir.path().join("node/raft-log.db"), count, len);
    dir
}

/// First numbers of the rows.
fn indexes(output: &Output) -> Vec<u64> {
    assert_eq!(output.status.code(), Some(0), "{}", shown(output));
    let rows = String::from_utf8(output.stdout.clone()).unwrap();
    rows.lines().skip(1).map(|row| row.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

#[test]
fn log_shows_entries_as_a_table() {
    let dir = cluster();
    assert_snapshot!(shown(&run(dir.path(), &["log", "--state-dir", "raft-state/a"])));
}

#[test]
fn log_tells_programs_one_object_a_line() {
    let dir = cluster();
    assert_snapshot!(shown(&run(dir.path(), &["log", "--state-dir", "raft-state/a", "--format", "json"])));
}

#[test]
fn log_shows_a_payload_in_full() {
    let dir = cluster();
    assert_snapshot!(shown(&run(dir.path(), &["log", "--state-dir", "raft-state/a", "2", "--payload"])));
}

#[test]
fn ranges_and_filters_choose_entries() {
    let dir = node(100, 10);
    let log = |more: &[&str]| indexes(&run(dir.path(), &[&["log", "--state-dir", "node"], more].concat()));
    assert_eq!(log(&["10..12"]), [10, 11, 12]);
    assert_eq!(log(&["~3"]), [98, 99, 100]);
    assert_eq!(log(&["99.."]), [99, 100]);
    assert_eq!(log(&["101"]), [0; 0]);
    assert_eq!(log(&["--type", "noop", "--term", "3..4"]), [30, 40]);
    assert_eq!(log(&["--since", "2027-01-15T08:01:38Z"]), [98, 99, 100]);
    assert_eq!(log(&["--block", "5"]), [0; 0]);
}

#[test]
fn a_pipe_that_has_had_enough_ends_it_quietly() {
    let dir = node(20_000, 10);
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
    let command = command.current_dir(dir.path()).args(["log", "--state-dir", "node"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("INDEX"));
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn search_finds_blocks_and_says_when_there_is_none() {
    let dir = cluster();
    let search = |more: &[&str]| run(dir.path(), &[&["log", "search", "--state-dir", "raft-state/a"], more].concat());
    assert_eq!(indexes(&search(&["--block", "100"])), [2]);
    assert_eq!(indexes(&search(&["--block", "0xe3ce35"])), [2]);
    assert_eq!(indexes(&search(&["--type", "configuration"])), [1, 3]);
    assert_snapshot!(shown(&search(&["--block", "99"])));
    assert_eq!(search(&[]).status.code(), Some(2));
}

#[test]
fn search_falls_back_to_the_snapshot() {
    let dir = node(3, 10);
    snapshot(&dir.path().join("node"), "");
    let output = run(dir.path(), &["log", "search", "--state-dir", "node", "--block", "100"]);
    assert_snapshot!(shown(&output));
}

#[test]
fn diff_names_the_first_index_that_differs() {
    let dir = cluster();
    assert_snapshot!(shown(&run(dir.path(), &["log", "diff", "raft-state/a", "raft-state/b"])));
    let same = run(dir.path(), &["log", "diff", "raft-state/a", "raft-state/a", "--format", "json"]);
    assert_eq!(same.status.code(), Some(0));
    let same: Value = serde_json::from_slice(&same.stdout).unwrap();
    assert_eq!((&same["equal"]["last_index"], &same["differs"]), (&Value::from(3), &Value::Null));
}

#[test]
fn stats_counts_by_type_and_term() {
    let dir = node(25, 10);
    assert_snapshot!(shown(&run(dir.path(), &["log", "stats", "--state-dir", "node"])));
}

#[test]
fn pages_shows_a_file_in_five_ways() {
    let dir = cluster();
    let pages = |more: &[&str]| shown(&run(dir.path(), &[&["pages", "raft-state/b/raft-log.db"], more].concat()));
    let all = [&["list"][..], &["tree"], &["meta"], &["map"], &["show", "3"]].map(pages);
    assert_snapshot!(all.join("\n"));
}

#[test]
fn a_large_file_s_map_fits_a_screen() {
    let dir = node(20_000, 1_000);
    let map = shown(&run(dir.path(), &["pages", "node/raft-log.db", "map"]));
    assert!(map.lines().count() < 50 && map.lines().all(|line| line.len() <= 80), "{map}");
}

#[test]
fn redaction_leaves_no_byte_of_a_value() {
    let dir = node(60, 100);
    let list = run(dir.path(), &["pages", "node/raft-log.db"]);
    let list = String::from_utf8(list.stdout).unwrap();
    let leaves = list.lines().filter(|line| line.contains("leaf")).map(|line| line.split_whitespace().next().unwrap());
    let tree = String::from_utf8(run(dir.path(), &["pages", "node/raft-log.db", "tree"]).stdout).unwrap();
    let bucket_page = tree.strip_prefix("top level: leaf ").unwrap().split(':').next().unwrap();
    for leaf in leaves {
        let args = ["pages", "node/raft-log.db", "show", leaf, "--hex"];
        let open = String::from_utf8(run(dir.path(), &args).stdout).unwrap();
        let redacted = String::from_utf8(run(dir.path(), &[&args[..], &["--redact"]].concat()).stdout).unwrap();
        assert_eq!(open.contains("07 07 07"), leaf != bucket_page, "{open}");
        assert!(!redacted.contains("07 07"), "{redacted}");
    }
}

#[test]
fn what_is_no_bolt_file_is_named() {
    let dir = cluster();
    let cases = [
        &["pages", "raft-state/cluster.json"][..],
        &["pages", "raft-state"],
        &["pages", "raft-state/a/raft-log.db", "show", "99"],
        &["log", "--state-dir", "raft-state"],
        &["log", "--state-dir", "raft-state/a", "5..3"],
        &["log", "diff", "raft-state/a", "nowhere"],
        &["snapshot", "--state-dir", "nowhere"],
        &["snapshot", "show", "--state-dir", "raft-state/a"],
    ];
    assert_snapshot!(cases.map(|args| format!("{args:?}\n{}", shown(&run(dir.path(), args)))).join("\n"));
}

/// Puts a snapshot of block 100 into a node's directory, as raft writes it, with `change` in its meta.json.
fn snapshot(directory: &Path, change: &str) {
    let snapshot = directory.join("snapshots/1-2-1700000000000");
    fs::create_dir_all(&snapshot).unwrap();
    let state = fs::read(HEAD).unwrap();
    // crc64.Checksum(state.bin, crc64.MakeTable(crc64.ECMA)), as Go writes it.
    let meta = format!(
        r#"{{"Version":1,"ID":"1-2-1700000000000","Index":2,"Term":1,"Peers":"kathLmV4YW1wbGU6MQ==","Configuration":{{"Servers":[{{"Suffrage":0,"ID":"a","Address":"a.example:1"}}]}},"ConfigurationIndex":1,"Size":{},"CRC":"{CRC}"}}"#,
        state.len()
    );
    fs::write(snapshot.join("meta.json"), meta.replace("\"Size\"", &format!("{change}\"Size\""))).unwrap();
    fs::write(snapshot.join("state.bin"), state).unwrap();
}

/// base64 of the checksum of v3.ssz, by Go's hash/crc64.
const CRC: &str = "y+UkIL5qgsg=";

#[test]
fn snapshots_are_listed_shown_and_checked() {
    let dir = cluster();
    let directory = dir.path().join("raft-state/a");
    snapshot(&directory, "");
    fs::create_dir(directory.join("snapshots/1-3-1700000000001.tmp")).unwrap();
    let verb = |verb: &str| shown(&run(dir.path(), &["snapshot", verb, "--state-dir", "raft-state/a"]));
    assert_snapshot!(["list", "show", "check"].map(verb).join("\n"));
    fs::write(directory.join("snapshots/1-2-1700000000000/state.bin"), "damaged").unwrap();
    let check = run(dir.path(), &["snapshot", "check", "--state-dir", "raft-state/a"]);
    assert_snapshot!(shown(&check));
}

#[test]
fn help_of_each_view_has_examples() {
    let dir = tempfile::tempdir().unwrap();
    let log = ["search", "diff", "stats", "export", "import"];
    let mut verbs: Vec<Vec<&str>> = ["log", "pages", "snapshot", "compact"].map(|verb| vec![verb]).to_vec();
    verbs.extend(log.map(|verb| vec!["log", verb]));
    let help = |verb: &Vec<&str>| shown(&run(dir.path(), &[&verb[..], &["--help"]].concat()));
    let all = verbs.iter().map(help).collect::<Vec<_>>().join("\n");
    assert!(all.lines().all(|line| line.len() <= 80), "{all}");
    assert_snapshot!(all);
}

#[test]
fn completions_and_man_pages_are_made() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(dir.path(), &["completions", shell]);
        assert!(output.status.success() && output.stdout.windows(8).any(|it| it == b"generate"), "{shell}");
    }
    assert!(run(dir.path(), &["man", "--output-dir", "."]).status.success());
    let page = fs::read_to_string(dir.path().join("op-conductor-init-verify.1")).unwrap();
    assert!(page.contains("state\\-dir"), "{page}");
    assert_eq!(run(dir.path(), &["man", "--output-dir", "nowhere"]).status.code(), Some(2));
}

#[test]
fn export_and_import_make_the_same_log() {
    let dir = cluster();
    let export = run(dir.path(), &["log", "export", "--state-dir", "raft-state/b"]);
    fs::write(dir.path().join("log.ndjson"), &export.stdout).unwrap();
    assert_snapshot!(shown(&run(dir.path(), &["log", "import", "--state-dir", "new/b", "log.ndjson"])));
    let same = |directory: &str| run(dir.path(), &["log", "diff", "raft-state/b", directory]).status.code();
    assert_eq!(same("new/b"), Some(0));
    let args = ["log", "export", "--state-dir", "raft-state/b", "--payloads", "blocks"];
    let with_files = run(dir.path(), &args);
    assert_eq!(fs::read(dir.path().join("blocks/2.ssz")).unwrap(), fs::read(HEAD).unwrap());
    let mut lines: Vec<&str> = std::str::from_utf8(&with_files.stdout).unwrap().lines().collect();
    lines.reverse();
    fs::write(dir.path().join("log.ndjson"), lines.join("\n")).unwrap();
    let import = ["log", "import", "--state-dir", "new/c", "log.ndjson", "--payloads", "blocks"];
    assert_snapshot!(shown(&run(dir.path(), &import)));
    assert_eq!(same("new/c"), Some(0));
    let found = fs::read_dir(dir.path().join("new")).unwrap().count();
    assert_eq!(found, 2, "nothing is left of the stages");
}

#[test]
fn import_refuses_what_is_no_log_and_leaves_nothing() {
    let dir = cluster();
    let lines = String::from_utf8(run(dir.path(), &["log", "export", "--state-dir", "raft-state/b"]).stdout).unwrap();
    fs::write(dir.path().join("twice.ndjson"), lines.repeat(2)).unwrap();
    fs::write(dir.path().join("gap.ndjson"), lines.lines().step_by(2).collect::<Vec<_>>().join("\n")).unwrap();
    fs::write(dir.path().join("text.ndjson"), "no entry\n").unwrap();
    let import = |file: &str| shown(&run(dir.path(), &["log", "import", "--state-dir", "new/b", file]));
    assert_snapshot!(["twice.ndjson", "gap.ndjson", "text.ndjson", "absent.ndjson"].map(import).join("\n"));
    assert!(!dir.path().join("new").exists());
    let there = run(dir.path(), &["log", "import", "--state-dir", "raft-state/b", "twice.ndjson"]);
    assert_eq!(there.status.code(), Some(1));
}

#[test]
fn compact_keeps_the_log_and_says_what_it_saved() {
    let dir = node(500, 1_000);
    fs::copy(dir.path().join("node/raft-log.db"), dir.path().join("node/raft-stable.db")).unwrap();
    assert_snapshot!(shown(&run(dir.path(), &["compact", "--state-dir", "node", "--output-dir", "small"])));
    assert_eq!(run(dir.path(), &["log", "diff", "node", "small/node"]).status.code(), Some(0));
    let in_place =
        run(dir.path(), &["compact", "--state-dir", "node", "--in-place", "--discard-replaced", "--format", "json"]);
    assert_snapshot!(shown(&in_place));
    assert_eq!(run(dir.path(), &["log", "diff", "node", "small/node"]).status.code(), Some(0));
    let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["node", "small"]);
    let again = run(dir.path(), &["compact", "--state-dir", "node", "--output-dir", "small"]);
    assert_snapshot!(shown(&again));
}
