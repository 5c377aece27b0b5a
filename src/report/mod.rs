//! What is said of what was looked at: findings, what they mean, and how far a long job is.

pub mod explain;
mod finding;
mod progress;
mod text;

pub use finding::{Finding, Findings, Place, Severity};
pub use progress::Progress;

/// Serializes a path as people see it: what isn't UTF-8 is shown as U+FFFD rather than being an error.
pub(crate) fn lossy_path<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
pub use text::{TextError, decode_text};
