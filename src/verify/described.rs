//! Whether the state is what cluster.json says was generated.

use std::path::Path;

use crate::cluster::{CLUSTER_FILE, ClusterFile, Election};
use crate::raft::Configuration;
use crate::report::{Finding, Severity};
use crate::state::{ClusterFileError, Node, read_cluster_file};

/// cluster.json of the directory, or the one beside a single server's directory.
pub(super) fn read(path: &Path, above: Option<&Path>) -> Result<Option<ClusterFile>, ClusterFileError> {
    for directory in [Some(path), above].into_iter().flatten() {
        if let Some(found) = read_cluster_file(&directory.join(CLUSTER_FILE))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A description that there is, but can't be compared with.
pub(super) fn unreadable(error: &ClusterFileError) -> Finding {
    let reason = match error {
        ClusterFileError::Decode { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let message = format!("can't be read as a description of the cluster, and was not compared with: {reason}");
    Finding::new("CLUSTER-009", Severity::Warning, message).in_file(CLUSTER_FILE)
}

/// Whether the state is what `cluster.json` says was generated.
pub(super) fn compare(
    description: &ClusterFile,
    nodes: &[Node],
    winners: Option<&[String]>,
    findings: &mut Vec<Finding>,
) {
    let described = Configuration { servers: description.servers.clone() };
    let first = description.first_index();
    for node in nodes {
        let at_first = node.log.first_configuration.as_ref().filter(|at| at.index == first);
        if at_first.is_some_and(|at| *at.configuration != described) {
            let message = format!(
                "the configuration at index {first} is not that of {CLUSTER_FILE}: this is the state of another cluster"
            );
            findings.push(
                Finding::new("CLUSTER-007", Severity::Error, message)
                    .in_node(&node.id)
                    .at_index(first.0)
                    .hint("remove the description, or the directories, that belong to another cluster"),
            );
        }
    }
    let whole = nodes.iter().all(Node::is_planned) && nodes.len() == description.servers.len();
    if let Some(winners) = winners
        && whole
        && description.election == Election::Named
        && winners != [description.leader.clone()]
    {
        let message = format!(
            "{CLUSTER_FILE} names {:?} as the first leader, but the election is open to: {}",
            description.leader,
            winners.join(", ")
        );
        findings.push(
            Finding::new("CLUSTER-008", Severity::Error, message).hint("generate all nodes again, with one call"),
        );
    }
}
