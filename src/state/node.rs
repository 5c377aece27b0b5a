//! What one server's directory holds, and what follows from it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::snapshots::{Snapshots, head_of_snapshot};
use super::store::Store;
use crate::payload::{StoredHead, Version};
use crate::raft::{ConfigurationAt, Index, LogSummary, StableState, Suffrage, Term};
use crate::report::Finding;

/// What one server's directory holds.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name of the directory, which must be the server's id.
    pub id: String,
    /// The directory.
    pub path: PathBuf,
    /// raft-log.db as a file.
    pub log_store: Store,
    /// raft-stable.db as a file.
    pub stable_store: Store,
    /// The log.
    pub log: LogSummary,
    /// Term and vote.
    pub stable: StableState,
    /// The highest unsafe head of the log.
    pub head: Option<StoredHead>,
    /// The forms of the payloads in the log.
    pub payload_versions: Vec<Version>,
    /// The snapshots.
    pub snapshots: Snapshots,
    /// What is wrong with this directory.
    pub findings: Vec<Finding>,
}

/// Whether a node will ask for votes, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidacy {
    /// Whether it will, once it hears from no leader.
    pub will: bool,
    /// Why.
    pub reason: String,
}

impl Node {
    /// The configuration that raft will act by: the last of the log, or the snapshot's. (hashicorp/raft api.go
    /// NewRaft, restoreSnapshot)
    pub fn latest_configuration(&self) -> Option<ConfigurationAt> {
        let snapshot = self.snapshots.listed.first();
        let from_log = self.log.latest_configuration.as_ref();
        match (snapshot, from_log) {
            (Some(snapshot), Some(log)) if log.index > snapshot.index => Some(log.clone()),
            (Some(snapshot), _) => Some(ConfigurationAt {
                index: snapshot.configuration_index,
                term: snapshot.term,
                configuration: Arc::new(snapshot.configuration.clone()),
            }),
            (None, log) => log.cloned(),
        }
    }

    /// The head in the newest snapshot.
    pub fn head_of_snapshot(&self) -> Option<StoredHead> {
        head_of_snapshot(&self.path, &self.snapshots)
    }

    /// Index and term of the last entry, or of the newest snapshot when that is further.
    pub fn last(&self) -> (Index, Term) {
        let snapshot = self.snapshots.listed.first().map(|meta| (meta.index, meta.term));
        snapshot.into_iter().chain(self.log.last).max().unwrap_or_default()
    }

    /// Whether the node will ask for votes. (hashicorp/raft raft.go runFollower)
    pub fn candidacy(&self) -> Candidacy {
        if let Some(failure) = self.start_failure() {
            let file = failure.place.file.as_deref().unwrap_or("its directory");
            return Candidacy { will: false, reason: format!("it can't start: {} in {file}", failure.id) };
        }
        let Some(latest) = self.latest_configuration() else {
            return Candidacy { will: false, reason: "it has no configuration: it knows no peers".to_owned() };
        };
        let from = format!("in its latest configuration (entry {})", latest.index);
        match latest.configuration.server(&self.id).map(|server| server.suffrage) {
            Some(Suffrage::Voter) => Candidacy { will: true, reason: format!("it is a Voter {from}") },
            Some(other) => Candidacy { will: false, reason: format!("it is a {other} {from}") },
            None => Candidacy { will: false, reason: format!("{:?} is not a member {from}", self.id) },
        }
    }

    /// Whether it is as it was generated: raft has not written a single entry or snapshot since.
    pub fn is_untouched(&self) -> bool {
        self.known_log().is_some_and(|log| log.count > 0 && log.dated == 0) && self.snapshots.listed.is_empty()
    }

    /// Whether it is as a recovery made it: raft has not written a single entry or snapshot since. The log goes on from a
    /// snapshot that no server took: its name has no time.
    pub fn is_recovered(&self) -> bool {
        let Some(snapshot) = self.snapshots.listed.first() else { return false };
        let (index, term) = (snapshot.index, snapshot.term);
        let first = Some((Index(index.0.saturating_add(1)), term));
        self.log.dated == 0 && self.log.first == first && snapshot.id == format!("{term}-{index}-0")
    }

    /// Whether it is as a plan made it, of a new cluster or of a recovered one.
    pub fn is_planned(&self) -> bool {
        self.is_untouched() || self.is_recovered()
    }

    /// Whether a node has led or followed on this state.
    pub fn has_run(&self) -> bool {
        self.log.dated > 0 || (!self.snapshots.listed.is_empty() && !self.is_recovered())
    }
}
