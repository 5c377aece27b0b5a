//! Other names: ids and addresses of servers, and where cluster.json has them.

use std::fs;
use std::path::Path;

use super::Error;
use crate::backup::NodeInfo;
use crate::cluster::{CLUSTER_FILE, canonical_address, check_address, check_id};
use crate::durable::IoError;
use crate::durable::ReadError;
use crate::raft::{Configuration, Server};
use crate::state::rename::{self, NewNames};
use crate::state::{ClusterFileError, StateDir, read_cluster_file};

/// Old and new names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rename {
    /// Ids.
    pub servers: Vec<(String, String)>,
    /// Addresses.
    pub addresses: Vec<(String, String)>,
}

impl NewNames for Rename {
    fn server(&self, old: &Server) -> Server {
        Server {
            suffrage: old.suffrage,
            id: self.id(&old.id),
            address: self.address(&old.address).unwrap_or_else(|| old.address.clone()),
        }
    }

    fn address(&self, old: &str) -> Option<String> {
        find(&self.addresses, old).map(str::to_owned)
    }
}

impl Rename {
    /// Whether all names stay.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.addresses.is_empty()
    }

    /// The new id of a server.
    pub fn id(&self, old: &str) -> String {
        find(&self.servers, old).unwrap_or(old).to_owned()
    }

    /// What a server has, in the new names: by these its vote is to be compared with one that is restored.
    pub(super) fn info(&self, mut info: NodeInfo) -> NodeInfo {
        if let Some(vote) = &mut info.vote
            && let Some(new) = self.address(&vote.candidate)
        {
            vote.candidate = new;
        }
        info
    }

    /// Whether each old name is somebody's in one of the latest configurations, and raft takes the new ones.
    pub(super) fn check(&self, configurations: &[Configuration]) -> Result<(), Error> {
        let servers = || configurations.iter().flat_map(|configuration| &configuration.servers);
        for (old, _) in &self.servers {
            if !servers().any(|server| server.id == *old) {
                return Err(Error::UnknownName { what: "id", name: old.clone() });
            }
        }
        for (old, _) in &self.addresses {
            if !servers().any(|server| server.address == *old) {
                return Err(Error::UnknownName { what: "address", name: old.clone() });
            }
        }
        for (_, id) in &self.servers {
            check_id(id).map_err(|reason| Error::BadId { id: id.clone(), reason })?;
        }
        for (_, address) in &self.addresses {
            check_address(address).map_err(|reason| Error::BadAddress { address: address.clone(), reason })?;
        }
        for configuration in configurations {
            let renamed = self.configuration(configuration)?;
            self.refuse_same(&renamed)?;
        }
        Ok(())
    }

    /// Refuses new names that are others' in another spelling, as for a new cluster.
    fn refuse_same(&self, renamed: &Configuration) -> Result<(), Error> {
        let servers = &renamed.servers;
        for (_, id) in &self.servers {
            if let Some(other) = servers.iter().find(|it| it.id != *id && it.id.to_lowercase() == id.to_lowercase()) {
                return Err(Error::SameName { name: id.clone(), other: other.id.clone() });
            }
        }
        for (_, address) in &self.addresses {
            let is_same = |other: &str| other != address && canonical_address(other) == canonical_address(address);
            if let Some(other) = servers.iter().find(|server| is_same(&server.address)) {
                return Err(Error::SameName { name: address.clone(), other: other.address.clone() });
            }
        }
        Ok(())
    }

    /// Changes the names in a staged server's directory.
    pub(super) fn node(&self, directory: &Path) -> Result<(), Error> {
        Ok(rename::rename(&StateDir::new(directory), self)?)
    }

    /// Changes the names in a staged cluster.json.
    pub(super) fn cluster_file(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(CLUSTER_FILE);
        let fail = |source| Error::Io(IoError { doing: "changing names in", path: path.clone(), source });
        let mut file = match read_cluster_file(&path) {
            Ok(Some(file)) => file,
            Err(ClusterFileError::Read(ReadError::Io(error))) => return Err(fail(error.source)),
            // What isn't a description isn't compared with, either.
            _ => return Ok(()),
        };
        let members = Configuration { servers: file.servers };
        file.servers = self.configuration(&members)?.servers;
        file.leader = self.id(&file.leader);
        fs::write(&path, file.encode()).map_err(fail)
    }
}

fn find<'a>(names: &'a [(String, String)], old: &str) -> Option<&'a str> {
    names.iter().find(|(name, _)| name == old).map(|(_, new)| new.as_str())
}
