//! The verbs that write, on directories that somebody else prepared: nothing lost, nothing followed, nothing left behind.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use op_conductor_init::state::{StateDir, lock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::state::{cluster, run, snapshot, tree};

const HEAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/payload/v3.ssz");
const NODES: &str = "a.example:50050,b.example:50050,c.example:50050";
const CLUSTER: [&str; 8] = ["--nodes", NODES, "--server-ids", "a,b,c", "--initial-leader", "a", "--unsafe-head", HEAD];

/// The state of a cluster, and a backup of a newer one with the same servers.
struct Place {
    dir: TempDir,
    state: PathBuf,
    newer: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let state = cluster(dir.path());
        let newer = dir.path().join("newer");
        let place = Place { dir, state, newer };
        assert_eq!(place.generate(&place.newer, &["--initial-term", "50"]).0, 0);
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn backup(&self, of: &Path) -> PathBuf {
        let backups = self.path("backups");
        let flags = ["backup", "--format", "json", "--state-dir", of.to_str().unwrap(), "--backup-dir"];
        let (code, stdout, stderr) = run(&[&flags[..], &[backups.to_str().unwrap()]].concat());
        assert_eq!(code, 0, "{stderr}");
        PathBuf::from(serde_json::from_str::<Value>(&stdout).unwrap()["backup"].as_str().unwrap())
    }

    fn generate(&self, output_dir: &Path, more: &[&str]) -> (i32, String, String) {
        run(&[&["generate"], &CLUSTER[..], &["--output-dir", output_dir.to_str().unwrap()], more].concat())
    }

    fn restore(&self, backup: &Path, more: &[&str]) -> (i32, String, String) {
        restore(backup, &self.state, more)
    }

    fn compact(&self, more: &[&str]) -> (i32, String, String) {
        run(&[&["compact", "--state-dir", self.state.to_str().unwrap()], more].concat())
    }
}

fn restore(backup: &Path, state: &Path, more: &[&str]) -> (i32, String, String) {
    let flags = ["restore", "--backup-dir", backup.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
    run(&[&flags[..], more].concat())
}

/// Leaves in `root` what a call left that was killed when `entries` were decided and still staged.
fn interrupt(root: &Path, entries: &[(&str, &Path)]) {
    let stage = root.join(".op-conductor-init-dead");
    fs::create_dir_all(stage.join("new")).unwrap();
    fs::create_dir(stage.join("old")).unwrap();
    fs::set_permissions(&stage, Permissions::from_mode(0o700)).unwrap();
    let entry = |(name, from): &(&str, &Path)| {
        let new = stage.join("new").join(name);
        assert!(Command::new("cp").arg("-a").arg(from).arg(&new).status().unwrap().success());
        let inode = |path: &Path| fs::symlink_metadata(path).ok().map(|it| it.ino());
        json!({"name": name, "new": inode(&new), "old": inode(&root.join(name))})
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let journal = json!({"version": 1, "replaced": ".replaced-1", "entries": entries});
    fs::write(stage.join("journal.json"), journal.to_string()).unwrap();
}

#[test]
fn compact_in_place_replaces_the_databases_and_nothing_else() {
    let place = Place::new();
    let a = place.state.join("a");
    fs::create_dir_all(place.path("volume/1-2-3")).unwrap();
    fs::write(place.path("volume/1-2-3/state.bin"), "precious").unwrap();
    symlink(place.path("volume"), a.join("snapshots")).unwrap();
    symlink("/etc/hostname", a.join("link")).unwrap();
    fs::write(a.join("jwt.hex"), "key").unwrap();
    assert!(Command::new("mkfifo").arg(a.join("pipe")).status().unwrap().success());
    let inode = |name: &str| fs::symlink_metadata(a.join(name)).unwrap().ino();
    let others = ["snapshots", "link", "jwt.hex", "pipe"];
    let before = (others.map(inode), fs::metadata(&a).unwrap().ino());
    let (log, stable) = (inode("raft-log.db"), inode("raft-stable.db"));
    let (code, _, stderr) = place.compact(&["--in-place", "--discard-replaced"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!((others.map(inode), fs::metadata(&a).unwrap().ino()), before);
    assert!(inode("raft-log.db") != log && inode("raft-stable.db") != stable);
    assert_eq!(fs::read(place.path("volume/1-2-3/state.bin")).unwrap(), b"precious");
}

#[test]
fn a_servers_directory_that_is_a_link_is_refused_or_stays_one() {
    let place = Place::new();
    let backup = place.backup(&place.newer);
    fs::create_dir(place.path("disk")).unwrap();
    fs::rename(place.state.join("b"), place.path("disk/volume-7")).unwrap();
    symlink("../disk/volume-7", place.state.join("b")).unwrap();
    let before = (tree(&place.state), tree(&place.path("disk")));
    for (code, _, stderr) in [
        place.generate(&place.state, &["--initial-term", "50", "--force"]),
        place.restore(&backup, &["--force"]),
        place.compact(&["--in-place"]),
    ] {
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("state/b is a symbolic link"), "{stderr}");
        assert!((tree(&place.state), tree(&place.path("disk"))) == before, "nothing is changed, and nothing is left");
    }
    // By its own name it works, and what it leads to is changed.
    let b = place.state.join("b");
    for (code, _, stderr) in [
        run(&["compact", "--in-place", "--discard-replaced", "--state-dir", b.to_str().unwrap()]),
        restore(&backup, &b, &["--force", "--node", "b", "--allow", "GUARD-005"]),
    ] {
        assert_eq!(code, 0, "{stderr}");
        assert!(b.is_symlink());
    }
    let read = |path: PathBuf| fs::read(path).unwrap();
    assert!(read(place.path("disk/volume-7/raft-stable.db")) == read(place.newer.join("b/raft-stable.db")));
}

#[test]
fn a_copy_or_a_backup_in_a_servers_directory_is_refused_however_it_is_named() {
    let place = Place::new();
    let before = tree(&place.state);
    for output in ["state/a/out", "state/a/snapshots/x", "state/x/../a/out", "state/a"] {
        let (code, _, stderr) = place.compact(&["--output-dir", place.path(output).to_str().unwrap()]);
        assert_eq!(code, 1, "{output}: {stderr}");
        let of = place.state.join("a");
        let flags = ["backup", "--state-dir", of.to_str().unwrap(), "--backup-dir"];
        let (code, _, stderr) = run(&[&flags[..], &[place.path(output).to_str().unwrap()]].concat());
        assert_eq!(code, 1, "{output}: {stderr}");
    }
    assert!(tree(&place.state) == before);
}

#[test]
fn a_dry_run_and_a_refusal_settle_nothing() {
    let place = Place::new();
    let older = place.backup(&place.state);
    let newer = place.newer.join("a");
    interrupt(&place.state, &[("a", &newer)]);
    let before = tree(&place.state);
    for (code, _, stderr) in [
        place.restore(&older, &["--dry-run"]),
        place.restore(&older, &["--force"]),
        place.generate(&place.state, &["--initial-term", "7"]),
        place.generate(&place.state, &["--initial-term", "7", "--dry-run"]),
    ] {
        assert_eq!(code, 1, "judged by what it will be when it is settled: {stderr}");
        assert!(tree(&place.state) == before, "{stderr}");
    }
    let (code, _, stderr) = place.restore(&place.backup(&place.newer), &["--force"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("finished a replacement that had been interrupted: a"), "{stderr}");
    assert!(fs::read(place.state.join("a/raft-stable.db")).unwrap() == fs::read(newer.join("raft-stable.db")).unwrap());
}

#[test]
fn settling_waits_for_the_node_whose_databases_it_moves() {
    let place = Place::new();
    let a = place.state.join("a");
    interrupt(&a, &[("raft-log.db", &place.newer.join("a/raft-log.db"))]);
    let before = tree(&place.state);
    let held = lock(&[StateDir::new(&a)], Duration::ZERO).unwrap();
    let compact = ["compact", "--in-place", "--state-dir", a.to_str().unwrap()];
    let (code, _, stderr) = run(&compact);
    assert_eq!(code, 1, "{stderr}");
    assert!(tree(&place.state) == before);
    drop(held);
    // It is seen from above, too, and carried nowhere.
    for (code, _, stderr) in [
        place.compact(&["--in-place"]),
        place.generate(&place.state, &["--initial-term", "50", "--force"]),
        run(&["backup", "--state-dir", a.to_str().unwrap(), "--backup-dir", place.path("backups").to_str().unwrap()]),
        run(&[
            "backup",
            "--state-dir",
            place.state.to_str().unwrap(),
            "--backup-dir",
            place.path("backups").to_str().unwrap(),
        ]),
    ] {
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("a replacement was interrupted"), "{stderr}");
        assert!(tree(&place.state) == before);
    }
}

#[test]
fn a_node_that_starts_between_the_plan_and_the_swap_stops_the_call() {
    use std::io::Write;
    let place = Place::new();
    let backup = place.backup(&place.newer);
    let empty = place.path("empty");
    ["a", "b", "c"].iter().for_each(|id| fs::create_dir_all(empty.join(id)).unwrap());
    // `script` gives the command a terminal to ask on.
    let command = format!(
        "{} restore --backup-dir {} --state-dir {}",
        env!("CARGO_BIN_EXE_op-conductor-init"),
        backup.display(),
        empty.display()
    );
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let is_staged = || fs::read_dir(&empty).unwrap().count() > 3;
    while !is_staged() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // As op-conductor does when it starts.
    for name in ["raft-log.db", "raft-stable.db"] {
        fs::copy(place.state.join("a").join(name), empty.join("a").join(name)).unwrap();
    }
    let held = lock(&[StateDir::new(empty.join("a"))], Duration::ZERO).unwrap();
    child.stdin.as_mut().unwrap().write_all(b"y\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop(held);
    assert!(fs::read(empty.join("a/raft-log.db")).unwrap() == fs::read(place.state.join("a/raft-log.db")).unwrap());
    assert!(!is_staged(), "nothing is left");
}

#[test]
fn what_is_not_rafts_is_neither_discarded_nor_restored() {
    let place = Place::new();
    let backup = place.backup(&place.state);
    let manifest = backup.join("manifest.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let helper = b"#!/bin/sh\n";
    fs::write(backup.join("a/helper"), helper).unwrap();
    let sha256 = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf";
    let entry = json!({"path": "a/helper", "size": helper.len(), "mode": "4755", "uid": 0, "gid": 0, "sha256": sha256});
    value["files"].as_array_mut().unwrap().push(entry);
    value["files"][0]["mode"] = json!("6777");
    fs::write(&manifest, value.to_string()).unwrap();
    fs::remove_file(backup.join("SHA256SUMS")).unwrap();
    fs::write(place.state.join("a/jwt.hex"), "key").unwrap();
    fs::create_dir(place.state.join("a/keys")).unwrap();
    let (code, _, stderr) = place.restore(&backup, &["--force", "--discard-replaced"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("not restored: a/helper") && stderr.contains("a/jwt.hex"), "{stderr}");
    assert!(!place.state.join("a/helper").exists());
    let first = place.state.join(value["files"][0]["path"].as_str().unwrap());
    assert_eq!(fs::metadata(first).unwrap().mode() & 0o7777, 0o777, "no program of a backup runs as its owner");
    let kept = tree(&place.state).into_keys().filter(|path| path.starts_with(".replaced-")).collect::<Vec<_>>();
    let names: Vec<&str> = kept.iter().map(|path| path.split_once('/').unwrap().1).collect();
    assert_eq!(names, ["", "a/", "a/jwt.hex", "a/keys/"]);
}

#[test]
fn a_backup_follows_no_link_to_a_file_that_is_not_rafts() {
    let place = Place::new();
    snapshot(&place.state.join("a"), 2, 1);
    fs::write(place.path("secret"), "root's").unwrap();
    fs::remove_file(place.state.join("cluster.json")).unwrap();
    symlink(place.path("secret"), place.state.join("cluster.json")).unwrap();
    let backup = place.backup(&place.state);
    assert!(!backup.join("cluster.json").exists());
    symlink(place.path("secret"), place.state.join("a/snapshots/1-2-1/note")).unwrap();
    let backups = place.path("backups");
    let flags = ["backup", "--state-dir", place.state.to_str().unwrap(), "--backup-dir", backups.to_str().unwrap()];
    let (code, _, stderr) = run(&flags);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("snapshots/1-2-1/note"), "{stderr}");
}

/// What is done to a server's directory.
type Damage = fn(&Path);

#[test]
fn state_that_cannot_be_read_is_not_taken_for_old() {
    let place = Place::new();
    let backup = place.backup(&place.state);
    let damage: [(&str, Damage); 4] = [
        ("all logs cut", |dir| {
            File::options().write(true).open(dir.join("raft-log.db")).unwrap().set_len(5000).unwrap();
        }),
        ("all stable stores cut", |dir| {
            File::options().write(true).open(dir.join("raft-stable.db")).unwrap().set_len(5000).unwrap();
        }),
        ("both cut", |dir| {
            for name in ["raft-log.db", "raft-stable.db"] {
                File::options().write(true).open(dir.join(name)).unwrap().set_len(100).unwrap();
            }
        }),
        ("stable stores missing", |dir| fs::remove_file(dir.join("raft-stable.db")).unwrap()),
    ];
    for (what, damage) in damage {
        let state = place.path(&what.replace(' ', "-"));
        assert_eq!(place.generate(&state, &["--initial-term", "50"]).0, 0);
        ["a", "b", "c"].iter().for_each(|id| damage(&state.join(id)));
        let before = tree(&state);
        let (code, stdout, stderr) = restore(&backup, &state, &["--force", "--format", "json"]);
        assert_eq!(code, 1, "{what}: {stderr}");
        let plan: Value = serde_json::from_str(&stdout).unwrap();
        assert!(plan["plan"]["refused_by"].as_array().unwrap().contains(&json!("GUARD-010")), "{what}: {plan:#}");
        assert_eq!(plan["plan"]["nodes"][0]["now"], Value::Null, "no number is made up");
        let all = ["GUARD-002", "GUARD-003", "GUARD-004", "GUARD-010"];
        let allow: Vec<&str> = all.iter().flat_map(|id| ["--allow", id]).collect();
        let (code, _, stderr) = restore(&backup, &state, &[&["--force", "--discard-replaced"], &allow[..]].concat());
        assert_eq!(code, 1, "what may be all that is left is not discarded: {stderr}");
        assert!(tree(&state) == before, "{what}");
        assert_eq!(restore(&backup, &state, &[&["--force"], &allow[..]].concat()).0, 0, "{what}");
    }
}

#[test]
fn generate_says_what_state_that_has_run_it_would_replace() {
    let place = Place::new();
    snapshot(&place.state.join("b"), 2, 1);
    let before = tree(&place.state);
    for more in [&[][..], &["--dry-run"]] {
        let (code, _, stderr) = place.generate(&place.state, &[&["--initial-term", "9"], more].concat());
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("b, which has run (term 4, entry 3, block 100)"), "{stderr}");
        assert!(!stderr.contains("--force"), "forcing is not the advice for state that has run: {stderr}");
        assert!(tree(&place.state) == before);
    }
    let (code, _, stderr) = place.generate(&place.state, &["--initial-term", "9", "--force"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("replaced b, which has run"), "{stderr}");
}

#[test]
fn a_clusters_stopped_state_takes_other_addresses_from_its_own_backup() {
    let place = Place::new();
    let backup = place.backup(&place.state);
    let renames = ["--rename-address", "a.example:50050=a.new:50050"];
    let (code, stdout, stderr) = place.restore(&backup, &[&["--force"], &renames[..]].concat());
    assert_eq!(code, 0, "its vote names the old address, and is the same vote: {stdout}{stderr}");
}

#[test]
fn a_backup_is_not_restored_into_itself() {
    let place = Place::new();
    let backup = place.backup(&place.state);
    let before = tree(&backup);
    for into in [backup.clone(), backup.join("a")] {
        let (code, _, stderr) = restore(&backup, &into, &["--force", "--node", "a"]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("is inside the backup"), "{stderr}");
    }
    assert!(tree(&backup) == before);
}

#[test]
fn new_names_are_judged_as_those_of_a_new_cluster() {
    let place = Place::new();
    let backup = place.backup(&place.state);
    let new = place.path("new");
    let id = |id: &str| format!("a={id}");
    let address = |address: &str| format!("a.example:50050={address}");
    let ids =
        [".op-conductor-init-x", "../x", "x/y", "cluster.json", "snapshots", "raft-log.db", ".", "x y", "a\nb", "B"];
    let addresses = ["nonsense", "a:0", "http://x:1", "a b:1", "b.example.:50050", "B.example:50050"];
    let renames = ids.map(|it| ("--rename-server", id(it))).into_iter();
    for (flag, rename) in renames.chain(addresses.map(|it| ("--rename-address", address(it)))) {
        let (code, _, stderr) = restore(&backup, &new, &["--force", flag, &rename]);
        assert_eq!(code, 1, "{rename:?}: {stderr}");
        assert!(!new.exists(), "{rename:?}");
    }
    assert_eq!(restore(&backup, &new, &["--force", "--rename-server", "a=A1"]).0, 0);
}

#[test]
fn a_report_takes_the_place_of_a_link_and_not_of_what_that_leads_to() {
    let place = Place::new();
    let before = tree(&place.state);
    symlink(place.state.join("a/raft-log.db"), place.path("report.xml")).unwrap();
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let verify = |report: &Path| {
        let flags = ["verify", "--state-dir", place.state.to_str().unwrap(), "--junit", report.to_str().unwrap()];
        run(&flags)
    };
    assert_eq!(verify(&place.path("report.xml")).0, 0);
    assert!(!place.path("report.xml").is_symlink());
    assert_eq!(verify(&place.state.join("a/raft-log.db")).0, 2);
    assert_eq!(verify(&pipe).0, 2, "nobody is waited for");
    fs::create_dir(place.path("man")).unwrap();
    symlink(place.state.join("b/raft-log.db"), place.path("man/op-conductor-init.1")).unwrap();
    assert_eq!(run(&["man", "--output-dir", place.path("man").to_str().unwrap()]).0, 0);
    assert!(tree(&place.state) == before);
}

#[test]
fn what_was_done_is_said_although_the_answer_can_not_be_written() {
    let place = Place::new();
    let output = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"))
        .args(["compact", "--in-place", "--state-dir", place.state.to_str().unwrap()])
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.starts_with("error: compacted, but the answer could not be written"), "{stderr}");
}

#[test]
fn a_signal_at_the_prompt_leaves_nothing_behind() {
    use std::io::Write;
    let place = Place::new();
    let backup = place.backup(&place.newer);
    let before = tree(&place.state);
    let program = env!("CARGO_BIN_EXE_op-conductor-init");
    let command = format!("{program} restore --backup-dir {} --state-dir {}", backup.display(), place.state.display());
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut shown, mut stdout) = (Vec::new(), child.stdout.take().unwrap());
    while !String::from_utf8_lossy(&shown).contains("[y/N]") {
        let mut bytes = [0; 4096];
        let len = std::io::Read::read(&mut stdout, &mut bytes).unwrap();
        assert!(len > 0, "{}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&bytes[..len]);
    }
    child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 2));
    assert!(tree(&place.state) == before);
}

#[test]
fn an_archive_that_another_tool_packed_is_named_as_what_it_is() {
    let place = Place::new();
    let backup = place.backup(&place.state);
    let (above, name) = (backup.parent().unwrap(), backup.file_name().unwrap());
    for (file, flags, said) in [
        ("plain.tar", "-cf", "a tar archive without zstd"),
        ("gzip.tar.gz", "-czf", "a gzip file"),
        ("zstd.tar.zst", "--sort=name --zstd -cf", "expected manifest.json first in the archive"),
    ] {
        let archive = place.path(file);
        let mut tar = Command::new("tar");
        tar.current_dir(above).args(flags.split(' ')).arg(&archive);
        // Directories first, as tar itself finds them.
        assert!(tar.arg("--exclude=manifest.json").arg(name).status().unwrap().success());
        let (code, _, stderr) = run(&["backups", "verify", archive.to_str().unwrap()]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(said) && stderr.contains("unpack it with tar"), "{stderr}");
    }
    let (code, _, stderr) = run(&["backups", "verify", "/etc/passwd"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("expected a directory or a .tar.zst archive"), "{stderr}");
}
