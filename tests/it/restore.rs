//! Restores, as an operator tries, confirms and refuses them.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::state::{cluster, run, snapshot, tree};
use op_conductor_init::bolt::{BulkWriter, Db, Reader};
use op_conductor_init::raft::codec::encode_log;
use op_conductor_init::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, LOGS_BUCKET, Log, LogType, Term,
};
use op_conductor_init::state::{StateDir, lock};
use serde_json::Value;
use tempfile::TempDir;

/// A cluster of three with a snapshot each, and a backup of all.
struct Place {
    dir: TempDir,
    state: PathBuf,
    backup: PathBuf,
}

impl Place {
    fn new() -> Place {
        Place::with(&[])
    }

    fn with(flags: &[&str]) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let state = cluster(dir.path());
        for id in ["a", "b", "c"] {
            snapshot(&state.join(id), 2, 1);
        }
        let backup = backup(&state, &dir.path().join("backups"), flags);
        Place { dir, state, backup }
    }

    fn restore(&self, more: &[&str]) -> (i32, String, String) {
        restore(&self.backup, &self.state, more)
    }

    /// Puts a pair into one of the stores of `id`.
    fn put(&self, id: &str, file: &str, key: &[u8], value: &[u8]) {
        let bucket = if file == "raft-log.db" { LOGS_BUCKET } else { CONF_BUCKET };
        let file = File::options().read(true).write(true).open(self.state.join(id).join(file)).unwrap();
        let mut db = Db::open(file).unwrap();
        let mut tx = db.begin().unwrap();
        tx.put(bucket, key, value).unwrap();
        tx.commit().unwrap();
    }

    /// Lets a node go on as it would under a leader of `term`.
    fn go_on(&self, id: &str, index: u64, term: u64) {
        let (index, term) = (Index(index), Term(term));
        let appended_at = AppendedAt::from_unix(1, 0);
        let mut value = Vec::new();
        encode_log(&Log { index, term, kind: LogType::Noop, data: None, extensions: None, appended_at }, &mut value);
        self.put(id, "raft-log.db", &index.to_key(), &value);
    }
}

fn backup(state: &Path, backups: &Path, more: &[&str]) -> PathBuf {
    let flags = ["backup", "--format", "json", "--state-dir", state.to_str().unwrap(), "--backup-dir"];
    let (code, stdout, stderr) = run(&[&flags[..], &[backups.to_str().unwrap()], more].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    let made: Value = serde_json::from_str(&stdout).unwrap();
    PathBuf::from(made["backup"].as_str().unwrap())
}

fn restore(backup: &Path, state: &Path, more: &[&str]) -> (i32, String, String) {
    let flags = ["restore", "--backup-dir", backup.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
    run(&[&flags[..], more].concat())
}

/// What a node would start from, without what earlier restores kept.
fn state_of(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = tree(directory);
    found.retain(|path, _| !path.starts_with('.'));
    found
}

/// Sees that a restore with these flags is refused by exactly these guards, and changes nothing.
fn refused_by(place: &Place, more: &[&str], guards: &[&str]) {
    let before = tree(&place.state);
    let (code, stdout, stderr) = place.restore(&[&["--force", "--format", "json"][..], more].concat());
    assert_eq!(code, 1, "{stdout}{stderr}");
    let plan: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    assert_eq!(plan["plan"]["refused_by"], serde_json::json!(guards), "{plan:#}");
    assert!(tree(&place.state) == before, "nothing is changed, and nothing is left");
    let allowed: Vec<&str> = guards.iter().flat_map(|id| ["--allow", id]).collect();
    for missing in 0..guards.len() {
        let mut some = allowed.clone();
        some.drain(2 * missing..2 * missing + 2);
        assert_eq!(place.restore(&[&["--force"][..], more, &some].concat()).0, 1, "each is allowed by itself");
    }
    let (code, _, stderr) = place.restore(&[&["--force"][..], more, &allowed].concat());
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn what_was_backed_up_is_what_is_restored_from_directory_and_archive() {
    for flags in [&[][..], &["--archive"]] {
        let place = Place::with(flags);
        fs::set_permissions(place.state.join("a/snapshots"), PermissionsExt::from_mode(0o750)).unwrap();
        let before = state_of(&place.state);
        fs::remove_dir_all(place.state.join("a")).unwrap();
        fs::write(place.state.join("b/foreign"), "x").unwrap();
        let (code, stdout, stderr) = place.restore(&["--force"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        assert!(state_of(&place.state) == before);
        let elsewhere = place.dir.path().join("new/state");
        let (code, stdout, stderr) = restore(&place.backup, &elsewhere, &["--force"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        assert!(tree(&elsewhere) == before, "nothing was there, so nothing is kept");
        let mode = |path: &str| fs::metadata(elsewhere.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a"), mode("a/raft-log.db"), mode("a/snapshots")), (0o755, 0o600, 0o755));
        let (code, stdout, _) = run(&["verify", "--state-dir", elsewhere.to_str().unwrap()]);
        assert_eq!(code, 0, "{stdout}");
    }
}

#[test]
fn what_was_there_is_kept_until_it_is_discarded() {
    let place = Place::new();
    let (code, stdout, _) = place.restore(&["--force"]);
    assert_eq!(code, 0);
    let kept = stdout.split("The old state is in ").nth(1).unwrap().trim_end().trim_end_matches('.');
    assert!(Path::new(kept).join("a/raft-log.db").is_file(), "{stdout}");
    fs::remove_dir_all(kept).unwrap();
    assert_eq!(place.restore(&["--force", "--discard-replaced"]).0, 0);
    assert!(!tree(&place.state).keys().any(|path| path.starts_with('.')), "nothing is kept");
}

#[test]
fn one_server_goes_to_its_directory_however_that_is_named() {
    let place = Place::new();
    let b = state_of(&place.state.join("b"));
    let single = backup(&place.state.join("b"), &place.dir.path().join("backups"), &[]);
    // The logs of a and c end otherwise, as they were generated, and lie beside.
    let allow = ["--force", "--allow", "GUARD-004", "--allow", "GUARD-005", "--allow", "GUARD-010"];
    let new = |name: &str| place.dir.path().join(name);
    for (backup, state, node, directory) in [
        (&place.backup, place.state.clone(), Some("b"), place.state.join("b")),
        (&place.backup, place.state.join("b"), Some("b"), place.state.join("b")),
        (&single, place.state.clone(), None, place.state.join("b")),
        (&single, place.state.join("b"), None, place.state.join("b")),
        (&single, new("x/b"), None, new("x/b")),
        (&place.backup, new("y"), Some("b"), new("y/b")),
    ] {
        if directory.exists() {
            fs::remove_file(directory.join("raft-stable.db")).unwrap();
        }
        let node = node.map_or(vec![], |id| vec!["--node", id]);
        let (code, stdout, stderr) = restore(backup, &state, &[&allow[..], &node].concat());
        assert_eq!(code, 0, "{state:?}: {stdout}{stderr}");
        assert!(state_of(&directory) == b, "{state:?}");
    }
}

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let place = Place::new();
    place.put("a", "raft-stable.db", b"Other", b"x");
    let before = tree(&place.state);
    let (code, stdout, stderr) = place.restore(&["--dry-run"]);
    assert_eq!(code, 0, "{stderr}");
    for text in ["raft-stable.db", "NOW", "AFTER", "a  ", "after"] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    assert!(tree(&place.state) == before);
    let nowhere = place.dir.path().join("nowhere/x");
    assert_eq!(restore(&place.backup, &nowhere, &["--dry-run"]).0, 0);
    assert!(!nowhere.parent().unwrap().exists(), "not even the directory is made");
}

/// Runs a restore on a terminal and types `input`; an empty one is the end of input.
fn on_a_terminal(place: &Place, input: &str) -> (i32, String) {
    let binary = env!("CARGO_BIN_EXE_op-conductor-init");
    let line =
        format!("{binary} restore --backup-dir {} --state-dir {}", place.backup.display(), place.state.display());
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The end of input on a terminal is Ctrl-D.
    let typed = if input.is_empty() { "\u{4}" } else { input };
    std::thread::sleep(Duration::from_millis(300));
    stdin.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn only_yes_is_yes() {
    let place = Place::new();
    place.put("a", "raft-stable.db", b"Other", b"x");
    let before = tree(&place.state);
    for input in ["n\n", "\n", "yess\n", ""] {
        let (code, shown) = on_a_terminal(&place, input);
        assert_eq!(code, 1, "{input:?}: {shown}");
        assert!(shown.contains("declined"), "{input:?}: {shown}");
        assert!(tree(&place.state) == before, "{input:?}");
    }
    assert_eq!(on_a_terminal(&place, "y\n").0, 0);
    assert!(tree(&place.state) != before);
}

#[test]
fn without_a_terminal_and_without_force_it_is_refused_in_words() {
    let place = Place::new();
    let before = tree(&place.state);
    let (code, _, stderr) = place.restore(&[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("standard input is not a terminal: pass --force"), "{stderr}");
    assert!(tree(&place.state) == before);
}

#[test]
fn the_directory_above_is_listed_and_never_picked_from() {
    let place = Place::new();
    let above = place.backup.parent().unwrap();
    for flags in [&["--force"][..], &[]] {
        let (code, _, stderr) = restore(above, &place.state, flags);
        assert_eq!(code, 1);
        assert!(stderr.contains(place.backup.file_name().unwrap().to_str().unwrap()), "{stderr}");
    }
}

#[test]
fn a_held_lock_is_a_guard() {
    let place = Place::new();
    let _held = lock(&[StateDir::new(place.state.join("b"))], Duration::ZERO).unwrap();
    refused_by(&place, &["--lock-timeout", "10ms"], &["GUARD-001"]);
}

#[test]
fn a_term_a_vote_and_a_log_that_go_back_are_guards() {
    let place = Place::new();
    place.put("b", "raft-stable.db", CURRENT_TERM.as_bytes(), &9_u64.to_be_bytes());
    refused_by(&place, &[], &["GUARD-002"]);

    let place = Place::new();
    place.put("b", "raft-stable.db", LAST_VOTE_TERM.as_bytes(), &4_u64.to_be_bytes());
    place.put("b", "raft-stable.db", LAST_VOTE_CAND.as_bytes(), b"c.example:50050");
    refused_by(&place, &[], &["GUARD-003"]);

    let place = Place::new();
    place.go_on("b", 4, 4);
    refused_by(&place, &[], &["GUARD-004"]);
}

#[test]
fn a_peer_that_is_ahead_is_a_guard() {
    let place = Place::new();
    let other = Place::new();
    other.put("c", "raft-stable.db", CURRENT_TERM.as_bytes(), &9_u64.to_be_bytes());
    other.put("c", "raft-stable.db", LAST_VOTE_TERM.as_bytes(), &9_u64.to_be_bytes());
    other.go_on("c", 4, 9);
    let peer = other.state.join("c");
    refused_by(&place, &["--peer-state", peer.to_str().unwrap()], &["GUARD-002", "GUARD-003", "GUARD-004"]);
}

#[test]
fn one_node_of_a_cluster_that_has_run_is_a_guard() {
    let place = Place::new();
    fs::remove_dir_all(place.state.join("a")).unwrap();
    refused_by(&place, &["--node", "a"], &["GUARD-005"]);
}

#[test]
fn a_directory_of_another_name_is_a_guard() {
    let place = Place::new();
    let other = place.dir.path().join("other");
    let (code, stdout, stderr) =
        restore(&place.backup, &other.join("x"), &["--force", "--node", "a", "--format", "json"]);
    assert_eq!(code, 1, "{stdout}{stderr}");
    let single = backup(&place.state.join("a"), &place.dir.path().join("backups"), &[]);
    let (code, stdout, _) = restore(&single, &other.join("x"), &["--force", "--format", "json"]);
    let plan: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(plan["plan"]["refused_by"], serde_json::json!(["GUARD-005", "GUARD-006"]), "{plan:#}");
    assert_eq!((code, other.exists()), (1, false));
    let allow = ["--force", "--allow", "GUARD-005", "--allow", "guard-006"];
    assert_eq!(restore(&single, &other.join("x"), &allow).0, 0);
    assert!(other.join("x/raft-log.db").is_file());
}

#[test]
fn each_damaged_file_is_refused_and_the_state_is_untouched() {
    let place = Place::new();
    let before = tree(&place.state);
    let sound = tree(&place.backup);
    for (name, bytes) in sound.iter().filter(|(name, _)| !name.ends_with('/')) {
        let path = place.backup.join(name);
        type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;
        let kinds: [(&str, Damage); 4] = [
            ("gone", |_| None),
            ("empty", |_| Some(Vec::new())),
            ("cut off", |bytes| Some(bytes[..bytes.len() / 2].to_vec())),
            ("flipped", |mut bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                Some(bytes)
            }),
        ];
        for (kind, damage) in kinds {
            match damage(bytes.clone()) {
                Some(damaged) => fs::write(&path, damaged).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let (code, stdout, stderr) = place.restore(&["--force"]);
            // Without the sums the rest still holds together.
            let is_sound = name == "SHA256SUMS" && kind == "gone";
            assert_eq!(code, i32::from(!is_sound), "{name} {kind}: {stdout}{stderr}");
            if is_sound {
                fs::remove_dir_all(&place.state).unwrap();
                write(&place.state, &before);
            }
            assert!(tree(&place.state) == before, "{name} {kind}");
            fs::write(&path, bytes).unwrap();
        }
    }
}

fn write(root: &Path, tree: &BTreeMap<String, Vec<u8>>) {
    fs::create_dir_all(root).unwrap();
    for (name, bytes) in tree {
        match name.ends_with('/') {
            true => fs::create_dir_all(root.join(name)).unwrap(),
            false => fs::write(root.join(name), bytes).unwrap(),
        }
    }
}

#[test]
fn a_backup_that_fails_verification_is_a_guard() {
    let place = Place::new();
    fs::write(place.backup.join("cluster.json"), "{}").unwrap();
    refused_by(&place, &[], &["GUARD-007"]);
}

#[test]
fn the_ancestors_backup_is_taken_with_a_warning_and_a_gap_in_it_is_a_guard() {
    let place = Place::new();
    let before = state_of(&place.state.join("a"));
    let old = place.dir.path().join("backups/raft-backup-20250101-000000");
    fs::create_dir_all(old.join("a")).unwrap();
    fs::write(old.join("backup-metadata.txt"), "Backup created: x\nSource directory: /data\nFiles backed up: 2\n")
        .unwrap();
    for name in ["raft-log.db", "raft-stable.db"] {
        fs::copy(place.state.join("a").join(name), old.join("a").join(name)).unwrap();
    }
    // The same, made of the server's directory.
    let single = place.dir.path().join("backups/raft-backup-20250101-000001");
    fs::create_dir_all(&single).unwrap();
    fs::write(single.join("backup-metadata.txt"), "Source directory: /data/a\n").unwrap();
    for name in ["raft-log.db", "raft-stable.db"] {
        fs::copy(place.state.join("a").join(name), single.join(name)).unwrap();
    }
    for backup in [&old, &single] {
        let (code, stdout, stderr) = restore(backup, &place.state, &["--force", "--node", "a", "--allow", "GUARD-005"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        assert!(stdout.contains("BACKUP-006"), "{stdout}");
        let after = state_of(&place.state.join("a"));
        assert_eq!(after["raft-log.db"], before["raft-log.db"]);
        assert!(!after.contains_key("snapshots/"), "the snapshots that were there belong to another log");
    }
    // A log that begins at 3, and no snapshot in the backup.
    let log = old.join("a/raft-log.db");
    let reader = Reader::open(File::open(&log).unwrap()).unwrap();
    let last = reader.bucket(LOGS_BUCKET).unwrap().unwrap().get(&3_u64.to_be_bytes()).unwrap().unwrap();
    let mut writer = BulkWriter::new(Vec::new(), 4096).unwrap();
    let mut logs = writer.bucket(LOGS_BUCKET, 0).unwrap();
    logs.push(&3_u64.to_be_bytes(), &last).unwrap();
    logs.finish().unwrap();
    writer.bucket(CONF_BUCKET, 0).unwrap().finish().unwrap();
    fs::write(&log, writer.finish().unwrap()).unwrap();
    let place = Place { backup: old, ..place };
    refused_by(&place, &["--node", "a", "--allow", "GUARD-005", "--allow", "GUARD-004"], &["GUARD-008"]);
}

#[test]
fn other_names_are_written_wherever_the_old_ones_were() {
    for flags in [&[][..], &["--archive"]] {
        let place = Place::with(flags);
        let new = place.dir.path().join("renamed");
        let names = [
            "--rename-server",
            "a=x",
            "--rename-address",
            "a.example:50050=x.test:1",
            "--rename-address",
            "b.example:50050=y.test:2",
        ];
        let (code, stdout, stderr) = restore(&place.backup, &new, &[&["--force"][..], &names].concat());
        assert_eq!(code, 0, "{stdout}{stderr}");
        let (code, stdout, _) = run(&["verify", "--state-dir", new.to_str().unwrap(), "--format", "json"]);
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((code, &report["next_leaders"]), (0, &serde_json::json!(["x"])), "{report:#}");
        assert!(report["findings"].as_array().unwrap().is_empty(), "{report:#}");
        for id in ["x", "b", "c"] {
            let (_, stdout, _) = run(&["info", "--format", "json", "--state-dir", new.join(id).to_str().unwrap()]);
            let info: Value = serde_json::from_str(&stdout).unwrap();
            let servers = info["nodes"][0]["configuration"]["servers"].as_array().unwrap();
            let named = |key: &str| servers.iter().map(|it| it[key].as_str().unwrap()).collect::<Vec<_>>();
            assert_eq!(named("id"), ["x", "b", "c"]);
            assert_eq!(named("address"), ["x.test:1", "y.test:2", "c.example:50050"]);
            assert_eq!(info["nodes"][0]["vote"]["candidate"], "x.test:1");
            let meta = fs::read_to_string(new.join(id).join("snapshots/1-2-1/meta.json")).unwrap();
            assert!(meta.contains(r#""ID":"x","Address":"x.test:1""#) && !meta.contains("a.example"), "{meta}");
        }
        assert!(!new.join("a").exists());
    }
}

#[test]
fn other_names_for_one_node_or_for_nobody_are_refused() {
    let place = Place::new();
    let before = tree(&place.state);
    let rename = |flags: &[&str]| place.restore(&[&["--force"][..], flags].concat());
    let (code, _, stderr) = rename(&["--node", "a", "--rename-server", "a=x"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("cannot rename only some members"), "{stderr}");
    assert_eq!(rename(&["--rename-server", "z=x"]).0, 2);
    assert_eq!(rename(&["--rename-address", "z:1=x:1"]).0, 2);
    assert_eq!(rename(&["--rename-server", "a=b"]).0, 1, "two of one name");
    assert_eq!(rename(&["--rename-server", "a="]).0, 2);
    assert!(tree(&place.state) == before);
}

#[test]
fn a_restore_that_was_interrupted_is_settled_by_the_next() {
    let place = Place::new();
    let before = state_of(&place.state);
    let stage = place.state.join(".op-conductor-init-dead");
    fs::create_dir_all(stage.join("new/a")).unwrap();
    fs::set_permissions(&stage, Permissions::from_mode(0o700)).unwrap();
    let (code, _, stderr) = place.restore(&["--force"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stage.exists());
    assert!(state_of(&place.state) == before);
}

#[test]
fn a_backup_in_what_it_would_replace_is_refused() {
    let place = Place::new();
    let inside = place.state.join("a/backup");
    let copied = Command::new("cp").args(["-a", place.backup.to_str().unwrap(), inside.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());
    let (code, _, stderr) = restore(&inside, &place.state, &["--force"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("would be replaced"), "{stderr}");
}
