//! Answers of `log` and its verbs. Entries are one object a line.

use std::collections::BTreeMap;
use std::path::Path;

use op_conductor_init::payload::Head;
use op_conductor_init::raft::codec::{decode_configuration, decode_log};
use op_conductor_init::raft::{Index, Log, LogType, Server, Term};
use op_conductor_init::state::entries::Bounds;
use op_conductor_init::transfer::Imported;
use serde::Serialize;
use serde_json::Value;

use super::shown;

/// An entry: a line of `log` and of `log search`.
#[derive(Serialize)]
pub(in crate::cli) struct Entry {
    index: Index,
    term: Term,
    r#type: String,
    /// When a leader appended it; null in generated entries.
    appended_at: Option<String>,
    data_len: usize,
    /// The members, of a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<Server>>,
    /// The block, of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<Head>,
    /// The whole block, with --payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) payload: Option<Value>,
    /// Why the data can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) error: Option<String>,
}

impl Entry {
    pub(in crate::cli) fn new(log: &Log<'_>) -> Entry {
        let data = log.data.as_deref().unwrap_or_default();
        let mut entry = Entry {
            index: log.index,
            term: log.term,
            r#type: log.kind.to_string(),
            appended_at: log.appended_at.timestamp().map(|time| time.to_string()),
            data_len: data.len(),
            servers: None,
            block: None,
            payload: None,
            error: None,
        };
        match log.kind {
            LogType::Configuration => match decode_configuration(data) {
                Ok(configuration) => entry.servers = Some(configuration.servers),
                Err(error) => entry.error = Some(error.to_string()),
            },
            LogType::Command => match Head::peek(data) {
                Ok(head) => entry.block = Some(head),
                Err(error) => entry.error = Some(error.to_string()),
            },
            _ => {}
        }
        entry
    }
}

/// A line of `log search` for a block that only a snapshot has.
#[derive(Serialize)]
pub(in crate::cli) struct InSnapshot {
    pub(in crate::cli) snapshot_index: u64,
    pub(in crate::cli) snapshot_term: u64,
    pub(in crate::cli) block: Head,
}

/// First and last index.
#[derive(Serialize)]
struct Range {
    first_index: Index,
    last_index: Index,
}

fn range(bounds: Bounds) -> Option<Range> {
    bounds.map(|(first_index, last_index)| Range { first_index, last_index })
}

/// `log diff`.
#[derive(Serialize)]
pub(in crate::cli) struct Diff {
    a: Side,
    b: Side,
    /// Where both have the same entries.
    equal: Option<Range>,
    differs: Option<Difference>,
}

#[derive(Serialize)]
struct Side {
    path: String,
    log: Option<Range>,
}

#[derive(Serialize)]
struct Difference {
    index: Index,
    a: Decoded,
    b: Decoded,
}

/// An entry, or why it is not one.
#[derive(Serialize)]
#[serde(untagged)]
enum Decoded {
    Entry(Box<Entry>),
    Error { error: String },
}

impl Diff {
    /// Of two logs with their directories: where they are equal, and the first index at which they differ with the bytes of both.
    pub(in crate::cli) fn new(
        paths: [&Path; 2],
        bounds: [Bounds; 2],
        equal: Bounds,
        differs: Option<&(Index, Vec<u8>, Vec<u8>)>,
    ) -> Diff {
        let side = |at: usize| Side { path: shown(paths[at]), log: range(bounds[at]) };
        let decoded = |bytes: &[u8]| match decode_log(bytes) {
            Ok(log) => Decoded::Entry(Box::new(Entry::new(&log))),
            Err(error) => Decoded::Error { error: error.to_string() },
        };
        let differs = differs.map(|(index, a, b)| Difference { index: *index, a: decoded(a), b: decoded(b) });
        Diff { a: side(0), b: side(1), equal: range(equal), differs }
    }
}

/// `log import`.
#[derive(Serialize)]
pub(in crate::cli) struct Import {
    pub(in crate::cli) state_dir: String,
    pub(in crate::cli) imported: Imported,
}

/// `log stats`.
#[derive(Serialize)]
pub(in crate::cli) struct Stats<'a> {
    pub(in crate::cli) first_index: Option<Index>,
    pub(in crate::cli) last_index: Option<Index>,
    pub(in crate::cli) all: Group,
    pub(in crate::cli) by_type: &'a BTreeMap<String, Group>,
    /// The last thousand terms.
    pub(in crate::cli) by_term: Vec<OfTerm>,
    /// Terms that are not listed.
    pub(in crate::cli) older_terms: u64,
    pub(in crate::cli) first_appended_at: Option<String>,
    pub(in crate::cli) last_appended_at: Option<String>,
    pub(in crate::cli) entries_per_second: Option<f64>,
    pub(in crate::cli) lowest_block: Option<u64>,
    pub(in crate::cli) highest_block: Option<u64>,
}

/// Entries of one kind.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(in crate::cli) struct Group {
    pub(in crate::cli) entries: u64,
    pub(in crate::cli) data_len: u64,
    /// Bytes of the largest.
    pub(in crate::cli) largest: u64,
}

#[derive(Serialize)]
pub(in crate::cli) struct OfTerm {
    pub(in crate::cli) term: Term,
    pub(in crate::cli) count: Group,
}
