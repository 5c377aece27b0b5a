//! Who is in the recovered cluster.

use super::Error;
use super::base::Base;
use crate::cluster::ClusterSpec;
use crate::raft::{Configuration, Server, Suffrage, Term};

/// Who the members will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// These.
    List(Configuration),
    /// Those of the base's latest configuration, with changes.
    Changed(MemberChanges),
}

/// Changes to the members of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberChanges {
    /// Other addresses: id and address.
    pub set: Vec<(String, String)>,
    /// New voters: id and address.
    pub add: Vec<(String, String)>,
    /// Ids of members that will be none.
    pub remove: Vec<String>,
    /// Ids of the members that won't vote, when that changes: all others will.
    pub nonvoters: Option<Vec<String>>,
}

impl Members {
    /// The members after the recovery.
    pub(super) fn after(&self, base: &Base<'_>) -> Result<Configuration, Error> {
        match self {
            Members::List(members) => Ok(members.clone()),
            Members::Changed(changes) => changes.apply(base.input.facts.members().ok_or(Error::NoConfiguration)?),
        }
    }
}

impl MemberChanges {
    fn apply(&self, mut members: Configuration) -> Result<Configuration, Error> {
        let unknown = |id: &str, members: &Configuration| Error::UnknownMember {
            id: id.to_owned(),
            known: members.servers.iter().map(|server| server.id.clone()).collect(),
        };
        for (id, address) in &self.set {
            match members.servers.iter_mut().find(|server| server.id == *id) {
                Some(server) => server.address.clone_from(address),
                None => return Err(unknown(id, &members)),
            }
        }
        for id in &self.remove {
            let at = members.servers.iter().position(|server| server.id == *id).ok_or_else(|| unknown(id, &members))?;
            members.servers.remove(at);
        }
        for (id, address) in &self.add {
            let (id, address) = (id.clone(), address.clone());
            members.servers.push(Server { suffrage: Suffrage::Voter, id, address });
        }
        if let Some(nonvoters) = &self.nonvoters {
            if let Some(id) = nonvoters.iter().find(|id| members.server(id).is_none()) {
                return Err(unknown(id, &members));
            }
            for server in &mut members.servers {
                let votes = !nonvoters.contains(&server.id);
                server.suffrage = if votes { Suffrage::Voter } else { Suffrage::Nonvoter };
            }
        }
        Ok(members)
    }
}

/// The cluster that is planned. Without a leader it is the base's server, when that will be a voter.
pub(super) fn cluster(
    members: &Configuration,
    leader: Option<&str>,
    base: &Base<'_>,
    term: Term,
) -> Result<ClusterSpec, Error> {
    let own = base.input.facts.id.as_str();
    let leader = match leader {
        Some(leader) => leader,
        None if members.voters().any(|voter| voter.id == own) => own,
        None => return Err(Error::NoLeader { base: own.to_owned() }),
    };
    ClusterSpec::from_members(members, leader, term).map_err(Error::Members)
}
