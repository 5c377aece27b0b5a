//! A node that runs, copied without its lock.
//!
//! The log first, then the stable store, then the snapshots: raft raises its term before it appends an entry of that
//! term, so the copied term is never older than the copied log; and a snapshot that is newer than the log is seen, because
//! its index is after the log's end. What doesn't fit together is copied again.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::copy::{copy, hash};
use super::draft::Draft;
use super::error::Error;
use crate::bolt::{self, Attempts, BulkWriter, Limits, LiveError, Reader};
use crate::durable::IoError;
use crate::durable::open_file;
use crate::raft::{CONF_BUCKET, Index, LOGS_BUCKET};
use crate::raft::{META_FILE, STATE_FILE};
use crate::state::StateDir;
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::state::entries::{self, Entries};
use crate::state::snapshots::list;

/// Attempts to copy a node that changes too much during the copy.
const ATTEMPTS: u32 = 10;
/// The pause before that, which doubles each time, and its end.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Why a copy doesn't do.
enum Failed {
    /// The node went on: copy again.
    Moved(String),
    For(Error),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed::For(error.into())
    }
}

/// Copies a running node; returns the names of the databases whose copies have the same entries in other bytes.
pub(super) fn copy_server(draft: &mut Draft<'_>, dir: &StateDir) -> Result<Vec<String>, Error> {
    let (id, directory) = (dir.id(), dir.path());
    let mut pause = PAUSE;
    let mut reason = String::new();
    for _ in 0..ATTEMPTS {
        match attempt(draft, id, directory) {
            Ok(rewritten) => return Ok(rewritten),
            Err(Failed::For(error)) => return Err(error),
            Err(Failed::Moved(why)) => reason = why,
        }
        draft.remove_server(id)?;
        std::thread::sleep(pause);
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
    Err(Error::Moving { path: directory.to_owned(), reason })
}

fn attempt(draft: &mut Draft<'_>, id: &str, directory: &Path) -> Result<Vec<String>, Failed> {
    draft.create_directory(directory, id)?;
    let log = format!("{id}/{LOG_FILE}");
    let mut rewritten = Vec::new();
    if whole(draft, &directory.join(LOG_FILE), &log, Limits::COPY)?.is_err() {
        by_entries(draft, &directory.join(LOG_FILE), &log)?;
        rewritten.push(LOG_FILE.to_owned());
    }
    let stable = format!("{id}/{STABLE_FILE}");
    if let Err(attempts) = whole(draft, &directory.join(STABLE_FILE), &stable, Limits::COPY_OF_SHORT)? {
        return Err(Failed::Moved(format!("{STABLE_FILE} changed during each of {attempts} attempts")));
    }
    let newest = snapshots(draft, id, directory)?;
    let last = last_index(&draft.fresh.path().join(draft.top).join(log))?;
    match newest {
        Some(newest) if last.is_none_or(|last| newest > last) => {
            Err(Failed::Moved(format!("a snapshot of index {newest} is after the log's end")))
        }
        _ => Ok(rewritten),
    }
}

/// Copies a database with all its pages, if it exists; fails inside with the number of attempts during each of which the
/// node committed.
fn whole(draft: &mut Draft<'_>, from: &Path, path: &str, limits: Limits) -> Result<Result<(), u32>, Failed> {
    let reading = |source| Error::Io(IoError { doing: "reading", path: from.to_owned(), source });
    let fail = |source| Error::Bolt { path: from.to_owned(), source };
    let mut attempts = Attempts::new(limits);
    loop {
        let mut opened = None;
        let open = || {
            let file = open_file(from)?;
            opened = Some(file.try_clone()?);
            Ok(file)
        };
        let reader = match attempts.next(open) {
            Ok(reader) => reader,
            Err(LiveError::Open(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(())),
            Err(LiveError::Open(error)) => return Err(reading(error).into()),
            // It is being made.
            Err(LiveError::Bolt(error @ (bolt::Error::Empty | bolt::Error::NoMeta { .. }))) => {
                return Err(Failed::Moved(error.to_string()));
            }
            Err(LiveError::Bolt(error)) => return Err(fail(error).into()),
            Err(LiveError::Moving { attempts }) => return Ok(Err(attempts)),
        };
        let Some(mut file) = opened else { continue };
        let metadata = file.metadata().map_err(reading)?;
        let mut to = draft.create_file(path, &metadata)?;
        // A node that appends faster than we copy would be followed for ever.
        let mut source = io::Read::take(&mut file, reader.file_len());
        let copied = copy(&mut source, &mut to, draft.progress).map_err(|error| draft.copy_error(error, from, path))?;
        if reader.is_current().map_err(fail)? {
            draft.finish_file(to, path, &metadata, copied)?;
            return Ok(Ok(()));
        }
        draft.fresh.remove_file(draft.top.join(path))?;
    }
}

/// Writes the entries of a log afresh, chunk by chunk: each is read within one committed state.
fn by_entries(draft: &mut Draft<'_>, from: &Path, path: &str) -> Result<(), Failed> {
    let reading = |source| Error::Io(IoError { doing: "reading", path: from.to_owned(), source });
    let fail = |source| Error::Bolt { path: from.to_owned(), source };
    let metadata = from.metadata().map_err(reading)?;
    let (page_size, sequence, other) = crate::state::read_committed(from, |reader| {
        let sequence = reader.bucket(LOGS_BUCKET)?.map_or(0, |bucket| bucket.header().sequence);
        Ok((reader.metas().page_size, sequence, pairs(reader)?))
    })?;
    let mut writer = BulkWriter::new(draft.create_file(path, &metadata)?, page_size).map_err(fail)?;
    let mut bucket = writer.bucket(LOGS_BUCKET, sequence).map_err(fail)?;
    let mut entries = Entries::open_file(from, Index(0))?;
    let mut last: Option<Index> = None;
    loop {
        match entries.next_bytes() {
            Ok(Some((index, bytes))) => {
                // After a snapshot the node cut its log up to an entry that was not read yet.
                if last.is_some_and(|last| last.0.checked_add(1) != Some(index.0)) {
                    return Err(Failed::Moved(format!("the log now starts at {index}")));
                }
                bucket.push(&index.to_key(), bytes).map_err(fail)?;
                last = Some(index);
            }
            Ok(None) => break,
            Err(error @ (entries::Error::Replaced { .. } | entries::Error::Moving { .. })) => {
                return Err(Failed::Moved(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    bucket.finish().map_err(fail)?;
    if let Some((sequence, pairs)) = other {
        let mut bucket = writer.bucket(CONF_BUCKET, sequence).map_err(fail)?;
        for (key, value) in pairs {
            bucket.push(&key, &value).map_err(fail)?;
        }
        bucket.finish().map_err(fail)?;
    }
    let mut file = writer.finish().map_err(fail)?;
    let written =
        |source| Error::Io(IoError { doing: "reading", path: draft.fresh.path().join(draft.top).join(path), source });
    io::Seek::rewind(&mut file).map_err(written)?;
    let copied = hash(&mut file, &()).map_err(written)?;
    Ok(draft.finish_file(file, path, &metadata, copied)?)
}

/// Keys and values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The bucket that a log store has too, and keeps empty. (raft-boltdb v2/bolt_store.go initialize)
fn pairs<R: bolt::ReadAt>(reader: &Reader<R>) -> Result<Option<(u64, Pairs)>, bolt::Error> {
    let Some(bucket) = reader.bucket(CONF_BUCKET)? else { return Ok(None) };
    let mut cursor = bucket.cursor();
    let mut pairs = Vec::new();
    while let Some(entry) = cursor.next()? {
        pairs.push((entry.key.to_vec(), entry.value.to_vec()));
    }
    Ok(Some((bucket.header().sequence, pairs)))
}

/// Copies the finished snapshots; returns the last index that one covers.
fn snapshots(draft: &mut Draft<'_>, id: &str, directory: &Path) -> Result<Option<Index>, Failed> {
    let store = directory.join(SNAPSHOTS_DIR);
    let to = format!("{id}/{SNAPSHOTS_DIR}");
    if !store.is_dir() {
        return Ok(None);
    }
    draft.create_directory(&store, &to)?;
    let list = || list(&store).map_err(|source| Error::Io(IoError { doing: "reading", path: store.clone(), source }));
    let listed = list()?.listed;
    // A listing takes its time: one of two names was not there yet, the other no longer.
    if listed.is_empty() && !list()?.listed.is_empty() {
        return Err(Failed::Moved("the only snapshot was replaced while they were listed".to_owned()));
    }
    for meta in &listed {
        let (from, to) = (store.join(&meta.directory), format!("{to}/{}", meta.directory));
        let copied = draft.create_directory(&from, &to).and_then(|()| {
            [META_FILE, STATE_FILE]
                .iter()
                .try_for_each(|file| draft.copy_file(&from.join(file), &format!("{to}/{file}")))
        });
        match copied {
            // raft keeps one and removes the one before. (op-conductor consensus/raft.go NewFileSnapshotStore)
            Err(Error::Io(IoError { source, .. })) if source.kind() == io::ErrorKind::NotFound => {
                return Err(Failed::Moved(format!("the snapshot {} was removed", meta.directory)));
            }
            copied => copied?,
        }
    }
    Ok(listed.iter().map(|meta| meta.index).max())
}

fn last_index(copy: &Path) -> Result<Option<Index>, Error> {
    let file = match open_file(copy) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|source| Error::Io(IoError { doing: "reading", path: copy.to_owned(), source }))?,
    };
    let last = || {
        let reader = Reader::open(&file)?;
        let Some(bucket) = reader.bucket(LOGS_BUCKET)? else { return Ok(None) };
        let last = bucket.cursor().last()?.and_then(|entry| Index::from_key(entry.key).ok());
        Ok(last)
    };
    last().map_err(|source| Error::Bolt { path: copy.to_owned(), source })
}
