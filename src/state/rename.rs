//! Other ids and addresses of servers, wherever raft's state has them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::StateDir;
use super::snapshots::list;
use crate::bolt::{self, Db, Reader};
use crate::durable::{IoError, open_file};
use crate::raft::codec::{decode_configuration, decode_log, encode_configuration, encode_log, encode_peers};
use crate::raft::{CONF_BUCKET, Configuration, ConfigurationError, LAST_VOTE_CAND, LOGS_BUCKET, Log, LogType, Server};
use crate::raft::{META_FILE, encode_meta};

/// What is being done when the system says no.
const DOING: &str = "changing names in";

/// New names for old ones.
pub trait NewNames {
    /// The server as a configuration must have it.
    fn server(&self, old: &Server) -> Server;

    /// The new address for one that stands alone, as in a vote; none when it stays.
    fn address(&self, old: &str) -> Option<String>;

    /// The configuration with the new names.
    ///
    /// # Errors
    /// When raft would refuse it, and would have taken the old one.
    fn configuration(&self, old: &Configuration) -> Result<Configuration, ConfigurationError> {
        let new = Configuration { servers: old.servers.iter().map(|server| self.server(server)).collect() };
        match new.check() {
            Err(error) if old.check().is_ok() => Err(error),
            _ => Ok(new),
        }
    }
}

/// Why names can't be changed. Some may be changed already.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system said no.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A database can't be read or written.
    #[error("{}: changing names", path.display())]
    Bolt {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: bolt::Error,
    },
    /// raft would refuse a configuration with the new names.
    #[error("the members with their new names")]
    Configuration(#[from] ConfigurationError),
}

/// Changes the names in a server's directory, which nobody else uses: in each configuration of the log and of the
/// snapshots, and in the vote. A file that is missing and what can't be decoded stay: verification reports them.
pub fn rename(dir: &StateDir, names: &(impl NewNames + ?Sized)) -> Result<(), Error> {
    rename_log(&dir.log_path(), names)?;
    rename_vote(&dir.stable_path(), names)?;
    rename_snapshots(&dir.snapshots_path(), names)
}

fn rename_log(path: &Path, names: &(impl NewNames + ?Sized)) -> Result<(), Error> {
    let fail = |source| Error::Bolt { path: path.to_owned(), source };
    let Some(file) = open(path)? else { return Ok(()) };
    let mut changed = Vec::new();
    {
        let reader = Reader::open(&file).map_err(fail)?;
        let Some(bucket) = reader.bucket(LOGS_BUCKET).map_err(fail)? else { return Ok(()) };
        let mut cursor = bucket.cursor();
        while let Some(pair) = cursor.next().map_err(fail)? {
            if let Some(value) = renamed_entry(pair.value, names)? {
                changed.push((pair.key.to_vec(), value));
            }
        }
    }
    put(file, LOGS_BUCKET, &changed).map_err(fail)
}

/// A configuration's entry with the new names; none for all other values.
fn renamed_entry(value: &[u8], names: &(impl NewNames + ?Sized)) -> Result<Option<Vec<u8>>, Error> {
    let log = decode_log(value).ok().filter(|log| log.kind == LogType::Configuration);
    let Some(log) = log else { return Ok(None) };
    let Some(old) = log.data.as_deref().and_then(|data| decode_configuration(data).ok()) else { return Ok(None) };
    let mut data = Vec::new();
    encode_configuration(&names.configuration(&old)?, &mut data);
    let mut encoded = Vec::new();
    encode_log(&Log { data: Some(data.into()), ..log }, &mut encoded);
    Ok(Some(encoded))
}

/// The candidate of the last vote is an address. (hashicorp/raft raft.go persistVote) A node that has run may hold a
/// resolved one, which no configuration has; it counts in its own term only.
fn rename_vote(path: &Path, names: &(impl NewNames + ?Sized)) -> Result<(), Error> {
    let fail = |source| Error::Bolt { path: path.to_owned(), source };
    let Some(file) = open(path)? else { return Ok(()) };
    let vote = {
        let reader = Reader::open(&file).map_err(fail)?;
        let bucket = reader.bucket(CONF_BUCKET).map_err(fail)?;
        bucket.map_or(Ok(None), |bucket| bucket.get(LAST_VOTE_CAND.as_bytes())).map_err(fail)?
    };
    let new = vote.and_then(|vote| names.address(std::str::from_utf8(&vote).ok()?));
    let pair = new.map(|new| (LAST_VOTE_CAND.as_bytes().to_vec(), new.into_bytes()));
    put(file, CONF_BUCKET, pair.as_slice()).map_err(fail)
}

/// Those that raft lists; it passes over all others.
fn rename_snapshots(directory: &Path, names: &(impl NewNames + ?Sized)) -> Result<(), Error> {
    let listed = list(directory).map_err(IoError::when(DOING, directory))?.listed;
    for mut meta in listed {
        meta.configuration = names.configuration(&meta.configuration)?;
        meta.peers.clear();
        encode_peers(&meta.configuration, &mut meta.peers);
        let path = directory.join(&meta.directory).join(META_FILE);
        fs::write(&path, encode_meta(&meta)).map_err(IoError::when(DOING, &path))?;
    }
    Ok(())
}

/// Opens a database for reading and writing; none when it doesn't exist.
fn open(path: &Path) -> Result<Option<File>, Error> {
    let fail = IoError::when(DOING, path);
    match open_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        checked => drop(checked.map_err(&fail)?),
    }
    File::options().read(true).write(true).open(path).map(Some).map_err(fail).map_err(Error::from)
}

/// One transaction, as raft would make it.
fn put(file: File, bucket: &[u8], pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), bolt::Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut db = Db::open(file)?;
    let mut tx = db.begin()?;
    pairs.iter().try_for_each(|(key, value)| tx.put(bucket, key, value))?;
    tx.commit()
}
