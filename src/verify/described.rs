//! Whether the state is what cluster.json says was generated.

use std::io::{self, Read};
use std::path::Path;

use crate::cluster::{CLUSTER_FILE, ClusterFile, Election};
use crate::durable::open_file;
use crate::raft::Configuration;
use crate::report::{Finding, Severity};
use crate::state::{Error, Node};

/// A longer description, in bytes, isn't read: one of 10,000 servers is shorter.
const MAX_DESCRIPTION_LEN: u64 = 4 << 20;

/// The text of cluster.json in the directory, or beside a single server's directory.
pub(super) fn read(path: &Path, above: Option<&Path>) -> Result<Option<(String, String)>, Error> {
    for file in [Some(path), above].into_iter().flatten().map(|directory| directory.join(CLUSTER_FILE)) {
        match open_file(&file) {
            Ok(open) => {
                let mut text = String::new();
                let read = open.take(MAX_DESCRIPTION_LEN).read_to_string(&mut text);
                return match read {
                    Ok(_) => Ok(Some((CLUSTER_FILE.to_owned(), text))),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        Ok(Some((CLUSTER_FILE.to_owned(), String::new())))
                    }
                    Err(source) => Err(Error::Io { path: file, source }),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Io { path: file, source }),
        }
    }
    Ok(None)
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
        if at_first.is_some_and(|at| at.configuration != described) {
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
