//! Whether the cluster has the members that a file of the operator's names.

use super::cluster::members;
use crate::cluster::{MembersError, MembersFile};
use crate::raft::{Configuration, Server};
use crate::report::{Finding, Severity};
use crate::state::Node;

/// Compares the members that the servers have with those that `file` names.
///
/// # Errors
/// When the list that concerns these servers can't be one of a cluster.
pub fn compare(file: &MembersFile, nodes: &[Node]) -> Result<Vec<Finding>, MembersError> {
    let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let expected = file.list_of(&ids)?;
    let found: Vec<Vec<Finding>> = nodes.iter().map(|node| differences(node, &expected.servers)).collect();
    if found.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(found.into_iter().next().unwrap_or_default());
    }
    let named = |(node, list): (&Node, Vec<Finding>)| {
        list.into_iter().map(|finding| finding.in_node(&node.id)).collect::<Vec<_>>()
    };
    Ok(nodes.iter().zip(found).flat_map(named).collect())
}

fn differences(node: &Node, expected: &[Server]) -> Vec<Finding> {
    let Some(at) = members(node) else { return Vec::new() };
    let Configuration { servers } = at.configuration.as_ref();
    let hint = "the file or the cluster is out of date: change the members on the leader by conductor_addServerAsVoter or conductor_removeServer, or the file";
    let mut found = Vec::new();
    let mut add = |id, message: String| {
        found.push(Finding::new(id, Severity::Error, message).hint(hint));
    };
    for Server { id, address, suffrage } in expected {
        match servers.iter().find(|server| server.id == *id) {
            None => add("NODE-008", format!("{id} ({address}) is expected, but not a member (entry {})", at.index)),
            Some(found) => {
                if found.address != *address {
                    let message = format!("{id} is expected at {address}, but its address is {}", found.address);
                    add("NODE-010", message);
                }
                if found.suffrage != *suffrage {
                    add("NODE-011", format!("{id} is expected to be a {suffrage}, but is a {}", found.suffrage));
                }
            }
        }
    }
    for server in servers {
        if !expected.iter().any(|expected| expected.id == server.id) {
            let Server { id, address, suffrage } = server;
            add("NODE-009", format!("{id} ({address}, {suffrage}) is a member, but not expected"));
        }
    }
    found
}
