//! Who is in a cluster, and who may vote.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a server's vote counts. (hashicorp/raft configuration.go ServerSuffrage)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suffrage {
    /// Counts in elections and commits.
    Voter,
    /// Receives entries only.
    Nonvoter,
    /// Legacy: becomes a voter once it has caught up; counts as a nonvoter.
    Staging,
    /// A number that raft doesn't have: it reads it and counts it as a nonvoter.
    #[serde(untagged)]
    Unknown(u8),
}

impl Suffrage {
    /// The number on disk.
    pub const fn to_byte(self) -> u8 {
        match self {
            Suffrage::Voter => 0,
            Suffrage::Nonvoter => 1,
            Suffrage::Staging => 2,
            Suffrage::Unknown(byte) => byte,
        }
    }

    /// The suffrage with this number.
    pub const fn from_byte(byte: u8) -> Suffrage {
        match byte {
            0 => Suffrage::Voter,
            1 => Suffrage::Nonvoter,
            2 => Suffrage::Staging,
            byte => Suffrage::Unknown(byte),
        }
    }
}

impl fmt::Display for Suffrage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Suffrage::Voter => "Voter",
            Suffrage::Nonvoter => "Nonvoter",
            Suffrage::Staging => "Staging",
            Suffrage::Unknown(byte) => return write!(f, "suffrage {byte}"),
        })
    }
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Server {
    /// Whether its vote counts.
    pub suffrage: Suffrage,
    /// op-conductor's `--raft.server.id`.
    pub id: String,
    /// `host:port` that the other members dial.
    pub address: String,
}

/// The members of a cluster, in their order on disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Configuration {
    /// All members.
    pub servers: Vec<Server>,
}

/// What raft refuses in a configuration. (hashicorp/raft configuration.go checkConfiguration)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A member without an id.
    #[error("empty id for address {address:?}")]
    EmptyId {
        /// The member's address.
        address: String,
    },
    /// A member without an address.
    #[error("empty address for id {id:?}")]
    EmptyAddress {
        /// The member's id.
        id: String,
    },
    /// Two members of one id.
    #[error("duplicate id {id:?}")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// Two members at one address.
    #[error("duplicate address {address:?}")]
    DuplicateAddress {
        /// The address.
        address: String,
    },
    /// Nobody could ever lead.
    #[error("no voter")]
    NoVoter,
    /// What raft reads all the same, and takes for a nonvoter.
    #[error("suffrage {suffrage} of {id:?}: expected 0, 1 or 2")]
    UnknownSuffrage {
        /// The member's id.
        id: String,
        /// The number.
        suffrage: u8,
    },
}

impl Configuration {
    /// Checks it as raft does before it accepts one: ids and addresses present and unique, at least one voter; and that
    /// each suffrage is one that raft writes.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        let (mut ids, mut addresses) = (HashSet::new(), HashSet::new());
        for Server { id, address, suffrage } in &self.servers {
            if let Suffrage::Unknown(suffrage) = *suffrage {
                return Err(ConfigurationError::UnknownSuffrage { id: id.clone(), suffrage });
            }
            if id.is_empty() {
                return Err(ConfigurationError::EmptyId { address: address.clone() });
            }
            if address.is_empty() {
                return Err(ConfigurationError::EmptyAddress { id: id.clone() });
            }
            if !ids.insert(id) {
                return Err(ConfigurationError::DuplicateId { id: id.clone() });
            }
            if !addresses.insert(address) {
                return Err(ConfigurationError::DuplicateAddress { address: address.clone() });
            }
        }
        if self.voters().next().is_none() {
            return Err(ConfigurationError::NoVoter);
        }
        Ok(())
    }

    /// Members whose vote counts.
    pub fn voters(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.suffrage == Suffrage::Voter)
    }

    /// Votes that a candidate needs. (hashicorp/raft raft.go quorumSize)
    pub fn quorum(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// The member with this id.
    pub fn server(&self, id: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(servers: &[(&str, &str, Suffrage)]) -> Configuration {
        let server = |(id, address, suffrage): &(&str, &str, Suffrage)| Server {
            suffrage: *suffrage,
            id: (*id).to_owned(),
            address: (*address).to_owned(),
        };
        Configuration { servers: servers.iter().map(server).collect() }
    }

    #[test]
    fn each_rule_of_raft_has_its_error() {
        use ConfigurationError::*;
        use Suffrage::*;
        let refused = |servers: &[(&str, &str, Suffrage)]| configuration(servers).check().unwrap_err();
        assert_eq!(configuration(&[("a", "x", Voter), ("b", "y", Nonvoter)]).check(), Ok(()));
        assert_eq!(refused(&[("", "x", Voter)]), EmptyId { address: "x".to_owned() });
        assert_eq!(refused(&[("a", "", Voter)]), EmptyAddress { id: "a".to_owned() });
        assert_eq!(refused(&[("a", "x", Voter), ("a", "y", Voter)]), DuplicateId { id: "a".to_owned() });
        assert_eq!(refused(&[("a", "x", Voter), ("b", "x", Voter)]), DuplicateAddress { address: "x".to_owned() });
        assert_eq!(refused(&[("a", "x", Nonvoter), ("b", "y", Staging)]), NoVoter);
        assert_eq!(refused(&[]), NoVoter);
    }

    #[test]
    fn a_quorum_is_more_than_half_of_the_voters() {
        use Suffrage::*;
        assert_eq!(configuration(&[("a", "x", Voter), ("b", "y", Voter), ("c", "z", Nonvoter)]).quorum(), 2);
    }
}
