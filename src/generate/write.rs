//! Puts a plan's files where op-conductor looks for them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ClusterFile, NodePlan, Plan, StateFiles};
use crate::bolt;
use crate::durable::{self, Mode, Owner, Recovered, Root, Staging};
use crate::state_dir::{LOG_FILE, SNAPSHOTS_FOLDER, STABLE_FILE, StateDir};

/// Name of the description beside the servers' folders.
pub const CLUSTER_FILE: &str = "cluster.json";

/// How to write.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// What `--raft.storage.dir` will point at.
    pub output: PathBuf,
    /// Only the folder of this server.
    pub only: Option<String>,
    /// Replace what is there.
    pub force: bool,
    /// User and group of all that is written.
    pub owner: Option<Owner>,
    /// Bytes of a page of the databases.
    pub page_size: usize,
    /// How long to wait for a lock.
    pub lock_timeout: Duration,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Servers whose folder is new.
    pub written: Vec<String>,
    /// Servers whose folder had these very bytes.
    pub unchanged: Vec<String>,
    /// Where the replaced state is kept.
    pub replaced: Option<PathBuf>,
    /// What was done about an interrupted call before.
    pub recovered: Vec<Recovered>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is state, and it isn't this.
    #[error("refusing to overwrite existing state:\n{}", .files.iter().map(|file| format!("  {}", file.display())).collect::<Vec<_>>().join("\n"))]
    Exists {
        /// The files that are in the way.
        files: Vec<PathBuf>,
    },
    /// `--only` names nobody.
    #[error("--only: {id:?} is not in --server-ids")]
    UnknownServer {
        /// The id.
        id: String,
    },
    /// The folder, or a file in it, could not be changed.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// A file that is there could not be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The plan doesn't fit into a bolt file.
    #[error("the state of {id:?} does not fit into a bolt file: {source}")]
    Bolt {
        /// Whose state.
        id: String,
        /// Why.
        source: bolt::Error,
    },
}

/// Writes the plan: all of it or nothing.
pub fn write(plan: &Plan, options: &WriteOptions) -> Result<Written, Error> {
    if let Some(id) = &options.only
        && plan.spec.configuration.server(id).is_none()
    {
        return Err(Error::UnknownServer { id: id.clone() });
    }
    let root = Root::open(&options.output, options.lock_timeout)?;
    match write_into(&root, plan, options) {
        Ok(written) => Ok(written),
        Err(error) => {
            root.abandon();
            Err(error)
        }
    }
}

fn write_into(root: &Root, plan: &Plan, options: &WriteOptions) -> Result<Written, Error> {
    let mut done = Written { recovered: root.recovered().to_vec(), ..Written::default() };
    let nodes = || plan.nodes().filter(|node| options.only.as_ref().is_none_or(|id| *id == node.server.id));

    // Held until the swap is done.
    let mut locks = Vec::new();
    let mut conflicts = Vec::new();
    let mut missing = Vec::new();
    for node in nodes() {
        let folder = StateDir::new(root.path().join(&node.server.id));
        locks.extend(folder.lock(options.lock_timeout)?);
        let id = node.server.id.clone();
        match compare(&folder, &node, plan, options.page_size)? {
            Found::Nothing => missing.push(id),
            Found::Same => done.unchanged.push(id),
            Found::Other(files) => {
                conflicts.extend(files);
                missing.push(id);
            }
        }
    }
    let description = ClusterFile::new(plan, options.page_size).to_text();
    let path = root.path().join(CLUSTER_FILE);
    let described = read_if_there(&path)?;
    if described.as_ref().is_some_and(|text| text != description.as_bytes()) {
        conflicts.push(path);
    }
    if !conflicts.is_empty() && !options.force {
        return Err(Error::Exists { files: conflicts });
    }

    let is_described = described.is_some_and(|text| text == description.as_bytes());
    if missing.is_empty() && is_described {
        return Ok(done);
    }
    let mut staging = root.stage()?;
    let staged =
        stage(&mut staging, nodes().filter(|node| missing.contains(&node.server.id)), plan, options).and_then(|()| {
            if is_described {
                return Ok(());
            }
            Ok(staging.file(CLUSTER_FILE, description.as_bytes(), Mode::FILE, options.owner)?)
        });
    match staged {
        Ok(()) => done.replaced = staging.commit()?,
        Err(Error::Durable(error)) => return Err(staging.discard(error).into()),
        Err(error) => {
            staging.abandon();
            return Err(error);
        }
    }
    done.written = missing;
    drop(locks);
    Ok(done)
}

fn stage<'a>(
    staging: &mut Staging<'_>,
    nodes: impl Iterator<Item = NodePlan<'a>>,
    plan: &Plan,
    options: &WriteOptions,
) -> Result<(), Error> {
    for node in nodes {
        let id = &node.server.id;
        let files = files(&node, plan, options.page_size)?;
        staging.folder(id, options.owner)?;
        staging.file_in(id, LOG_FILE, &files.log, Mode::PRIVATE_FILE, options.owner)?;
        staging.file_in(id, STABLE_FILE, &files.stable, Mode::PRIVATE_FILE, options.owner)?;
    }
    Ok(())
}

fn files(node: &NodePlan<'_>, plan: &Plan, page_size: usize) -> Result<StateFiles, Error> {
    let fail = |source| Error::Bolt { id: node.server.id.clone(), source };
    node.files(plan.current_term, page_size).map_err(fail)
}

/// What is in a server's folder before we write.
enum Found {
    Nothing,
    Same,
    Other(Vec<PathBuf>),
}

fn compare(folder: &StateDir, node: &NodePlan<'_>, plan: &Plan, page_size: usize) -> Result<Found, Error> {
    let there = folder.state_files().map_err(|source| Error::Read { path: folder.path().to_owned(), source })?;
    if there.is_empty() {
        return Ok(Found::Nothing);
    }
    let files = files(node, plan, page_size)?;
    let is_same = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        // A log that has grown may be larger than memory.
        let len = path.metadata().map_or(0, |metadata| metadata.len());
        Ok::<_, Error>(len == bytes.len() as u64 && read_if_there(&path)?.is_some_and(|there| there == bytes))
    };
    let has_snapshots = there.contains(&folder.path().join(SNAPSHOTS_FOLDER));
    if !has_snapshots && is_same(LOG_FILE, &files.log)? && is_same(STABLE_FILE, &files.stable)? {
        return Ok(Found::Same);
    }
    Ok(Found::Other(there))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}
