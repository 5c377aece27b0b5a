//! What is in a directory of backups.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::archive::EXTENSION;
use super::error::Error;
use super::manifest::NodeEntry;
use super::open::{Backup, Form, names_in, time_in_name};

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

/// Lists the backups in `directory`, oldest first, by their manifests alone. One that can't be read takes its place by the
/// time in its name.
pub fn list(directory: &Path) -> Result<Vec<Listed>, Error> {
    let mut listed: Vec<Listed> = names_in(directory)?
        .into_iter()
        .map(|name| describe(name.clone(), Backup::open(&directory.join(name))))
        .collect();
    // The sort is stable: backups of one moment stay in the order of their names.
    listed.sort_by_key(|it| it.created.or_else(|| time_in_name(&it.name)));
    Ok(listed)
}

/// What the list says of the backup `name`, which was opened or could not be.
fn describe(name: String, opened: Result<Backup, Error>) -> Listed {
    match opened {
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
            archive: name.ends_with(EXTENSION),
            name,
            created: None,
            source: None,
            size: None,
            nodes: Vec::new(),
            by_ancestor: false,
            problem: Some(with_sources(&error)),
        },
    }
}

/// An error with all that led to it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_sources(source)),
        None => error.to_string(),
    }
}
