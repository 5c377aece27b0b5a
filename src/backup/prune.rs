//! Removing old backups. What can't be looked at isn't judged: then nothing is removed at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::check::verify;
use super::error::Error;
use super::is_blocking;
use super::manifest::Manifest;
use super::open::{Backup, names_in};
use crate::durable::{self, Publication};

/// How long to wait for another prune of the same directory.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// What became of the backups in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Names of those that were removed, or would be, oldest first.
    pub removed: Vec<String>,
    /// Names of those that are kept, oldest first.
    pub kept: Vec<String>,
    /// Of each set of servers one that is kept beyond the number, because no newer one verifies.
    pub last_sound: Vec<String>,
    /// Those that are kept beyond the number, because none of their set of servers verifies.
    pub none_sound: Vec<String>,
    /// Names of what is left alone: no manifest of this tool says what it is.
    pub left: Vec<String>,
    /// Names of what calls that were killed had left, and that is removed, or would be.
    pub cleaned: Vec<String>,
}

/// The servers that a backup is of: id and address of each. Two clusters may have the same ids.
type Servers = BTreeSet<(String, Option<String>)>;

/// When a backup was made, and its name.
type Dated = (Timestamp, String);

/// Removes all but the newest `keep` backups of each set of servers, and never the last one of a set that verifies.
///
/// # Errors
/// Nothing is removed when a backup can't be looked at, as opposed to one that is looked at and damaged.
pub fn prune(directory: &Path, keep: usize, dry_run: bool) -> Result<Pruned, Error> {
    let _alone = if dry_run { None } else { Some(durable::lock_exclusive(directory, LOCK_TIMEOUT)?) };
    let mut pruned = Pruned::default();
    for backups in sets(directory, &mut pruned.left)?.into_values() {
        choose(directory, backups, keep, &mut pruned)?;
    }
    if dry_run {
        pruned.cleaned = Publication::left_over(directory)?;
    } else {
        pruned.cleaned = Publication::remove_left_over(directory)?;
        for name in &pruned.removed {
            Publication::retire(directory, name)?;
        }
    }
    Ok(pruned)
}

/// The backups of each set of servers, oldest first. What no manifest of this tool describes is added to `left`.
fn sets(directory: &Path, left: &mut Vec<String>) -> Result<BTreeMap<Servers, Vec<String>>, Error> {
    let mut sets: BTreeMap<Servers, Vec<Dated>> = BTreeMap::new();
    for name in names_in(directory)? {
        match Backup::open(&directory.join(&name)) {
            Ok(backup) if backup.by_ancestor() => left.push(name),
            Ok(backup) => {
                sets.entry(servers(backup.manifest())).or_default().push((backup.manifest().created, name));
            }
            Err(error) if error.is_damage() => left.push(name),
            Err(error) => return Err(error),
        }
    }
    let names = |mut backups: Vec<Dated>| {
        // Stable: those of one moment stay in the order of their names.
        backups.sort_by_key(|(created, _)| *created);
        backups.into_iter().map(|(_, name)| name).collect()
    };
    Ok(sets.into_iter().map(|(servers, backups)| (servers, names(backups))).collect())
}

fn servers(manifest: &Manifest) -> Servers {
    let address = |id: &str, info: &super::NodeInfo| {
        let servers = &info.configuration.as_ref()?.servers;
        servers.iter().find(|server| server.id == id).map(|server| server.address.clone())
    };
    manifest.nodes.iter().map(|node| (node.id.clone(), address(&node.id, &node.info))).collect()
}

/// Sorts the backups of one set of servers, oldest first, into those that go and those that stay.
fn choose(directory: &Path, mut backups: Vec<String>, keep: usize, pruned: &mut Pruned) -> Result<(), Error> {
    let mut kept = backups.split_off(backups.len().saturating_sub(keep));
    let mut removed = backups;
    if !removed.is_empty() && newest_sound(directory, &kept)?.is_none() {
        match newest_sound(directory, &removed)? {
            Some(at) => {
                let name = removed.remove(at);
                pruned.last_sound.push(name.clone());
                kept.insert(0, name);
            }
            None => {
                pruned.none_sound.extend_from_slice(&removed);
                kept.splice(0..0, removed.drain(..));
            }
        }
    }
    pruned.removed.append(&mut removed);
    pruned.kept.append(&mut kept);
    Ok(())
}

/// Position of the newest backup that verifies.
fn newest_sound(directory: &Path, names: &[String]) -> Result<Option<usize>, Error> {
    for (at, name) in names.iter().enumerate().rev() {
        match verify(&directory.join(name), None, &()) {
            Ok(verified) if verified.report.findings.iter().any(is_blocking) => {}
            Ok(_) => return Ok(Some(at)),
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
