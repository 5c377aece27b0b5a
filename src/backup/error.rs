//! Why there is no backup.

use std::io;
use std::path::PathBuf;

use super::manifest::{MANIFEST_FILE, ManifestError};
use crate::durable::IoError;
use crate::report::Finding;
use crate::state::{self, dir, entries};
use crate::{bolt, durable};

/// Why no backup was made, or one can't be looked at. No error leaves anything behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    #[error(transparent)]
    Io(#[from] IoError),
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
    /// Not a backup.
    #[error("{}: not a backup: {reason}", path.display())]
    NoBackup {
        /// What was looked at.
        path: PathBuf,
        /// Why.
        reason: NoBackup,
    },
    /// The directory that holds backups, and not one of them.
    #[error("{} is a directory of backups, not a backup", path.display())]
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

/// Why something is not a backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoBackup {
    /// A directory without a manifest.
    #[error("it has no {MANIFEST_FILE}")]
    NoManifest,
    /// The manifest can't be used.
    #[error("{MANIFEST_FILE}: {0}")]
    Manifest(ManifestError),
    /// An archive that begins with another file, so that another tool packed it.
    #[error("expected {MANIFEST_FILE} first in the archive: another tool packed it")]
    ManifestNotFirst,
    /// An archive without compression.
    #[error("a tar archive without zstd")]
    PlainTar,
    /// Compressed in another way.
    #[error("a gzip file, expected zstd")]
    Gzip,
    /// Neither a directory nor an archive.
    #[error("expected a directory or a .tar.zst archive")]
    OtherFile,
    /// Packed by `tar --sparse`.
    #[error("an archive with sparse files: another tool packed it")]
    Sparse,
    /// A backup of the Go tool without a database.
    #[error("no database in it")]
    NoDatabase,
}

impl NoBackup {
    fn hint(&self) -> Option<&'static str> {
        match self {
            NoBackup::ManifestNotFirst | NoBackup::PlainTar | NoBackup::Gzip | NoBackup::Sparse => {
                Some("unpack it with tar -xf, and name the directory that this makes")
            }
            _ => None,
        }
    }
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Durable(error) => error.hint(),
            Error::State(error) => error.hint(),
            Error::Inside { .. } => Some("name a directory elsewhere"),
            Error::Pending { .. } => Some("run the command that was interrupted again: it settles this first"),
            Error::NotSound { .. } => {
                Some("to keep the damaged files for later, stop the node and copy its directory with cp -a")
            }
            Error::Moving { .. } => Some("try again when it writes less, or stop the node for as long"),
            Error::NoSpace { .. } => Some("free some space, or remove old backups with backups prune"),
            Error::Parent { .. } => Some("name one of them"),
            Error::NoBackup { reason, .. } => reason.hint(),
            Error::Archive { .. } => Some("take another backup"),
            _ => None,
        }
    }

    /// Whether the call was refused for what is there, rather than failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::State(error) => error.is_refusal(),
            Error::Durable(error) => error.is_refusal(),
            Error::Inside { .. }
            | Error::Pending { .. }
            | Error::NotSound { .. }
            | Error::Parent { .. }
            | Error::Archive { .. }
            | Error::NoBackup { .. } => true,
            _ => false,
        }
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
