//! Whether a leader could bring each server up to date.

use super::cluster::ahead;
use super::history::History;
use crate::raft::Index;
use crate::report::{Finding, Severity};
use crate::state::Node;

/// Reports servers whose log parts from the newest one right after their snapshot. A follower looks for the entry before
/// those that it is sent in its log only, and has cut that off; a leader sends its snapshot only for entries that it has
/// cut off itself. So they never agree. (hashicorp/raft raft.go appendEntries, replication.go setupAppendEntries)
pub(super) fn check(nodes: &[Node], histories: &[History], findings: &mut Vec<Finding>) {
    let Some(newest) = ahead(nodes) else { return };
    let Some(position) = nodes.iter().position(|node| node.id == newest.id) else { return };
    for (node, history) in nodes.iter().zip(histories).filter(|(node, _)| node.id != newest.id) {
        let first = |node: &Node| node.known_log().and_then(|log| log.first).map(|(index, _)| index);
        let (Some(mine), Some(theirs)) = (first(node), first(newest)) else { continue };
        let matched = histories[position].matched(newest, history, node);
        if mine > Index(1) && matched < mine && node.last().0 > matched && theirs.0 <= matched.0.saturating_add(1) {
            let message = format!(
                "its log begins at {mine}, and differs from that of {} from there on: raft can't find the entry before, so this server never joins a leader with that log",
                newest.id
            );
            let finding = Finding::new("CLUSTER-018", Severity::Warning, message);
            findings.push(finding.in_node(&node.id).at_index(mine.0));
        }
    }
}
