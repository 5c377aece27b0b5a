//! Each server against the newest configuration that any of them holds, and configurations against each other.

use super::cluster::members;
use super::history::{History, has_entry};
use crate::raft::{Configuration, ConfigurationAt, Index, Server, Suffrage};
use crate::report::{Finding, Severity};
use crate::state::Node;

/// Reports servers that the newest configuration has removed, demoted or moved while they were away.
pub(super) fn check(nodes: &[Node], histories: &[History], findings: &mut Vec<Finding>) {
    let known = |node: &&Node| node.known_log().is_some();
    let newest = nodes.iter().filter(known).filter_map(members).max_by_key(|at| (at.term, at.index));
    let Some(newest) = newest else { return };
    let is_committed = has_quorum(&newest, nodes, histories);
    for node in nodes.iter().filter(known).filter(|node| !node.is_planned()) {
        let Some(own) = node.latest_configuration().filter(|own| own.configuration != newest.configuration) else {
            continue;
        };
        if own.index == newest.index {
            continue;
        }
        let finding = judge(node, &own, &newest).map(|finding| {
            let mut finding = finding.in_node(&node.id).at_index(newest.index.0);
            if !is_committed {
                finding.message += "; fewer than a quorum here have that entry, so it may not be committed";
            }
            finding
        });
        findings.extend(finding);
    }
}

/// Whether a quorum of the configuration's own voters has it.
fn has_quorum(at: &ConfigurationAt, nodes: &[Node], histories: &[History]) -> bool {
    let has = |(node, history): &(&Node, &History)| {
        has_entry(node, history, at.index, at.term)
            || node.latest_configuration().is_some_and(|own| own.configuration == at.configuration)
    };
    let is_voter = |node: &Node| at.configuration.voters().any(|voter| voter.id == node.id);
    let holders = nodes.iter().zip(histories).filter(has).filter(|(node, _)| is_voter(node)).count();
    holders >= at.configuration.quorum()
}

fn judge(node: &Node, own: &ConfigurationAt, newest: &ConfigurationAt) -> Option<Finding> {
    let mine = own.configuration.server(&node.id)?;
    let votes = mine.suffrage == Suffrage::Voter;
    let warn = |id, message: String| Some(Finding::new(id, Severity::Warning, message));
    let Some(theirs) = newest.configuration.server(&node.id) else {
        let reuse = newest.configuration.servers.iter().find(|server| server.address == mine.address);
        let reuse = reuse.map_or_else(String::new, |server| format!(" {} has its address now.", server.id));
        let message = format!(
            "entry {} has removed this server, and by its own entry {} it is still a member{}: with this directory it never joins again.{reuse}",
            newest.index,
            own.index,
            if votes { " and campaigns for ever" } else { "" }
        );
        return warn("CLUSTER-016", message.trim_end_matches('.').to_owned());
    };
    if theirs.address != mine.address {
        let message = format!(
            "entry {} has this server at {}, and its own entry {} at {}: the others reach it only at the new address",
            newest.index, theirs.address, own.index, mine.address
        );
        return warn("CLUSTER-017", message);
    }
    if votes && theirs.suffrage != Suffrage::Voter {
        let message = format!(
            "entry {} has made this server a {}, and by its own entry {} it is still a Voter: it campaigns until the leader reaches it, and nobody votes for it",
            newest.index, theirs.suffrage, own.index
        );
        return warn("CLUSTER-016", message);
    }
    None
}

/// A configuration and where it is.
struct Source<'a> {
    node: &'a Node,
    index: Index,
    configuration: &'a Configuration,
    in_snapshot: bool,
}

/// Reports configurations of one index that differ and can't both be right: the first ones, and those of snapshots.
/// `raft.RecoverCluster` with different peers.json on two servers makes such.
pub(super) fn compare(nodes: &[Node], histories: &[History], findings: &mut Vec<Finding>) {
    let mut sources: Vec<Source<'_>> = Vec::new();
    for (node, history) in nodes.iter().zip(histories) {
        let newest = node.snapshots.listed.first();
        let from_snapshot = newest.map(|meta| Source {
            node,
            index: meta.configuration_index,
            configuration: &meta.configuration,
            in_snapshot: true,
        });
        let first = node.log.first_configuration.as_ref().filter(|at| at.index == Index(1));
        // Of later entries those count that the snapshot before them proves to be committed.
        let logged = history.configurations().iter().filter(|at| newest.is_some_and(|meta| meta.index >= at.index));
        let logged = logged.chain(first).map(|at| Source {
            node,
            index: at.index,
            configuration: &at.configuration,
            in_snapshot: false,
        });
        sources.extend(from_snapshot.into_iter().chain(logged));
    }
    sources.sort_by_key(|source| source.index);
    for same_index in sources.chunk_by(|a, b| a.index == b.index) {
        findings.extend(differing(same_index));
    }
}

/// Those that are not as most are; one finding a server.
fn differing(sources: &[Source<'_>]) -> Vec<Finding> {
    let count = |source: &Source<'_>| sources.iter().filter(|it| it.configuration == source.configuration).count();
    // The first of those that most have.
    let Some(usual) = sources.iter().rev().max_by_key(|source| count(source)) else { return Vec::new() };
    let mut found: Vec<Finding> = Vec::new();
    for source in sources.iter().filter(|source| source.configuration != usual.configuration) {
        // One server's own snapshot and log are compared elsewhere (SNAP-012).
        let is_known = found.iter().any(|finding| finding.place.node.as_ref() == Some(&source.node.id));
        if source.node.id == usual.node.id || is_known {
            continue;
        }
        let place = |source: &Source<'_>| if source.in_snapshot { "snapshot" } else { "log" };
        let message = format!(
            "the members of entry {} in its {} differ from those in the {} of {} ({}): these are two clusters",
            source.index,
            place(source),
            place(usual),
            usual.node.id,
            difference(source.configuration, usual.configuration)
        );
        found.push(
            Finding::new("CLUSTER-002", Severity::Error, message).in_node(&source.node.id).at_index(source.index.0),
        );
    }
    found
}

/// The first member that differs, in words.
fn difference(here: &Configuration, there: &Configuration) -> String {
    let words = |server: &Server| format!("{} at {}, {}", server.id, server.address, server.suffrage);
    let only = |a: &Configuration, b: &Configuration| a.servers.iter().find(|it| !b.servers.contains(it)).map(words);
    match (only(here, there), only(there, here)) {
        (Some(here), Some(there)) => format!("{here} here, {there} there"),
        (Some(one), None) => format!("{one} only here"),
        (None, Some(one)) => format!("{one} only there"),
        (None, None) => "in another order".to_owned(),
    }
}
