//! Boots real raft nodes, or unmodified op-conductors, in containers on a state, and reports who led and who sequenced.
//!
//! [`run()`] is what the command does; the rest is for tests that need something else of real nodes. Every container and
//! network carries the label [`LABEL`], and is removed when its [`Site`] ends or is dropped, also by a panic.

mod archive;
mod checks;
mod cluster;
mod conductor;
mod container;
mod event;
mod flags;
mod fleet;
mod http;
mod image;
mod moved;
mod nodes;
mod options;
mod report;
mod run;
mod site;
mod sources;
mod staged;
mod stub;
mod target;
mod timeline;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use checks::CheckName;
pub use cluster::Cluster;
pub use conductor::{Conductors, Started};
pub use event::{Event, State, What};
pub use flags::ConductorImage;
pub use fleet::Campaign;
pub use http::CallError;
pub use image::{Image, NoImage};
pub use moved::Moved;
pub use options::Options;
pub use report::{BootedImage, Check, Status, TargetReport};
pub use run::{not_done, run};
pub use site::{Site, docker_answers};
pub use staged::{StageError, Staged};
pub use stub::{Call, ChainHead};
pub use target::{Job, ParseTargetError, ParseUpgradeError, RAFT_VERSIONS, Target, Upgrade};
pub use timeline::{Happened, Moment};

/// Label of every container and network that is made here; its value is the site's name.
pub const LABEL: &str = "op-conductor-init.cluster";

/// An Ecotone block that every known release reads, for those who have none at hand: made by op-service/eth, see
/// tests/vectors/payload/README.md.
pub const SAMPLE_HEAD: &[u8] = include_bytes!("../../tests/vectors/payload/v3.ssz");

/// Between two looks at a container.
const POLL: Duration = Duration::from_millis(100);

/// Is given what is going on, a line at a time.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// Why a cluster could not be booted or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the texts say what the fields are")]
pub enum Error {
    /// No daemon answers.
    #[error("no Docker daemon answers ({reason}): start dockerd, or set DOCKER_HOST")]
    NoDocker { reason: String },
    /// Docker refused.
    #[error("docker: {0}")]
    Docker(#[from] testcontainers::bollard::errors::Error),
    /// An image isn't there and can't be made.
    #[error("no image {image}: {reason}")]
    NoImage { image: String, reason: NoImage },
    /// A temporary file or directory could not be read or written.
    #[error("{}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A call to a node didn't succeed.
    #[error("{node}: {call}")]
    Call { node: String, call: String, source: CallError },
    /// A node with this id was never started.
    #[error("expected a node that was started, found {node}")]
    NotStarted { node: String },
    /// A container has no published port: it has ended.
    #[error("{node} has ended: its port is not published")]
    Ended { node: String },
    /// A member has no address that can be dialled.
    #[error("{node} has no address")]
    NoAddress { node: String },
    /// What was waited for did not happen in time.
    #[error("timed out after {seconds} s waiting for {what}")]
    Timeout { what: String, seconds: u64 },
}
