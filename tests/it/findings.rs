//! Each finding of `verify` that isn't of a bolt page happens, on a cluster that was generated and then changed; those of
//! bolt pages happen in tests/it/damage.rs. Together they are all that docs/FINDINGS.md has.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use op_conductor_init::bolt::{BulkWriter, Db};
use op_conductor_init::raft::codec::{encode_configuration, encode_log};
use op_conductor_init::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, LOGS_BUCKET, Log,
    LogType, Server, Suffrage, Term,
};
use op_conductor_init::report::explain;
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use serde_json::Value;

const V3: &[u8] = include_bytes!("../vectors/payload/v3.ssz");
const V4: &[u8] = include_bytes!("../vectors/payload/v4.ssz");
const V3_ISTHMUS: &[u8] = include_bytes!("../vectors/payload/v3-isthmus.ssz");
/// Where the number and the hash of a block are in its envelope.
const NUMBER: usize = 32 + 404;
const HASH: usize = 32 + 472;

/// The state of three servers, of initial term 1 and without a head: index 2 is the leader's noop of term 4.
struct Cluster(tempfile::TempDir);

fn run(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_op-conductor-init")).env_clear().args(args).output().unwrap();
    let found: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    found.unwrap_or_else(|| panic!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn generate(dir: &Path, ids: &str, leader: &str) {
    let nodes: Vec<String> = ids.split(',').map(|id| format!("{id}.example:50050")).collect();
    let dir = dir.to_str().unwrap();
    let nodes = nodes.join(",");
    run(&[
        "generate",
        "--nodes",
        &nodes,
        "--server-ids",
        ids,
        "--initial-leader",
        leader,
        "--output-dir",
        dir,
        "--format",
        "json",
    ]);
}

impl Cluster {
    fn new() -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        generate(dir.path(), "a,b,c", "a");
        Cluster(dir)
    }

    fn node(&self, id: &str) -> PathBuf {
        self.0.path().join(id)
    }

    /// Puts a pair into one of the stores of `id`.
    fn put(&self, id: &str, file: &str, key: &[u8], value: &[u8]) {
        let bucket = if file == LOG_FILE { LOGS_BUCKET } else { CONF_BUCKET };
        let file = File::options().read(true).write(true).open(self.node(id).join(file)).unwrap();
        let mut db = Db::open(file).unwrap();
        let mut tx = db.begin().unwrap();
        tx.put(bucket, key, value).unwrap();
        tx.commit().unwrap();
    }

    fn log(&self, id: &str, key: u64, log: &Log<'_>) {
        self.put(id, LOG_FILE, &Index(key).to_key(), &encoded(log));
    }

    /// The leader's first entry, on all of them.
    fn runs(&self) {
        ["a", "b", "c"].iter().for_each(|id| self.log(id, 2, &dated(entry(2, 4, LogType::Noop, b""))));
    }

    fn stable(&self, id: &str, key: &str, value: &[u8]) {
        self.put(id, STABLE_FILE, key.as_bytes(), value);
    }

    /// Writes one of the stores of `a` anew.
    fn rewrite(&self, file: &str, bucket: &[u8], pairs: &[(Vec<u8>, Vec<u8>)]) {
        let file = File::options().read(true).write(true).truncate(true).open(self.node("a").join(file)).unwrap();
        let mut writer = BulkWriter::new(file, 4096).unwrap();
        let mut bulk = writer.bucket(bucket, 0).unwrap();
        pairs.iter().for_each(|(key, value)| bulk.push(key, value).unwrap());
        bulk.finish().unwrap();
        writer.finish().unwrap();
    }

    /// A snapshot of `a` at index 1 of term 1, as raft writes it, but for what `change` does to its meta.json.
    fn snapshot(&self, change: impl Fn(&str) -> String, state: &[u8]) -> PathBuf {
        let directory = self.node("a").join("snapshots/1-1-9");
        fs::create_dir_all(&directory).unwrap();
        let checksum = crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(V3).to_be_bytes();
        let base64 = base64::prelude::BASE64_STANDARD;
        let (crc, peers) = (base64.encode(checksum), base64.encode(b"\x91\xaaaddress-01"));
        let meta = format!(
            r#"{{"Version":1,"ID":"1-1-9","Index":1,"Term":1,"Peers":"{peers}","Configuration":{{"Servers":[{{"Suffrage":0,"ID":"a","Address":"address-01"}}]}},"ConfigurationIndex":1,"Size":{},"CRC":"{crc}"}}"#,
            V3.len()
        );
        fs::write(directory.join("meta.json"), change(&meta)).unwrap();
        fs::write(directory.join("state.bin"), state).unwrap();
        directory
    }

    fn cluster_file(&self, change: impl Fn(String) -> String) {
        let path = self.0.path().join("cluster.json");
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    }
}

fn encoded(log: &Log<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_log(log, &mut bytes);
    bytes
}

fn entry(index: u64, term: u64, kind: LogType, data: &[u8]) -> Log<'static> {
    let data = Some(data.to_vec().into());
    Log { index: Index(index), term: Term(term), kind, data, extensions: None, appended_at: AppendedAt::ZERO }
}

fn command(index: u64, data: &[u8]) -> Log<'static> {
    entry(index, 4, LogType::Command, data)
}

fn members(ids: &[&str]) -> Vec<u8> {
    let addresses: Vec<String> = ids.iter().map(|id| format!("{id}.example:50050")).collect();
    members_at(&ids.iter().copied().zip(addresses.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn members_at(members: &[(&str, &str)]) -> Vec<u8> {
    let server = |(id, address): &(&str, &str)| Server {
        suffrage: Suffrage::Voter,
        id: (*id).to_owned(),
        address: (*address).to_owned(),
    };
    let mut bytes = Vec::new();
    encode_configuration(&Configuration { servers: members.iter().map(server).collect() }, &mut bytes);
    bytes
}

/// The same as a leader appends it.
fn dated(log: Log<'static>) -> Log<'static> {
    Log { appended_at: AppendedAt::from_unix(1_700_000_000, 0), ..log }
}

fn changed(payload: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = payload.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    changed
}

fn same(meta: &str) -> String {
    meta.to_owned()
}

/// An id, flags of verify, and what is done to a fresh cluster.
type Case = (&'static str, &'static [&'static str], fn(&Cluster));

const EXPECT: &[&str] = &["--expect", "expected.json"];

const CASES: &[Case] = &[
    ("RAFT-001", &[], |it| it.put("a", LOG_FILE, b"abc", b"")),
    ("RAFT-002", &[], |it| it.put("a", LOG_FILE, &Index(3).to_key(), b"x")),
    ("RAFT-003", &[], |it| it.log("a", 3, &command(7, V3))),
    ("RAFT-004", &[], |it| it.log("a", 0, &entry(0, 1, LogType::Noop, b""))),
    ("RAFT-005", &[], |it| it.log("a", 9, &command(9, V3))),
    ("RAFT-006", &[], |it| it.log("a", 3, &entry(3, 1, LogType::Noop, b""))),
    ("RAFT-007", &[], |it| it.log("a", 3, &entry(3, 4, LogType::Unknown(9), b""))),
    ("RAFT-008", &[], |it| it.log("a", 3, &entry(3, 4, LogType::Configuration, b"x"))),
    ("RAFT-009", &[], |it| it.log("a", 3, &entry(3, 4, LogType::Configuration, &members(&["a", "a"])))),
    ("RAFT-010", &[], |it| {
        // The type 1 as a byte of its own.
        let mut value = encoded(&entry(3, 4, LogType::Noop, b""));
        let last = value.pop().unwrap();
        value.extend([0xcc, last]);
        it.put("a", LOG_FILE, &Index(3).to_key(), &value);
    }),
    ("RAFT-011", &[], |it| it.stable("a", CURRENT_TERM, &1_u64.to_be_bytes())),
    ("RAFT-012", &[], |it| it.stable("a", LAST_VOTE_TERM, &99_u64.to_be_bytes())),
    ("RAFT-013", &[], |it| {
        let term = 4_u64.to_be_bytes().to_vec();
        let pairs = [CURRENT_TERM, LAST_VOTE_TERM].map(|key| (key.as_bytes().to_vec(), term.clone()));
        it.rewrite(STABLE_FILE, CONF_BUCKET, &pairs);
    }),
    ("RAFT-014", &[], |it| it.stable("a", "Other", b"x")),
    ("RAFT-015", &[], |it| {
        let pair = (Index(5).to_key().to_vec(), encoded(&command(5, V3)));
        it.rewrite(LOG_FILE, LOGS_BUCKET, &[pair]);
    }),
    ("RAFT-016", &[], |it| it.stable("a", CURRENT_TERM, b"7")),
    ("RAFT-018", &[], |it| it.stable("a", CURRENT_TERM, &u64::MAX.to_be_bytes())),
    ("RAFT-017", &[], |it| {
        // The flags of the last element of the top level, which is `logs`.
        let path = it.node("a").join(LOG_FILE);
        let mut bytes = fs::read(&path).unwrap();
        let root = usize::try_from(op_conductor_init::bolt::Reader::open(bytes.as_slice()).unwrap().meta().root.root.0);
        bytes[root.unwrap() * 4096 + 16 + 16] = 0;
        fs::write(path, bytes).unwrap();
    }),
    ("SNAP-001", &[], |it| fs::create_dir_all(it.node("a").join("snapshots/1-1-1")).unwrap()),
    ("SNAP-002", &[], |it| fs::remove_file(it.snapshot(same, V3).join("state.bin")).unwrap()),
    ("SNAP-003", &[], |it| drop(it.snapshot(same, &changed(V3, 600, b"\xff\xff")))),
    ("SNAP-004", &[], |it| drop(it.snapshot(|meta| meta.replace("\"Size\":", "\"Size\":1"), V3))),
    ("SNAP-005", &[], |it| drop(it.snapshot(|meta| meta.replace("1-1-9", "1-1-8"), V3))),
    ("SNAP-006", &[], |it| drop(it.snapshot(|meta| meta.replace("\"Term\":1", "\"Term\":2"), V3))),
    ("SNAP-007", &[], |it| drop(it.snapshot(|meta| meta.replace("\"Suffrage\":0", "\"Suffrage\":1"), V3))),
    ("SNAP-008", &[], |it| drop(it.snapshot(|meta| meta.replace("ionIndex\":1", "ionIndex\":2"), V3))),
    ("SNAP-009", &[], |it| drop(it.snapshot(|meta| meta.replace("\"Address\":\"address", "\"Address\":\"other"), V3))),
    ("SNAP-010", &[], |it| drop(it.snapshot(same, b""))),
    ("SNAP-011", &[], |it| drop(it.snapshot(|meta| meta.replace("\"Term\":1", "\"Term\":2"), V3))),
    ("SNAP-012", &[], |it| drop(it.snapshot(same, V3))),
    ("SNAP-013", &[], |it| {
        it.log("a", 3, &command(3, V3));
        let at_3 = |meta: &str| meta.replace("\"Index\":1,\"Term\":1", "\"Index\":3,\"Term\":4");
        it.snapshot(at_3, &changed(V3, HASH, b"another"));
    }),
    ("SNAP-014", &[], |it| {
        let first = it.snapshot(same, V3);
        for number in 10..19 {
            let copy = first.with_file_name(format!("1-1-{number}"));
            fs::create_dir(&copy).unwrap();
            for name in ["meta.json", "state.bin"] {
                fs::copy(first.join(name), copy.join(name)).unwrap();
            }
        }
    }),
    ("PAY-001", &[], |it| it.log("a", 3, &command(3, &changed(V3, 40, b"changed")))),
    ("PAY-002", &[], |_| ()),
    ("PAY-003", &[], |it| it.log("a", 3, &command(3, b"x"))),
    ("PAY-004", &[], |it| {
        it.log("a", 3, &command(3, V4));
        it.log("a", 4, &command(4, V3));
    }),
    ("PAY-005", &["--for", "v0.1.0-rc.1"], |it| it.log("a", 3, &command(3, V4))),
    ("PAY-006", &[], |it| it.log("a", 3, &command(3, V3_ISTHMUS))),
    ("PAY-007", &[], |it| {
        let number = u64::from_le_bytes(V3[NUMBER..NUMBER + 8].try_into().unwrap());
        it.log("a", 3, &command(3, V3));
        it.log("a", 4, &command(4, &changed(V3, NUMBER, &(number + 1).to_le_bytes())));
    }),
    ("PAY-008", &[], |it| {
        it.log("a", 3, &command(3, V3));
        it.log("a", 4, &command(4, &changed(V3, HASH, b"another")));
    }),
    ("NODE-001", &[], |it| fs::remove_file(it.node("a").join(STABLE_FILE)).unwrap()),
    ("NODE-002", &[], |it| fs::rename(it.node("a"), it.node("d")).unwrap()),
    ("NODE-003", &[], |it| it.rewrite(LOG_FILE, b"other", &[])),
    ("NODE-004", &[], |it| {
        let stage = it.node(".op-conductor-init-x");
        fs::create_dir(&stage).unwrap();
        let journal = r#"{"version": 1, "replaced": ".replaced-1", "entries": [{"name": "a", "new": 1, "old": 2}]}"#;
        fs::write(stage.join("journal.json"), journal).unwrap();
    }),
    ("NODE-005", &[], |it| fs::create_dir(it.node(".op-conductor-init-x")).unwrap()),
    ("NODE-007", &[], |it| {
        let (directory, log) = (it.node("a"), it.node("a").join(LOG_FILE));
        // What belongs to root is closed to nobody.
        if fs::metadata(&directory).unwrap().uid() == 0 {
            chown(directory, Some(1000), Some(1000)).unwrap();
        }
        fs::set_permissions(log, Permissions::from_mode(0o400)).unwrap();
    }),
    ("NODE-008", EXPECT, |it| expect(it, r#"{"id": "d", "address": "d.example:50050"}"#)),
    ("NODE-009", EXPECT, |it| expect(it, r#"{"id": "b", "address": "b.example:50050"}"#)),
    ("NODE-010", EXPECT, |it| expect(it, r#"{"id": "b", "address": "b.internal:50050"}"#)),
    ("NODE-011", EXPECT, |it| expect(it, r#"{"id": "b", "address": "b.example:50050", "non_voter": true}"#)),
    ("NODE-012", &[], |it| {
        let [log, stable, other] = [LOG_FILE, STABLE_FILE, "other"].map(|name| it.node("a").join(name));
        fs::rename(&log, &other).unwrap();
        fs::rename(&stable, &log).unwrap();
        fs::rename(other, stable).unwrap();
    }),
    ("NODE-013", &[], |it| {
        fs::copy(it.node("a").join(STABLE_FILE), it.node("a").join(LOG_FILE)).unwrap();
    }),
    ("NODE-014", &[], |it| it.rewrite(LOG_FILE, LOGS_BUCKET, &[])),
    ("CLUSTER-001", &[], |it| {
        it.log("a", 3, &command(3, V3));
        it.log("b", 3, &command(3, V4));
    }),
    ("CLUSTER-002", &[], |it| {
        let other = tempfile::tempdir().unwrap();
        generate(other.path(), "b,d,e", "d");
        fs::remove_dir_all(it.node("b")).unwrap();
        fs::rename(other.path().join("b"), it.node("b")).unwrap();
    }),
    ("CLUSTER-003", &[], |it| {
        it.log("a", 3, &Log { appended_at: AppendedAt::from_unix(1, 0), ..entry(3, 4, LogType::Noop, b"") });
    }),
    ("CLUSTER-004", &[], |it| fs::remove_dir_all(it.node("c")).unwrap()),
    ("CLUSTER-005", &[], |it| {
        for (id, others) in [("a", ["b", "c"]), ("b", ["a", "c"]), ("c", ["a", "b"])] {
            it.log(id, 3, &entry(3, 4, LogType::Configuration, &members(&others)));
        }
    }),
    ("CLUSTER-006", &[], |it| {
        fs::remove_dir_all(it.0.path()).unwrap();
        generate(it.0.path(), "a,b,c,d", "a");
    }),
    ("CLUSTER-007", &[], |it| it.cluster_file(|text| text.replace("b.example", "d.example"))),
    ("CLUSTER-008", &[], |it| it.cluster_file(|text| text.replace("\"leader\": \"a\"", "\"leader\": \"b\""))),
    ("CLUSTER-009", &[], |it| it.cluster_file(|_| "{".to_owned())),
    ("CLUSTER-010", &[], |it| {
        it.stable("b", LAST_VOTE_TERM, &9_u64.to_be_bytes());
        it.stable("b", LAST_VOTE_CAND, b"c.example:50050");
        it.stable("b", CURRENT_TERM, &9_u64.to_be_bytes());
    }),
    ("CLUSTER-011", &[], |it| {
        it.log("a", 3, &command(3, V3));
        it.log("b", 3, &command(3, &changed(V3, HASH, b"another")));
    }),
    ("CLUSTER-012", &[], |it| {
        it.snapshot(same, V3);
        let directory = it.snapshot(|meta| meta.replace("\"CRC\":\"", "\"CRC\":\"AAAA"), V3);
        let other = it.node("b").join("snapshots");
        fs::create_dir_all(&other).unwrap();
        fs::rename(directory, other.join("1-1-9")).unwrap();
        it.snapshot(same, V3);
    }),
    ("CLUSTER-013", &[], |it| ["b", "c"].iter().for_each(|id| fs::remove_dir_all(it.node(id)).unwrap())),
    ("CLUSTER-014", &[], |it| {
        it.log("a", 3, &dated(entry(3, 9, LogType::Noop, b"")));
        it.stable("a", CURRENT_TERM, &9_u64.to_be_bytes());
    }),
    ("CLUSTER-015", &[], |it| {
        it.runs();
        it.log("a", 3, &dated(entry(3, 4, LogType::Noop, b"")));
    }),
    ("CLUSTER-016", &[], |it| {
        it.runs();
        ["a", "b"]
            .iter()
            .for_each(|id| it.log(id, 3, &dated(entry(3, 4, LogType::Configuration, &members(&["a", "b"])))));
    }),
    ("CLUSTER-017", &[], |it| {
        it.runs();
        let moved = members_at(&["a", "b", "c"].map(|id| (id, if id == "c" { "c.new:50050" } else { id })));
        ["a", "b"].iter().for_each(|id| it.log(id, 3, &dated(entry(3, 4, LogType::Configuration, &moved))));
    }),
    ("CLUSTER-018", &[], |it| {
        it.runs();
        it.snapshot(|meta| meta.replace("\"Index\":1,\"Term\":1", "\"Index\":2,\"Term\":4"), V3);
        let alone = encoded(&dated(entry(3, 4, LogType::Noop, b"")));
        it.rewrite(LOG_FILE, LOGS_BUCKET, &[(Index(3).to_key().to_vec(), alone)]);
        it.log("b", 3, &dated(entry(3, 5, LogType::Noop, b"")));
    }),
    ("REPORT-001", &[], |it| (5..305).for_each(|at| it.log("a", at * 2, &entry(at * 2, 4, LogType::Noop, b"")))),
];

/// Writes a list of members with `a` and one more.
fn expect(cluster: &Cluster, more: &str) {
    let text = format!(r#"[{{"id": "a", "address": "a.example:50050"}}, {more}]"#);
    fs::write(cluster.0.path().join("expected.json"), text).unwrap();
}

fn verify(cluster: &Cluster, flags: &[&str]) -> Value {
    let dir = cluster.0.path().to_str().unwrap();
    let expected = cluster.0.path().join("expected.json");
    let flags = flags.iter().map(|flag| if *flag == "expected.json" { expected.to_str().unwrap() } else { flag });
    run(&["verify", "--state-dir", dir, "--format", "json"].into_iter().chain(flags).collect::<Vec<_>>())
}

fn ids(report: &Value) -> BTreeSet<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

#[test]
fn each_finding_happens() {
    for (id, flags, change) in CASES {
        let cluster = Cluster::new();
        change(&cluster);
        let report = verify(&cluster, flags);
        assert!(ids(&report).contains(id), "{id}: {report:#}");
        assert!(ids(&verify(&cluster, &[*flags, &["--ignore", id]].concat())).iter().all(|found| found != id));
    }
}

/// The severities of the findings of this id.
fn severities(report: &Value, id: &str) -> Vec<String> {
    let all = report["findings"].as_array().unwrap().iter().filter(|finding| finding["id"] == id);
    all.map(|finding| finding["severity"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_term_below_that_of_the_snapshot_is_an_error() {
    let cluster = Cluster::new();
    cluster.snapshot(|meta| meta.replace("\"Term\":1", "\"Term\":9"), V3);
    assert_eq!(severities(&verify(&cluster, &[]), "RAFT-011"), ["error"]);
}

#[test]
fn only_the_newest_snapshot_counts_for_where_the_log_begins() {
    let cluster = Cluster::new();
    let newest = cluster.snapshot(|meta| meta.replace("\"Term\":1", "\"Term\":2"), V3);
    fs::rename(newest, cluster.node("a").join("snapshots/newest")).unwrap();
    cluster.snapshot(|meta| meta.replace("\"Index\":1,", "\"Index\":4,"), V3);
    let pair = (Index(5).to_key().to_vec(), encoded(&command(5, V3)));
    cluster.rewrite(LOG_FILE, LOGS_BUCKET, &[pair]);
    assert_eq!(severities(&verify(&cluster, &[]), "RAFT-015"), ["error"]);
}

#[test]
fn same_entries_behind_different_ones_are_an_error() {
    let cluster = Cluster::new();
    for (id, term) in [("a", 4), ("b", 5)] {
        cluster.log(id, 3, &entry(3, term, LogType::Noop, b""));
        cluster.log(id, 4, &entry(4, 9, LogType::Noop, b""));
    }
    assert_eq!(severities(&verify(&cluster, &[]), "CLUSTER-001"), ["error"]);
}

#[test]
fn a_snapshot_that_a_release_cannot_read_is_an_error() {
    let cluster = Cluster::new();
    cluster.snapshot(same, V4);
    assert_eq!(severities(&verify(&cluster, &["--for", "v0.1.0-rc.1"]), "PAY-005"), ["error"]);
    assert_eq!(severities(&verify(&cluster, &["--for", "v0.9.4"]), "PAY-005"), [""; 0]);
}

#[test]
fn voters_are_counted_by_the_members_of_now() {
    let cluster = Cluster::new();
    let dated = |ids: &[&str]| {
        let appended_at = AppendedAt::from_unix(1_700_000_000, 0);
        Log { appended_at, ..entry(3, 4, LogType::Configuration, &members(ids)) }
    };
    cluster.log("a", 3, &dated(&["a", "b", "c", "d"]));
    assert_eq!(severities(&verify(&cluster, &[]), "CLUSTER-006"), ["warning"]);
    cluster.log("a", 3, &dated(&["a", "b", "c"]));
    assert_eq!(severities(&verify(&cluster, &[]), "CLUSTER-006"), [""; 0]);
}

#[test]
fn a_gap_is_an_error_only_behind_the_snapshot() {
    for (snapshot, expected) in [(7, "error"), (8, "note")] {
        let cluster = Cluster::new();
        cluster.snapshot(|meta| meta.replace("\"Index\":1,", &format!("\"Index\":{snapshot},")), V3);
        cluster.log("a", 9, &command(9, V3));
        assert_eq!(severities(&verify(&cluster, &[]), "RAFT-005"), [expected], "a snapshot up to {snapshot}");
    }
}

/// Those of pages are made in tests/it/damage.rs, BOLT-025 is told by info, NODE-006 in the library's own tests.
#[test]
fn the_page_has_all_findings_and_no_others() {
    let here = CASES.iter().map(|(id, ..)| (*id).to_owned());
    let elsewhere = (1..=27).map(|number| format!("BOLT-{number:03}")).chain(["NODE-006".to_owned()]);
    let made: BTreeSet<String> = here.chain(elsewhere).collect();
    // Those of backups, restores and recoveries happen in tests/it/backup.rs, tests/it/restore.rs and tests/it/recover.rs.
    let of_verify = |id: &&str| !["BACKUP-", "GUARD-", "RECOVER-"].iter().any(|family| id.starts_with(family));
    let ids = explain::all().iter().map(|explanation| explanation.id);
    let explained: BTreeSet<String> = ids.filter(of_verify).map(str::to_owned).collect();
    assert_eq!(made, explained);
}

#[test]
fn reports_have_the_form_of_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/schema/verify.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (id, flags, change) in CASES {
        let cluster = Cluster::new();
        change(&cluster);
        let report = verify(&cluster, flags);
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{id}: {report:#}");
    }
    assert!(!validator.is_valid(&serde_json::json!({"verdict": "fine"})));
}
