//! Why nothing could be replaced.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::io_error::IoError;

pub(super) const CHANGING_OWNER: &str = "changing the owner of";

/// Why a replacement failed. All but [`Error::Unfinished`] leave everything as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system said no.
    #[error(transparent)]
    Io(#[from] IoError),
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
    /// A replacement was interrupted that another command has to settle.
    #[error("a replacement was interrupted: {}", .stage.display())]
    Pending {
        /// Its stage.
        stage: PathBuf,
    },
    /// A replacement was interrupted that this user can't settle, or didn't begin.
    #[error("a replacement by another user ({uid}) was interrupted: {}", .stage.display())]
    Foreign {
        /// Its stage.
        stage: PathBuf,
        /// Number of the user that the stage belongs to.
        uid: u32,
    },
    /// A journal that this tool didn't write.
    #[error("expected a journal of this tool: {}", .path.display())]
    Journal {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: JournalError,
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
    },
    /// An entry that leads elsewhere.
    #[error("{} is a symbolic link, which is not replaced", .path.display())]
    Symlink {
        /// Which.
        path: PathBuf,
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

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum JournalError {
    /// Not JSON, or other fields.
    #[error(transparent)]
    Json(serde_json::Error),
    /// Another version wrote it.
    #[error("expected version {expected}, found {found}")]
    Version { expected: u32, found: u32 },
    /// A name that could lead out of the directory.
    #[error("expected the name of an entry, found {name:?}")]
    Name { name: String },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Io(IoError { doing, source, .. }) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space and run it again"),
                io::ErrorKind::PermissionDenied if *doing == CHANGING_OWNER => {
                    Some("run it as root: nobody else may give files to another owner")
                }
                io::ErrorKind::PermissionDenied => Some("run it as a user that may write there"),
                _ => None,
            },
            Error::Locked { .. } => Some("wait until it has ended"),
            Error::Pending { .. } => Some("run the command that was interrupted again: it settles this first"),
            Error::Foreign { .. } => {
                Some("run the command that was interrupted again as that user; if nobody ran it, remove that directory")
            }
            Error::Journal { .. } => Some("look at what the directory of the journal holds, then remove it by hand"),
            Error::Changed { .. } => Some("run it again when nothing else writes there"),
            Error::MountPoint { .. } => {
                Some("mount the volume at the directory above, or run this where it isn't mounted")
            }
            Error::Symlink { .. } => Some("name the directory that it leads to, or put it in the link's place"),
            Error::Undone { cause } | Error::Unfinished { cause, .. } => cause.hint(),
            Error::NotADirectory { .. } => None,
        }
    }

    /// Whether the call was refused for what is there, rather than failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::Locked { .. }
            | Error::Pending { .. }
            | Error::Foreign { .. }
            | Error::Changed { .. }
            | Error::MountPoint { .. }
            | Error::Symlink { .. } => true,
            Error::Undone { cause } => cause.is_refusal(),
            _ => false,
        }
    }
}
