//! Flags that several verbs share. Their variables are in `variables`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use op_conductor_init::durable::Owner;

use super::values::{self, Format};

/// `--state-dir` of verbs that take one server or several.
#[derive(Debug, Args)]
pub(super) struct StateDirOption {
    /// A server's directory (<storage dir>/<server id>), or a directory of such directories
    #[arg(long, value_name = "DIR")]
    state_dir: PathBuf,
}

impl StateDirOption {
    pub(super) fn path(&self) -> &Path {
        &self.state_dir
    }
}

/// `--format`.
#[derive(Debug, Args)]
pub(super) struct FormatOption {
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl FormatOption {
    pub(super) fn get(&self) -> Format {
        self.format
    }
}

/// `--lock-timeout` of verbs that replace state.
#[derive(Debug, Args)]
pub(super) struct LockTimeoutOption {
    /// How long to wait for a running node, or another command on the directory, to release its lock
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::duration)]
    lock_timeout: Duration,
}

impl LockTimeoutOption {
    pub(super) fn get(&self) -> Duration {
        self.lock_timeout
    }
}

/// `--owner` of verbs that write files.
#[derive(Debug, Args)]
pub(super) struct OwnerOption {
    /// Numeric owner of the files, UID:GID
    #[arg(long, value_name = "UID:GID", value_parser = values::owner)]
    owner: Option<Owner>,
}

impl OwnerOption {
    pub(super) fn get(&self) -> Option<Owner> {
        self.owner
    }
}
