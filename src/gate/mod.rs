//! Boots real raft nodes, or unmodified op-conductors, in containers on a state, and tells who led and who sequenced.
//!
//! Every container and network carries the label [`LABEL`], and is removed when its [`Site`] ends or is dropped, also by
//! a panic.

mod archive;
mod cluster;
mod conductor;
mod container;
mod event;
mod fleet;
mod http;
mod image;
mod report;
mod run;
mod site;
mod sources;
mod staged;
mod target;

use std::io;
use std::path::PathBuf;

pub use cluster::Cluster;
pub use conductor::{Call, ChainHead, Conductors, Release, Started};
pub use event::{Event, State, What};
pub use fleet::Campaign;
pub use image::Image;
pub use report::{Check, Outcome, TargetReport};
pub use run::{Options, run};
pub use site::{Site, docker_answers};
pub use staged::{Moved, StageError, Staged};
pub use target::{RAFT_VERSIONS, Target};

/// Label of every container and network that is made here; its value is the site's name.
pub const LABEL: &str = "op-conductor-init.cluster";

/// An Ecotone block that every known release reads, for who has none at hand: made by op-service/eth, see
/// tests/vectors/payload/README.md.
pub const SAMPLE_HEAD: &[u8] = include_bytes!("../../tests/vectors/payload/v3.ssz");

/// Told what is going on, a line at a time.
pub type Talk<'a> = &'a (dyn Fn(&str) + Sync);

/// Why a cluster could not be booted or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No daemon.
    #[error("no Docker daemon answers ({0}): start dockerd, or set DOCKER_HOST")]
    NoDocker(String),
    /// Docker said no.
    #[error("docker: {0}")]
    Docker(#[from] testcontainers::bollard::errors::Error),
    /// Docker said no, or a container didn't start as it should.
    #[error("docker: {0}")]
    Container(#[from] testcontainers::TestcontainersError),
    /// An image is not there and can't be made.
    #[error("no image {image}: {reason}")]
    NoImage {
        /// Which one.
        image: String,
        /// What happened.
        reason: String,
    },
    /// The file system said no.
    #[error("{}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
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
