//! Whether op-conductor could sequence on what the servers hold, and whether they hold the same.

use std::collections::HashMap;

use crate::payload::Release;
use crate::report::{Finding, Severity};
use crate::state::Node;
use crate::state::dir::SNAPSHOTS_DIR;

/// Whether sequencing could start on what the servers hold, with `release` when one is named.
pub(super) fn check(nodes: &[Node], release: Option<Release>, findings: &mut Vec<Finding>) {
    let headless: Vec<&Node> =
        nodes.iter().filter(|node| node.known_log().is_some_and(|log| log.count > 0) && node.head.is_none()).collect();
    let finding = |of: &[&Node]| {
        let place = match of.iter().any(|node| !node.snapshots.listed.is_empty()) {
            true => "no payload in the log, and none that can be read in the newest snapshot",
            false => "no payload and no snapshot",
        };
        let message = format!(
            "{place}: op-conductor finds \"no unsafe head\" and does not sequence; releases before the fix crash at their first snapshot (optimism #13363)"
        );
        let hint = match nodes.iter().any(Node::has_run) {
            true => {
                "call admin_startSequencer on the leader's op-node by hand: this state has run, so it must not be generated again"
            }
            false => {
                "generate again with --unsafe-head or --execution-rpc, or call admin_startSequencer on the leader's op-node by hand"
            }
        };
        Finding::new("PAY-002", Severity::Warning, message).hint(hint)
    };
    if headless.len() == nodes.len() && !headless.is_empty() {
        findings.push(finding(&headless));
    } else {
        findings.extend(headless.iter().map(|node| finding(&[*node]).in_node(&node.id)));
    }
    let Some(release) = release else { return };
    for node in nodes {
        let in_snapshot = node.head_of_snapshot().map(|stored| stored.head.version);
        let versions = node.payload_versions.iter().map(|version| (*version, false));
        let versions = versions.chain(in_snapshot.map(|version| (version, true)));
        for (version, is_snapshot) in versions.filter(|(version, _)| !release.can_read(*version)) {
            let tag = release.name;
            let message = if is_snapshot {
                format!(
                    "the snapshot's payload is of form {version}, which op-conductor {tag} can't decode: it doesn't start"
                )
            } else {
                format!(
                    "payloads of form {version}, which op-conductor {tag} can't decode: it never starts sequencing on them, and says nothing"
                )
            };
            findings.push(
                Finding::new("PAY-005", Severity::Error, message)
                    .in_node(&node.id)
                    .hint(format!("releases that read {version}: {}", Release::that_read(version))),
            );
        }
    }
}

/// Whether the highest blocks of two servers have one number and different hashes.
pub(super) fn highest_blocks(nodes: &[Node], findings: &mut Vec<Finding>) {
    let heads = || nodes.iter().filter_map(|node| Some((node, node.head?.head)));
    let Some((first, head)) = heads().next() else { return };
    for (node, other) in heads().filter(|(_, other)| other.number == head.number && other.hash != head.hash) {
        let message = format!(
            "the highest stored block is {} ({}), that of {} is another one of this number ({}): one of them was never committed",
            other.number, other.hash, first.id, head.hash
        );
        findings.push(Finding::new("CLUSTER-011", Severity::Warning, message).in_node(&node.id));
    }
}

/// Whether two servers' snapshots of one entry hold different states: entries are applied in one order, so they can't.
pub(super) fn snapshot_states(nodes: &[Node], findings: &mut Vec<Finding>) {
    let mut known: HashMap<_, (&str, &[u8])> = HashMap::new();
    for node in nodes {
        for meta in &node.snapshots.listed {
            let (first, crc) = *known.entry((meta.index, meta.term)).or_insert((&node.id, &meta.crc));
            if crc != meta.crc {
                let message = format!(
                    "the snapshot of entry {} (term {}) holds another state than that of {first}: the state machines have parted",
                    meta.index, meta.term
                );
                findings.push(
                    Finding::new("CLUSTER-012", Severity::Error, message)
                        .in_node(&node.id)
                        .in_file(&format!("{SNAPSHOTS_DIR}/{}", meta.directory))
                        .hint("find out by the chain which block is right: snapshot show"),
                );
            }
        }
    }
}
