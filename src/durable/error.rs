//! Why nothing could be replaced.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const CHANGING_OWNER: &str = "changing the owner of";

/// Why a replacement failed. All but [`Error::Unfinished`] leave everything as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("{doing} {}", .path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The output directory is something else.
    #[error("expected a directory, found something else: {}", .path.display())]
    NotADirectory {
        /// Where.
        path: PathBuf,
    },
    /// Another process of this tool is at work.
    #[error("{} is locked by another op-conductor-init (waited {lock_timeout:?})", .path.display())]
    Locked {
        /// The output directory.
        path: PathBuf,
        /// How long we waited.
        lock_timeout: Duration,
    },
    /// An interrupted replacement is in the way.
    #[error("a replacement was interrupted: {}", .stage.display())]
    Pending {
        /// Its stage.
        stage: PathBuf,
    },
    /// A journal that we didn't write.
    #[error("not a journal of ours: {reason} ({})", .path.display())]
    Journal {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry is another one than when it was staged for.
    #[error("{} changed in the meantime", .path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// An entry that can't be moved.
    #[error("{} is a mount point, which can't be replaced", .path.display())]
    MountPoint {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The swap failed and everything was put back.
    #[error("nothing was changed")]
    Undone {
        /// Why.
        #[source]
        cause: Box<Error>,
    },
    /// The swap failed on its way, and so did putting back.
    #[error("interrupted: the next command on this directory will finish it ({})", .stage.display())]
    Unfinished {
        /// Its stage.
        stage: PathBuf,
        /// Why.
        #[source]
        cause: Box<Error>,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Io { doing, source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space and run it again"),
                io::ErrorKind::PermissionDenied if *doing == CHANGING_OWNER => {
                    Some("run it as root: nobody else may give files to another owner")
                }
                io::ErrorKind::PermissionDenied => Some("run it as a user that may write there"),
                _ => None,
            },
            Error::Locked { .. } => Some("wait until it has ended, or give a longer --lock-timeout"),
            Error::Pending { .. } => Some("run a command that writes, such as generate: it finishes that first"),
            Error::Journal { .. } => Some("look at what the directory of the journal holds, then remove it by hand"),
            Error::Changed { .. } => Some("run it again when nothing else writes there"),
            Error::MountPoint { .. } => {
                Some("mount the volume at the directory above, or run this where it isn't mounted")
            }
            Error::Undone { cause } | Error::Unfinished { cause, .. } => cause.hint(),
            Error::NotADirectory { .. } => None,
        }
    }
}
