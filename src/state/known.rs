//! What of a server's directory is known, and whether raft can start on it. What can't be read is unknown, not zero.

use super::dir::{LOG_FILE, STABLE_FILE};
use super::node::Node;
use super::store::{NO_BUCKET, Store};
use crate::raft::{Index, LogSummary, StableState, Term};
use crate::report::{Finding, Severity};

/// Findings after which a part of a database, or all of it, could not be read.
const HIDES_CONTENT: [&str; 17] = [
    "BOLT-001", "BOLT-002", "BOLT-006", "BOLT-013", "BOLT-014", "BOLT-015", "BOLT-016", "BOLT-017", "BOLT-020",
    "BOLT-021", "BOLT-022", "BOLT-023", "BOLT-024", "BOLT-025", "BOLT-026", "NODE-003", "RAFT-017",
];
/// Findings of error level after which op-conductor ends at its start, whatever else is there.
const PREVENTS_START: [&str; 10] = [
    "BOLT-002", "BOLT-026", "RAFT-005", "RAFT-008", "RAFT-015", "RAFT-017", "SNAP-002", "SNAP-003", "SNAP-005",
    "SNAP-010",
];
/// An entry that can't be decoded.
const UNDECODABLE: &str = "RAFT-002";
/// A stable key that can't be read.
const UNREADABLE_KEY: &str = "RAFT-016";

impl Node {
    /// The finding by which the content of `file`, one of the two databases, is not known, or not to its end.
    pub fn unreadable(&self, file: &str) -> Option<&Finding> {
        let hides = |finding: &&Finding| {
            finding.severity == Severity::Error
                && finding.place.file.as_deref() == Some(file)
                && (HIDES_CONTENT.contains(&finding.id) || finding.id == UNREADABLE_KEY)
        };
        self.findings.iter().find(hides)
    }

    /// The log, unless its database is missing or could not be read.
    pub fn known_log(&self) -> Option<&LogSummary> {
        (self.log_store.file_len.is_some() && self.unreadable(LOG_FILE).is_none()).then_some(&self.log)
    }

    /// Term and vote, unless their database is missing or could not be read.
    pub fn known_stable(&self) -> Option<&StableState> {
        (self.stable_store.file_len.is_some() && self.unreadable(STABLE_FILE).is_none()).then_some(&self.stable)
    }

    /// Whether both stores are there and were read to their end. If not, what they don't say is unknown: a term of 0 may be
    /// any term.
    pub fn is_readable(&self) -> bool {
        let is_there = |store: &Store| store.file_len.is_some() && store.page_size != 0;
        let hides = |finding: &Finding| {
            finding.severity == Severity::Error
                && (finding.id.starts_with("BOLT-") || [NO_BUCKET, UNREADABLE_KEY].contains(&finding.id))
        };
        is_there(&self.log_store) && is_there(&self.stable_store) && !self.findings.iter().any(hides)
    }

    /// Index and term of the last entry, when the log is known.
    pub fn known_last(&self) -> Option<(Index, Term)> {
        self.known_log().map(|_| self.last())
    }

    /// The finding by which op-conductor ends at its start.
    pub fn start_failure(&self) -> Option<&Finding> {
        // raft reads the entries after its snapshot when it starts.
        let snapshot = self.snapshots.listed.first().map_or(0, |meta| meta.index.0);
        let ends = |finding: &&Finding| {
            let is_read = finding.place.last_index.is_none_or(|index| index > snapshot);
            finding.severity == Severity::Error
                && (PREVENTS_START.contains(&finding.id) || finding.id == UNDECODABLE)
                && is_read
        };
        self.findings.iter().find(ends)
    }
}
