//! A plan on disk: all files of the call, or none.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bolt;
use crate::cluster::{CLUSTER_FILE, ClusterFile};
use crate::durable::{self, ReadError, Root};
use crate::plan::{NodePlan, Plan, StateFiles};
use crate::state::dir::{self, DIR_MODE, FILE_MODE, LOG_FILE, STABLE_FILE, StateDir};
use crate::state::{ClusterFileError, read_cluster_file};

/// What to write, and how.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions<'a> {
    /// Write the directory of this server alone.
    pub only: Option<&'a str>,
    /// Replace what is there.
    pub force: bool,
    /// Page size of the stores in bytes.
    pub page_size: usize,
    /// How long to wait for each lock.
    pub lock_timeout: Duration,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--only` names nobody.
    #[error("--only: {id:?} is not in --server-ids")]
    UnknownServer {
        /// Its id.
        id: String,
    },
    /// There is other state, and no leave to replace it.
    #[error("refusing to replace other state")]
    Existing {
        /// What would be replaced.
        files: Vec<PathBuf>,
    },
    /// The stores of a node can't be made.
    #[error("making the stores of {id:?}")]
    Bolt {
        /// The node.
        id: String,
        /// Why.
        #[source]
        source: bolt::Error,
    },
    /// The servers' directories can't be used.
    #[error(transparent)]
    State(#[from] dir::Error),
    /// The files can't be put in place.
    #[error(transparent)]
    Durable(#[from] durable::Error),
}

/// What became of an entry of the output directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Written,
    /// The same bytes were there.
    Unchanged,
    /// It was not asked for (`--only`).
    Skipped,
}

/// What was done.
#[derive(Debug)]
pub struct Outcome {
    /// For each server, in the order of the flags.
    pub nodes: Vec<Change>,
    /// For cluster.json.
    pub cluster_file: Change,
    /// Where the state from before is now.
    pub replaced: Option<PathBuf>,
    /// Names in the output directory that belong to nobody here; they were left as they are.
    pub foreign: Vec<String>,
}

/// What is in the place of something planned.
enum Found {
    Nothing,
    Same,
    /// Some of the planned files, and nothing else.
    Part,
    Other(Vec<PathBuf>),
}

/// Writes the directories of a plan and cluster.json to `root`, which [`dir::open_root`] gives.
///
/// # Errors
/// [`Error::Existing`] and [`dir::Error::Locked`] are refusals; nothing is changed by any error, but for
/// [`durable::Error::Unfinished`].
pub fn write(plan: &Plan<'_>, root: Root, options: &WriteOptions<'_>) -> Result<Outcome, Error> {
    check_only(plan, options.only)?;
    let output_dir = root.path();
    let cluster_file = ClusterFile::new(plan.spec(), plan.final_term(), options.page_size);
    let mut existing = Vec::new();
    let mut judge = |found| match found {
        Found::Same => Change::Unchanged,
        Found::Nothing | Found::Part => Change::Written,
        Found::Other(files) => {
            existing.extend(files);
            Change::Written
        }
    };
    let mut nodes = Vec::new();
    for node in plan.nodes() {
        let skipped = options.only.is_some_and(|only| only != node.server.id);
        nodes.push(if skipped { Change::Skipped } else { judge(find_node(&node, output_dir, options)?) });
    }
    let cluster_change = judge(find_cluster_file(&cluster_file, output_dir)?);
    if !existing.is_empty() && !options.force {
        return Err(Error::Existing { files: existing });
    }
    let foreign = foreign(plan, output_dir)?;
    let replaced = put(plan, root, options, &nodes, (cluster_change == Change::Written).then_some(&cluster_file))?;
    Ok(Outcome { nodes, cluster_file: cluster_change, replaced, foreign })
}

/// Checks that `only`, if given, is a server of the plan.
pub fn check_only(plan: &Plan<'_>, only: Option<&str>) -> Result<(), Error> {
    match only.filter(|id| plan.spec().configuration().server(id).is_none()) {
        Some(id) => Err(Error::UnknownServer { id: id.to_owned() }),
        None => Ok(()),
    }
}

/// Stages what is to be written, and swaps it in while no node can start on what was there.
fn put(
    plan: &Plan<'_>,
    root: Root,
    options: &WriteOptions<'_>,
    nodes: &[Change],
    cluster_file: Option<&ClusterFile>,
) -> Result<Option<PathBuf>, Error> {
    let written = || plan.nodes().zip(nodes).filter(|(_, change)| **change == Change::Written).map(|(node, _)| node);
    if written().next().is_none() && cluster_file.is_none() {
        return Ok(None);
    }
    let dirs: Vec<StateDir> = written().map(|node| StateDir::new(root.path().join(&node.server.id))).collect();
    let _locked_until_swapped = dir::lock(&dirs, options.lock_timeout)?;
    let mut staging = root.stage()?;
    for node in written() {
        let directory = Path::new(&node.server.id);
        let StateFiles { log, stable } = files(&node, options)?;
        staging.create_dir(directory, DIR_MODE)?;
        staging.write_file(directory.join(LOG_FILE), &log, FILE_MODE)?;
        staging.write_file(directory.join(STABLE_FILE), &stable, FILE_MODE)?;
    }
    if let Some(cluster_file) = cluster_file {
        staging.write_file(CLUSTER_FILE, &cluster_file.encode(), FILE_MODE)?;
    }
    Ok(staging.commit()?)
}

fn files(node: &NodePlan<'_>, options: &WriteOptions<'_>) -> Result<StateFiles, Error> {
    node.files(options.page_size).map_err(|source| Error::Bolt { id: node.server.id.clone(), source })
}

fn find_node(node: &NodePlan<'_>, output_dir: &Path, options: &WriteOptions<'_>) -> Result<Found, Error> {
    let dir = StateDir::new(output_dir.join(&node.server.id));
    match fs::symlink_metadata(dir.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Ok(metadata) if !metadata.is_dir() => return Ok(Found::Other(vec![dir.path().to_owned()])),
        _ => {}
    }
    let names = dir.contents()?.unwrap_or_default();
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    let planned = files(node, options)?;
    let mut others = Vec::new();
    for name in &names {
        let path = dir.path().join(name);
        let same = match name.as_str() {
            LOG_FILE => holds(&path, &planned.log)?,
            STABLE_FILE => holds(&path, &planned.stable)?,
            _ => false,
        };
        if !same {
            others.push(path);
        }
    }
    Ok(match (others.is_empty(), names.len()) {
        (false, _) => Found::Other(others),
        (true, 2) => Found::Same,
        (true, _) => Found::Part,
    })
}

fn find_cluster_file(planned: &ClusterFile, output_dir: &Path) -> Result<Found, Error> {
    let path = output_dir.join(CLUSTER_FILE);
    match read_cluster_file(output_dir) {
        Ok(None) => Ok(Found::Nothing),
        Ok(Some(found)) if found.is_same_state(planned) => Ok(Found::Same),
        Err(ClusterFileError::Read(ReadError::Io(error))) if error.source.kind() != io::ErrorKind::InvalidInput => {
            Err(reading(&path, error.source))
        }
        _ => Ok(Found::Other(vec![path])),
    }
}

/// Whether the file at `path` has exactly these bytes. A store of a cluster that has run may be large: it isn't read.
fn holds(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    let metadata = fs::symlink_metadata(path).map_err(|source| reading(path, source))?;
    if !metadata.is_file() || metadata.len() != bytes.len() as u64 {
        return Ok(false);
    }
    Ok(fs::read(path).map_err(|source| reading(path, source))? == bytes)
}

/// What no server of the plan and no other part of the layout has for its name.
fn foreign(plan: &Plan<'_>, output_dir: &Path) -> Result<Vec<String>, Error> {
    let names = StateDir::new(output_dir).contents()?.unwrap_or_default();
    let known = |name: &str| name.starts_with('.') || [CLUSTER_FILE, "lost+found"].contains(&name);
    let ids: HashSet<&str> = plan.spec().configuration().servers.iter().map(|server| server.id.as_str()).collect();
    Ok(names.into_iter().filter(|name| !known(name) && !ids.contains(name.as_str())).collect())
}

fn reading(path: &Path, source: io::Error) -> Error {
    Error::State(dir::Error::Io { doing: "reading", path: path.to_owned(), source })
}
