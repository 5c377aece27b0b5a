//! Why no plan is made, or none is applied.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::SpecErrors;
use crate::durable::{IoError, ReadError};
use crate::payload::EnvelopeError;
use crate::raft::{Index, Term};
use crate::state::{self, dir, entries};
use crate::{backup, bolt, durable, plan};

/// Why no plan is made, or none is applied. Nothing is changed by any, but for [`durable::Error::Unfinished`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields say what they are")]
pub enum Error {
    /// A server's state can't be read.
    #[error(transparent)]
    Read(#[from] state::Error),
    /// The entries of a log can't be read.
    #[error(transparent)]
    Entries(#[from] entries::Error),
    /// A server's directory can't be used.
    #[error(transparent)]
    State(#[from] dir::Error),
    /// A backup can't be read.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// The files can't be put in place.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// The file system said no.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A whole file can't be read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// A path is none of the kinds that a plan reads.
    #[error("{}: expected the directory of a server or of several, a backup, or a file that `recover collect` wrote", path.display())]
    Unknown { path: PathBuf },
    /// A JSON file is not what it should be.
    #[error("{}: not a file of this kind: {reason}", path.display())]
    Format { path: PathBuf, reason: String },
    /// No input at all has an entry or a snapshot.
    #[error("no entry and no snapshot in any input: nothing can be recovered")]
    NoEntries,
    /// The base says nothing of the members.
    #[error("the base holds no configuration, so the members are unknown")]
    NoConfiguration,
    /// There is no number above those that are stored.
    #[error("{id} has stored index {index} and term {term}: no number above is left for a cluster to go on with")]
    NoRoom { id: String, index: Index, term: Term },
    /// The plan's index leaves no room.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// A change names somebody who isn't a member.
    #[error("{id:?} is not a member: the members are {}", known.join(", "))]
    UnknownMember { id: String, known: Vec<String> },
    /// The members can't be those of a cluster.
    #[error("{0}")]
    Members(SpecErrors),
    /// The base's server won't be a voter, and no leader was named.
    #[error("the base's server {base:?} will not be a voter: name the leader")]
    NoLeader { base: String },
    /// The base has no block, and none was given.
    #[error("no block is stored in the base, and none was given: nobody could sequence")]
    NoHead,
    /// The last block isn't the highest.
    #[error("the block that was stored last ({last}) is not the highest ({highest})")]
    UnclearHead { highest: u64, last: u64 },
    /// A head that is not a block of op-conductor.
    #[error("the head of {from}: {source}")]
    Head { from: String, source: EnvelopeError },
    /// A plan that doesn't agree with itself.
    #[error("the plan does not agree with itself: {reason}")]
    Inconsistent { reason: String },
    /// The plan has no such server.
    #[error("{id:?} is not in the plan: its servers are {}", known.join(", "))]
    UnknownServer { id: String, known: Vec<String> },
    /// A server's directory was named, and the plan has several servers.
    #[error("{} is the directory of one server, and the plan has {servers}", path.display())]
    OneDirectory { path: PathBuf, servers: usize },
    /// The target's state is not the one that was planned for.
    #[error("{id}: {} has other state than the plan recorded: it ran again, or is another one", path.display())]
    RanAgain { id: String, path: PathBuf },
    /// The target has state that the plan doesn't know.
    #[error("{id}: {} has state, and the plan was made without it", path.display())]
    Unseen { id: String, path: PathBuf },
    /// The directory for new state has other state.
    #[error("{} has other state", path.display())]
    Existing { path: PathBuf },
    /// What was staged is not what was planned.
    #[error("{id}: what was written is not what was planned: {reason}")]
    Staged { id: String, reason: String },
    /// The stores of a server can't be made.
    #[error("making the stores of {id:?}")]
    Bolt { id: String, source: bolt::Error },
}

impl Error {
    /// Whether the call was refused, rather than impossible.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::RanAgain { .. }
                | Error::Unseen { .. }
                | Error::Existing { .. }
                | Error::State(dir::Error::Locked { .. } | dir::Error::Durable(durable::Error::Locked { .. }))
                | Error::Durable(durable::Error::Locked { .. })
        )
    }
}

/// How long to wait for a lock, unless told otherwise.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
