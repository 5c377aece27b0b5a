//! Copies of servers' directories that can be trusted: complete, hashed, and verified before they count.
//!
//! ```text
//! <backup-dir>/raft-backup-20260131-235959/   there by one rename, when all of it is durable
//!     manifest.json                           what it consists of, and what info says of each node
//!     SHA256SUMS                              for sha256sum -c
//!     cluster.json                            if there was one
//!     <id>/raft-log.db, raft-stable.db, snapshots/
//! ```
//!
//! A node that is stopped is copied byte for byte, under a shared lock. One that runs is copied without (`live`).

mod archive;
pub(crate) mod check;
mod collect;
pub(crate) mod copy;
mod draft;
mod error;
mod legacy;
mod list;
mod live;
mod manifest;
mod open;
mod prune;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use collect::copy_server;
use draft::Draft;

pub use archive::EXTENSION;
pub use check::{Verified, verify};
pub use error::{Error, NoBackup};
pub use legacy::ANCESTORS_FILE;
pub use list::{Listed, list};
pub use manifest::{
    ConfigurationInfo, DirectoryEntry, FileEntry, HeadInfo, Layout, MANIFEST_FILE, Manifest, ManifestError, NodeEntry,
    NodeInfo, SUMS_FILE, SnapshotInfo, Vote,
};
pub use open::{Backup, EachFile, Form, names_in};
pub use prune::{Pruned, prune};

use crate::cluster::CLUSTER_FILE;
use crate::durable::IoError;
use crate::durable::{self, Publication, Syncer};
use crate::report::Progress;
use crate::report::{Finding, Severity};
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::state::{Depth, LOST_FOUND, Servers, StateDir};
use crate::verify::{Report, verify_to};

/// Mode of a backup's own directory.
const BACKUP_MODE: u32 = 0o700;
/// Mode of what the tool adds.
const ADDED_MODE: u32 = 0o600;
/// What a backup's name begins with.
const NAME: &str = "raft-backup-";
/// What a backup is called while it is made, and its archive.
const MADE: &str = "backup";
const PACKED: &str = "archive";
/// So often running nodes are copied again whose copy doesn't hold together.
const TRIES: u32 = 5;

/// What was made.
#[derive(Debug)]
pub struct Outcome {
    /// The directory or archive.
    pub path: PathBuf,
    /// What it consists of.
    pub manifest: Manifest,
    /// What isn't as it should be, without what would have prevented it.
    pub findings: Vec<Finding>,
    /// Files that are no part of raft's state, and not in the backup.
    pub left_out: Vec<PathBuf>,
}

/// Backs up the server's directory `state_dir`, or all servers' directories in it, to something new in `backup_dir`.
pub fn backup(
    state_dir: &Path,
    backup_dir: &Path,
    form: Form,
    lock_timeout: Duration,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let servers = Servers::find(state_dir)?;
    let layout = if servers.is_one() { Layout::Node } else { Layout::Nodes };
    refuse_inside(backup_dir, state_dir, servers.dirs())?;
    let root = servers.root();
    let _undisturbed = undisturbed(root, lock_timeout)?;
    refuse_interrupted(&servers)?;
    let needed = servers.dirs().iter().map(size).sum();
    progress.expect(needed);
    let mut fresh = Publication::begin(backup_dir)?;
    // An archive is made of the directory.
    check_space(backup_dir, if form == Form::Archive { needed.saturating_mul(2) } else { needed })?;
    fresh.create_dir(MADE, BACKUP_MODE)?;
    let mut manifest = Manifest::new(&std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned()), layout);
    let syncer = (form == Form::Directory).then(Syncer::start);
    let findings = {
        let mut draft = Draft {
            fresh: &mut fresh,
            top: Path::new(MADE),
            manifest: &mut manifest,
            syncer: syncer.as_ref(),
            progress,
        };
        let cluster_file = root.join(CLUSTER_FILE);
        // Not through a link, which could lead to a file that only this user may read.
        if cluster_file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            draft.copy_file(&cluster_file, CLUSTER_FILE)?;
        }
        take(&mut draft, servers.dirs())?
    };
    refuse_interrupted(&servers)?;
    let (bytes, sums) = closing(&manifest);
    fresh.write_file(Path::new(MADE).join(MANIFEST_FILE), &bytes, ADDED_MODE)?;
    fresh.write_file(Path::new(MADE).join(SUMS_FILE), sums.as_bytes(), ADDED_MODE)?;
    syncer.map_or(Ok(()), Syncer::finish)?;
    let path = match form {
        Form::Directory => {
            if *Backup::open(&fresh.path().join(MADE))?.manifest() != manifest {
                return Err(Error::NotSound { findings: Vec::new() });
            }
            fresh.publish(MADE, names(&manifest, ""))?
        }
        Form::Archive => {
            pack(&mut fresh, &manifest)?;
            fresh.publish(PACKED, names(&manifest, EXTENSION))?
        }
    };
    Ok(Outcome { path, manifest, findings, left_out: left_out(root, servers.dirs()) })
}

/// Ensures that no replacement begins while the returned lock is held. Who may not even read the directory above a server's
/// can't have begun one there.
fn undisturbed(root: &Path, lock_timeout: Duration) -> Result<Option<File>, Error> {
    match durable::lock_shared(root, lock_timeout) {
        Err(durable::Error::Io(IoError { source, .. })) if source.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        lock => Ok(Some(lock?)),
    }
}

/// Refuses state of which some may be old and some new: in the directory of the servers, or in a server's own.
fn refuse_interrupted(servers: &Servers) -> Result<(), Error> {
    let directories = std::iter::once(servers.root()).chain(servers.dirs().iter().map(StateDir::path));
    match durable::interrupted(directories)? {
        Some(stage) => Err(Error::Pending { stage }),
        None => Ok(()),
    }
}

/// Makes the archive of the directory that was made, and reads it back.
fn pack(fresh: &mut Publication, manifest: &Manifest) -> Result<(), Error> {
    let name = names(manifest, "").next().unwrap_or_default();
    let path = fresh.path().join(PACKED);
    let packing = |source| Error::Io(IoError { doing: "writing", path: path.clone(), source });
    let to = fresh.create_file(PACKED, ADDED_MODE)?;
    archive::pack(&fresh.path().join(MADE), &name, manifest, to).map_err(packing)?;
    let packed = Backup::open(&path)?;
    let found = check::compare(&packed, &mut |_| Ok(None), &mut |_, _| Ok(()), None, &())?;
    match found.is_empty() && packed.manifest() == manifest {
        true => Ok(fresh.remove(MADE)?),
        false => Err(Error::NotSound { findings: found }),
    }
}

/// Copies all nodes until the copies hold together; returns what is found in them all the same.
fn take(draft: &mut Draft<'_>, dirs: &[StateDir]) -> Result<Vec<Finding>, Error> {
    if let Some(dir) = dirs.iter().find(|dir| dir.id().contains(char::REPLACEMENT_CHARACTER)) {
        return Err(Error::Name { path: dir.path().to_owned() });
    }
    let mut todo: Vec<&StateDir> = dirs.iter().collect();
    let mut running = Vec::new();
    let mut entries: Vec<NodeEntry> = Vec::new();
    let mut attempt = 1;
    loop {
        for dir in &todo {
            let id = dir.id().to_owned();
            let copied = copy_server(draft, dir)?;
            if copied.running {
                running.push(id.clone());
            }
            let (running, rewritten) = (copied.running, copied.rewritten);
            entries.push(NodeEntry { id, running, rewritten, info: NodeInfo::default() });
        }
        let copy = draft.fresh.path().join(draft.top);
        let report = verify_to(&copy, Depth::Pages, None, &())?;
        let bad: Vec<&str> = report.findings.iter().filter(|it| is_blocking(it)).filter_map(in_node).collect();
        todo.retain(|dir| running.iter().any(|id| id == dir.id()) && bad.contains(&dir.id()));
        if todo.is_empty() || attempt == TRIES {
            return judge(draft, entries, report);
        }
        for dir in &todo {
            draft.remove_server(dir.id())?;
            entries.retain(|entry| entry.id != dir.id());
        }
        std::thread::sleep(Duration::from_millis(100) * attempt);
        attempt += 1;
    }
}

/// Refuses what raft could not start from, and notes what each node has.
fn judge(draft: &mut Draft<'_>, mut entries: Vec<NodeEntry>, report: Report) -> Result<Vec<Finding>, Error> {
    if report.findings.iter().any(is_blocking) {
        return Err(Error::NotSound { findings: report.findings });
    }
    for entry in &mut entries {
        if let Some(node) = report.nodes.iter().find(|node| node.id == entry.id) {
            entry.info = NodeInfo::from(node);
        }
    }
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    draft.manifest.nodes = entries;
    draft.manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
    draft.manifest.directories.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(report.findings)
}

/// Whether a finding means that a node could not start from its directory. What is wrong between nodes, or with a payload,
/// was so before, and a backup of it is what the user wants.
pub(crate) fn is_blocking(finding: &Finding) -> bool {
    let elsewhere = ["CLUSTER-", "PAY-"].iter().any(|family| finding.id.starts_with(family));
    finding.severity == Severity::Error && !elsewhere
}

fn in_node(finding: &Finding) -> Option<&str> {
    finding.place.node.as_deref()
}

/// The manifest's bytes, and the sums of all.
fn closing(manifest: &Manifest) -> (Vec<u8>, String) {
    let bytes = manifest.encode();
    let sums = manifest.sums(&copy::sha256(&bytes));
    (bytes, sums)
}

/// Names for a backup, as long as they are taken.
fn names(manifest: &Manifest, extension: &'static str) -> impl Iterator<Item = String> + use<> {
    let name = manifest.created.strftime("raft-backup-%Y%m%d-%H%M%S").to_string();
    let first = std::iter::once(format!("{name}{extension}"));
    first.chain((2..10_000).map(move |number| format!("{name}-{number}{extension}")))
}

/// Refuses a backup within what it is of, by whatever way that is reached.
fn refuse_inside(backup_dir: &Path, state_dir: &Path, dirs: &[StateDir]) -> Result<(), Error> {
    let looking = |source| Error::Io(IoError { doing: "looking at", path: backup_dir.to_owned(), source });
    let all = std::iter::once(state_dir).chain(dirs.iter().map(StateDir::path));
    match durable::is_within(backup_dir, all).map_err(looking)? {
        true => Err(Error::Inside { backup_dir: backup_dir.to_owned(), state_dir: state_dir.to_owned() }),
        false => Ok(()),
    }
}

/// Bytes of what a backup has of the server's directory.
fn size(dir: &StateDir) -> u64 {
    let file = |path: PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let databases: u64 = [dir.log_path(), dir.stable_path()].into_iter().map(file).sum();
    let snapshots = std::fs::read_dir(dir.snapshots_path()).into_iter().flatten().flatten();
    let files = snapshots.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten().flatten());
    databases + files.map(|entry| file(entry.path())).sum::<u64>()
}

/// Refuses a backup for which there is no room.
fn check_space(directory: &Path, needed: u64) -> Result<(), Error> {
    let free = durable::free_space(directory)?;
    if free < needed {
        return Err(Error::NoSpace { path: directory.to_owned(), needed, free });
    }
    Ok(())
}

/// What is in the servers' directories and isn't raft's, and a cluster.json that is a link.
fn left_out(root: &Path, dirs: &[StateDir]) -> Vec<PathBuf> {
    let is_ours = |name: &str| [LOG_FILE, STABLE_FILE, SNAPSHOTS_DIR, LOST_FOUND].contains(&name);
    let mut found = Vec::new();
    let cluster_file = root.join(CLUSTER_FILE);
    if cluster_file.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
        found.push(cluster_file);
    }
    for dir in dirs {
        let names = dir.contents().ok().flatten().unwrap_or_default();
        let others = names.into_iter().filter(|name| !is_ours(name) && !name.starts_with('.'));
        found.extend(others.map(|name| dir.path().join(name)));
    }
    found
}
