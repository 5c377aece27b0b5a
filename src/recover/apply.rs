//! A plan on disk: the state of all its servers, or of one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use super::compare::{AppliedState, applied_state};
use super::error::LOCK_TIMEOUT;
use super::file::{PlanFile, server_files};
use super::input::Input;
use crate::cluster::{CLUSTER_FILE, ClusterFile};
use crate::durable::{Owner, Recovery, Root, Staging};
use crate::plan::{NodePlan, Plan};
use crate::state::dir::{self, DIR_MODE, FILE_MODE, SNAPSHOTS_DIR, StateDir};
use crate::state::{self, Depth, Node, has_state};

/// Mode of a snapshot's files. (hashicorp/raft file_snapshot.go: 0666 less the usual umask)
const SNAPSHOT_FILE_MODE: u32 = 0o644;

/// Where a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A directory for new state, which holds no other.
    New(&'a Path),
    /// The directory that holds the servers' directories, or one server's own: what is there is replaced when it is what
    /// the plan saw.
    InPlace(&'a Path),
}

/// How a plan is written.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ApplyOptions<'a> {
    /// Write this server's state alone.
    pub only: Option<&'a str>,
    /// Who it shall belong to; else who the directory belongs to that it replaces.
    pub owner: Option<Owner>,
    /// How long to wait for each lock.
    pub lock_timeout: Duration,
}

impl Default for ApplyOptions<'_> {
    fn default() -> Self {
        ApplyOptions { only: None, owner: None, lock_timeout: LOCK_TIMEOUT }
    }
}

/// What became of a server's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It has the planned state now.
    Written,
    /// It had the planned state already.
    Unchanged,
    /// It started from the planned state and has gone on: it is left as it is.
    GoneOn,
}

/// What was done.
#[derive(Debug)]
pub struct Applied {
    /// For each server that was asked for: its id and what became of it.
    pub servers: Vec<(String, Change)>,
    /// Where the state from before is now.
    pub replaced: Option<PathBuf>,
    /// What was settled first, because earlier commands had been interrupted.
    pub recovered: Vec<Recovery>,
}

/// Writes a plan: all servers that are asked for, or none. The same plan gives the same bytes everywhere.
///
/// # Errors
/// Also when a target has state that the plan didn't see. Nothing is changed by any error, but for
/// [`crate::durable::Error::Unfinished`].
pub fn apply(file: &PlanFile, target: Target<'_>, options: &ApplyOptions<'_>) -> Result<Applied, Error> {
    let (spec, head) = (file.cluster()?, file.head.bytes()?);
    let plan = Plan::recovered(&spec, file.index, &head)?;
    file.check(&plan)?;
    let place = Place::find(target, file, options.only)?;
    let owner = options.owner.or_else(|| place.owner());
    let mut root = Root::open(&place.root, owner, options.lock_timeout)?;
    let dirs: Vec<StateDir> = place.ids.iter().map(|id| place.dir(id)).collect();
    let mut locked_until_swapped = state::lock(&dirs, options.lock_timeout)?;
    let mut recovered = root.settle::<dir::Error>(&mut |moved| locked_until_swapped.hold(&dirs, moved))?;
    let servers: Vec<(String, Change)> =
        place.ids.iter().map(|id| Ok((id.clone(), place.judge(file, id)?))).collect::<Result<_, Error>>()?;
    let writes = |id: &str| servers.iter().any(|(known, change)| known == id && *change == Change::Written);
    if !servers.iter().any(|(id, _)| writes(id)) {
        return Ok(Applied { servers, replaced: None, recovered });
    }
    let staging = stage(root, &place, &plan, file, writes)?;
    let committed = staging.commit::<dir::Error>(&mut |moved| locked_until_swapped.hold(&dirs, moved))?;
    recovered.extend(committed.recovered);
    Ok(Applied { servers, replaced: committed.replaced, recovered })
}

/// Where the servers of one call go.
struct Place {
    root: PathBuf,
    /// The root is the directory of the only server.
    is_server: bool,
    is_new: bool,
    ids: Vec<String>,
}

impl Place {
    fn find(target: Target<'_>, file: &PlanFile, only: Option<&str>) -> Result<Place, Error> {
        let known = file.ids();
        let ids = match only {
            Some(id) if !known.iter().any(|known| known == id) => {
                return Err(Error::UnknownServer { id: id.to_owned(), known });
            }
            Some(id) => vec![id.to_owned()],
            None => known,
        };
        let (path, is_new) = match target {
            Target::New(path) => (path, true),
            Target::InPlace(path) => (path, false),
        };
        let is_server = path.exists() && has_state(path)?;
        if is_server && is_new {
            return Err(Error::Existing { path: path.to_owned() });
        }
        if is_server && ids.len() > 1 {
            return Err(Error::OneDirectory { path: path.to_owned(), servers: ids.len() });
        }
        Ok(Place { root: path.to_owned(), is_server, is_new, ids })
    }

    fn dir(&self, id: &str) -> StateDir {
        if self.is_server { StateDir::new(&self.root) } else { StateDir::new(self.root.join(id)) }
    }

    /// Where a path in a server's directory is, relative to the root.
    fn path(&self, id: &str, inside: &str) -> PathBuf {
        if self.is_server { PathBuf::from(inside) } else { Path::new(id).join(inside) }
    }

    /// Who the first directory belongs to that is replaced.
    fn owner(&self) -> Option<Owner> {
        let found = self.ids.iter().find_map(|id| self.dir(id).path().metadata().ok())?;
        rustix::process::geteuid().is_root().then(|| Owner { uid: found.uid(), gid: found.gid() })
    }

    /// What is to be done about a server's directory.
    fn judge(&self, file: &PlanFile, id: &str) -> Result<Change, Error> {
        let dir = self.dir(id);
        if !dir.path().exists() || !has_state(dir.path())? {
            return Ok(Change::Written);
        }
        let mut input = Input::read(&dir)?;
        input.facts.id = id.to_owned();
        let mut node = Node::read(&dir, Depth::Content, &mut |_| {})?;
        node.id = id.to_owned();
        match applied_state(file, &node)? {
            AppliedState::Planned => return Ok(Change::Unchanged),
            AppliedState::GoneOn => return Ok(Change::GoneOn),
            AppliedState::Other(_) if self.is_new => return Err(Error::Existing { path: dir.path().to_owned() }),
            AppliedState::Other(_) => {}
        }
        let mut seen = file.inputs.iter().filter(|seen| seen.facts.id == id).peekable();
        let (id, path) = (id.to_owned(), dir.path().to_owned());
        if seen.peek().is_none() {
            return Err(Error::Unseen { id, path });
        }
        if seen.any(|seen| seen.facts.sha256 == input.facts.sha256) {
            return Ok(Change::Written);
        }
        Err(Error::RanAgain { id, path })
    }
}

/// Stages the servers that are to be written, and reads them back.
fn stage(
    root: Root,
    place: &Place,
    plan: &Plan<'_>,
    file: &PlanFile,
    writes: impl Fn(&str) -> bool,
) -> Result<Staging, Error> {
    let mut staging = root.stage()?;
    for node in plan.nodes().filter(|node| writes(&node.server.id)) {
        stage_server(&mut staging, place, plan, &node)?;
        let id = node.server.id.as_str();
        let mut staged = Node::read(&StateDir::new(staging.staged(place.path(id, ""))), Depth::Pages, &mut |_| {})?;
        staged.id = id.to_owned();
        if let AppliedState::Other(reason) = applied_state(file, &staged)? {
            return Err(Error::Staged { id: id.to_owned(), reason });
        }
    }
    if !place.is_server {
        let cluster = ClusterFile::recovered(plan.spec(), plan.final_term(), file.page_size, file.index);
        staging.write_file(CLUSTER_FILE, &cluster.encode(), FILE_MODE)?;
    }
    Ok(staging)
}

fn stage_server(staging: &mut Staging, place: &Place, plan: &Plan<'_>, node: &NodePlan<'_>) -> Result<(), Error> {
    let id = node.server.id.as_str();
    if !place.is_server {
        staging.create_dir(id, DIR_MODE)?;
    }
    let snapshot = plan.snapshot().expect("a recovery plan has a snapshot");
    let snapshots = place.path(id, SNAPSHOTS_DIR);
    staging.create_dir(&snapshots, DIR_MODE)?;
    staging.create_dir(snapshots.join(&snapshot.meta.directory), DIR_MODE)?;
    for (path, bytes) in server_files(plan, node)? {
        let mode = if path.starts_with(SNAPSHOTS_DIR) { SNAPSHOT_FILE_MODE } else { FILE_MODE };
        staging.write_file(place.path(id, &path), &bytes, mode)?;
    }
    Ok(())
}
