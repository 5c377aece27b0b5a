//! cluster.json: what was generated, beside the servers' directories. raft doesn't read it; `verify` compares with it.

use serde::{Deserialize, Serialize};

use super::{ClusterSpec, Election};
use crate::raft::{Index, Server, Term};

/// Name of the file.
pub const CLUSTER_FILE: &str = "cluster.json";
const FORMAT_VERSION: u32 = 1;

/// The content of cluster.json. Its keys are in the order of these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFile {
    /// 1; another number means other fields.
    pub format_version: u32,
    /// The label given at generation, or null.
    pub network: Option<String>,
    /// All members, in the order of the ids: suffrage ("voter" or "nonvoter"), id, address.
    pub servers: Vec<Server>,
    /// Id of the named leader.
    pub leader: String,
    /// "named" or "open".
    pub election: Election,
    /// Term of the first entry.
    pub initial_term: Term,
    /// CurrentTerm of every node.
    pub current_term: Term,
    /// Index of the snapshot that a recovered cluster started from; absent of a generated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Index>,
    /// Page size of the stores in bytes.
    pub page_size: usize,
    /// Version of the tool that wrote it.
    pub tool_version: String,
}

impl ClusterFile {
    /// Describes a cluster whose servers all start in `current_term`.
    pub fn new(spec: &ClusterSpec, current_term: Term, page_size: usize) -> ClusterFile {
        ClusterFile {
            format_version: FORMAT_VERSION,
            network: spec.network().map(str::to_owned),
            servers: spec.configuration().servers.clone(),
            leader: spec.leader().id.clone(),
            election: spec.election(),
            initial_term: spec.initial_term(),
            current_term,
            recovered_at: None,
            page_size,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Describes a cluster whose servers all start from a snapshot at `index`.
    pub fn recovered(spec: &ClusterSpec, current_term: Term, page_size: usize, index: Index) -> ClusterFile {
        ClusterFile { recovered_at: Some(index), ..ClusterFile::new(spec, current_term, page_size) }
    }

    /// Index of the first entry, which has all members.
    pub fn first_index(&self) -> Index {
        Index(self.recovered_at.map_or(1, |index| index.0.saturating_add(1)))
    }

    /// Decodes a file; keys that this version doesn't know are ignored.
    pub fn decode(bytes: &[u8]) -> Result<ClusterFile, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Encodes it, for people to read too.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("it has only strings and numbers");
        bytes.push(b'\n');
        bytes
    }

    /// Whether both describe the same state, whichever version of the tool wrote them.
    pub fn is_same_state(&self, other: &ClusterFile) -> bool {
        let ClusterFile { tool_version, .. } = self;
        *self == ClusterFile { tool_version: tool_version.clone(), ..other.clone() }
    }
}
