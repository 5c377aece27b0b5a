//! The journal of a replacement: what is decided, and how to tell what has happened.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::error::{Error, JournalError};
use super::io_error::IoError;

/// What the name of a stage begins with.
pub(super) const STAGE_PREFIX: &str = ".op-conductor-init-";
/// What the name of a directory begins with in which replaced state is kept.
pub(crate) const REPLACED_PREFIX: &str = ".replaced-";
/// What is on its way begins with this: stages, and new entries of [`super::Publication`].
const UNFINISHED_PREFIX: &str = ".op-conductor-init";
/// Name of the journal in its stage.
pub(super) const JOURNAL: &str = "journal.json";
const VERSION: u32 = 1;
/// A journal isn't read further: one of 10,000 servers with the longest names is shorter.
const MAX_LEN: u64 = 16 << 20;

/// Whether an entry of this name was left by this tool: something unfinished, or replaced state.
pub(crate) fn is_left_over(name: &OsStr) -> bool {
    [UNFINISHED_PREFIX, REPLACED_PREFIX].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// A replacement that is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    version: u32,
    /// Name of the directory for what is replaced; a suffix is added where it is taken.
    pub replaced: String,
    /// What is replaced.
    pub entries: Vec<Entry>,
}

/// One file or directory of the output directory, or of a directory in it that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, or that of the directory that stays, a slash, and its name.
    pub name: String,
    /// Inode of what will be there.
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
    pub(super) fn decode(bytes: &[u8]) -> Result<Journal, JournalError> {
        let journal: Journal = serde_json::from_slice(bytes).map_err(JournalError::Json)?;
        if journal.version != VERSION {
            return Err(JournalError::Version { expected: VERSION, found: journal.version });
        }
        let bad = journal.entries.iter().map(|entry| &entry.name).find(|name| !is_entry_name(name));
        match bad.or(Some(&journal.replaced).filter(|name| !is_one_name(name))) {
            Some(name) => Err(JournalError::Name { name: name.clone() }),
            None => Ok(journal),
        }
    }
}

/// Whether `name` is that of an entry, or of one in a directory.
fn is_entry_name(name: &str) -> bool {
    let (first, second) = name.split_once('/').map_or((name, None), |(first, second)| (first, Some(second)));
    is_one_name(first) && second.is_none_or(is_one_name)
}

pub(super) fn is_one_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(first)) if first == OsStr::new(name))
        && components.next().is_none()
}

/// A replacement that was interrupted, or is under way right now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The directory it was staged in.
    pub stage: PathBuf,
    /// Who that belongs to.
    pub uid: u32,
    /// Whether it can be trusted: it belongs to this user, nobody else may enter it, and it has directories where there
    /// should be directories. Anything else isn't settled.
    pub is_trusted: bool,
    /// What was decided.
    pub decided: Decided,
}

/// How far an interrupted replacement had come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// Not to the journal: it means nothing.
    Nothing,
    /// To this journal: some entries may be old and some new.
    Entries(Journal),
    /// This user may not look.
    Unknown,
}

impl Pending {
    /// What was decided, as far as it is known.
    pub fn journal(&self) -> Option<&Journal> {
        match &self.decided {
            Decided::Entries(journal) => Some(journal),
            Decided::Nothing | Decided::Unknown => None,
        }
    }

    /// Whether some entries may be old and some new.
    pub fn may_be_half(&self) -> bool {
        self.decided != Decided::Nothing
    }

    /// Name of the stage.
    pub(super) fn name(&self) -> &OsStr {
        self.stage.file_name().unwrap_or_default()
    }
}

/// Replacements in `root` that were interrupted, or are under way right now. Reads only.
pub fn pending(root: &Path) -> Result<Vec<Pending>, Error> {
    match Directory::open(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(Error::Io(IoError { doing: "reading", path: root.to_owned(), source })),
        Ok(root) => pending_in(&root),
    }
}

pub(super) fn pending_in(root: &Directory) -> Result<Vec<Pending>, Error> {
    let fail = |source| Error::Io(IoError { doing: "reading", path: root.path().to_owned(), source });
    let entries = root.entries().map_err(fail)?;
    let is_stage = |name: &OsStr| name.as_encoded_bytes().starts_with(STAGE_PREFIX.as_bytes());
    let stages = entries.iter().filter(|(name, kind)| *kind == FileType::Directory && is_stage(name));
    stages.filter_map(|(name, _)| look(root, name).transpose()).collect()
}

/// What a stage is; none when it is gone by now.
fn look(root: &Directory, name: &OsStr) -> Result<Option<Pending>, Error> {
    let path = root.path().join(name);
    let fail = |source| Error::Io(IoError { doing: "looking at", path: path.clone(), source });
    let Some(stat) = root.look_at(name).map_err(fail)? else { return Ok(None) };
    let (is_trusted, decided) = match root.child(name) {
        Ok(stage) => (is_trusted(&stage).map_err(fail)?, read_journal(&stage)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (false, Decided::Unknown),
        Err(source) => return Err(fail(source)),
    };
    Ok(Some(Pending { stage: path, uid: stat.st_uid, is_trusted, decided }))
}

/// Whether a stage is one that this user made: a journal that somebody else wrote could have any file moved anywhere.
fn is_trusted(stage: &Directory) -> io::Result<bool> {
    if !stage.is_private()? {
        return Ok(false);
    }
    let uid = stage.metadata()?.st_uid;
    for name in ["new", "old"] {
        let is_directory = |stat: &rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if stage.look_at(name)?.is_some_and(|stat| !is_directory(&stat) || stat.st_uid != uid) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_journal(stage: &Directory) -> Result<Decided, Error> {
    let path = stage.path().join(JOURNAL);
    let read = stage.open_file(JOURNAL).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_LEN).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Decided::Nothing),
        // What isn't a file, or leads elsewhere, is not what this tool wrote.
        Err(source)
            if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput)
                || Errno::from_io_error(&source) == Some(Errno::LOOP) =>
        {
            Ok(Decided::Unknown)
        }
        Err(source) => Err(Error::Io(IoError { doing: "reading", path, source })),
        Ok(bytes) => match Journal::decode(&bytes) {
            Ok(journal) => Ok(Decided::Entries(journal)),
            Err(source) => Err(Error::Journal { path, source }),
        },
    }
}
