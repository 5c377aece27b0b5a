//! Why nothing was restored.

use std::path::PathBuf;

use crate::cluster::{AddressError, IdError};
use crate::durable::IoError;
use crate::raft::ConfigurationError;
use crate::state::{self, dir, rename};
use crate::{backup, bolt, durable};

/// Why nothing was restored. All leave the state as it was, but for [`durable::Error::Unfinished`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backup can't be read.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// What is there can't be read.
    #[error(transparent)]
    Read(#[from] state::Error),
    /// The directory can't be used.
    #[error(transparent)]
    State(#[from] dir::Error),
    /// The files can't be put in place.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// The file system said no.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A staged database can't be given other names.
    #[error("{}: changing names", path.display())]
    Bolt {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: bolt::Error,
    },
    /// The only server to restore is not in the backup.
    #[error("{id:?} is not in the backup, which has {}", known.join(", "))]
    UnknownNode {
        /// Its id.
        id: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// The backup of several servers can't go to the directory of one.
    #[error("{} is the directory of one server, and the backup has several", path.display())]
    OneDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The backup would be moved away by its own restore.
    #[error("{} is inside a directory that would be replaced", backup.display())]
    Inside {
        /// The backup.
        backup: PathBuf,
    },
    /// Other names for some of the members: the others would not know them.
    #[error("cannot rename only some members: {} would not be restored", missing.join(", "))]
    RenameAlone {
        /// Ids of the members that aren't.
        missing: Vec<String>,
    },
    /// A name that isn't there.
    #[error("no member has the {what} {name:?}")]
    UnknownName {
        /// `id` or `address`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A new id that can't be one.
    #[error("the id {id:?} {reason}")]
    BadId {
        /// The id.
        id: String,
        /// Why.
        reason: IdError,
    },
    /// A new address that nobody can dial.
    #[error("the address {address:?} {reason}")]
    BadAddress {
        /// The address.
        address: String,
        /// Why.
        reason: AddressError,
    },
    /// A new name that is another member's in another spelling.
    #[error("{name:?} is the same as {other:?} in another spelling")]
    SameName {
        /// The new name.
        name: String,
        /// The other member's.
        other: String,
    },
    /// The backup's own directory, or a server's copy in it.
    #[error("{} is inside the backup", path.display())]
    IntoBackup {
        /// The state directory.
        path: PathBuf,
    },
    /// Members that raft would refuse.
    #[error("the members with their new names")]
    BadNames(#[from] ConfigurationError),
}

impl From<rename::Error> for Error {
    fn from(error: rename::Error) -> Error {
        match error {
            rename::Error::Io(error) => Error::Io(error),
            rename::Error::Bolt { path, source } => Error::Bolt { path, source },
            rename::Error::Configuration(error) => Error::BadNames(error),
        }
    }
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Backup(error) => error.hint(),
            Error::Durable(error) => error.hint(),
            Error::State(error) => error.hint(),
            Error::Inside { .. } => Some("move the backup elsewhere first"),
            Error::RenameAlone { .. } => Some("restore all nodes of the cluster together"),
            _ => None,
        }
    }

    /// Whether the call was refused for what is there, rather than failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::Backup(error) => error.is_refusal(),
            Error::State(error) => error.is_refusal(),
            Error::Durable(error) => error.is_refusal(),
            Error::OneDirectory { .. }
            | Error::Inside { .. }
            | Error::IntoBackup { .. }
            | Error::RenameAlone { .. }
            | Error::BadNames { .. }
            | Error::BadId { .. }
            | Error::BadAddress { .. }
            | Error::SameName { .. } => true,
            _ => false,
        }
    }
}
