//! Findings and their report.
//!
//! An error means we could not look; a finding means we looked and it is not right.

use std::fmt;

use serde::Serialize;

/// So many findings of one file are kept; more are only counted.
const MOST: usize = 200;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Note,
    /// Works, but not as people would expect.
    Warning,
    /// raft or op-conductor would fail, or lose or fork data.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// Where a finding is. What is known is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Place {
    /// Id of the server in whose directory it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// File in that directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Page of a bolt file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// Bytes from the start of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// First raft index concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_index: Option<u64>,
    /// Last raft index concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_index: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (&self.node, &self.file) {
            (Some(node), Some(file)) => parts.push(format!("{node}/{file}")),
            (Some(one), None) | (None, Some(one)) => parts.push(one.clone()),
            (None, None) => {}
        }
        match (self.first_index, self.last_index) {
            (Some(first), Some(last)) if first != last => parts.push(format!("index {first}..{last}")),
            (Some(first), _) => parts.push(format!("index {first}")),
            _ => {}
        }
        f.write_str(&parts.join(", "))
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable id, such as `BOLT-017`.
    pub id: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How often, when adjacent ones were put together.
    #[serde(skip_serializing_if = "is_one")]
    pub count: u64,
    /// What to do next, when there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(count: &u64) -> bool {
    *count == 1
}

impl Finding {
    /// A finding without a place or a hint yet.
    pub fn new(id: &'static str, severity: Severity, message: impl Into<String>) -> Finding {
        Finding { id, severity, place: Place::default(), message: message.into(), count: 1, hint: None }
    }

    /// The same in the directory of `node`.
    #[must_use]
    pub fn in_node(mut self, node: &str) -> Finding {
        self.place.node = Some(node.to_owned());
        self
    }

    /// The same in `file`.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Finding {
        self.place.file = Some(file.to_owned());
        self
    }

    /// The same at a raft index.
    #[must_use]
    pub fn at_index(mut self, index: u64) -> Finding {
        (self.place.first_index, self.place.last_index) = (Some(index), Some(index));
        self
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }
}

/// Collects findings; puts those of one kind at adjacent indexes together, and keeps memory bounded.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    omitted: u64,
}

impl Findings {
    /// Adds one more of the kind `id` at a raft index to the one right before it, when there is such: then nothing more
    /// need be said of it.
    pub fn goes_on(&mut self, id: &str, index: u64) -> bool {
        let adjacent = |known: &&mut Finding| {
            known.id == id && known.place.last_index.is_some_and(|last| last.checked_add(1) == Some(index))
        };
        let Some(known) = self.list.iter_mut().rev().take(8).find(adjacent) else { return false };
        known.place.last_index = Some(index);
        known.count += 1;
        true
    }

    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        if finding.place.first_index.is_some_and(|index| self.goes_on(finding.id, index)) {
            return;
        }
        if self.list.len() < MOST {
            self.list.push(finding);
        } else {
            self.omitted += 1;
        }
    }

    /// All of them; a last one says how many more there were.
    pub fn finish(mut self) -> Vec<Finding> {
        if self.omitted > 0 {
            let worst = self.list.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Error);
            let more = format!("{} more findings in this file are not shown", self.omitted);
            self.list.push(Finding::new("REPORT-001", worst, more));
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &'static str, index: u64) -> Finding {
        Finding::new(id, Severity::Error, "wrong").at_index(index)
    }

    #[test]
    fn adjacent_findings_of_one_kind_become_one_with_a_count() {
        let mut findings = Findings::default();
        for index in 5..9 {
            findings.add(at("RAFT-002", index));
            findings.add(at("RAFT-003", index));
        }
        findings.add(at("RAFT-002", 20));
        let list = findings.finish();
        let seen: Vec<_> = list.iter().map(|f| (f.id, f.place.first_index, f.place.last_index, f.count)).collect();
        assert_eq!(
            seen,
            [("RAFT-002", Some(5), Some(8), 4), ("RAFT-003", Some(5), Some(8), 4), ("RAFT-002", Some(20), Some(20), 1)]
        );
    }

    #[test]
    fn too_many_findings_are_counted() {
        let mut findings = Findings::default();
        (0..1000).for_each(|i| findings.add(at("RAFT-002", i * 2)));
        let list = findings.finish();
        assert_eq!(list.len(), MOST + 1);
        assert_eq!(list[MOST].message, "800 more findings in this file are not shown");
    }
}
