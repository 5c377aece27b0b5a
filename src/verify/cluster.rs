//! Whether the servers' directories are of one cluster, and none was set back alone.

use std::collections::HashSet;

use crate::raft::{ConfigurationAt, StableState, Term};
use crate::report::{Finding, Severity};
use crate::state::dir::STABLE_FILE;
use crate::state::{Node, stable_state};

/// How many members without a directory are named, each in a finding; more are counted.
const MOST_ABSENT: usize = 100;

pub(super) fn check(nodes: &[Node], findings: &mut Vec<Finding>) {
    untouched(nodes, findings);
    forgotten_candidacies(nodes, findings);
    absent(nodes, findings);
}

/// Whether some servers have run and others are as they were generated.
fn untouched(nodes: &[Node], findings: &mut Vec<Finding>) {
    if let Some(ran) = nodes.iter().find(|node| node.has_run() || node.is_recovered()) {
        for node in nodes.iter().filter(|node| node.is_untouched()) {
            let message = format!(
                "generated state that never ran, while {} has run: if this node ran before, it has forgotten votes and committed entries, and can help to elect a leader that lacks them",
                ran.id
            );
            findings.push(
                Finding::new("CLUSTER-003", Severity::Error, message)
                    .in_node(&node.id)
                    .hint("only a server that has been down ever since the generation may be started as it is"),
            );
        }
    }
}

/// Which members have no directory here.
fn absent(nodes: &[Node], findings: &mut Vec<Finding>) {
    let ids: HashSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let members = ahead(nodes).and_then(members);
    let servers = members.iter().flat_map(|at| &at.configuration.servers);
    let absent: Vec<&str> = servers.map(|server| server.id.as_str()).filter(|id| !ids.contains(id)).collect();
    for id in absent.iter().take(MOST_ABSENT) {
        let message = "a member of the configuration has no directory here: it was not looked at";
        findings.push(Finding::new("CLUSTER-004", Severity::Note, message).in_node(id));
    }
    if let Some(more @ 1..) = absent.len().checked_sub(MOST_ABSENT) {
        let message = format!("{more} more members have no directory here: they were not looked at");
        findings.push(Finding::new("CLUSTER-004", Severity::Note, message));
    }
}

/// Whether a server has forgotten a term in which another server voted for it: a candidate stores the term before it asks
/// for votes.
/// (hashicorp/raft raft.go electSelf, setCurrentTerm)
fn forgotten_candidacies(nodes: &[Node], findings: &mut Vec<Finding>) {
    for node in nodes {
        let Some(stored) = node.known_stable().map(StableState::term) else { continue };
        let votes: Vec<(Term, &str)> = nodes.iter().filter_map(|voter| vote_for(voter, node)).collect();
        let Some(latest) = votes.iter().map(|(term, _)| *term).max().filter(|term| *term > stored) else { continue };
        // A running node may have moved on since it was read.
        if stable_state(&node.path).is_ok_and(|stable| stable.term() >= latest) {
            continue;
        }
        let voters: Vec<&str> = votes.iter().filter(|(term, _)| *term == latest).map(|(_, id)| *id).collect();
        let message = format!(
            "CurrentTerm is {stored}, but {} voted for it in term {latest}: this node was set back, and could vote or lead twice in one term",
            voters.join(", ")
        );
        findings.push(Finding::new("CLUSTER-010", Severity::Error, message).in_node(&node.id).in_file(STABLE_FILE));
    }
}

/// The term of the vote that `voter` recorded for `candidate`, and the voter's id. A vote has the candidate's address.
fn vote_for<'a>(voter: &'a Node, candidate: &Node) -> Option<(Term, &'a str)> {
    let (term, address) = voter.known_stable()?.vote()?;
    let known = voter.latest_configuration()?;
    let server = known.configuration.servers.iter().find(|server| server.address == address)?;
    (server.id == candidate.id).then_some((term, voter.id.as_str()))
}

/// Whether the last voter makes the quorum larger and nothing safer.
pub(super) fn even_voters(node: &Node, findings: &mut Vec<Finding>) {
    let voters = members(node).map_or(0, |at| at.configuration.voters().count());
    if voters > 0 && voters.is_multiple_of(2) {
        let message = format!("{voters} voters: an even number survives no more failures than {}", voters - 1);
        findings.push(Finding::new("CLUSTER-006", Severity::Warning, message));
    }
}

/// The server with the last entry of all: its members are those that count. (hashicorp/raft raft.go requestVote)
pub(super) fn ahead(nodes: &[Node]) -> Option<&Node> {
    nodes.iter().max_by_key(|node| {
        let (index, term) = node.last();
        (term, index)
    })
}

/// The members that `node` will act by. The configuration that the named plan adds on followers never counts.
pub(super) fn members(node: &Node) -> Option<ConfigurationAt> {
    let generated = node.log.first_configuration.as_ref().filter(|_| node.is_planned()).cloned();
    generated.or_else(|| node.latest_configuration())
}
