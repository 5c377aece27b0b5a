//! The payloads of a log, one after the other: the highest, and what is wrong with them.

use serde::Serialize;

use super::{Head, NotAPayload, Version};
use crate::report::{Finding, Findings, Severity};

/// The highest unsafe head that a node has stored. Whether it was committed is not on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StoredHead {
    /// Which block.
    #[serde(flatten)]
    pub head: Head,
    /// Index of the entry; of the last entry that it covers for a snapshot.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// Whether it comes from a snapshot's state.bin.
    pub in_snapshot: bool,
}

/// Looks at what LogCommand entries carry.
#[derive(Debug, Default)]
pub struct PayloadChecker {
    /// Recompute block hashes: a few hundred MB/s.
    hashes: bool,
    last: Option<Head>,
    highest: Option<StoredHead>,
    versions: Vec<Version>,
    findings: Findings,
}

impl PayloadChecker {
    /// A checker that recomputes hashes or only looks at the fixed parts.
    pub fn new(hashes: bool) -> PayloadChecker {
        PayloadChecker { hashes, ..PayloadChecker::default() }
    }

    /// Takes the data of the command at `index`.
    pub fn push(&mut self, index: u64, term: u64, data: &[u8]) {
        match Head::peek(data) {
            Ok(head) => self.take(StoredHead { head, index, term, in_snapshot: false }, data),
            Err(reason) => self.not_a_payload(index, reason),
        }
    }

    /// The highest head, the forms that occur, and what was found.
    pub fn finish(self) -> (Option<StoredHead>, Vec<Version>, Vec<Finding>) {
        (self.highest, self.versions, self.findings.finish())
    }

    fn take(&mut self, stored: StoredHead, data: &[u8]) {
        let head = stored.head;
        if let Some(last) = self.last.replace(head) {
            self.check_chain(last, head, stored.index);
        }
        // op-conductor keeps the block with the highest number, not the last. (raft_fsm.go Apply)
        if self.highest.is_none_or(|highest| head.number > highest.head.number) {
            self.highest = Some(stored);
        }
        if !self.versions.contains(&head.version) {
            self.versions.push(head.version);
        }
        self.check_hash(stored.index, data);
    }

    /// Whether a block follows the one that was stored before it.
    fn check_chain(&mut self, last: Head, head: Head, index: u64) {
        let (before, number) = (last.number, head.number);
        if number < before {
            let message =
                format!("the block number goes back from {before} to {number}: op-conductor keeps the higher one");
            self.add("PAY-004", Severity::Warning, index, message);
        } else if number == before && head.hash != last.hash {
            let message = format!(
                "a second block {number} ({}), after {}: the chain was reorganized, or the entry was changed",
                head.hash, last.hash
            );
            self.add("PAY-008", Severity::Warning, index, message);
        } else if before.checked_add(1) == Some(number) && head.parent_hash != last.hash {
            let message = format!(
                "block {number} follows {}, but block {before} before it is {}: the chain was reorganized, or an entry was changed",
                head.parent_hash, last.hash
            );
            self.add("PAY-007", Severity::Warning, index, message);
        }
    }

    #[cfg(feature = "payload")]
    fn check_hash(&mut self, index: u64, data: &[u8]) {
        use super::{Envelope, EnvelopeError, RightHash};
        if !self.hashes {
            return;
        }
        match Envelope::decode(data).and_then(|envelope| envelope.check_hash()) {
            Ok(RightHash::ForAll) => {}
            Ok(RightHash::OnlyAsIsthmus) => {
                let message = "a block of Isthmus from whose chain nothing was ever withdrawn, in the form V3: op-conductor leads with it, but op-node refuses it when op-conductor posts it to catch up";
                self.add("PAY-006", Severity::Warning, index, message.to_owned());
            }
            Err(error @ EnvelopeError::Hash { .. }) => {
                let message = format!("{error}: the entry was changed, and no client will take this block");
                let hint = "compare the entry with that of another server: log diff";
                self.findings.add(Finding::new("PAY-001", Severity::Error, message).at_index(index).hint(hint));
            }
            Err(error) => {
                self.add("PAY-003", Severity::Warning, index, format!("{error}: op-conductor ignores the entry"));
            }
        }
    }

    #[cfg(not(feature = "payload"))]
    fn check_hash(&mut self, _index: u64, _data: &[u8]) {
        // This build can't.
        self.hashes = false;
    }

    fn not_a_payload(&mut self, index: u64, reason: NotAPayload) {
        if !self.findings.goes_on("PAY-003", index) {
            self.add("PAY-003", Severity::Warning, index, format!("{reason}: op-conductor ignores the entry"));
        }
    }

    fn add(&mut self, id: &'static str, severity: Severity, index: u64, message: String) {
        self.findings.add(Finding::new(id, severity, message).at_index(index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V3: &[u8] = include_bytes!("../../tests/vectors/payload/v3.ssz");
    const V4: &[u8] = include_bytes!("../../tests/vectors/payload/v4.ssz");

    fn found(payloads: &[&[u8]]) -> (Option<u64>, Vec<&'static str>) {
        let mut checker = PayloadChecker::new(true);
        for (index, payload) in (2..).zip(payloads) {
            checker.push(index, 1, payload);
        }
        let (highest, _, findings) = checker.finish();
        (highest.map(|stored| stored.index), findings.iter().map(|finding| finding.id).collect())
    }

    #[test]
    fn the_highest_number_counts_and_not_the_last() {
        assert_eq!(found(&[V3, V4]), (Some(3), vec![]));
        assert_eq!(found(&[V4, V3]), (Some(2), vec!["PAY-004"]));
    }

    #[test]
    fn what_is_no_payload_is_ignored_and_told() {
        assert_eq!(found(&[b"x", V3]), (Some(3), vec!["PAY-003"]));
    }

    #[cfg(feature = "payload")]
    #[test]
    fn a_right_block_that_op_node_finds_wrong_is_a_warning() {
        let isthmus = include_bytes!("../../tests/vectors/payload/v3-isthmus.ssz");
        assert_eq!(found(&[isthmus]), (Some(2), vec!["PAY-006"]));
    }

    #[cfg(feature = "payload")]
    #[test]
    fn a_changed_payload_is_an_error() {
        let mut changed = V3.to_vec();
        changed[100] ^= 1;
        assert_eq!(found(&[&changed]), (Some(2), vec!["PAY-001"]));
    }
}
