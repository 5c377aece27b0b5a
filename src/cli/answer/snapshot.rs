//! Answers of `snapshot` and its verbs.

use op_conductor_init::payload::Head;
use op_conductor_init::raft::{Server, SnapshotMeta};
use op_conductor_init::report::Finding;
use op_conductor_init::state::snapshots::StateFile;
use serde::Serialize;

use crate::cli::Verdict;

/// `snapshot show`, and a part of `snapshot list`.
#[derive(Serialize)]
pub(in crate::cli) struct Snapshot<'a> {
    id: &'a str,
    index: u64,
    term: u64,
    size: u64,
    version: i64,
    /// What meta.json says.
    crc64: String,
    configuration_index: u64,
    servers: &'a [Server],
    /// Of state.bin; null when it can't be read.
    state_len: Option<u64>,
    state_crc64: Option<String>,
    block: Option<Head>,
}

impl Snapshot<'_> {
    pub(in crate::cli) fn new(meta: &SnapshotMeta, state: Option<StateFile>) -> Snapshot<'_> {
        Snapshot {
            id: &meta.id,
            index: meta.index.0,
            term: meta.term.0,
            size: meta.size,
            version: meta.version,
            crc64: const_hex::encode(&meta.crc),
            configuration_index: meta.configuration_index.0,
            servers: &meta.configuration.servers,
            state_len: state.map(|state| state.len),
            state_crc64: state.map(|state| format!("{:016x}", state.crc)),
            block: state.and_then(|state| state.head.ok()),
        }
    }
}

/// `snapshot list`.
#[derive(Serialize)]
pub(in crate::cli) struct List<'a> {
    pub(in crate::cli) snapshots: Vec<Snapshot<'a>>,
    /// Directories that raft ignores.
    pub(in crate::cli) ignored: Vec<Ignored<'a>>,
}

#[derive(Serialize)]
pub(in crate::cli) struct Ignored<'a> {
    pub(in crate::cli) name: &'a str,
    pub(in crate::cli) reason: String,
}

/// `snapshot check`.
#[derive(Serialize)]
pub(in crate::cli) struct Check<'a> {
    pub(in crate::cli) verdict: Verdict,
    pub(in crate::cli) snapshot_count: usize,
    pub(in crate::cli) findings: &'a [Finding],
}
