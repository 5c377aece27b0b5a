//! The journal of a replacement: what is decided, and how to tell what has happened.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::durable::open_file;

/// What the name of a stage begins with.
pub(super) const STAGE_PREFIX: &str = ".op-conductor-init-";
/// Name of the journal in its stage.
pub(super) const JOURNAL: &str = "journal.json";
const VERSION: u32 = 1;
/// A journal isn't read further: one of 10,000 servers with the longest names is shorter.
const MAX_LEN: u64 = 16 << 20;

/// A replacement that is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    version: u32,
    /// Name of the directory for what is replaced; a suffix is added where it is taken.
    pub replaced: String,
    /// What is replaced.
    pub entries: Vec<Entry>,
}

/// One file or directory of the output directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Inode of what shall be there.
    pub new: u64,
    /// Inode of what was there; none if nothing was.
    pub old: Option<u64>,
}

impl Journal {
    pub(super) fn new(replaced: String, entries: Vec<Entry>) -> Journal {
        Journal { version: VERSION, replaced, entries }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a journal has only strings and numbers")
    }

    /// Decodes a journal; the names in it are taken only if they can't lead out of the directory.
    pub(super) fn decode(bytes: &[u8]) -> Result<Journal, String> {
        let journal: Journal = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if journal.version != VERSION {
            return Err(format!("expected version {VERSION}, found {}", journal.version));
        }
        let names: Vec<&str> = journal.entries.iter().map(|entry| &*entry.name).chain([&*journal.replaced]).collect();
        match names.iter().find(|name| !is_one_name(name)) {
            Some(name) => Err(format!("expected the name of an entry, found {name:?}")),
            None => Ok(journal),
        }
    }
}

pub(super) fn is_one_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(first)) if first == OsStr::new(name))
        && components.next().is_none()
}

/// A replacement that was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The directory it was staged in.
    pub stage: PathBuf,
    /// What was decided; none if it was interrupted before, and means nothing.
    pub journal: Option<Journal>,
}

/// Replacements in `root` that were interrupted, or are under way right now. Reads only.
pub fn pending(root: &Path) -> Result<Vec<Pending>, Error> {
    let fail = |source| Error::Io { doing: "reading", path: root.to_owned(), source };
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(fail)?,
    };
    let mut stages = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let is_stage = entry.file_name().as_encoded_bytes().starts_with(STAGE_PREFIX.as_bytes());
        if is_stage && entry.file_type().map_err(fail)?.is_dir() {
            stages.push(entry.path());
        }
    }
    stages.sort();
    stages.into_iter().map(|stage| Ok(Pending { journal: read_journal(&stage.join(JOURNAL))?, stage })).collect()
}

fn read_journal(path: &Path) -> Result<Option<Journal>, Error> {
    let read = open_file(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_LEN).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { doing: "reading", path: path.to_owned(), source }),
        Ok(bytes) => match Journal::decode(&bytes) {
            Ok(journal) => Ok(Some(journal)),
            Err(reason) => Err(Error::Journal { path: path.to_owned(), reason }),
        },
    }
}
