//! A directory of backups: what is in it, and removing old ones.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::check::verify;
use super::error::Error;
use super::is_blocking;
use super::manifest::NodeEntry;
use super::open::{Backup, Form, names_in};
use crate::durable::Fresh;

/// One backup of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name in the directory.
    pub name: String,
    /// Whether it is one file.
    pub archive: bool,
    /// When it was begun.
    pub created: Option<Timestamp>,
    /// The directory it is of.
    pub source: Option<String>,
    /// Bytes of the files it holds.
    pub size: Option<u64>,
    /// What it has.
    pub nodes: Vec<NodeEntry>,
    /// Whether the ancestor made it, without hashes.
    pub by_ancestor: bool,
    /// Why it can't be read.
    pub problem: Option<String>,
}

/// Lists the backups in `directory`, oldest first, by their manifests alone.
pub fn list(directory: &Path) -> Result<Vec<Listed>, Error> {
    Ok(names_in(directory)?.into_iter().map(|name| look(directory, name)).collect())
}

fn look(directory: &Path, name: String) -> Listed {
    let path = directory.join(&name);
    let archive = path.is_file();
    match Backup::open(&path) {
        Ok(backup) => Listed {
            name,
            archive: backup.form() == Form::Archive,
            created: Some(backup.manifest().created),
            source: Some(backup.manifest().source.clone()),
            size: Some(backup.manifest().total_size()),
            nodes: backup.manifest().nodes.clone(),
            by_ancestor: backup.by_ancestor(),
            problem: None,
        },
        Err(error) => Listed {
            name,
            archive,
            created: None,
            source: None,
            size: None,
            nodes: Vec::new(),
            by_ancestor: false,
            problem: Some(chain(&error)),
        },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// What became of the backups in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Pruned {
    /// Names of those that were removed, or would be, oldest first.
    pub removed: Vec<String>,
    /// Names of those that are kept, oldest first.
    pub kept: Vec<String>,
    /// One that is kept beyond the number, because no newer one verifies.
    pub last_sound: Option<String>,
    /// Names of what is left alone: no manifest of this tool says what it is.
    pub left: Vec<String>,
}

/// Removes all but the newest `keep` backups, and never the last one that verifies.
pub fn prune(directory: &Path, keep: usize, dry_run: bool) -> Result<Pruned, Error> {
    let (known, unknown): (Vec<Listed>, Vec<Listed>) =
        list(directory)?.into_iter().partition(|it| it.problem.is_none() && !it.by_ancestor);
    let names: Vec<String> = known.into_iter().map(|it| it.name).collect();
    let mut removed = names;
    let mut kept = removed.split_off(removed.len().saturating_sub(keep));
    let is_sound = |name: &String| {
        verify(&directory.join(name), None, &()).is_ok_and(|it| !it.report.findings.iter().any(is_blocking))
    };
    let mut last_sound = None;
    if !removed.is_empty() && !kept.iter().rev().any(is_sound) {
        // Of those that would go, the newest that is worth anything stays.
        if let Some(at) = removed.iter().rposition(is_sound) {
            let name = removed.remove(at);
            kept.insert(0, name.clone());
            last_sound = Some(name);
        }
    }
    if !dry_run {
        for name in &removed {
            Fresh::retire(directory, name)?;
        }
    }
    Ok(Pruned { removed, kept, last_sound, left: unknown.into_iter().map(|it| it.name).collect() })
}
