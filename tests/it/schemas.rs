//! The answer of each verb for programs has the form of its schema in docs/schema, whatever bytes the paths have.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::common::state::{cluster, snapshot};

/// A directory with state of the servers a, b and c in `<name>/state` and of a with a snapshot in `<name>/old`.
struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
    /// Schemas that an answer was compared with.
    seen: Mutex<BTreeSet<String>>,
}

impl Place {
    fn new(name: &OsStr) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        fs::create_dir(&plain).unwrap();
        let state = cluster(&plain);
        // Which a whole cluster of this age can't have.
        fs::create_dir_all(plain.join("old/a")).unwrap();
        for file in ["raft-log.db", "raft-stable.db"] {
            fs::copy(state.join("a").join(file), plain.join("old/a").join(file)).unwrap();
        }
        snapshot(&plain.join("old/a"), 2, 1);
        let root = dir.path().join(name);
        fs::rename(plain, &root).unwrap();
        Place { _dir: dir, root, seen: Mutex::default() }
    }

    /// Words in which a leading `@` stands for the place's directory.
    fn run(&self, words: &[&str], stdin: &[u8]) -> (i32, Vec<u8>) {
        let word = |word: &&str| match word.strip_prefix('@') {
            Some(path) => self.root.join(path).into_os_string(),
            None => OsString::from(word),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
        command.current_dir("/").env_clear().args(words.iter().map(word));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A call that reads nothing closes it.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{words:?}: {stderr}");
        (output.status.code().unwrap(), output.stdout)
    }

    /// The answers, one for each line or one in all, after they are compared with the schema.
    fn ask(&self, schema: &str, code: i32, words: &[&str]) -> Vec<Value> {
        let (found, stdout) = self.run(&[words, &["--format", "json"]].concat(), b"");
        assert_eq!(found, code, "{words:?}");
        let answers: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&stdout).into_iter().collect();
        let answers = answers.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert!(!answers.is_empty(), "{words:?}");
        answers.iter().for_each(|answer| assert_form(schema, answer));
        self.seen.lock().unwrap().insert(schema.to_owned());
        answers
    }
}

/// Compares an answer with its schema.
pub(crate) fn assert_form(schema: &str, answer: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{schema}.json"));
    let form: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&form).unwrap();
    let errors: Vec<String> = validator.iter_errors(answer).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{schema}: {answer:#}");
}

fn all_verbs(place: &Place) {
    let generate = ["generate", "--nodes", "a.x:1,b.x:1", "--server-ids", "a,b", "--initial-leader", "a"];
    place.ask("generate", 0, &[&generate[..], &["--output-dir", "@new"]].concat());
    place.ask("generate", 0, &[&generate[..], &["--output-dir", "@new", "--dry-run"]].concat());
    for state in ["@state", "@state/a"] {
        place.ask("info", 0, &["info", "--state-dir", state]);
        place.ask("verify", 0, &["verify", "--state-dir", state]);
    }
    place.ask("explain", 0, &["explain"]);
    place.ask("explain", 0, &["explain", "BOLT-001"]);

    place.ask("log", 0, &["log", "--state-dir", "@state/a"]);
    place.ask("log", 0, &["log", "--state-dir", "@state/a", "--payload"]);
    place.ask("log-search", 0, &["log", "search", "--state-dir", "@state/a", "--type", "command"]);
    place.ask("log-diff", 0, &["log", "diff", "@state/a", "@state/a"]);
    place.ask("log-diff", 1, &["log", "diff", "@state/a", "@state/b"]);
    place.ask("log-stats", 0, &["log", "stats", "--state-dir", "@state/a"]);
    let (_, lines) = place.run(&["log", "export", "--state-dir", "@state/a"], b"");
    fs::write(place.root.join("lines"), &lines).unwrap();
    place.ask("log-import", 0, &["log", "import", "--state-dir", "@imported/a", "@lines"]);
    // The log has no block any more, and the snapshot has it.
    fs::copy(place.root.join("new/b/raft-log.db"), place.root.join("old/a/raft-log.db")).unwrap();
    place.ask("log-search", 0, &["log", "search", "--state-dir", "@old/a", "--block", "100"]);

    let file = "@state/a/raft-log.db";
    for verb in ["list", "tree", "meta", "map"] {
        place.ask(&format!("pages-{verb}"), 0, &["pages", file, verb]);
    }
    let pages = place.ask("pages-list", 0, &["pages", file]);
    for page in 0..pages[0]["page_count"].as_u64().unwrap() {
        let page = page.to_string();
        place.ask("pages-show", 0, &["pages", file, "show", &page, "--hex"]);
        let hidden = place.ask("pages-show", 0, &["pages", file, "--redact", "show", &page, "--hex"]);
        let elements = hidden[0]["elements"].as_array().unwrap();
        assert!(elements.iter().all(|element| element["value"].is_null()) && hidden[0]["bytes"].is_null());
    }

    for verb in ["list", "show", "check"] {
        place.ask(&format!("snapshot-{verb}"), 0, &["snapshot", verb, "--state-dir", "@old/a"]);
    }
    place.ask("snapshot-check", 0, &["snapshot", "check", "--state-dir", "@state/b"]);

    let made = place.ask("backup", 0, &["backup", "--state-dir", "@state", "--backup-dir", "@backups"]);
    let name = made[0]["backup"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let backup = format!("@backups/{name}");
    fs::create_dir(place.root.join("backups/raft-backup-20200101-000000")).unwrap();
    place.ask("backups-list", 0, &["backups", "list", "@backups"]);
    place.ask("backups-verify", 0, &["backups", "verify", &backup]);
    place.ask("backups-prune", 0, &["backups", "prune", "@backups", "--keep", "1"]);
    let restore = ["restore", "--backup-dir", &backup, "--state-dir"];
    place.ask("restore", 0, &[&restore[..], &["@restored", "--dry-run"]].concat());
    place.ask("restore", 0, &[&restore[..], &["@restored", "--force"]].concat());
    let nodes = "a.example:50050,b.example:50050,c.example:50050";
    let ahead = ["--nodes", nodes, "--server-ids", "a,b,c", "--initial-leader", "a", "--initial-term", "50"];
    place.ask("generate", 0, &[&["generate", "--output-dir", "@ahead"], &ahead[..]].concat());
    let refused = place.ask("restore", 1, &[&restore[..], &["@ahead", "--force"]].concat());
    assert_eq!(refused[0]["status"], "refused");
    place.ask("compact", 0, &["compact", "--state-dir", "@state", "--output-dir", "@small"]);
    place.ask("compact", 0, &["compact", "--state-dir", "@state", "--in-place"]);

    let failed = place.ask("error", 2, &["info", "--state-dir", "@nowhere"]);
    assert_eq!(failed[0]["error"]["exit_status"], 2);
    let usage = place.ask("error", 2, &["info", "--state-dirs", "x"]);
    assert_eq!(usage[0]["error"]["message"], "unexpected argument '--state-dirs' found");
    assert_eq!(usage[0]["error"]["hint"], "a similar argument exists: '--state-dir'");
    place.ask("error", 1, &["compact", "--state-dir", "@state", "--output-dir", "@small"]);
}

#[test]
fn every_answer_has_the_form_of_its_schema() {
    let place = Place::new(OsStr::new("place"));
    all_verbs(&place);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
    let mut schemas: BTreeSet<String> = fs::read_dir(directory).unwrap().map(name).collect();
    // tests/oracle/gate.rs, which needs Docker, and tests/it/recover.rs.
    schemas.retain(|schema| schema != "gate" && !schema.starts_with("recover-"));
    assert_eq!(*place.seen.lock().unwrap(), schemas, "a schema for each answer, and an answer for each schema");
}

#[test]
fn paths_that_are_not_text_are_shown_lossily() {
    let place = Place::new(OsStr::from_bytes(b"x\xff"));
    all_verbs(&place);
    let answer = place.ask("info", 0, &["info", "--state-dir", "@state/a"]);
    assert!(answer[0]["nodes"][0]["path"].as_str().unwrap().ends_with("/x\u{fffd}/state/a"));
}
