//! A server's databases written afresh: the same pairs in the same order, on full pages, and no page free.
//!
//! bolt never gives space back, and fills pages half as a log grows. In place nothing else is touched; a copy in another
//! directory has the other files too.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::bolt::{self, BulkWriter, LeafElement, Problem, Reader};
use crate::durable::{self, Recovery, Root, Staging, is_left_over, open_file, open_file_itself};
use crate::report::Progress;
use crate::state::dir::{self, LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::state::{self, LOST_FOUND, Servers, StateDir, describe_damage};

/// Where the compacted state goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Takes the place of the state, which is kept beside it.
    InPlace,
    /// A directory that has none of the servers yet.
    Directory(&'a Path),
}

/// What was done.
#[derive(Debug)]
pub struct Outcome {
    /// Each database.
    pub files: Vec<Compacted>,
    /// Where the state from before is now.
    pub replaced: Option<PathBuf>,
    /// What was settled first, because earlier commands had been interrupted.
    pub recovered: Vec<Recovery>,
}

/// One database, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Id of the server.
    pub id: String,
    /// Name of the file.
    pub file: &'static str,
    /// Its length in bytes before.
    pub before: u64,
    /// Its length in bytes now.
    pub after: u64,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state can't be read.
    #[error(transparent)]
    Read(#[from] state::Error),
    /// A node runs, or the directory can't be used.
    #[error(transparent)]
    State(#[from] dir::Error),
    /// The files can't be put in place.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// The file system said no.
    #[error("{}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A database can't be read or written.
    #[error("{}", path.display())]
    Bolt {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: bolt::Error,
    },
    /// A database is damaged: what can't be read would be lost for good.
    #[error("{} is damaged: {}", path.display(), describe_damage(problem))]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The first problem.
        problem: Box<Problem>,
    },
    /// A bucket within a bucket: no raft store has that.
    #[error("{}: bucket {bucket:?} holds another bucket: no raft store does", path.display())]
    Nested {
        /// Which file.
        path: PathBuf,
        /// The outer bucket.
        bucket: String,
    },
    /// The copy has other content than the original.
    #[error("{}: what was written is not what was read: nothing was replaced", path.display())]
    Differs {
        /// The file that was read.
        path: PathBuf,
    },
    /// The copy would be in what it is a copy of.
    #[error("{} is inside a server's directory", path.display())]
    Inside {
        /// Where the copy should go.
        path: PathBuf,
    },
    /// Two servers' directories would be one.
    #[error("{} is there already", path.display())]
    Existing {
        /// Which entry of the output directory.
        path: PathBuf,
    },
    /// The copy would not fit.
    #[error("{}: {needed} bytes are needed, {free} are free", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// Bytes of all files that are read.
        needed: u64,
        /// Bytes that this user may still write.
        free: u64,
    },
}

/// Compacts the server in `state_dir`, or all servers in it: all of them or none. In place only the databases are replaced.
pub fn compact(
    state_dir: &Path,
    target: Target<'_>,
    lock_timeout: Duration,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let mut servers = Servers::find(state_dir)?;
    let root = match target {
        Target::InPlace if is_replaced_inside(&servers)? => servers.dirs()[0].path(),
        Target::InPlace => servers.root(),
        Target::Directory(directory) => directory,
    };
    if let Target::Directory(directory) = target {
        refuse_output(directory, servers.dirs())?;
    }
    let mut root = Root::open(root, None, lock_timeout)?;
    refuse_interrupted(&servers, &root)?;
    let mut locked_until_swapped = state::lock(servers.dirs(), lock_timeout)?;
    let mut recovered = root.settle(&mut |moved| locked_until_swapped.hold(&[], moved))?;
    if !recovered.is_empty() {
        // Some directories are others now.
        servers = Servers::find(state_dir)?;
        drop(locked_until_swapped);
        locked_until_swapped = state::lock(servers.dirs(), lock_timeout)?;
    }
    let dirs = servers.dirs();
    // Each byte is copied, and then compared.
    progress.expect(2 * space(dirs, root.path())?);
    let mut staging = root.stage()?;
    let mut files = Vec::new();
    for dir in dirs {
        let within = match target {
            Target::InPlace if staging.root().path() == dir.path() => Path::new(""),
            Target::InPlace => {
                staging.replace_within(dir.id())?;
                Path::new(dir.id())
            }
            Target::Directory(_) => {
                carry(dir.path(), Path::new(dir.id()), &mut staging)?;
                Path::new(dir.id())
            }
        };
        for file in [LOG_FILE, STABLE_FILE] {
            let (before, after) = rewrite(&dir.path().join(file), &within.join(file), &mut staging, progress)?;
            files.push(Compacted { id: dir.id().to_owned(), file, before, after });
        }
        if let Target::Directory(_) = target {
            // At last: the directory may be one that we could not write to with its own mode.
            staging.copy_attributes(dir.id(), &metadata(dir.path())?)?;
        }
    }
    let committed = staging.commit(&mut |moved| locked_until_swapped.hold(dirs, moved))?;
    recovered.extend(committed.recovered);
    Ok(Outcome { files, replaced: committed.replaced, recovered })
}

/// Whether the only server's databases are replaced from within its directory: that is another file system, or a link to
/// one, or the directory above is not ours to write to.
fn is_replaced_inside(servers: &Servers) -> Result<bool, Error> {
    let [dir] = servers.dirs() else { return Ok(false) };
    let looking = |source| Error::Io { path: dir.path().to_owned(), source };
    Ok(servers.is_one() && (dir.target().is_some() || !dir.can_be_replaced().map_err(looking)?))
}

/// What is half replaced elsewhere is another command's to settle.
fn refuse_interrupted(servers: &Servers, root: &Root) -> Result<(), Error> {
    let all = std::iter::once(servers.root()).chain(servers.dirs().iter().map(StateDir::path));
    match durable::interrupted(all.filter(|path| *path != root.path()))? {
        Some(stage) => Err(durable::Error::Pending { stage }.into()),
        None => Ok(()),
    }
}

/// A copy belongs elsewhere, and takes no one's place.
fn refuse_output(directory: &Path, dirs: &[StateDir]) -> Result<(), Error> {
    let looking = |source| Error::Io { path: directory.to_owned(), source };
    if durable::is_within(directory, dirs.iter().map(StateDir::path)).map_err(looking)? {
        return Err(Error::Inside { path: directory.to_owned() });
    }
    match dirs.iter().map(|dir| directory.join(dir.id())).find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(Error::Existing { path }),
        None => Ok(()),
    }
}

/// Bytes of all files, whose copies must fit, though they will be smaller.
fn space(dirs: &[StateDir], root: &Path) -> Result<u64, Error> {
    let mut needed = 0;
    for file in dirs.iter().flat_map(|dir| [dir.log_path(), dir.stable_path()]) {
        needed += metadata(&file)?.len();
    }
    let free = durable::free_space(root).map_err(|error| Error::Io { path: error.path, source: error.source })?;
    if free < needed {
        return Err(Error::NoSpace { path: root.to_owned(), needed, free });
    }
    Ok(needed)
}

fn metadata(path: &Path) -> Result<Metadata, Error> {
    path.metadata().map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// Copies all but the databases and what this tool left, modes and owners too.
fn carry(from: &Path, to: &Path, staging: &mut Staging) -> Result<(), Error> {
    let fail = |source| Error::Io { path: from.to_owned(), source };
    staging.create_dir(to, 0o700)?;
    for entry in fs::read_dir(from).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(fail)?;
        let is_left_out = [LOG_FILE, STABLE_FILE, LOST_FOUND].iter().any(|known| name == *known) || is_left_over(&name);
        let to = to.join(&name);
        // Snapshots may be on another disk; without them a log may have no beginning.
        let is_linked = kind.is_symlink() && name == SNAPSHOTS_DIR && path.is_dir();
        if is_left_out {
            continue;
        } else if kind.is_dir() || is_linked {
            carry(&path, &to, staging)?;
            staging.copy_attributes(&to, &metadata(&path)?)?;
        } else if kind.is_file() {
            let io = |source| Error::Io { path: path.clone(), source };
            let mut source = open_file_itself(&path).map_err(io)?;
            let mut copy = staging.create_file(&to)?;
            io::copy(&mut source, &mut copy).map_err(io)?;
            staging.copy_attributes(&to, &metadata(&path)?)?;
        }
    }
    Ok(())
}

/// Writes a database afresh, and looks whether it says the same; its lengths before and after.
fn rewrite(from: &Path, to: &Path, staging: &mut Staging, progress: &dyn Progress) -> Result<(u64, u64), Error> {
    let fail = |source| Error::Bolt { path: from.to_owned(), source };
    let io = |source| Error::Io { path: from.to_owned(), source };
    let reader = Reader::open(open_file(from).map_err(io)?).map_err(fail)?;
    let check = reader.check().map_err(fail)?;
    if let Some(problem) = check.problems.into_iter().find(|problem| !problem.kind.is_harmless()) {
        return Err(Error::Damaged { path: from.to_owned(), problem: Box::new(problem) });
    }
    let file = staging.create_file(to)?;
    let mut writer = BulkWriter::new(file, reader.metas().page_size).map_err(fail)?;
    each_bucket(&reader, from, &mut |name, bucket| copy_bucket(name, bucket, from, &mut writer, progress))?;
    let written = Reader::open(writer.finish().map_err(fail)?).map_err(fail)?;
    let sound = written.check().map_err(fail)?.problems.is_empty();
    if !(sound && says_the_same(&reader, &written, progress).map_err(fail)?) {
        return Err(Error::Differs { path: from.to_owned() });
    }
    let lengths = (reader.file_len(), written.file_len());
    staging.copy_attributes(to, &metadata(from)?)?;
    Ok(lengths)
}

type Bucket<'a> = bolt::Bucket<'a, File>;
type EachBucket<'a> = &'a mut dyn FnMut(&[u8], &Bucket<'_>) -> Result<(), Error>;

fn each_bucket(reader: &Reader<File>, path: &Path, each: EachBucket<'_>) -> Result<(), Error> {
    let fail = |source| Error::Bolt { path: path.to_owned(), source };
    let root = reader.root();
    let mut cursor = root.cursor();
    while let Some(LeafElement { key, .. }) = cursor.next().map_err(fail)? {
        let name = key.to_vec();
        let missing = || fail(bolt::Error::NoBucket { name: name.clone() });
        let bucket = reader.bucket(&name).map_err(fail)?.ok_or_else(missing)?;
        each(&name, &bucket)?;
    }
    Ok(())
}

fn copy_bucket(
    name: &[u8],
    bucket: &Bucket<'_>,
    path: &Path,
    writer: &mut BulkWriter<File>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let fail = |source| Error::Bolt { path: path.to_owned(), source };
    let mut copy = writer.bucket(name, bucket.header().sequence).map_err(fail)?;
    let mut cursor = bucket.cursor();
    while let Some(entry) = cursor.next().map_err(fail)? {
        if entry.is_bucket() {
            let bucket = String::from_utf8_lossy(name).into_owned();
            return Err(Error::Nested { path: path.to_owned(), bucket });
        }
        copy.push(entry.key, entry.value).map_err(fail)?;
        progress.advance(entry.value.len() as u64);
    }
    copy.finish().map_err(fail)
}

/// Whether both have the same buckets with the same sequences and pairs.
fn says_the_same(a: &Reader<File>, b: &Reader<File>, progress: &dyn Progress) -> Result<bool, bolt::Error> {
    let (root_a, root_b) = (a.root(), b.root());
    let (mut names_a, mut names_b) = (root_a.cursor(), root_b.cursor());
    loop {
        let (name_a, name_b) = (names_a.next()?.map(|it| it.key.to_vec()), names_b.next()?.map(|it| it.key.to_vec()));
        let Some(name) = name_a.as_ref().filter(|_| name_a == name_b) else {
            return Ok(name_a == name_b);
        };
        let (Some(bucket_a), Some(bucket_b)) = (a.bucket(name)?, b.bucket(name)?) else { return Ok(false) };
        if bucket_a.header().sequence != bucket_b.header().sequence {
            return Ok(false);
        }
        let (mut pairs_a, mut pairs_b) = (bucket_a.cursor(), bucket_b.cursor());
        loop {
            let (a, b) = (pairs_a.next()?, pairs_b.next()?);
            if a != b {
                return Ok(false);
            }
            let Some(pair) = a else { break };
            progress.advance(pair.value.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::bolt::Db;
    use crate::raft::LOGS_BUCKET;

    /// A storage dir with the server `a`, whose log is half empty.
    fn state() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("a");
        fs::create_dir_all(directory.join("snapshots/1-2-3")).unwrap();
        fs::write(directory.join("snapshots/1-2-3/state.bin"), "state").unwrap();
        fs::set_permissions(directory.join("snapshots"), fs::Permissions::from_mode(0o750)).unwrap();
        for file in [LOG_FILE, STABLE_FILE] {
            let file = File::options().read(true).write(true).create_new(true).open(directory.join(file)).unwrap();
            let mut db = Db::create(file, 4096).unwrap();
            for index in 0..200_u64 {
                let mut tx = db.begin().unwrap();
                tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
                tx.put(LOGS_BUCKET, &index.to_be_bytes(), &[7; 900]).unwrap();
                tx.commit().unwrap();
            }
        }
        dir
    }

    #[test]
    fn in_place_keeps_all_but_the_room() {
        let dir = state();
        let directory = dir.path().join("a");
        let before = Reader::open(open_file(&directory.join(LOG_FILE)).unwrap()).unwrap();
        let outcome = compact(&directory, Target::InPlace, Duration::ZERO, &()).unwrap();
        let after = Reader::open(open_file(&directory.join(LOG_FILE)).unwrap()).unwrap();
        assert!(says_the_same(&before, &after, &()).unwrap());
        assert!(outcome.files.iter().all(|file| file.after * 2 < file.before), "{:?}", outcome.files);
        assert_eq!(fs::read(directory.join("snapshots/1-2-3/state.bin")).unwrap(), b"state");
        assert_eq!(metadata(&directory.join("snapshots")).unwrap().permissions().mode() & 0o777, 0o750);
        let kept = outcome.replaced.unwrap().join("a").join(LOG_FILE);
        assert_eq!(metadata(&kept).unwrap().len(), before.file_len());
    }

    #[test]
    fn another_directory_leaves_the_first_as_it_was() {
        let dir = state();
        let out = dir.path().join("out");
        let target = Target::Directory(&out);
        let outcome = compact(dir.path(), target, Duration::ZERO, &()).unwrap();
        assert_eq!((outcome.replaced, outcome.files.len()), (None, 2));
        assert!(out.join("a").join(LOG_FILE).is_file());
        assert!(matches!(compact(&dir.path().join("a"), target, Duration::ZERO, &()), Err(Error::Existing { .. })));
    }

    #[test]
    fn a_running_node_and_a_damaged_file_are_refused_and_nothing_is_left() {
        let dir = state();
        let directory = dir.path().join("a");
        let names = || StateDir::new(dir.path()).contents().unwrap().unwrap();
        let held = state::lock(&[StateDir::new(&directory)], Duration::ZERO).unwrap();
        let error = compact(&directory, Target::InPlace, Duration::ZERO, &()).unwrap_err();
        assert!(matches!(error, Error::State(dir::Error::Locked { .. })), "{error}");
        drop(held);
        let mut bytes = fs::read(directory.join(LOG_FILE)).unwrap();
        let reader = Reader::open(&bytes[..]).unwrap();
        let page = reader.survey().unwrap().runs().find(|(kind, ..)| *kind == bolt::PageUse::Leaf).unwrap().1;
        bytes[usize::try_from(page.0).unwrap() * 4096 + 8] = 0x40;
        fs::write(directory.join(LOG_FILE), &bytes).unwrap();
        let error = compact(&directory, Target::InPlace, Duration::ZERO, &()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert_eq!(names(), ["a"]);
        assert_eq!(fs::read(directory.join(LOG_FILE)).unwrap(), bytes);
    }
}
