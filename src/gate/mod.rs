//! Boots real raft nodes, or unmodified op-conductors, in containers on a state, and tells who led and who sequenced.
//!
//! Every container and network is removed when its [`Cluster`] ends or is dropped, also by a panic; all carry the
//! label [`LABEL`].

mod cluster;
mod conductor;
mod event;
mod http;

pub use cluster::{Cluster, RaftImage, docker_answers};
pub use conductor::{Call, ChainHead, Conductors};
pub use event::{Event, State, What};

/// Label of every container that is started here; its value is the cluster's name.
pub const LABEL: &str = "op-conductor-init.cluster";

/// Why a cluster could not be booted or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Docker said no.
    #[error("docker: {0}")]
    Docker(#[from] testcontainers::TestcontainersError),
    /// A node's control could not be reached, or refused.
    #[error("{node}: {reason}")]
    Node {
        /// Which node.
        node: String,
        /// What it said, or what happened.
        reason: String,
    },
    /// What was waited for did not happen in time.
    #[error("waited {seconds} s in vain for: {what}")]
    Timeout {
        /// What should have happened.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
}
