//! What is wrong, or odd, about the operator's words.

use std::fmt;
use std::net::IpAddr;

use super::names::{AddressError, IdError};
use crate::raft::{Configuration, Server};

/// A flag that holds a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// `--nodes`.
    Nodes,
    /// `--server-ids`.
    ServerIds,
    /// `--nonvoters`.
    Nonvoters,
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flag::Nodes => "--nodes",
            Flag::ServerIds => "--server-ids",
            Flag::Nonvoters => "--nonvoters",
        })
    }
}

/// One thing that is wrong. Positions count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// One server has no address, or one address no server.
    #[error("--nodes: expected as many items as --server-ids has ({ids}), found {addresses}")]
    Lengths {
        /// Number of ids.
        ids: usize,
        /// Number of addresses.
        addresses: usize,
    },
    /// Not an id.
    #[error("--server-ids: item {position} {item:?} {error}")]
    Id {
        /// Which item.
        position: usize,
        /// Its text.
        item: String,
        /// What is wrong with it.
        error: IdError,
    },
    /// Not an address.
    #[error("--nodes: item {position} {item:?} {error}")]
    Address {
        /// Which item.
        position: usize,
        /// Its text.
        item: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// Two items of one list are the same, perhaps but for case.
    #[error("{flag}: item {position} {item:?} is the same as item {first} {other:?}{}", but_for_case(.item, .other))]
    Duplicate {
        /// Which list.
        flag: Flag,
        /// The later item.
        position: usize,
        /// Its text.
        item: String,
        /// The earlier item.
        first: usize,
        /// Its text.
        other: String,
    },
    /// A nonvoter that is no server.
    #[error("--nonvoters: item {position} {item:?} is not in --server-ids")]
    UnknownNonvoter {
        /// Which item.
        position: usize,
        /// Its text.
        item: String,
    },
    /// A leader that is no server.
    #[error("--initial-leader: {leader:?} is not in --server-ids")]
    UnknownLeader {
        /// Its id.
        leader: String,
    },
    /// A leader that can't lead.
    #[error("--initial-leader: {leader:?} is in --nonvoters, and only a voter can lead")]
    NonvotingLeader {
        /// Its id.
        leader: String,
    },
    /// Nobody could ever lead.
    #[error("--nonvoters: expected at least one server that is not in it, found none")]
    NoVoter,
    /// raft takes term 0 for no term.
    #[error("--initial-term: expected at least 1, found 0")]
    ZeroTerm,
    /// Terms are 64 bits wide.
    #[error("--initial-term: expected at most {max}, so that the plan's terms and the next one fit, found {term}")]
    TermTooHigh {
        /// What was asked for.
        term: u64,
        /// The highest that works for this cluster.
        max: u64,
    },
}

fn but_for_case(item: &str, other: &str) -> &'static str {
    if item == other { "" } else { " but for case" }
}

/// All that is wrong, one thing a line; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecErrors(pub Vec<SpecError>);

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let line_feed = if i == 0 { "" } else { "\n" };
            write!(f, "{line_feed}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecErrors {}

/// What works, but not as people would expect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecWarning {
    /// The last voter makes the quorum larger and nothing safer.
    #[error("{voters} voters survive no more failures than {}: prefer an odd number", .voters - 1)]
    EvenVoters {
        /// How many there are.
        voters: usize,
    },
    /// `0.0.0.0` means "all of mine", to a listener.
    #[error("--nodes: {address:?} of {id:?} names no host: others can't dial it")]
    Unspecified {
        /// The server.
        id: String,
        /// Its address.
        address: String,
    },
    /// Each server would dial itself.
    #[error("--nodes: {address:?} of {id:?} is this machine only: servers elsewhere can't dial it")]
    Loopback {
        /// The server.
        id: String,
        /// Its address.
        address: String,
    },
}

pub(super) fn warnings(configuration: &Configuration) -> Vec<SpecWarning> {
    let mut warnings = Vec::new();
    let voters = configuration.voters().count();
    if voters.is_multiple_of(2) {
        warnings.push(SpecWarning::EvenVoters { voters });
    }
    let all_local = configuration.servers.iter().all(is_loopback);
    for server in &configuration.servers {
        let (id, address) = (server.id.clone(), server.address.clone());
        if ip(server).is_some_and(|ip| ip.is_unspecified()) {
            warnings.push(SpecWarning::Unspecified { id, address });
        } else if is_loopback(server) && !all_local {
            warnings.push(SpecWarning::Loopback { id, address });
        }
    }
    warnings
}

fn is_loopback(server: &Server) -> bool {
    host(server).eq_ignore_ascii_case("localhost") || ip(server).is_some_and(|ip| ip.is_loopback())
}

fn ip(server: &Server) -> Option<IpAddr> {
    host(server).trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn host(server: &Server) -> &str {
    server.address.rsplit_once(':').map_or(&server.address, |(host, _port)| host)
}
