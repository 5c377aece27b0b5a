//! What is wrong, or unusual, in the operator's words.

use std::fmt;
use std::net::IpAddr;

use super::names::{AddressError, IdError};
use crate::raft::{Configuration, Server};

/// The part of the operator's words that an error or a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecField {
    /// [`SpecText::nodes`](super::SpecText::nodes).
    Nodes,
    /// [`SpecText::server_ids`](super::SpecText::server_ids).
    ServerIds,
    /// [`SpecText::nonvoters`](super::SpecText::nonvoters).
    Nonvoters,
    /// [`SpecText::initial_leader`](super::SpecText::initial_leader).
    InitialLeader,
    /// [`SpecText::initial_term`](super::SpecText::initial_term).
    InitialTerm,
}

/// One thing that is wrong. Positions count from 1. [`SpecError::field`] says where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields say what they are")]
pub enum SpecError {
    /// A server without an address, or an address without a server.
    #[error("expected as many addresses as server ids ({ids}), found {addresses}")]
    Lengths { ids: usize, addresses: usize },
    /// A text that can't be an id.
    #[error("item {position} {item:?} {error}")]
    Id { position: usize, item: String, error: IdError },
    /// A text that can't be an address.
    #[error("item {position} {item:?} {error}")]
    Address { position: usize, item: String, error: AddressError },
    /// Two items of one list are the same, perhaps except for case or spelling. `item` is the later one.
    #[error("item {position} {item:?} is the same as item {first} {other:?}{}", except_for_case(.item, .other))]
    Duplicate { field: SpecField, position: usize, item: String, first: usize, other: String },
    /// A nonvoter that isn't a server.
    #[error("item {position} {item:?} is not one of the server ids")]
    UnknownNonvoter { position: usize, item: String },
    /// A leader that isn't a server.
    #[error("{leader:?} is not one of the server ids")]
    UnknownLeader { leader: String },
    /// A leader that can't lead.
    #[error("{leader:?} is a nonvoter, and only a voter can lead")]
    NonvotingLeader { leader: String },
    /// Nobody could ever lead.
    #[error("expected at least one server that is not a nonvoter, found none")]
    NoVoter,
    /// raft takes term 0 for the absence of a term.
    #[error("expected at least 1, found 0")]
    ZeroTerm,
    /// Terms are 64 bits wide.
    #[error("expected at most {max}, so that the plan's terms and the next one fit, found {term}")]
    TermTooHigh { term: u64, max: u64 },
}

impl SpecError {
    /// The part of the operator's words that is wrong.
    pub fn field(&self) -> SpecField {
        match self {
            SpecError::Lengths { .. } | SpecError::Address { .. } => SpecField::Nodes,
            SpecError::Id { .. } => SpecField::ServerIds,
            SpecError::Duplicate { field, .. } => *field,
            SpecError::UnknownNonvoter { .. } | SpecError::NoVoter => SpecField::Nonvoters,
            SpecError::UnknownLeader { .. } | SpecError::NonvotingLeader { .. } => SpecField::InitialLeader,
            SpecError::ZeroTerm | SpecError::TermTooHigh { .. } => SpecField::InitialTerm,
        }
    }
}

fn except_for_case(item: &str, other: &str) -> &'static str {
    match item {
        _ if item == other => "",
        _ if item.to_lowercase() == other.to_lowercase() => " except for case",
        _ => " in another spelling",
    }
}

/// Everything that is wrong, one thing a line; at least one.
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
#[non_exhaustive]
pub enum SpecWarning {
    /// The last voter makes the quorum larger and nothing safer.
    #[error("{voters} voters survive no more failures than {}: prefer an odd number", .voters - 1)]
    EvenVoters {
        /// How many there are.
        voters: usize,
    },
    /// `0.0.0.0`: a listener takes it for all of its own addresses.
    #[error("{address:?} of {id:?} is not the address of one host: other servers can't dial it")]
    Unspecified {
        /// The server.
        id: String,
        /// Its address.
        address: String,
    },
    /// Each server would dial itself.
    #[error("{address:?} of {id:?} is this machine only: servers elsewhere can't dial it")]
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
