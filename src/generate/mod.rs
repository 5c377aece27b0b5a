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
use crate::durable::IoError;
use crate::durable::{self, ReadError, Recovery, Root};
use crate::plan::{NodePlan, Plan, StateFiles};
use crate::state::dir::{self, DIR_MODE, FILE_MODE, LOG_FILE, STABLE_FILE, StateDir};
use crate::state::{self, ClusterFileError, Depth, LOST_FOUND, Node, StateLock, read_cluster_file};

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

/// A server whose state is not that of a new cluster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct HasRun {
    /// Its id.
    pub id: String,
    /// Its current term; none when its state can't be read.
    pub term: Option<u64>,
    /// Index of its last entry.
    pub last_index: Option<u64>,
    /// Number of the highest unsafe head.
    pub block: Option<u64>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The only server to write is not in the plan.
    #[error("{id:?} is not a server of the cluster")]
    UnknownServer {
        /// Its id.
        id: String,
    },
    /// Other state exists, and was not to be replaced.
    #[error("refusing to replace other state")]
    Existing {
        /// What would be replaced.
        files: Vec<PathBuf>,
        /// The servers of which that is state that has run, or that can't be read.
        run: Vec<HasRun>,
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
    /// It was not asked for.
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
    /// The servers whose state had run and was replaced.
    pub run: Vec<HasRun>,
    /// What was settled first, because earlier calls had been interrupted.
    pub recovered: Vec<Recovery>,
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

/// What a call would do.
#[derive(Debug)]
pub struct Judged {
    nodes: Vec<Change>,
    cluster_file: Change,
    run: Vec<HasRun>,
    foreign: Vec<String>,
}

/// Writes the directories of a plan and cluster.json to `root`.
///
/// # Errors
/// [`Error::Existing`] and [`dir::Error::Locked`] are refusals; nothing is changed by any error, but for
/// [`durable::Error::Unfinished`].
pub fn write(plan: &Plan<'_>, mut root: Root, options: &WriteOptions<'_>) -> Result<Outcome, Error> {
    let judged = judge(plan, &root, options)?;
    let written =
        |(node, change): (NodePlan<'_>, &Change)| (*change == Change::Written).then_some(node.server.id.clone());
    let ids: Vec<String> = plan.nodes().zip(&judged.nodes).filter_map(written).collect();
    let dirs: Vec<StateDir> = ids.iter().map(|id| StateDir::new(root.path().join(id))).collect();
    let mut locked_until_swapped = lock(&ids, &root, options)?;
    let Judged { nodes, cluster_file, run, foreign } = judged;
    let (replaced, recovered) = if ids.is_empty() && cluster_file == Change::Unchanged {
        (None, root.settle(&mut |moved| locked_until_swapped.hold(&dirs, moved))?)
    } else {
        let mut staging = root.stage()?;
        for node in plan.nodes().filter(|node| ids.contains(&node.server.id)) {
            let directory = Path::new(&node.server.id);
            let StateFiles { log, stable } = files(&node, options)?;
            staging.create_dir(directory, DIR_MODE)?;
            staging.write_file(directory.join(LOG_FILE), &log, FILE_MODE)?;
            staging.write_file(directory.join(STABLE_FILE), &stable, FILE_MODE)?;
        }
        if cluster_file == Change::Written {
            let bytes = planned_cluster_file(plan, options).encode();
            staging.write_file(CLUSTER_FILE, &bytes, FILE_MODE)?;
        }
        let committed = staging.commit(&mut |moved| locked_until_swapped.hold(&dirs, moved))?;
        (committed.replaced, committed.recovered)
    };
    Ok(Outcome { nodes, cluster_file, replaced, run, recovered, foreign })
}

/// Looks at what a call would do, as [`write()`] does, and refuses what that refuses. Changes nothing.
pub fn look(plan: &Plan<'_>, root: &Root, options: &WriteOptions<'_>) -> Result<(), Error> {
    let judged = judge(plan, root, options)?;
    let written = plan.nodes().zip(&judged.nodes).filter(|(_, change)| **change == Change::Written);
    let ids: Vec<String> = written.map(|(node, _)| node.server.id.clone()).collect();
    lock(&ids, root, options).map(drop)
}

/// Locks what the servers `ids` have now, and will have when what was interrupted is settled.
fn lock(ids: &[String], root: &Root, options: &WriteOptions<'_>) -> Result<StateLock, Error> {
    let places = ids.iter().flat_map(|id| [root.path().join(id), root.path_after(id)]);
    let dirs: Vec<StateDir> = places.map(StateDir::new).collect();
    Ok(state::lock(&dirs, options.lock_timeout)?)
}

fn judge(plan: &Plan<'_>, root: &Root, options: &WriteOptions<'_>) -> Result<Judged, Error> {
    check_only(plan, options.only)?;
    let (mut existing, mut run) = (Vec::new(), Vec::new());
    let mut nodes = Vec::new();
    for node in plan.nodes() {
        let id = &node.server.id;
        if options.only.is_some_and(|only| only != id) {
            nodes.push(Change::Skipped);
            continue;
        }
        let directory = root.path_after(id);
        let found = find_node(&node, &directory, options)?;
        if let Found::Other(files) = &found {
            // By their lasting names, wherever they are now.
            let names = files.iter().filter_map(|file| file.strip_prefix(&directory).ok());
            existing.extend(names.map(|name| root.path().join(id).join(name)));
            run.extend(has_run(id, &directory));
        }
        if !matches!(found, Found::Same) {
            check_replaceable(root, id)?;
        }
        nodes.push(if matches!(found, Found::Same) { Change::Unchanged } else { Change::Written });
    }
    let cluster_file = match find_cluster_file(&planned_cluster_file(plan, options), &root.path_after(CLUSTER_FILE))? {
        Found::Same => Change::Unchanged,
        Found::Nothing | Found::Part => Change::Written,
        Found::Other(files) => {
            existing.extend(files.iter().map(|_| root.path().join(CLUSTER_FILE)));
            Change::Written
        }
    };
    if cluster_file == Change::Written {
        root.check_replaceable(CLUSTER_FILE)?;
    }
    if !existing.is_empty() && !options.force {
        return Err(Error::Existing { files: existing, run });
    }
    Ok(Judged { nodes, cluster_file, run, foreign: foreign(plan, root.path())? })
}

/// A server's directory must be one that can be moved, and not be half replaced itself.
fn check_replaceable(root: &Root, id: &str) -> Result<(), Error> {
    root.check_replaceable(id)?;
    match durable::interrupted([root.path().join(id).as_path()])? {
        Some(stage) => Err(durable::Error::Pending { stage }.into()),
        None => Ok(()),
    }
}

/// What the state in `directory` is that has run; state that can't be read may have.
fn has_run(id: &str, directory: &Path) -> Option<HasRun> {
    let id = id.to_owned();
    let unreadable = HasRun { id: id.clone(), term: None, last_index: None, block: None };
    if !directory.join(LOG_FILE).exists() && !directory.join(STABLE_FILE).exists() {
        return None;
    }
    match Node::read(&StateDir::new(directory), Depth::Content, &mut |_| {}) {
        Ok(node) if !node.is_readable() => Some(unreadable),
        Ok(node) if node.has_run() => Some(HasRun {
            id,
            term: Some(node.stable.term().0),
            last_index: Some(node.last().0.0),
            block: node.head.map(|stored| stored.head.number),
        }),
        Ok(_) => None,
        Err(_) => Some(unreadable),
    }
}

fn planned_cluster_file(plan: &Plan<'_>, options: &WriteOptions<'_>) -> ClusterFile {
    ClusterFile::new(plan.spec(), plan.final_term(), options.page_size)
}

/// Checks that `only`, if given, is a server of the plan.
pub fn check_only(plan: &Plan<'_>, only: Option<&str>) -> Result<(), Error> {
    match only.filter(|id| plan.spec().configuration().server(id).is_none()) {
        Some(id) => Err(Error::UnknownServer { id: id.to_owned() }),
        None => Ok(()),
    }
}

fn files(node: &NodePlan<'_>, options: &WriteOptions<'_>) -> Result<StateFiles, Error> {
    node.files(options.page_size).map_err(|source| Error::Bolt { id: node.server.id.clone(), source })
}

/// What is in `directory`, the place of a node.
fn find_node(node: &NodePlan<'_>, directory: &Path, options: &WriteOptions<'_>) -> Result<Found, Error> {
    let dir = StateDir::new(directory);
    match fs::symlink_metadata(dir.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Ok(metadata) if !metadata.is_dir() => return Ok(Found::Other(vec![dir.path().to_owned()])),
        _ => {}
    }
    let mut names = dir.contents()?.unwrap_or_default();
    // Each new volume has it.
    names.retain(|name| name != LOST_FOUND);
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

fn find_cluster_file(planned: &ClusterFile, path: &Path) -> Result<Found, Error> {
    match read_cluster_file(path) {
        Ok(None) => Ok(Found::Nothing),
        Ok(Some(found)) if found.is_same_state(planned) => Ok(Found::Same),
        Err(ClusterFileError::Read(ReadError::Io(error))) if error.source.kind() != io::ErrorKind::InvalidInput => {
            Err(reading(path, error.source))
        }
        _ => Ok(Found::Other(vec![path.to_owned()])),
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
    let known = |name: &str| name.starts_with('.') || [CLUSTER_FILE, LOST_FOUND].contains(&name);
    let ids: HashSet<&str> = plan.spec().configuration().servers.iter().map(|server| server.id.as_str()).collect();
    Ok(names.into_iter().filter(|name| !known(name) && !ids.contains(name.as_str())).collect())
}

fn reading(path: &Path, source: io::Error) -> Error {
    Error::State(dir::Error::Io(IoError { doing: "reading", path: path.to_owned(), source }))
}
