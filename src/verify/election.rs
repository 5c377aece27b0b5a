//! Who can win the next election.

use std::collections::{HashMap, HashSet};

use crate::raft::{Index, Term};
use crate::report::{Finding, Severity};
use crate::state::Node;

/// The servers that can win the next election among these: voters whose last entry is at least as good as that of a
/// quorum, and whom that quorum knows as a voter. (hashicorp/raft raft.go requestVote, runCandidate)
pub(super) fn next_leaders(nodes: &[Node], findings: &mut Vec<Finding>) -> Vec<String> {
    let states: Vec<_> = nodes.iter().map(|node| (node, node.latest_configuration(), node.last())).collect();
    // Sets, since configurations can have thousands of voters.
    let known: Vec<Option<HashSet<&str>>> = states
        .iter()
        .map(|(_, own, _)| own.as_ref().map(|at| at.configuration.voters().map(|voter| voter.id.as_str()).collect()))
        .collect();
    let knows = |node: usize, id: &str| known[node].as_ref().is_none_or(|voters| voters.contains(id));
    let by_id: HashMap<&str, usize> = nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
    let wins = |number: &usize| {
        let (candidate, own, last) = &states[*number];
        let Some(own) = own.as_ref().map(|at| &at.configuration) else { return false };
        if !knows(*number, &candidate.id) {
            return false;
        }
        let (index, term): (Index, Term) = *last;
        let grants = own.voters().filter(|voter| {
            // A voter without a directory here counts as if it would grant its vote: it was not looked at.
            by_id.get(voter.id.as_str()).is_none_or(|at| {
                let (.., (their_index, their_term)) = &states[*at];
                knows(*at, &candidate.id) && (term, index) >= (*their_term, *their_index)
            })
        });
        grants.count() >= own.quorum()
    };
    let winners: Vec<String> = (0..nodes.len()).filter(wins).map(|number| nodes[number].id.clone()).collect();
    if winners.is_empty() {
        let message = "no node can win an election: none is a voter whose log a quorum finds as good as its own";
        findings.push(
            Finding::new("CLUSTER-005", Severity::Error, message)
                .hint("compare the nodes with info; generate or restore all nodes together"),
        );
    }
    winners
}
