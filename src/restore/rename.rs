//! Other names: ids and addresses of servers, wherever raft's state has them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::Error;
use crate::backup::NodeInfo;
use crate::bolt::{self, Db, Reader};
use crate::cluster::{CLUSTER_FILE, ClusterFile};
use crate::durable::open_file;
use crate::raft::codec::{decode_configuration, decode_log, encode_configuration, encode_log, encode_peers};
use crate::raft::{CONF_BUCKET, Configuration, LAST_VOTE_CAND, LOGS_BUCKET, Log, LogType, Server};
use crate::raft::{META_FILE, encode_meta};
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::state::snapshots::list;

/// Old and new names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rename {
    /// Ids.
    pub servers: Vec<(String, String)>,
    /// Addresses.
    pub addresses: Vec<(String, String)>,
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

    fn address(&self, old: &str) -> String {
        find(&self.addresses, old).unwrap_or(old).to_owned()
    }

    /// What a server has, in the new names: by these its vote is to be compared with one that is restored.
    pub(super) fn info(&self, mut info: NodeInfo) -> NodeInfo {
        if let Some(vote) = &mut info.vote {
            vote.candidate = self.address(&vote.candidate);
        }
        info
    }

    fn configuration(&self, old: &Configuration) -> Result<Configuration, Error> {
        let server = |server: &Server| Server {
            suffrage: server.suffrage,
            id: self.id(&server.id),
            address: self.address(&server.address),
        };
        let new = Configuration { servers: old.servers.iter().map(server).collect() };
        match (old.check(), new.check()) {
            (Ok(()), Err(error)) => Err(Error::BadNames { reason: error.to_string() }),
            _ => Ok(new),
        }
    }

    /// Sees that each old name is somebody's in one of the latest configurations.
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
        configurations.iter().try_for_each(|configuration| self.configuration(configuration).map(drop))
    }

    /// Changes the names in a staged server's directory.
    pub(super) fn node(&self, directory: &Path) -> Result<(), Error> {
        self.log(&directory.join(LOG_FILE))?;
        self.vote(&directory.join(STABLE_FILE))?;
        self.snapshots(&directory.join(SNAPSHOTS_DIR))
    }

    /// Changes the names in a staged cluster.json.
    pub(super) fn cluster_file(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(CLUSTER_FILE);
        let fail = |source| Error::Io { doing: "changing names in", path: path.clone(), source };
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            bytes => bytes.map_err(fail)?,
        };
        // What is no description isn't compared with, either.
        let Ok(mut file) = ClusterFile::decode(&bytes) else { return Ok(()) };
        file.servers = self.configuration(&Configuration { servers: file.servers })?.servers;
        file.leader = self.id(&file.leader);
        fs::write(&path, file.encode()).map_err(fail)
    }

    fn log(&self, path: &Path) -> Result<(), Error> {
        let fail = |source| Error::Bolt { path: path.to_owned(), source };
        let mut changed = Vec::new();
        {
            let reader = Reader::open(open(path)?).map_err(fail)?;
            let Some(bucket) = reader.bucket(LOGS_BUCKET).map_err(fail)? else { return Ok(()) };
            let mut cursor = bucket.cursor();
            while let Some(pair) = cursor.next().map_err(fail)? {
                if let Some(value) = self.entry(pair.value)? {
                    changed.push((pair.key.to_vec(), value));
                }
            }
        }
        put(path, LOGS_BUCKET, &changed)
    }

    /// A configuration's entry with the new names. What can't be decoded is left to verification.
    fn entry(&self, value: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(log) = decode_log(value).ok().filter(|log| log.kind == LogType::Configuration) else {
            return Ok(None);
        };
        let Some(old) = log.data.as_deref().and_then(|data| decode_configuration(data).ok()) else { return Ok(None) };
        let mut data = Vec::new();
        encode_configuration(&self.configuration(&old)?, &mut data);
        let mut encoded = Vec::new();
        encode_log(&Log { data: Some(data.into()), ..log }, &mut encoded);
        Ok(Some(encoded))
    }

    /// The candidate of the last vote is an address. (hashicorp/raft raft.go persistVote)
    fn vote(&self, path: &Path) -> Result<(), Error> {
        let fail = |source| Error::Bolt { path: path.to_owned(), source };
        let vote = {
            let reader = Reader::open(open(path)?).map_err(fail)?;
            let bucket = reader.bucket(CONF_BUCKET).map_err(fail)?;
            bucket.map_or(Ok(None), |bucket| bucket.get(LAST_VOTE_CAND.as_bytes())).map_err(fail)?
        };
        let new = vote.and_then(|vote| find(&self.addresses, std::str::from_utf8(&vote).ok()?).map(str::to_owned));
        let pair = new.map(|new| (LAST_VOTE_CAND.as_bytes().to_vec(), new.into_bytes()));
        put(path, CONF_BUCKET, pair.as_slice())
    }

    fn snapshots(&self, directory: &Path) -> Result<(), Error> {
        let listed =
            list(directory).map_err(|source| Error::Io { doing: "reading", path: directory.to_owned(), source })?;
        for mut meta in listed.listed {
            meta.configuration = self.configuration(&meta.configuration)?;
            meta.peers.clear();
            encode_peers(&meta.configuration, &mut meta.peers);
            let path = directory.join(&meta.directory).join(META_FILE);
            let fail = |source| Error::Io { doing: "changing names in", path: path.clone(), source };
            fs::write(&path, encode_meta(&meta)).map_err(fail)?;
        }
        Ok(())
    }
}

fn find<'a>(names: &'a [(String, String)], old: &str) -> Option<&'a str> {
    names.iter().find(|(name, _)| name == old).map(|(_, new)| new.as_str())
}

fn open(path: &Path) -> Result<File, Error> {
    open_file(path).map_err(|source| Error::Io { doing: "opening", path: path.to_owned(), source })
}

/// One put transaction, as raft would make it.
fn put(path: &Path, bucket: &[u8], pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    let file = File::options().read(true).write(true).open(path);
    let file = file.map_err(|source| Error::Io { doing: "opening", path: path.to_owned(), source })?;
    let write = || {
        let mut db = Db::open(file)?;
        let mut tx = db.begin()?;
        pairs.iter().try_for_each(|(key, value)| tx.put(bucket, key, value))?;
        tx.commit()
    };
    write().map_err(|source: bolt::Error| Error::Bolt { path: path.to_owned(), source })
}
