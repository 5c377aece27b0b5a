//! Putting a backup in the place of servers' directories: all of them or none, and never worse than before.
//!
//! 1. [`prepare`] stages the backup inside the state directory, hashes it in the same pass, and verifies what it staged.
//! 2. The [`Plan`] says what would change, and which guards speak against it.
//! 3. [`Prepared::commit`] swaps the directories in, by the journal of [`durable`]. Dropped instead, nothing has changed.

mod compare;
mod error;
mod guard;
mod place;
mod rename;
mod stage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use compare::Comparison;
use place::Place;
use stage::Staged;

pub use error::Error;
pub use guard::GUARDS;
pub use rename::Rename;

use crate::backup::{Backup, ConfigurationInfo, NodeInfo};
use crate::durable::IoError;
use crate::durable::{self, Committed, Moved, Owner, Root};
use crate::raft::Configuration;
use crate::report::Progress;
use crate::report::{Finding, Severity};
use crate::state::dir;
use crate::state::{self, StateDir, StateLock};

/// What to restore, and how.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// A server's directory, or the directory that holds them.
    pub state_dir: &'a Path,
    /// The only server to restore.
    pub node: Option<&'a str>,
    /// Who all of it will belong to; else who it belonged to, when that may be set.
    pub owner: Option<Owner>,
    /// Guards that don't count.
    pub allow: &'a [String],
    /// Directories of other servers of the cluster.
    pub peer_states: &'a [PathBuf],
    /// Other names.
    pub rename: &'a Rename,
    /// How long to wait for each lock.
    pub lock_timeout: Duration,
}

/// What a restore would change, and what speaks against it.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The backup.
    #[serde(serialize_with = "crate::report::lossy_path")]
    pub backup: PathBuf,
    /// The directory whose entries are replaced.
    #[serde(serialize_with = "crate::report::lossy_path")]
    pub root: PathBuf,
    /// The servers.
    pub nodes: Vec<NodeChange>,
    /// Each file.
    pub files: Vec<FileChange>,
    /// Paths of the backup that are not raft's, and not restored.
    pub left_out: Vec<String>,
    /// What is found in the backup, and the guards. One that is allowed is a warning.
    pub findings: Vec<Finding>,
    /// Ids of the guards that refuse it.
    pub refused_by: Vec<&'static str>,
}

/// A server, before and after.
#[derive(Debug, Serialize)]
pub struct NodeChange {
    /// Its id in the backup.
    pub id: String,
    /// Its directory.
    #[serde(serialize_with = "crate::report::lossy_path")]
    pub directory: PathBuf,
    /// What is there; none when nothing is.
    pub now: Option<NodeInfo>,
    /// Why what is there can't be read.
    pub now_unreadable: Option<String>,
    /// What would be.
    pub after: Option<NodeInfo>,
}

/// A file, before and after.
#[derive(Debug, Serialize)]
pub struct FileChange {
    /// Its path, relative to the root.
    #[serde(serialize_with = "crate::report::lossy_path")]
    pub path: PathBuf,
    /// Bytes that it has; none when it isn't there.
    pub now: Option<u64>,
    /// Bytes that it would have; none when it would be gone.
    pub after: Option<u64>,
}

/// A restore that is staged and verified.
#[derive(Debug)]
pub struct Prepared {
    /// What it would do.
    pub plan: Plan,
    /// None when it was refused before anything was staged.
    held: Option<Held>,
}

/// What is held between the plan and the swap.
#[derive(Debug)]
struct Held {
    staged: durable::Staging,
    /// The servers' directories, as they will be when what was interrupted is settled.
    dirs: Vec<StateDir>,
    /// None when a node runs and that is allowed.
    locked_until_swapped: Option<StateLock>,
}

impl Prepared {
    /// Swaps the servers in; returns the plan, and where what was there is now. A plan that is refused changes nothing.
    ///
    /// # Errors
    /// Also when a node started since the plan was made, or something else changed what is there.
    pub fn commit(self) -> (Plan, Result<Option<Committed>, Error>) {
        let committed = match self.held {
            Some(Held { staged, dirs, mut locked_until_swapped }) if self.plan.refused_by.is_empty() => {
                let mut hold = |moved: Moved<'_>| match &mut locked_until_swapped {
                    Some(lock) => Ok(lock.hold(&dirs, moved)?),
                    None => Ok(()),
                };
                staged.commit(&mut hold).map(Some)
            }
            _ => Ok(None),
        };
        (self.plan, committed)
    }
}

/// Stages and verifies a backup, and judges what restoring it would mean. What is there isn't changed.
pub fn prepare(options: &Options<'_>, progress: &dyn Progress) -> Result<Prepared, Error> {
    let backup = Backup::open(options.backup)?;
    let ids = chosen(&backup, options)?;
    let place = Place::find(options.state_dir, options.node, backup.manifest(), &ids)?;
    refuse_inside(options.backup, &place)?;
    let root = Root::open(&place.root, options.owner, options.lock_timeout)?;
    refuse_interrupted(&place)?;
    let mut plan = Plan::new(options.backup, &place);
    let lock = lock(&place, &root, options, &mut plan)?;
    let needed = backup.manifest().total_size();
    let free = durable::free_space(&place.root)?;
    if free < needed {
        plan.findings.push(guard::space(&place.root, needed, free));
    }
    plan.judge(options.allow);
    if !plan.refused_by.is_empty() {
        return Ok(Prepared { plan, held: None });
    }
    progress.expect(needed);
    let staged = Staged::new(root.stage()?, &backup, &place, options, progress)?;
    let comparison = Comparison { backup: &backup, place: &place, staged: &staged, options };
    comparison.add_to(&mut plan)?;
    plan.judge(options.allow);
    let dirs = place.dirs();
    Ok(Prepared { plan, held: Some(Held { staged: staged.staging, dirs, locked_until_swapped: lock }) })
}

/// Locks what is there; that a node runs is a guard.
fn lock(place: &Place, root: &Root, options: &Options<'_>, plan: &mut Plan) -> Result<Option<StateLock>, Error> {
    let after = place.nodes.iter().map(|(_, name)| StateDir::new(place.directory_after(root, name)));
    let dirs: Vec<StateDir> = place.dirs().into_iter().chain(after).collect();
    match state::lock(&dirs, options.lock_timeout) {
        Err(dir::Error::Locked { path, .. }) => {
            plan.findings.push(guard::locked(&path));
            Ok(None)
        }
        lock => Ok(Some(lock?)),
    }
}

/// What is half replaced elsewhere is another command's to settle.
fn refuse_interrupted(place: &Place) -> Result<(), Error> {
    let dirs = place.dirs();
    let elsewhere = dirs.iter().map(StateDir::path).chain(place.above.as_deref()).filter(|path| *path != place.root);
    match durable::interrupted(elsewhere)? {
        Some(stage) => Err(durable::Error::Pending { stage }.into()),
        None => Ok(()),
    }
}

/// The servers to restore: their ids in the backup and after.
fn chosen(backup: &Backup, options: &Options<'_>) -> Result<Vec<(String, String)>, Error> {
    let nodes = &backup.manifest().nodes;
    let ids = nodes.iter().map(|node| node.id.clone());
    let chosen: Vec<String> = ids.clone().filter(|id| options.node.is_none_or(|only| only == id)).collect();
    if let (Some(only), true) = (options.node, chosen.is_empty()) {
        return Err(Error::UnknownNode { id: only.to_owned(), known: ids.collect() });
    }
    if !options.rename.is_empty() {
        let latest: Vec<&ConfigurationInfo> =
            nodes.iter().filter_map(|node| node.info.configuration.as_ref()).collect();
        let members = latest.iter().flat_map(|at| &at.servers).map(|server| &server.id);
        let mut missing: Vec<String> = members.filter(|id| !chosen.contains(id)).cloned().collect();
        missing.sort();
        missing.dedup();
        if !missing.is_empty() {
            return Err(Error::RenameAlone { missing });
        }
        let configurations: Vec<Configuration> =
            latest.iter().map(|at| Configuration { servers: at.servers.clone() }).collect();
        options.rename.check(&configurations)?;
    }
    Ok(chosen.into_iter().map(|id| (id.clone(), options.rename.id(&id))).collect())
}

/// A backup that is in what is replaced would be gone from where it was named, and one in which something is replaced would be
/// one no more.
fn refuse_inside(backup: &Path, place: &Place) -> Result<(), Error> {
    let looking = |source| Error::Io(IoError { doing: "looking at", path: backup.to_owned(), source });
    if backup.is_dir() && durable::is_within(&place.root, [backup]).map_err(looking)? {
        return Err(Error::IntoBackup { path: place.root.clone() });
    }
    let dirs = if place.inside { Vec::new() } else { place.dirs() };
    match durable::is_within(backup, dirs.iter().map(StateDir::path)).map_err(looking)? {
        true => Err(Error::Inside { backup: backup.to_owned() }),
        false => Ok(()),
    }
}

impl Plan {
    fn new(backup: &Path, place: &Place) -> Plan {
        Plan {
            backup: backup.to_owned(),
            root: place.root.clone(),
            nodes: Vec::new(),
            files: Vec::new(),
            left_out: Vec::new(),
            findings: Vec::new(),
            refused_by: Vec::new(),
        }
    }

    /// Sets which guards refuse the plan; those that are allowed become warnings.
    fn judge(&mut self, allow: &[String]) {
        self.refused_by.clear();
        for finding in &mut self.findings {
            if !GUARDS.contains(&finding.id) {
                continue;
            }
            if allow.iter().any(|id| id.eq_ignore_ascii_case(finding.id)) {
                finding.severity = Severity::Warning;
            } else if !self.refused_by.contains(&finding.id) {
                self.refused_by.push(finding.id);
            }
        }
        self.findings.sort_by(|a, b| (b.severity, a.id, &a.place).cmp(&(a.severity, b.id, &b.place)));
        self.refused_by.sort_unstable();
    }
}
