//! What is said of what was looked at: findings, what they mean, and how far a long job is.

pub mod explain;
mod finding;
mod progress;

pub use finding::{Finding, Findings, Place, Severity};
pub use progress::Progress;
