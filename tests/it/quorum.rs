//! What `verify` makes of several servers that ran: what a majority must have had, and who is a member of what.

use std::fs::{self, File};
use std::path::Path;

use op_conductor_init::bolt::Db;
use op_conductor_init::raft::codec::{encode_configuration, encode_log};
use op_conductor_init::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, LOGS_BUCKET, Log,
    LogType, Server, SnapshotMeta, Suffrage, Term, encode_meta,
};
use op_conductor_init::report::{Finding, Severity};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use op_conductor_init::verify::{Report, verify};

const V3: &[u8] = include_bytes!("../vectors/payload/v3.ssz");

/// Servers' directories as raft leaves them.
struct Cluster(tempfile::TempDir);

fn configuration(ids: &[&str]) -> Configuration {
    let server =
        |id: &&str| Server { suffrage: Suffrage::Voter, id: (*id).to_owned(), address: format!("{id}.example:50050") };
    Configuration { servers: ids.iter().map(server).collect() }
}

fn members(ids: &[&str]) -> (LogType, Vec<u8>) {
    let mut data = Vec::new();
    encode_configuration(&configuration(ids), &mut data);
    (LogType::Configuration, data)
}

/// Type and data of an entry that is nothing else.
fn noop() -> (LogType, Vec<u8>) {
    (LogType::Noop, Vec::new())
}

/// Makes a store that has these pairs, each in a transaction of its own.
fn store(path: &Path, bucket: &[u8], pairs: &[(Vec<u8>, Vec<u8>)]) {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    let mut db = Db::create(file, 4096).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
    tx.create_bucket_if_not_exists(CONF_BUCKET).unwrap();
    pairs.iter().for_each(|(key, value)| tx.put(bucket, key, value).unwrap());
    tx.commit().unwrap();
}

impl Cluster {
    fn new() -> Cluster {
        Cluster(tempfile::tempdir().unwrap())
    }

    /// A server whose log begins at index 1: the members that raft was started with, then entries as a leader appends
    /// them, a second apart, each with its term. It voted for `a` in `term`.
    fn server(&self, id: &str, term: u64, first: &[&str], entries: &[(u64, (LogType, Vec<u8>))]) -> &Cluster {
        let dir = self.0.path().join(id);
        fs::create_dir(&dir).unwrap();
        let bootstrap = (1, members(first));
        let pairs: Vec<_> = (1_u64..)
            .zip([&bootstrap].into_iter().chain(entries))
            .map(|(index, (term, (kind, data)))| {
                let appended_at = if index == 1 {
                    AppendedAt::ZERO
                } else {
                    AppendedAt::from_unix(1_700_000_000 + index.cast_signed(), 0)
                };
                let (kind, data) = (*kind, (!data.is_empty()).then(|| data.clone().into()));
                let log = Log { index: Index(index), term: Term(*term), kind, data, extensions: None, appended_at };
                let mut value = Vec::new();
                encode_log(&log, &mut value);
                (Index(index).to_key().to_vec(), value)
            })
            .collect();
        store(&dir.join(LOG_FILE), LOGS_BUCKET, &pairs);
        let term = term.to_be_bytes().to_vec();
        let stable =
            [(CURRENT_TERM, term.clone()), (LAST_VOTE_CAND, b"a.example:50050".to_vec()), (LAST_VOTE_TERM, term)];
        store(&dir.join(STABLE_FILE), CONF_BUCKET, &stable.map(|(key, value)| (key.as_bytes().to_vec(), value)));
        self
    }

    /// A snapshot of `id` up to `index` of `term`, with members of entry `configuration_index`.
    fn snapshot(&self, id: &str, index: u64, term: u64, configuration_index: u64, ids: &[&str]) {
        let name = format!("{term}-{index}-9");
        let directory = self.0.path().join(id).join("snapshots").join(&name);
        fs::create_dir_all(&directory).unwrap();
        let configuration = configuration(ids);
        let crc = crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(V3).to_be_bytes().to_vec();
        let mut peers = vec![0x90 | u8::try_from(ids.len()).unwrap()];
        for server in &configuration.servers {
            peers.push(0xa0 | u8::try_from(server.address.len()).unwrap());
            peers.extend(server.address.as_bytes());
        }
        let meta = SnapshotMeta {
            directory: name.clone(),
            id: name,
            index: Index(index),
            term: Term(term),
            configuration,
            configuration_index: Index(configuration_index),
            size: V3.len() as u64,
            crc,
            peers,
            version: 1,
        };
        fs::write(directory.join("meta.json"), encode_meta(&meta)).unwrap();
        fs::write(directory.join("state.bin"), V3).unwrap();
    }

    fn verify(&self) -> Report {
        verify(self.0.path(), None, &()).unwrap()
    }

    /// Ids, severities and servers of all findings, except those about payloads, which these clusters don't have.
    fn found(&self) -> Vec<(&'static str, Severity, Option<String>)> {
        let is_about_heads = |finding: &&Finding| finding.id.starts_with("PAY-");
        let report = self.verify();
        let kept = report.findings.iter().filter(|finding| !is_about_heads(finding));
        kept.map(|finding| (finding.id, finding.severity, finding.place.node.clone())).collect()
    }
}

const ABC: &[&str] = &["a", "b", "c"];

/// Entries of `term`.
fn noops(term: u64, count: usize) -> Vec<(u64, (LogType, Vec<u8>))> {
    vec![(term, noop()); count]
}

fn of(id: &str) -> Option<String> {
    Some(id.to_owned())
}

#[test]
fn a_cluster_that_was_stopped_has_no_finding() {
    let it = Cluster::new();
    for id in ABC {
        it.server(id, 2, ABC, &noops(2, 5));
    }
    assert_eq!(it.found(), []);
}

#[test]
fn one_server_behind_is_what_raft_survives() {
    let it = Cluster::new();
    it.server("a", 3, ABC, &[noops(2, 3), noops(3, 30)].concat()).server(
        "b",
        3,
        ABC,
        &[noops(2, 3), noops(3, 30)].concat(),
    );
    it.server("c", 2, ABC, &noops(2, 3));
    assert_eq!(it.found(), []);
}

#[test]
fn terms_that_a_majority_must_have_had_are_missed() {
    let it = Cluster::new();
    it.server("a", 3, ABC, &[noops(2, 3), noops(3, 2)].concat());
    it.server("b", 2, ABC, &noops(2, 3)).server("c", 2, ABC, &noops(2, 3));
    assert_eq!(it.found(), [("CLUSTER-014", Severity::Error, None)]);
    let message = &it.verify().findings[0].message;
    assert!(
        message.starts_with(
            "a has entries of term 3, so a majority had stored this term, but b and c are at an earlier one: "
        ),
        "{message}"
    );
}

#[test]
fn what_a_snapshot_has_was_on_a_majority() {
    let it = Cluster::new();
    it.server("a", 2, ABC, &noops(2, 9)).server("b", 2, ABC, &noops(2, 3)).server("c", 2, ABC, &noops(2, 3));
    it.snapshot("a", 9, 2, 1, ABC);
    assert_eq!(it.found(), [("CLUSTER-014", Severity::Error, None)]);
}

#[test]
fn a_configuration_was_committed_before_the_next_one() {
    let it = Cluster::new();
    let two = [(2, noop()), (2, members(&["a", "b", "c", "d"])), (2, members(ABC))];
    it.server("a", 2, ABC, &two).server("b", 2, ABC, &noops(2, 1)).server("c", 2, ABC, &noops(2, 1));
    assert!(it.found().contains(&("CLUSTER-014", Severity::Error, None)), "{:?}", it.found());
}

#[test]
fn the_end_of_a_log_on_one_server_is_a_warning_until_it_took_too_long() {
    let it = Cluster::new();
    it.server("a", 2, ABC, &noops(2, 7)).server("b", 2, ABC, &noops(2, 3)).server("c", 2, ABC, &noops(2, 3));
    assert_eq!(it.found(), [("CLUSTER-015", Severity::Warning, of("a"))]);
    let it = Cluster::new();
    it.server("a", 2, ABC, &noops(2, 20)).server("b", 2, ABC, &noops(2, 3)).server("c", 2, ABC, &noops(2, 3));
    assert_eq!(it.found(), [("CLUSTER-014", Severity::Error, None)]);
}

#[test]
fn the_only_survivor_of_three_is_not_fine() {
    let it = Cluster::new();
    it.server("a", 2, ABC, &noops(2, 3));
    assert_eq!(it.found(), [("CLUSTER-013", Severity::Warning, None)]);
}

#[test]
fn a_server_that_was_removed_while_it_was_down_is_named() {
    let it = Cluster::new();
    let removed = [noops(2, 3), vec![(2, members(&["a", "b"]))], noops(2, 2)].concat();
    it.server("a", 2, ABC, &removed).server("b", 2, ABC, &removed).server("c", 2, ABC, &noops(2, 3));
    let found = it.found();
    assert!(found.contains(&("CLUSTER-016", Severity::Warning, of("c"))), "{found:?}");
    let report = it.verify();
    assert_eq!(report.winners.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
}

#[test]
fn lists_of_recovery_that_differ_are_two_clusters() {
    let it = Cluster::new();
    for id in ABC {
        it.server(id, 3, ABC, &[]);
    }
    // As raft.RecoverCluster leaves it: all in the snapshot, members of entry 1, and no log.
    for id in ABC {
        fs::remove_file(it.0.path().join(id).join(LOG_FILE)).unwrap();
        store(&it.0.path().join(id).join(LOG_FILE), LOGS_BUCKET, &[]);
        it.snapshot(id, 20, 3, 1, if *id == "b" { &["a", "b", "d"] } else { ABC });
    }
    assert_eq!(it.found(), [("CLUSTER-002", Severity::Error, of("b"))]);
}

#[test]
fn a_snapshot_of_another_history_than_the_log_is_an_error() {
    let it = Cluster::new();
    it.server("a", 2, &["a"], &noops(1, 7));
    it.snapshot("a", 5, 2, 1, &["a"]);
    assert_eq!(it.found(), [("SNAP-011", Severity::Error, of("a"))]);
    let it = Cluster::new();
    it.server("a", 2, &["a"], &noops(1, 7));
    it.snapshot("a", 5, 1, 1, &["a", "b", "c"]);
    assert!(it.found().contains(&("SNAP-012", Severity::Error, of("a"))), "{:?}", it.found());
}

#[test]
fn what_cannot_be_read_is_unknown_and_nothing_follows_from_it() {
    let it = Cluster::new();
    for id in ABC {
        it.server(id, 50, ABC, &noops(50, 5));
    }
    let stable = it.0.path().join("b").join(STABLE_FILE);
    let mut bytes = fs::read(&stable).unwrap();
    bytes[..2 * 4096].fill(0);
    fs::write(stable, bytes).unwrap();
    assert_eq!(it.found(), [("BOLT-002", Severity::Error, of("b"))]);
    let report = it.verify();
    assert_eq!(report.winners.as_deref(), Some(&["a".to_owned(), "c".to_owned()][..]));
    assert_eq!(report.nodes[1].known_stable(), None);
    assert!(!report.nodes[1].candidacy().will);
}
