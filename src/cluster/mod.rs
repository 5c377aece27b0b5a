//! What the operator asks for: the servers of a cluster, parsed and validated. No bytes, no I/O.
//!
//! [`ClusterSpec::parse`] is the only way to a [`ClusterSpec`], so a spec needs no further check.

mod file;
mod members;
mod names;
mod problem;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::raft::{Configuration, LAST_NUMBER, Server, Suffrage, Term};

pub use file::{CLUSTER_FILE, ClusterFile};
pub use members::{MemberList, MembersError, MembersFile};
pub(crate) use names::canonical_address;
pub use names::{AddressError, IdError, check_address, check_id};
pub use problem::{SpecError, SpecErrors, SpecField, SpecWarning};

/// Who may win the first election.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Election {
    /// Only the named leader.
    Named,
    /// Any voter.
    Open,
}

impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Election::Named => "named",
            Election::Open => "open",
        })
    }
}

/// The operator's words, as `generate` takes them. Lists are separated by commas; blanks around an item are ignored.
#[derive(Debug, Clone, Copy)]
pub struct SpecText<'a> {
    /// Addresses, in the order of the ids.
    pub nodes: &'a str,
    /// Ids.
    pub server_ids: &'a str,
    /// Ids; blank if all servers vote.
    pub nonvoters: &'a str,
    /// Id of the server that must win the first election.
    pub initial_leader: &'a str,
    /// Term of the first entry.
    pub initial_term: u64,
    /// A label, without effect on raft.
    pub network: Option<&'a str>,
    /// Who may win the first election.
    pub election: Election,
}

/// A cluster that can be generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    network: Option<String>,
    configuration: Configuration,
    leader: usize,
    initial_term: Term,
    election: Election,
}

impl ClusterSpec {
    /// Parses the operator's words.
    ///
    /// # Errors
    /// Everything that is wrong with them, not only the first.
    pub fn parse(text: &SpecText<'_>) -> Result<ClusterSpec, SpecErrors> {
        let lists = Lists {
            ids: items(text.server_ids),
            addresses: items(text.nodes),
            nonvoters: nonvoters(text.nonvoters),
            leader: text.initial_leader.trim(),
        };
        let (configuration, leader) = lists.check(text.initial_term, text.election)?;
        Ok(ClusterSpec {
            network: text.network.map(str::trim).filter(|network| !network.is_empty()).map(str::to_owned),
            configuration,
            leader,
            initial_term: Term(text.initial_term),
            election: text.election,
        })
    }

    /// Makes a cluster of known members, in their order, with a named leader. Who is not a voter is a nonvoter.
    ///
    /// # Errors
    /// Everything that is wrong with them, not only the first.
    pub fn from_members(members: &Configuration, leader: &str, initial_term: Term) -> Result<ClusterSpec, SpecErrors> {
        let servers = &members.servers;
        let others = servers.iter().filter(|server| server.suffrage != Suffrage::Voter);
        let lists = Lists {
            ids: servers.iter().map(|server| server.id.as_str()).collect(),
            addresses: servers.iter().map(|server| server.address.as_str()).collect(),
            nonvoters: others.map(|server| server.id.as_str()).collect(),
            leader,
        };
        let election = Election::Named;
        let (configuration, leader) = lists.check(initial_term.0, election)?;
        Ok(ClusterSpec { network: None, configuration, leader, initial_term, election })
    }

    /// What works, but not as people would expect.
    pub fn warnings(&self) -> Vec<SpecWarning> {
        problem::warnings(&self.configuration)
    }

    /// Name of the network: a label, without effect on raft.
    pub fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }

    /// All members, in the order of the ids.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The named leader, a voter.
    pub fn leader(&self) -> &Server {
        &self.configuration.servers[self.leader]
    }

    /// The term of the first entry; at least 1, and no term of the plan or of the next election overflows.
    pub fn initial_term(&self) -> Term {
        self.initial_term
    }

    /// Who may win the first election.
    pub fn election(&self) -> Election {
        self.election
    }
}

/// The servers by their ids and addresses, not checked yet.
struct Lists<'a> {
    ids: Vec<&'a str>,
    addresses: Vec<&'a str>,
    nonvoters: Vec<&'a str>,
    leader: &'a str,
}

impl Lists<'_> {
    /// The members, and which of them is the leader.
    fn check(&self, initial_term: u64, election: Election) -> Result<(Configuration, usize), SpecErrors> {
        let mut errors = Vec::new();
        let Lists { ids, addresses, nonvoters, leader } = self;
        if ids.len() != addresses.len() {
            errors.push(SpecError::Lengths { ids: ids.len(), addresses: addresses.len() });
        }
        check_items(ids, SpecField::ServerIds, &mut errors, |position, item| {
            let error = names::check_id(item).err()?;
            Some(SpecError::Id { position, item: item.to_owned(), error })
        });
        check_items(addresses, SpecField::Nodes, &mut errors, |position, item| {
            let error = names::check_address(item).err()?;
            Some(SpecError::Address { position, item: item.to_owned(), error })
        });
        check_items(nonvoters, SpecField::Nonvoters, &mut errors, |position, item| {
            (!ids.contains(&item)).then(|| SpecError::UnknownNonvoter { position, item: item.to_owned() })
        });
        let leader = find_leader(leader, ids, nonvoters).map_err(|error| errors.push(error)).ok();
        let voter_count = ids.iter().filter(|id| !nonvoters.contains(id)).count();
        if voter_count == 0 {
            errors.push(SpecError::NoVoter);
        }
        errors.extend(check_term(initial_term, election, voter_count).err());
        match leader {
            Some(leader) if errors.is_empty() => Ok((configuration(ids, addresses, nonvoters), leader)),
            _ => Err(SpecErrors(errors)),
        }
    }
}

/// The items of a list: at least one, each without the blanks around it.
fn items(list: &str) -> Vec<&str> {
    list.split(',').map(str::trim).collect()
}

fn nonvoters(list: &str) -> Vec<&str> {
    if list.trim().is_empty() { Vec::new() } else { items(list) }
}

/// Adds what is wrong with each item, and sound items that are there twice. Positions count from 1.
fn check_items<'a>(
    items: &[&'a str],
    field: SpecField,
    errors: &mut Vec<SpecError>,
    check: impl Fn(usize, &str) -> Option<SpecError>,
) {
    let mut seen: HashMap<String, (usize, &'a str)> = HashMap::new();
    for (position, &item) in (1..).zip(items) {
        if let Some(error) = check(position, item) {
            errors.push(error);
            continue;
        }
        // Case doesn't count in host names, nor in the names of directories on some file systems.
        let folded = if field == SpecField::Nodes { canonical_address(item) } else { item.to_lowercase() };
        if let Some(&(first, other)) = seen.get(&folded) {
            let (item, other) = (item.to_owned(), other.to_owned());
            errors.push(SpecError::Duplicate { field, position, item, first, other });
        } else {
            seen.insert(folded, (position, item));
        }
    }
}

fn find_leader(leader: &str, ids: &[&str], nonvoters: &[&str]) -> Result<usize, SpecError> {
    let Some(position) = ids.iter().position(|id| *id == leader) else {
        return Err(SpecError::UnknownLeader { leader: leader.to_owned() });
    };
    if nonvoters.contains(&leader) {
        return Err(SpecError::NonvotingLeader { leader: leader.to_owned() });
    }
    Ok(position)
}

/// The plan's last term and the terms of later elections must fit too, with room for a cluster's whole life.
fn check_term(initial_term: u64, election: Election, voter_count: usize) -> Result<(), SpecError> {
    let plan_terms = match election {
        Election::Named => voter_count as u64,
        Election::Open => 0,
    };
    let max = LAST_NUMBER - plan_terms - 1;
    match initial_term {
        0 => Err(SpecError::ZeroTerm),
        term if term > max => Err(SpecError::TermTooHigh { term, max }),
        _ => Ok(()),
    }
}

fn configuration(ids: &[&str], addresses: &[&str], nonvoters: &[&str]) -> Configuration {
    let server = |(id, address): (&&str, &&str)| Server {
        suffrage: if nonvoters.contains(id) { Suffrage::Nonvoter } else { Suffrage::Voter },
        id: (*id).to_owned(),
        address: (*address).to_owned(),
    };
    Configuration { servers: ids.iter().zip(addresses).map(server).collect() }
}
