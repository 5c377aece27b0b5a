//! The swap of staged entries, each step of which can be done again after a crash.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags, StatxAttributes, StatxFlags, renameat_with, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::files::{Mode, make_folder, sync_folder};
use super::{Error, NEW, OLD, REPLACED_PREFIX, Steps};

/// The file whose presence decides.
pub(super) const JOURNAL: &str = "journal.json";
/// A journal above this length is not ours.
const MAX_JOURNAL_LEN: u64 = 16 << 20;

/// What a call is about to swap in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Version of this file's form: 1.
    format_version: u32,
    /// Folder for what was there, in the root.
    pub(super) replaced: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    /// Of the staged file or folder: tells after a crash whether it is still in the staging folder.
    inode: u64,
}

impl Journal {
    pub(super) fn new(root: &Path, staging: &Path, names: &[String]) -> Result<Journal, Error> {
        let mut entries = Vec::new();
        for name in names {
            let (new, target) = (staging.join(NEW).join(name), root.join(name));
            let inode = fs::symlink_metadata(&new).map_err(Error::io("looking at", &new))?.ino();
            refuse_mount_point(&target)?;
            entries.push(Entry { name: name.clone(), inode });
        }
        Ok(Journal { format_version: 1, replaced: free_name(root), entries })
    }

    /// The entries' names in the root.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }
}

/// `.replaced-<UTC time>`, with a number behind it when that exists.
fn free_name(root: &Path) -> String {
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let mut name = format!("{REPLACED_PREFIX}{time}");
    for number in 2_u32.. {
        if root.join(&name).symlink_metadata().is_err() {
            break;
        }
        name = format!("{REPLACED_PREFIX}{time}-{number}");
    }
    name
}

/// A mount point can't be renamed: better to know before anything is.
fn refuse_mount_point(path: &Path) -> Result<(), Error> {
    let found = match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
        Err(Errno::NOENT) => return Ok(()),
        // Old kernels have no statx: the rename will tell.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(()),
        found => found.map_err(|errno| Error::io("looking at", path)(errno.into()))?,
    };
    if found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(Error::MountPoint { path: path.to_owned() });
    }
    Ok(())
}

pub(super) fn write_journal(staging: &Path, journal: &Journal) -> io::Result<()> {
    let (path, temporary) = (staging.join(JOURNAL), staging.join("journal.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(journal)?)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    sync_folder(staging)
}

pub(super) fn read_journal(staging: &Path) -> io::Result<Option<Journal>> {
    let file = match File::open(staging.join(JOURNAL)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_JOURNAL_LEN).read_to_end(&mut bytes)?;
    let journal: Journal = serde_json::from_slice(&bytes)?;
    let is_name = |name: &str| !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    let sound = journal.format_version == 1
        && is_name(&journal.replaced)
        && journal.entries.iter().all(|entry| is_name(&entry.name));
    sound.then_some(Some(journal)).ok_or_else(|| io::Error::other("a journal that this version has not written"))
}

/// Swaps all entries of the journal in, wherever it was interrupted, and keeps what was there.
pub(super) fn finish(root: &Path, staging: &Path, journal: &Journal, steps: &Steps) -> Result<(), Error> {
    for entry in &journal.entries {
        swap_in(root, staging, entry, steps)?;
    }
    steps.next()?;
    sync_folder(root).map_err(Error::io("syncing", root))?;
    keep_old(root, staging, journal, steps)
}

fn swap_in(root: &Path, staging: &Path, entry: &Entry, steps: &Steps) -> Result<(), Error> {
    let Paths { new, old, target } = Paths::of(root, staging, entry);
    let fail = |source| Error::io("replacing", &target)(source);
    let Ok(staged) = new.symlink_metadata() else { return Ok(()) };
    steps.next()?;
    if staged.ino() != entry.inode {
        // Exchanged before: this is what was there.
        return fs::rename(&new, &old).map_err(fail);
    }
    if target.symlink_metadata().is_err() {
        return fs::rename(&new, &target).map_err(fail);
    }
    if exchange(&new, &target).map_err(fail)? {
        steps.next()?;
        return fs::rename(&new, &old).map_err(fail);
    }
    fs::rename(&target, &old).map_err(fail)?;
    steps.next()?;
    fs::rename(&new, &target).map_err(fail)
}

struct Paths {
    new: PathBuf,
    old: PathBuf,
    target: PathBuf,
}

impl Paths {
    fn of(root: &Path, staging: &Path, entry: &Entry) -> Paths {
        let name = &entry.name;
        Paths { new: staging.join(NEW).join(name), old: staging.join(OLD).join(name), target: root.join(name) }
    }
}

/// Exchanges two paths in one step, so that there is no moment without a target; false where that isn't possible.
fn exchange(a: &Path, b: &Path) -> io::Result<bool> {
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn keep_old(root: &Path, staging: &Path, journal: &Journal, steps: &Steps) -> Result<(), Error> {
    let kept = root.join(&journal.replaced);
    for entry in &journal.entries {
        let old = staging.join(OLD).join(&entry.name);
        if old.symlink_metadata().is_err() {
            continue;
        }
        steps.next()?;
        match make_folder(&kept, Mode::FOLDER, None) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("making the folder", &kept)(error));
            }
            _ => {}
        }
        let to = kept.join(&entry.name);
        fs::rename(&old, &to).map_err(Error::io("keeping what was there as", &to))?;
    }
    steps.next()?;
    sync_folder(root).map_err(Error::io("syncing", root))
}

/// Puts back what was there, as far as [`finish`] came.
pub(super) fn undo(root: &Path, staging: &Path, journal: &Journal) -> io::Result<()> {
    let kept = root.join(&journal.replaced);
    for entry in &journal.entries {
        let Paths { new, old, target } = Paths::of(root, staging, entry);
        let kept = kept.join(&entry.name);
        let exchanged = new.symlink_metadata().is_ok_and(|staged| staged.ino() != entry.inode);
        let is_in = target.symlink_metadata().is_ok_and(|there| there.ino() == entry.inode);
        let before = [exchanged.then_some(new.clone()), Some(old), Some(kept)];
        let before = before.into_iter().flatten().find(|path| path.symlink_metadata().is_ok());
        if is_in {
            let aside = staging.join(format!("taken-back-{}", entry.name));
            fs::rename(&target, &aside)?;
        }
        if let Some(before) = before {
            fs::rename(before, &target)?;
        }
    }
    drop(fs::remove_dir(&kept));
    sync_folder(root)
}
