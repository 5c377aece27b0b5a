//! How the gate works.

use std::time::Duration;

/// How a target is run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Options {
    /// How long to wait for each thing that should happen.
    pub timeout: Duration,
    /// Leave the containers and their network as they are.
    pub keep: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(60), keep: false }
    }
}
