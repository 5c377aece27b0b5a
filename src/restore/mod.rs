//! Putting a backup in the place of servers' directories: all of them or none, and never worse than before.
//!
//! 1. [`prepare`] stages the backup inside the state directory, hashes it in the same pass, and verifies what it staged.
//! 2. The [`Plan`] says what would change, and which guards speak against it.
//! 3. [`Prepared::commit`] swaps the directories in, by the journal of [`durable`]. Dropped instead, nothing has changed.

mod error;
mod guard;
mod place;
mod rename;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use place::Place;

pub use error::Error;
pub use guard::GUARDS;
pub use rename::Rename;

use crate::backup::check::{compare, compare_nodes};
use crate::backup::{Backup, ConfigurationInfo, FileEntry, NodeInfo, free_space};
use crate::cluster::CLUSTER_FILE;
use crate::durable::{self, Owner, Recovery, Staging, Syncer};
use crate::raft::Configuration;
use crate::report::Progress;
use crate::report::{Finding, Severity};
use crate::state::dir::{self, DIR_MODE, LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE, StateLock};
use crate::state::{Depth, Node, Servers, StateDir, has_state};
use crate::verify::{Report, verify_to};

/// What to restore, and how.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// A server's directory, or the directory that holds them.
    pub state_dir: &'a Path,
    /// The only server to restore.
    pub node: Option<&'a str>,
    /// Who all shall belong to; else who it belonged to, when that may be set.
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
    /// What was settled first, because an earlier command had been interrupted.
    pub recovery: Option<Recovery>,
    /// None when it was refused before anything was staged.
    staging: Option<Staging>,
    _locked_until_swapped: Option<StateLock>,
}

impl Prepared {
    /// Swaps the servers in; gives the plan, and where what was there is now. A plan that is refused changes nothing.
    pub fn commit(self) -> (Plan, Result<Option<PathBuf>, Error>) {
        let replaced = match self.staging {
            Some(staging) if self.plan.refused_by.is_empty() => staging.commit().map_err(Error::from),
            _ => Ok(None),
        };
        (self.plan, replaced)
    }
}

/// Stages and verifies a backup, and judges what restoring it would mean. What is there isn't changed.
pub fn prepare(options: &Options<'_>, progress: &dyn Progress) -> Result<Prepared, Error> {
    let backup = Backup::open(options.backup)?;
    let ids = chosen(&backup, options)?;
    let place = Place::find(options.state_dir, backup.manifest(), &ids)?;
    refuse_inside(options.backup, &place)?;
    let whole = options.node.is_none() && place.is_state_dir;
    let mut plan = Plan {
        backup: options.backup.to_owned(),
        root: place.root.clone(),
        nodes: Vec::new(),
        files: Vec::new(),
        findings: Vec::new(),
        refused_by: Vec::new(),
    };
    let (root, recovery) = dir::open_root(&place.root, options.owner, options.lock_timeout)?;
    let dirs: Vec<StateDir> = place.nodes.iter().map(|(_, name)| StateDir::new(place.directory(name))).collect();
    let lock = match dir::lock(&dirs, options.lock_timeout) {
        Ok(lock) => Some(lock),
        Err(dir::Error::Locked { path, .. }) => {
            plan.findings.push(guard::locked(&path));
            None
        }
        Err(error) => return Err(error.into()),
    };
    let needed = backup.manifest().total_size();
    let free = free_space(&place.root)?;
    if free < needed {
        plan.findings.push(guard::space(&place.root, needed, free));
    }
    judge(&mut plan, options.allow);
    if !plan.refused_by.is_empty() {
        return Ok(Prepared { plan, recovery, staging: None, _locked_until_swapped: lock });
    }
    progress.expect(needed);
    let staging = root.stage()?;
    let (staging, found) = stage(staging, &backup, &place, whole, progress)?;
    let report = content(&staging, &backup, &place, whole, options, &found)?;
    let staging = finish(staging, &backup, &place, whole)?;
    compare_with_now(&mut plan, &backup, &place, &report, options)?;
    plan.files = files(&backup, &place, whole);
    plan.findings.extend(guard::verification(&[&found[..], &report.findings].concat()));
    plan.findings.extend(guard::gap(&report.findings));
    plan.findings.extend(found);
    plan.findings.extend(report.findings);
    judge(&mut plan, options.allow);
    Ok(Prepared { plan, recovery, staging: Some(staging), _locked_until_swapped: lock })
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

/// A backup that lies in what is replaced would be gone from where it was named.
fn refuse_inside(backup: &Path, place: &Place) -> Result<(), Error> {
    let Ok(real) = backup.canonicalize() else { return Ok(()) };
    let is_inside = |directory: PathBuf| directory.canonicalize().is_ok_and(|directory| real.starts_with(directory));
    match !place.inside && place.nodes.iter().any(|(_, name)| is_inside(place.directory(name))) {
        true => Err(Error::Inside { backup: backup.to_owned() }),
        false => Ok(()),
    }
}

/// Copies what is to be restored to the stage, and compares all of the backup with its manifest, in one pass.
fn stage(
    mut staging: Staging,
    backup: &Backup,
    place: &Place,
    whole: bool,
    progress: &dyn Progress,
) -> Result<(Staging, Vec<Finding>), Error> {
    for directory in &backup.manifest().directories {
        if let Some(path) = place.path(&directory.path) {
            // With its own mode we could perhaps not write to it.
            staging.create_dir(path, 0o700)?;
        }
    }
    if place.inside && !backup.manifest().directories.iter().any(|it| it.path.ends_with(SNAPSHOTS_DIR)) {
        // The snapshots that are there belong to another log.
        staging.create_dir(SNAPSHOTS_DIR, DIR_MODE)?;
    }
    let syncer = Syncer::start();
    let shared = RefCell::new(staging);
    let mut make = |file: &FileEntry| match target(file, place, whole) {
        Some(path) => {
            let mut staging = shared.borrow_mut();
            Ok(Some((staging.create_file(&path)?, staging.staged(path))))
        }
        None => Ok(None),
    };
    let mut made = |file: &FileEntry, to| {
        if let Some(path) = target(file, place, whole) {
            syncer.sync(to, &shared.borrow().staged(path));
        }
        Ok(())
    };
    let found = compare(backup, &mut make, &mut made, Some(&syncer), progress);
    // The error that came first is the one to tell.
    let synced = syncer.finish();
    let found = found?;
    synced?;
    Ok((shared.into_inner(), found))
}

/// Where a file of the backup goes; none when it isn't asked for.
fn target(file: &FileEntry, place: &Place, whole: bool) -> Option<PathBuf> {
    if file.path == CLUSTER_FILE {
        return whole.then(|| PathBuf::from(CLUSTER_FILE));
    }
    place.path(&file.path)
}

/// Gives what is staged other names, if asked to, and verifies it.
fn content(
    staging: &Staging,
    backup: &Backup,
    place: &Place,
    whole: bool,
    options: &Options<'_>,
    found: &[Finding],
) -> Result<Report, Error> {
    let damaged = found.iter().any(|finding| finding.severity == Severity::Error);
    let nothing = || Report { nodes: Vec::new(), findings: Vec::new(), winners: None };
    if !options.rename.is_empty() {
        if damaged {
            return Ok(nothing());
        }
        for (_, name) in &place.nodes {
            options.rename.node(&staging.staged(if place.inside { "" } else { name }))?;
        }
        if whole {
            options.rename.cluster_file(&staging.staged(""))?;
        }
    }
    let mut report = match verify_to(&staging.staged(""), Depth::Pages, None, &()) {
        // What is damaged need not be readable.
        Err(_) if damaged => return Ok(nothing()),
        report => report?,
    };
    for node in &mut report.nodes {
        if let (true, [(_, name)]) = (place.inside, place.nodes.as_slice()) {
            node.id.clone_from(name);
        }
    }
    for finding in &mut report.findings {
        if let (true, [(_, name)], Some(node)) = (place.inside, place.nodes.as_slice(), &mut finding.place.node) {
            node.clone_from(name);
        }
    }
    // A guard says it with the directory's own name, and one server of several isn't missed here.
    report.findings.retain(|finding| !["NODE-002", "CLUSTER-004"].contains(&finding.id));
    if options.rename.is_empty() && !damaged && !backup.by_ancestor() {
        let mut manifest = backup.manifest().clone();
        manifest.nodes.retain_mut(|node| {
            let name = place.nodes.iter().find(|(id, _)| *id == node.id).map(|(_, name)| name.clone());
            name.map(|name| node.id = name).is_some()
        });
        let found = compare_nodes(&manifest, &report);
        report.add(found);
    }
    Ok(report)
}

/// Gives all that is staged its mode and its owner.
fn finish(mut staging: Staging, backup: &Backup, place: &Place, whole: bool) -> Result<Staging, Error> {
    let is_root = rustix::process::geteuid().is_root();
    // As tar does: only root can, and is expected to.
    let owner = |uid, gid| is_root.then_some(Owner { uid, gid });
    for file in &backup.manifest().files {
        if let Some(path) = target(file, place, whole).filter(|path| staging.staged(path).exists()) {
            staging.give(path, file.mode, owner(file.uid, file.gid))?;
        }
    }
    let mut directories: Vec<_> = backup.manifest().directories.iter().collect();
    directories.sort_by_key(|directory| std::cmp::Reverse(directory.path.len()));
    for directory in directories {
        if let Some(path) = place.path(&directory.path) {
            staging.give(path, directory.mode, owner(directory.uid, directory.gid))?;
        }
    }
    Ok(staging)
}

/// What each server is now and would be, and the guards that look at both.
fn compare_with_now(
    plan: &mut Plan,
    backup: &Backup,
    place: &Place,
    report: &Report,
    options: &Options<'_>,
) -> Result<(), Error> {
    let names: Vec<&str> = place.nodes.iter().map(|(_, name)| name.as_str()).collect();
    let peers = peers(place, &names, options)?;
    let mut has_run = peers.iter().any(Node::has_run);
    let mut is_older = false;
    for (id, name) in &place.nodes {
        let staged = report.nodes.iter().find(|node| node.id == *name);
        let after = staged.map(NodeInfo::from);
        let directory = place.directory(name);
        let now = match has_state(&directory)? {
            true => Some(Node::read(&StateDir::new(&directory), Depth::Content, &mut |_| {})),
            false => None,
        };
        let (now, now_unreadable) = match now {
            Some(Err(error)) => (None, Some(error.to_string())),
            Some(Ok(node)) => (Some(node), None),
            None => (None, None),
        };
        has_run |= staged.is_some_and(Node::has_run) || now.as_ref().is_some_and(Node::has_run);
        let now = now.as_ref().map(NodeInfo::from);
        is_older |= now.is_none() || now != after;
        if let Some(after) = &after {
            let guards = now.iter().flat_map(|now| guard::against_itself(name, now, after));
            plan.findings.extend(guards.chain(peers.iter().flat_map(|peer| guard::against_peer(name, peer, after))));
        }
        plan.findings.extend(guard::names(name, &options.rename.id(id), staged));
        plan.nodes.push(NodeChange { id: id.clone(), directory, now, now_unreadable, after });
    }
    let ids: Vec<String> = place.nodes.iter().map(|(id, _)| options.rename.id(id)).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let missing = guard::missing_voters(report.nodes.iter(), &ids);
    let has_run = has_run || backup.manifest().nodes.iter().any(|node| !node.info.snapshots.is_empty());
    if !missing.is_empty() && has_run && is_older {
        plan.findings.push(guard::alone(&missing, &ids));
    }
    Ok(())
}

/// Other servers of the cluster, as far as the user named them or they lie beside.
fn peers(place: &Place, names: &[&str], options: &Options<'_>) -> Result<Vec<Node>, Error> {
    let mut dirs = Vec::new();
    for directory in options.peer_states {
        dirs.extend_from_slice(Servers::find(directory)?.dirs());
    }
    if place.is_state_dir
        && let Ok(beside) = Servers::find(&place.root)
    {
        dirs.extend(beside.dirs().iter().filter(|dir| !names.contains(&dir.id())).cloned());
    }
    dirs.iter().map(|dir| Ok(Node::read(dir, Depth::Content, &mut |_| {})?)).collect()
}

/// Each file that would be written, and each of raft's that would be gone.
fn files(backup: &Backup, place: &Place, whole: bool) -> Vec<FileChange> {
    let size =
        |path: &Path| place.root.join(path).metadata().ok().filter(std::fs::Metadata::is_file).map(|it| it.len());
    let mut changes = Vec::new();
    for file in &backup.manifest().files {
        if let Some(path) = target(file, place, whole) {
            changes.push(FileChange { now: size(&path), after: Some(file.size), path });
        }
    }
    for (_, name) in &place.nodes {
        let directory = place.directory(name);
        let mut there = vec![directory.join(LOG_FILE), directory.join(STABLE_FILE)];
        for snapshot in std::fs::read_dir(directory.join(SNAPSHOTS_DIR)).into_iter().flatten().flatten() {
            let inside = std::fs::read_dir(snapshot.path()).into_iter().flatten().flatten();
            there.extend(inside.map(|entry| entry.path()));
        }
        for path in there {
            let Ok(path) = path.strip_prefix(&place.root).map(Path::to_owned) else { continue };
            if size(&path).is_some() && !changes.iter().any(|change| change.path == path) {
                changes.push(FileChange { now: size(&path), after: None, path });
            }
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// Sets which guards refuse the plan; those that are allowed become warnings.
fn judge(plan: &mut Plan, allow: &[String]) {
    plan.refused_by.clear();
    for finding in &mut plan.findings {
        if !GUARDS.contains(&finding.id) {
            continue;
        }
        if allow.iter().any(|id| id.eq_ignore_ascii_case(finding.id)) {
            finding.severity = Severity::Warning;
        } else if !plan.refused_by.contains(&finding.id) {
            plan.refused_by.push(finding.id);
        }
    }
    plan.findings.sort_by(|a, b| (b.severity, a.id, &a.place).cmp(&(a.severity, b.id, &b.place)));
    plan.refused_by.sort_unstable();
}

/// Removes what a restore kept.
pub fn discard(replaced: &Path) -> Result<(), Error> {
    std::fs::remove_dir_all(replaced)
        .map_err(|source| durable::Error::Io { doing: "removing", path: replaced.to_owned(), source }.into())
}
