//! Who can win the next election.

use std::collections::{HashMap, HashSet};

use crate::raft::ConfigurationAt;
use crate::report::{Finding, Severity};
use crate::state::Node;

/// What a server brings to an election.
struct Elector<'a> {
    node: &'a Node,
    /// The configuration that it acts by.
    own: Option<ConfigurationAt>,
    /// The voters that it knows, or none if it knows no members: then it grants its vote to anybody. A set, since
    /// configurations can have thousands.
    voters: Option<HashSet<String>>,
    /// Whether raft can start on its directory.
    starts: bool,
}

impl Elector<'_> {
    fn new(node: &Node) -> Elector<'_> {
        let own = node.latest_configuration();
        let ids = |at: &ConfigurationAt| at.configuration.voters().map(|voter| voter.id.clone()).collect();
        Elector { node, voters: own.as_ref().map(ids), own, starts: node.start_failure().is_none() }
    }

    fn knows(&self, id: &str) -> bool {
        self.voters.as_ref().is_none_or(|voters| voters.contains(id))
    }

    fn campaigns(&self) -> bool {
        self.starts && self.own.is_some() && self.knows(&self.node.id)
    }

    /// Whether it votes for `candidate` in a new term. (hashicorp/raft raft.go requestVote)
    fn grants(&self, candidate: &Node) -> bool {
        let rank = |node: &Node| {
            let (index, term) = node.last();
            (term, index)
        };
        self.starts && self.knows(&candidate.id) && rank(candidate) >= rank(self.node)
    }
}

/// The servers that can win the next election: voters whose last entry is at least as good as that of a quorum, and whom
/// that quorum knows as a voter. (hashicorp/raft raft.go requestVote, runCandidate)
pub(super) fn next_leaders(nodes: &[Node], findings: &mut Vec<Finding>) -> Vec<String> {
    let electors: Vec<Elector<'_>> = nodes.iter().map(Elector::new).collect();
    let by_id: HashMap<&str, &Elector<'_>> = electors.iter().map(|it| (it.node.id.as_str(), it)).collect();
    let wins = |elector: &&Elector<'_>| {
        let Some(own) = elector.own.as_ref().filter(|_| elector.campaigns()) else { return false };
        // A voter without a directory here counts as if it would grant its vote: it was not looked at.
        let grants = |id: &str| by_id.get(id).is_none_or(|voter| voter.grants(elector.node));
        own.configuration.voters().filter(|voter| grants(&voter.id)).count() >= own.configuration.quorum()
    };
    let winners: Vec<String> = electors.iter().filter(wins).map(|elector| elector.node.id.clone()).collect();
    if winners.is_empty() {
        let message = "no server can win an election: none of them is a voter that can start and whose log is at least as good as that of a quorum";
        findings.push(Finding::new("CLUSTER-005", Severity::Error, message));
    }
    winners
}
