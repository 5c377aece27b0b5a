//! Findings and their report.
//!
//! An error means we could not look; a finding means we looked and it is not right.

use serde::Serialize;

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

/// Where a finding is. Every part is optional; what is known is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Place {
    /// Id of the server whose folder it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// File name inside the server's folder, or a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Page number in a bolt file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// Bytes from the start of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// First raft index concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_index: Option<u64>,
    /// Last raft index concerned, when it is a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_index: Option<u64>,
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
    /// One sentence: what was expected and what was found.
    pub message: String,
    /// What to do next, when there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
