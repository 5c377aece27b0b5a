//! Snapshots against logs: what a snapshot says of an entry must be what the logs say of it.

use super::history::History;
use crate::payload::{Head, StoredHead};
use crate::raft::{Index, LogType, SnapshotMeta};
use crate::report::{Finding, Severity};
use crate::state::Node;
use crate::state::dir::{SNAPSHOTS_DIR, StateDir};
use crate::state::entries::Entries;

/// Compares the newest snapshot of each server with its own log and with those of the others.
pub(super) fn check(nodes: &[Node], dirs: &[StateDir], histories: &[History], findings: &mut Vec<Finding>) {
    for (at, node) in nodes.iter().enumerate() {
        let Some(meta) = node.snapshots.listed.first() else { continue };
        let file = format!("{SNAPSHOTS_DIR}/{}", meta.directory);
        let found = own_term(node, meta, &histories[at])
            .or_else(|| others_term(node, meta, nodes, histories))
            .into_iter()
            .chain(members(node, meta, &histories[at]))
            .chain(block(node, meta, nodes, dirs, histories));
        findings.extend(found.map(|finding| finding.in_node(&node.id).in_file(&file).at_index(meta.index.0)));
    }
}

/// raft compares the term of the log's last entry, and never that of the snapshot beside it. (hashicorp/raft raft.go
/// appendEntries)
fn own_term(node: &Node, meta: &SnapshotMeta, history: &History) -> Option<Finding> {
    let term = node.known_log().and_then(|_| history.term_at(meta.index)).filter(|term| *term != meta.term)?;
    let message = format!(
        "the snapshot ends with entry {} of term {}, but the log beside it has this entry in term {term}: they are of two histories",
        meta.index, meta.term
    );
    Some(Finding::new("SNAP-011", Severity::Error, message))
}

/// A snapshot has only committed entries, and a leader of a later term has all of those.
fn others_term(node: &Node, meta: &SnapshotMeta, nodes: &[Node], histories: &[History]) -> Option<Finding> {
    let others = nodes.iter().zip(histories).filter(|(other, _)| other.id != node.id && other.known_log().is_some());
    let newer = |(other, history): (&Node, &History)| {
        Some((other.id.clone(), history.term_at(meta.index)?)).filter(|(_, term)| *term > meta.term)
    };
    let (other, term) = others.into_iter().find_map(|(other, history)| newer((other, history)))?;
    let message = format!(
        "the snapshot ends with entry {} of term {}, but the log of {other} has this entry in term {term}: a committed entry can't have been replaced",
        meta.index, meta.term
    );
    Some(Finding::new("SNAP-011", Severity::Error, message))
}

/// raft takes the snapshot's members when the log has no newer ones. (hashicorp/raft raft.go restoreSnapshot)
fn members(node: &Node, meta: &SnapshotMeta, history: &History) -> Option<Finding> {
    node.known_log()?;
    let logged = history.configuration_at(meta.configuration_index)?;
    let differs = *logged.configuration != meta.configuration && logged.term <= meta.term;
    let message = format!(
        "its members are those of entry {}, but the log has other members there: raft goes by the snapshot",
        meta.configuration_index
    );
    differs.then(|| Finding::new("SNAP-012", Severity::Error, message))
}

/// Whether a log that is complete up to the snapshot's entry leads to the block in it: the highest, or the last, since
/// releases differ in what they keep when numbers go back.
fn block(
    node: &Node,
    meta: &SnapshotMeta,
    nodes: &[Node],
    dirs: &[StateDir],
    histories: &[History],
) -> Option<Finding> {
    let StoredHead { head: stored, .. } = node.head_of_snapshot()?;
    let is_complete = |at: &usize| {
        let log = nodes[*at].known_log();
        log.and_then(|log| log.first).is_some_and(|(first, _)| first == Index(1))
            && histories[*at].term_at(meta.index) == Some(meta.term)
    };
    let at = (0..nodes.len()).find(is_complete)?;
    let (highest, last) = heads_up_to(&dirs[at], meta.index)?;
    if [highest, last].iter().any(|head| head.hash == stored.hash) {
        return None;
    }
    let whose = if nodes[at].id == node.id { "its own log".to_owned() } else { format!("the log of {}", nodes[at].id) };
    let message = format!(
        "it holds block {} ({}), but {whose} up to entry {} leads to block {} ({})",
        stored.number, stored.hash, meta.index, highest.number, highest.hash
    );
    Some(Finding::new("SNAP-013", Severity::Error, message))
}

/// The highest and the last block of the commands up to `last`.
fn heads_up_to(dir: &StateDir, last: Index) -> Option<(Head, Head)> {
    let mut entries = Entries::open(dir.path(), Index(1)).ok()?;
    let mut found: Option<(Head, Head)> = None;
    while let Some(log) = entries.next_log().ok()? {
        if log.index > last {
            break;
        }
        if log.kind == LogType::Command
            && let Ok(head) = Head::peek(log.data.as_deref().unwrap_or_default())
        {
            let highest = found.map_or(head, |(highest, _)| if head.number >= highest.number { head } else { highest });
            found = Some((highest, head));
        }
    }
    found
}
