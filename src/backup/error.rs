//! Why there is no backup.

use std::io;
use std::path::PathBuf;

use crate::report::Finding;
use crate::state::{self, dir, entries};
use crate::{bolt, durable};

/// Why no backup was made, or one can't be looked at. Nothing is left behind by any.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state can't be read.
    #[error(transparent)]
    Read(#[from] state::Error),
    /// The entries of a running node can't be read.
    #[error(transparent)]
    Entries(#[from] entries::Error),
    /// A server's directory can't be used.
    #[error(transparent)]
    State(#[from] dir::Error),
    /// The backup can't be put in its place, or another command is at work.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// The file system said no.
    #[error("{doing} {}", path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A database can't be read or written.
    #[error("{}", path.display())]
    Bolt {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: bolt::Error,
    },
    /// It would be a backup in what it is a backup of.
    #[error("{} is inside {}: a backup belongs elsewhere, at best on another disk", backup_dir.display(), state_dir.display())]
    Inside {
        /// Where it should go.
        backup_dir: PathBuf,
        /// What should be backed up.
        state_dir: PathBuf,
    },
    /// A replacement was interrupted: some files may be old and some new.
    #[error("a replacement was interrupted: {}", stage.display())]
    Pending {
        /// Its stage.
        stage: PathBuf,
    },
    /// raft could not start from the copy.
    #[error("the state is not sound, and a backup of it would be worth nothing")]
    NotSound {
        /// What was found, errors first.
        findings: Vec<Finding>,
    },
    /// A running node changed too much again and again.
    #[error("{}: the node changed it again and again while it was copied ({reason})", path.display())]
    Moving {
        /// The server's directory.
        path: PathBuf,
        /// What happened at last.
        reason: String,
    },
    /// It would not fit.
    #[error("{}: {needed} bytes are needed, {free} are free", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// Bytes that are to be written.
        needed: u64,
        /// Bytes that this user may still write.
        free: u64,
    },
    /// A name that JSON can't hold.
    #[error("{}: expected a name in UTF-8", path.display())]
    Name {
        /// Which file.
        path: PathBuf,
    },
    /// No file and no directory.
    #[error("{}: expected a file or a directory", path.display())]
    Unusual {
        /// What is there.
        path: PathBuf,
    },
    /// It is no backup.
    #[error("{}: no backup: {reason}", path.display())]
    NoBackup {
        /// What was looked at.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The directory that holds backups, and not one of them.
    #[error("{} holds backups, and is none itself", path.display())]
    Parent {
        /// Which directory.
        path: PathBuf,
        /// Names of the backups in it, oldest first.
        names: Vec<String>,
    },
    /// An archive that can't be read to its end.
    #[error("{}: the archive is damaged", path.display())]
    Archive {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Durable(error) | Error::State(dir::Error::Durable(error)) => error.hint(),
            Error::Inside { .. } => Some("name another --backup-dir"),
            Error::Pending { .. } => Some("run the command that was interrupted again: it settles this first"),
            Error::NotSound { .. } => {
                Some("to keep the damaged files for later, stop the node and copy its directory with cp -a")
            }
            Error::Moving { .. } => Some("try again when it writes less, or stop the node for as long"),
            Error::NoSpace { .. } => Some("free some space, or remove old backups with backups prune"),
            Error::Parent { .. } => Some("name one of them"),
            Error::Archive { .. } => Some("take another backup"),
            _ => None,
        }
    }

    /// Whether the call was refused for what is there, rather than failed.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::Inside { .. }
                | Error::Pending { .. }
                | Error::NotSound { .. }
                | Error::Parent { .. }
                | Error::Archive { .. }
                | Error::NoBackup { .. }
                | Error::State(dir::Error::Locked { .. })
                | Error::Durable(durable::Error::Locked { .. })
                | Error::State(dir::Error::Durable(durable::Error::Locked { .. }))
        )
    }

    /// Whether the backup that was looked at is at fault, rather than the look: a disk that fails says nothing of a backup.
    pub(super) fn is_damage(&self) -> bool {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        match self {
            Error::NoBackup { .. } | Error::Parent { .. } | Error::Unusual { .. } | Error::Name { .. } => true,
            // What the decoders say has one of these kinds, what the system says another.
            Error::Archive { source, .. } => {
                source.raw_os_error().is_none()
                    && matches!(source.kind(), InvalidData | InvalidInput | Other | UnexpectedEof)
            }
            Error::Read(state::Error::NoState { .. }) => true,
            _ => false,
        }
    }
}
