//! What would make a restore worse than no restore. Each is a finding that can be allowed, one by one.

use crate::backup::NodeInfo;
use crate::report::{Finding, Severity};
use crate::state::Node;

/// All guards: `--allow` takes these.
pub const GUARDS: [&str; 10] = [
    "GUARD-001",
    "GUARD-002",
    "GUARD-003",
    "GUARD-004",
    "GUARD-005",
    "GUARD-006",
    "GUARD-007",
    "GUARD-008",
    "GUARD-009",
    "GUARD-010",
];

const TWICE: &str = "in a term that it has forgotten it could vote a second time, and elect a second leader in it";
const LOST: &str = "it may have confirmed these entries: with another node that lacks them it is a quorum that elects a leader without them, and their blocks are lost";
const ALL: &str = "restore all nodes of the cluster together from one backup, and allow this only when no node keeps newer state; to bring back one node, remove it from the cluster and add it again with an empty directory";

fn guard(id: &'static str, message: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Error, message).hint(ALL)
}

/// A node runs.
pub(super) fn locked(path: &std::path::Path) -> Finding {
    let message = format!(
        "{} is locked: op-conductor holds it while it runs, and would go on writing to what is moved away",
        path.display()
    );
    Finding::new("GUARD-001", Severity::Error, message).hint("stop the node first")
}

/// It would not fit.
pub(super) fn space(path: &std::path::Path, needed: u64, free: u64) -> Finding {
    let message = format!("{}: {needed} bytes are needed beside what is there, {free} are free", path.display());
    Finding::new("GUARD-009", Severity::Error, message)
        .hint("free some space, or remove what an earlier restore kept in .replaced-<time>")
}

/// What is there is unknown.
pub(super) fn unreadable(name: &str, reason: &str) -> Finding {
    let message = format!(
        "what is there can't be read ({reason}): its term, its vote or its last entries are unknown, and may be newer than the backup's"
    );
    Finding::new("GUARD-010", Severity::Error, message)
        .in_node(name)
        .hint("keep a copy of the directory; if the other nodes are sound, remove this one from the cluster and add it again with an empty directory")
}

/// Term, vote or log would go back against what the same node had.
pub(super) fn against_itself(name: &str, now: &NodeInfo, after: &NodeInfo) -> Vec<Finding> {
    let mut found = Vec::new();
    // A term that a log has was seen, even if the stable store doesn't say so any more.
    let current_term = now.current_term.max(now.last_term);
    if after.current_term < current_term {
        let message = format!("its term would go back from {current_term} to {}: {TWICE}", after.current_term);
        found.push(guard("GUARD-002", message));
    }
    if let Some(vote) = &now.vote
        && vote.term >= after.current_term
        && after.vote.as_ref() != Some(vote)
        && after.vote.as_ref().is_none_or(|after| after.term <= vote.term)
    {
        let message = format!("it would forget its vote for {} in term {}: {TWICE}", vote.candidate, vote.term);
        found.push(guard("GUARD-003", message));
    }
    if is_behind(now, after) {
        let message = format!("its log would go back from {} to {}: {LOST}", end(now), end(after));
        found.push(guard("GUARD-004", message));
    }
    found.into_iter().map(|finding| finding.in_node(name)).collect()
}

/// The same against another node of the cluster, which has gone on.
pub(super) fn against_peer(name: &str, peer: &Node, after: &NodeInfo) -> Vec<Finding> {
    let theirs = NodeInfo::from(peer);
    let mut found = Vec::new();
    if after.current_term < theirs.current_term {
        let message = format!(
            "{} has term {}, and this node would have {}: {TWICE}",
            peer.id, theirs.current_term, after.current_term
        );
        found.push(guard("GUARD-002", message));
    }
    if let Some(vote) = &theirs.vote
        && vote.term >= after.current_term
        && after.vote.as_ref().is_none_or(|after| after.term < vote.term)
    {
        let message = format!(
            "{} voted in term {}, and this node would know of no vote of its own in it: {TWICE}",
            peer.id, vote.term
        );
        found.push(guard("GUARD-003", message));
    }
    // The logs of a cluster that never ran differ, and mean nothing yet.
    if peer.has_run() && is_behind(&theirs, after) {
        let message = format!("{} has {}, and this node would end with {}: {LOST}", peer.id, end(&theirs), end(after));
        found.push(guard("GUARD-004", message));
    }
    found.into_iter().map(|finding| finding.in_node(name)).collect()
}

/// Some nodes of a cluster that has run would be what they were once, and the others not.
pub(super) fn alone(missing: &[String], names: &[&str]) -> Finding {
    let message = format!(
        "only {} would be restored, and {} not, of a cluster that has run: a node that forgets entries and votes still votes, and with one other that lags it can lose blocks or elect a second leader",
        names.join(", "),
        missing.join(", ")
    );
    guard("GUARD-005", message)
}

/// op-conductor looks for the directory by the server's id.
pub(super) fn names(name: &str, id: &str, node: Option<&Node>) -> Option<Finding> {
    let latest = node.and_then(Node::latest_configuration);
    let message = if name != id {
        format!("the directory would be {name:?}, but the server is {id:?}")
    } else if latest.as_ref().is_some_and(|at| at.configuration.server(name).is_none()) {
        format!("no member of the cluster has the id {name:?}")
    } else {
        return None;
    };
    let message =
        message + ": op-conductor takes the directory that --raft.server.id names, and is no member under another id";
    let hint = "name a --state-dir that ends in the server's id, or the directory above";
    Some(Finding::new("GUARD-006", Severity::Error, message).in_node(name).hint(hint))
}

/// What verification found.
pub(super) fn verification(findings: &[Finding]) -> Option<Finding> {
    let errors = || findings.iter().filter(|finding| finding.severity == Severity::Error && finding.id != "RAFT-015");
    let first = errors().next()?;
    let message = format!("the backup fails verification, {} times: first {}", errors().count(), first.id);
    Some(
        Finding::new("GUARD-007", Severity::Error, message)
            .hint("take another backup, or see what explain says of each finding"),
    )
}

/// A log whose beginning is nowhere.
pub(super) fn gap(findings: &[Finding]) -> Vec<Finding> {
    let found = findings.iter().filter(|finding| finding.id == "RAFT-015");
    let guard = |finding: &Finding| {
        let hint = "take a backup that has the snapshot too: the tool before this one made backups without";
        let guard = Finding::new("GUARD-008", Severity::Error, finding.message.clone()).hint(hint);
        finding.place.node.iter().fold(guard, |guard, node| guard.in_node(node))
    };
    found.map(guard).collect()
}

/// Voters of the configurations that have no directory among `names`.
pub(super) fn missing_voters<'a>(nodes: impl Iterator<Item = &'a Node>, names: &[&str]) -> Vec<String> {
    let latest = nodes.filter_map(Node::latest_configuration).max_by_key(|at| at.index);
    let voters = latest.iter().flat_map(|at| at.configuration.voters()).map(|voter| &voter.id);
    voters.filter(|id| !names.contains(&id.as_str())).cloned().collect()
}

fn is_behind(now: &NodeInfo, after: &NodeInfo) -> bool {
    (after.last_term, last(after)) < (now.last_term, last(now)) || last(after) < last(now)
}

/// The last index, of the log or of a snapshot.
fn last(info: &NodeInfo) -> u64 {
    info.snapshots.iter().map(|snapshot| snapshot.index).chain(info.last_index).max().unwrap_or(0)
}

fn end(info: &NodeInfo) -> String {
    format!("entry {} of term {}", last(info), info.last_term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::Vote;

    fn info(current_term: u64, vote: Option<u64>, last_index: u64, last_term: u64) -> NodeInfo {
        let vote = vote.map(|term| Vote { term, candidate: "a:1".to_owned() });
        NodeInfo { current_term, vote, last_index: Some(last_index), last_term, ..NodeInfo::default() }
    }

    #[test]
    fn each_way_back_has_its_guard() {
        let ids = |now: &NodeInfo, after: &NodeInfo| -> Vec<&str> {
            against_itself("a", now, after).iter().map(|finding| finding.id).collect()
        };
        let now = info(5, Some(5), 100, 5);
        assert_eq!(ids(&now, &now), [""; 0]);
        assert_eq!(ids(&now, &info(6, None, 101, 6)), [""; 0], "forward, where the old vote counts no more");
        assert_eq!(ids(&now, &info(4, Some(4), 100, 5)), ["GUARD-002", "GUARD-003"]);
        assert_eq!(ids(&now, &info(5, None, 100, 5)), ["GUARD-003"]);
        assert_eq!(ids(&now, &info(5, Some(5), 99, 5)), ["GUARD-004"]);
        assert_eq!(ids(&now, &info(5, Some(5), 100, 4)), ["GUARD-004"]);
        assert_eq!(ids(&info(0, None, 100, 5), &info(4, None, 100, 5)), ["GUARD-002"], "a log's term is a lower bound");
        let mut other = now.clone();
        other.vote = Some(Vote { term: 5, candidate: "b:1".to_owned() });
        assert_eq!(ids(&now, &other), ["GUARD-003"], "another candidate of the same term");
    }
}
