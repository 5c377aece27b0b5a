//! What is wrong with one server's directory, beyond each of its files: whether log, snapshots and stable store fit.

use std::fs::Metadata;
use std::path::Path;
use std::time::Duration;

use super::damage::ADD_AGAIN;
use super::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use super::node::Node;
use super::snapshots::{self, Ignored};
use super::store::Store;
use super::stray;
use crate::raft::{Index, check_stable};
use crate::report::{Finding, Severity};

/// A snapshot that was begun longer ago was never finished.
const LONGEST_SNAPSHOT: Duration = Duration::from_mins(10);
/// How many snapshots are checked, the newest: op-conductor keeps one.
const MOST_CHECKED: usize = 100;
/// How many directories that raft passes over are named, each in a finding of its own.
const MOST_NAMED: usize = 3;
/// From this number of snapshots on, something keeps raft from removing old ones.
const MANY_SNAPSHOTS: usize = 10;
/// Entries are missing between two others.
const GAP: &str = "RAFT-005";

/// Checks what several files together say, adds that to the node's findings, and completes those.
pub(super) fn check(node: &mut Node, with_snapshots: bool) {
    if with_snapshots {
        node.findings.extend(check_snapshots(node));
        node.findings.extend(stray::check(node));
    }
    downgrade_gaps_before_snapshot(node);
    let checks =
        [missing_files, terms_and_votes, log_start, lost_log, ignored_snapshots, many_snapshots, directory_name];
    let found: Vec<Finding> = checks.iter().flat_map(|check| check(node)).collect();
    node.findings.extend(found);
    for finding in &mut node.findings {
        finding.place.node = Some(node.id.clone());
    }
}

/// Whether raft could load the snapshots. One that a running node removes meanwhile doesn't count.
fn check_snapshots(node: &Node) -> Vec<Finding> {
    let directory = node.path.join(SNAPSHOTS_DIR);
    let mut findings = Vec::new();
    for (position, meta) in node.snapshots.listed.iter().enumerate().take(MOST_CHECKED) {
        let found = snapshots::check(&directory, meta, position == 0);
        if found.is_empty() || directory.join(&meta.directory).is_dir() {
            findings.extend(found);
        }
    }
    findings
}

/// A follower that received its leader's snapshot keeps the end of its old log, and goes on after the snapshot: raft
/// reads nothing before that, and sends others the snapshot instead. (hashicorp/raft raft.go installSnapshot,
/// snapshot.go compactLogsWithTrailing)
fn downgrade_gaps_before_snapshot(node: &mut Node) {
    let Some(Index(snapshot)) = node.snapshots.listed.first().map(|meta| meta.index) else { return };
    for finding in node.findings.iter_mut().filter(|finding| finding.id == GAP) {
        if finding.place.first_index.is_some_and(|index| index <= snapshot.saturating_add(1)) {
            finding.severity = Severity::Note;
            finding.message = format!(
                "entries are missing before this one, and the snapshot up to {snapshot} has them: so it looks when a leader sent a snapshot"
            );
        }
    }
}

fn missing_files(node: &Node) -> Vec<Finding> {
    let exists = |store: &Store| store.file_len.is_some();
    let (file, consequence) = match (exists(&node.log_store), exists(&node.stable_store)) {
        (true, true) => return Vec::new(),
        (true, false) => (STABLE_FILE, "the node forgets its term and its vote and could vote twice"),
        (false, true) => (LOG_FILE, "the node forgets its log but keeps its vote"),
        (false, false) => (LOG_FILE, "only snapshots are left: the node forgets its term, vote and log"),
    };
    let message = format!("the file is missing: op-conductor would make an empty one, and {consequence}");
    vec![Finding::new("NODE-001", Severity::Error, message).in_file(file).hint(ADD_AGAIN)]
}

fn terms_and_votes(node: &Node) -> Vec<Finding> {
    let snapshot = node.snapshots.listed.first().map(|meta| (meta.index, meta.term));
    let highest = snapshot.into_iter().chain(node.log.last).max_by_key(|(_, term)| *term);
    let found = node.known_stable().map(|stable| check_stable(stable, highest));
    found.unwrap_or_default().into_iter().map(|finding| finding.in_file(STABLE_FILE)).collect()
}

/// Whether what comes before the log's first entry is in a snapshot.
fn log_start(node: &Node) -> Vec<Finding> {
    let Some((Index(first), _)) = node.known_log().and_then(|log| log.first) else { return Vec::new() };
    // op-conductor keeps one snapshot, and raft loads only the newest by term.
    let newest = node.snapshots.listed.first().map(|meta| meta.index.0);
    if first <= 1 || newest.is_some_and(|index| index.saturating_add(1) >= first) {
        return Vec::new();
    }
    let message =
        format!("the log begins at {first} and no snapshot reaches {}: raft panics with \"log not found\"", first - 1);
    let finding = Finding::new("RAFT-015", Severity::Error, message).in_file(LOG_FILE);
    vec![finding.hint("put back the snapshots directory that was beside this very log, if it is still somewhere")]
}

fn ignored_snapshots(node: &Node) -> Vec<Finding> {
    let is_old = |name: &str| !is_being_made(&node.path.join(SNAPSHOTS_DIR).join(name));
    let old: Vec<&(String, Ignored)> = node.snapshots.ignored.iter().filter(|(name, _)| is_old(name)).collect();
    if let [(first, reason), .., (last, _)] = old.as_slice()
        && old.len() > MOST_NAMED
    {
        let size: u64 = old.iter().map(|(name, _)| dir_len(&node.path.join(SNAPSHOTS_DIR).join(name))).sum();
        let message = format!(
            "raft passes over {} snapshots of {size} bytes, from {first} to {last}; the first: {reason}",
            old.len()
        );
        let mut finding = Finding::new("SNAP-001", Severity::Warning, message).in_file(SNAPSHOTS_DIR);
        finding.count = old.len() as u64;
        return vec![finding];
    }
    let finding = |(name, reason): &(String, Ignored)| {
        let message = format!("raft passes over this snapshot: {reason}");
        Finding::new("SNAP-001", Severity::Warning, message).in_file(&format!("{SNAPSHOTS_DIR}/{name}"))
    };
    old.into_iter().map(finding).collect()
}

/// op-conductor keeps one snapshot, and removes the one before when it has made the next.
fn many_snapshots(node: &Node) -> Vec<Finding> {
    let count = node.snapshots.listed.len();
    if count < MANY_SNAPSHOTS {
        return Vec::new();
    }
    let size: u64 = node.snapshots.listed.iter().map(|meta| meta.size).sum();
    let message = format!(
        "{count} snapshots of {size} bytes are here, and op-conductor keeps one: something keeps it from removing old ones; the newest {MOST_CHECKED} were checked"
    );
    let mut finding = Finding::new("SNAP-014", Severity::Note, message).in_file(SNAPSHOTS_DIR);
    finding.count = count as u64;
    vec![finding]
}

/// Bytes of the files in a directory.
fn dir_len(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(Metadata::is_file).map(|it| it.len()).sum()
}

/// A term is stored before the first entry of a log. Without any entry or snapshot, a server was added a moment ago, or it
/// has lost both: raft starts it without members, and it waits for a leader.
fn lost_log(node: &Node) -> Vec<Finding> {
    let is_empty = node.known_log().is_some_and(|log| log.count == 0) && node.snapshots.listed.is_empty();
    let Some(term) = node.known_stable().and_then(|stable| stable.current_term).filter(|_| is_empty) else {
        return Vec::new();
    };
    let message = format!(
        "CurrentTerm is {term}, but there is neither an entry nor a snapshot: the server was added a moment ago, or has lost both"
    );
    vec![Finding::new("NODE-014", Severity::Warning, message).in_file(LOG_FILE)]
}

fn directory_name(node: &Node) -> Vec<Finding> {
    let latest = node.latest_configuration().filter(|_| node.known_log().is_some());
    let latest = latest.filter(|latest| latest.configuration.server(&node.id).is_none());
    let finding = |message| {
        Finding::new("NODE-002", Severity::Warning, message)
            .hint("op-conductor takes the directory that --raft.server.id names; the ids must be equal")
    };
    let message = latest.map(|latest| {
        format!(
            "the directory is {:?}, but no member of the latest configuration (entry {}) has this id",
            node.id, latest.index
        )
    });
    message.map(finding).into_iter().collect()
}

/// Whether a running node may be at work on this snapshot: it has the name of one that isn't finished, and is new.
fn is_being_made(directory: &Path) -> bool {
    let age = || directory.metadata().ok()?.modified().ok()?.elapsed().ok();
    directory.extension().is_some_and(|extension| extension == "tmp") && age().is_some_and(|age| age < LONGEST_SNAPSHOT)
}
