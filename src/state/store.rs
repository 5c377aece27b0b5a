//! One database of a server: its pairs read within one committed state, and its problems as findings.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Error;
use super::damage::ADD_AGAIN;
use super::damage::describe_damage;
use crate::bolt::{self, Attempts, Limits, LiveError, LiveSource, PageCounts, ReadAt, Reader, TxId};
use crate::durable::open_file;
use crate::raft::{CONF_BUCKET, LOGS_BUCKET};
use crate::report::{Finding, Severity};

/// A bucket whose pages lead nowhere; the checker, when it runs, reports more.
const UNREADABLE: &str = "BOLT-025";
/// A bolt file without the store's bucket.
pub(super) const NO_BUCKET: &str = "NODE-003";

/// How much to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What the node has.
    Content,
    /// And whether every page of both files is as it should be.
    Pages,
    /// And whether every payload has the hash it claims.
    Structure,
}

/// One bolt file of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Store {
    /// Bytes of the file; none when there is no file.
    pub file_len: Option<u64>,
    /// Bytes of a page; 0 when it could not be read.
    pub page_size: usize,
    /// The transaction that was committed last.
    pub txid: TxId,
    /// Pages that were ever used.
    pub page_count: u64,
    /// Pages in the freelist; none when it could not be read.
    pub free_pages: Option<u64>,
    /// What it consists of; not with [`Depth::Content`].
    pub pages: PageCounts,
}

pub(super) type Pair<'a> = &'a mut dyn FnMut(&[u8], &[u8]);

/// Calls `each` for the pairs of a bucket; returns what stopped it, when the file is damaged there.
fn each_pair(reader: &Database, bucket: &[u8], each: Pair<'_>) -> Result<Option<Finding>, bolt::Error> {
    match walk(reader, bucket, each) {
        Ok(()) => Ok(None),
        Err(bolt::Error::NoBucket { name }) => Ok(Some(no_bucket(&name))),
        Err(error @ bolt::Error::Io { .. }) => Err(error),
        Err(error) => {
            let message = format!("the bucket can't be read to its end: {error}: raft panics when it needs the rest");
            Ok(Some(Finding::new(UNREADABLE, Severity::Error, message)))
        }
    }
}

/// Keys that have the name of one of raft-boltdb's two buckets and are not buckets. It makes both in either file.
/// (raft-boltdb bolt_store.go initialize)
fn no_buckets(reader: &Database) -> Vec<Finding> {
    let is_none = |name: &&[u8]| matches!(reader.bucket(name), Err(bolt::Error::Incompatible { .. }));
    let finding = |name: &[u8]| {
        let name = String::from_utf8_lossy(name);
        let message = format!("the key {name:?} is not a bucket: raft-boltdb refuses to open the file");
        Finding::new("RAFT-017", Severity::Error, message)
    };
    [LOGS_BUCKET, CONF_BUCKET].iter().filter(|name| is_none(name)).map(|name| finding(name)).collect()
}

fn no_bucket(name: &[u8]) -> Finding {
    let name = String::from_utf8_lossy(name);
    let message = format!(
        "a bolt file without the bucket {name:?}: op-conductor would take it for empty, and the node forgets what it knew"
    );
    Finding::new(NO_BUCKET, Severity::Error, message).hint("is this file the store of another program?")
}

fn walk(reader: &Database, bucket: &[u8], each: Pair<'_>) -> Result<(), bolt::Error> {
    let bucket = reader.bucket(bucket)?.ok_or_else(|| bolt::Error::NoBucket { name: bucket.to_vec() })?;
    let mut cursor = bucket.cursor();
    while let Some(entry) = cursor.next()? {
        each(entry.key, entry.value);
    }
    Ok(())
}

/// Walks the pairs of a bucket and returns what stopped it.
pub(super) type Walk<'a> = &'a mut dyn FnMut(&[u8], Pair<'_>) -> Result<Option<Finding>, bolt::Error>;
/// Reads the content of an open database by a walk, and what is wrong with it.
pub(super) type ReadContent<'a, T> = &'a mut dyn FnMut(Walk<'_>) -> Result<(T, Vec<Finding>), bolt::Error>;

/// Opens a database and reads it by `read`, again when it changed meanwhile.
pub(super) fn read_store<T: Default>(
    path: &Path,
    depth: Depth,
    read: ReadContent<'_, T>,
) -> Result<(Store, (T, Vec<Finding>)), Error> {
    let file_name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let fail = |source| Error::Bolt { path: path.to_owned(), source };
    let mut attempts = Attempts::new(Limits::ALL_PAGES);
    loop {
        let reader = match attempts.next(|| open_file(path)) {
            Ok(reader) => reader,
            Err(LiveError::Open(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(LiveError::Bolt(bolt::Error::Empty | bolt::Error::NoMeta { .. })) => {
                // Two metas are never bad at once while bbolt writes.
                let unreadable = |source| Error::Io { path: path.to_owned(), source };
                let file = open_file(path).map_err(unreadable)?;
                let file_len = Some(file.metadata().map_err(unreadable)?.len());
                let findings = structure(&bolt::check(file).map_err(fail)?);
                let store = Store { file_len, ..Store::default() };
                return Ok((store, (T::default(), named(findings, &file_name))));
            }
            Err(error) => return Err(Error::live(path, error)),
        };
        let mut store = Store::of(&reader);
        let mut findings = Vec::new();
        if depth == Depth::Structure {
            findings.extend(no_buckets(&reader));
        }
        let mut check = None;
        let mut walk = |bucket: &[u8], each: Pair<'_>| match depth {
            Depth::Content => each_pair(&reader, bucket, each),
            Depth::Pages | Depth::Structure => {
                let (checked, found) = reader.check_each(bucket, each)?;
                check = Some(checked);
                Ok((!found).then(|| no_bucket(bucket)))
            }
        };
        let (content, more) = read(&mut walk).map_err(fail)?;
        if let Some(check) = &check {
            store.pages = check.pages;
            findings.extend(structure(check));
        }
        if !reader.is_current().map_err(fail)? {
            continue;
        }
        // The checker's finding says more.
        let known = findings.iter().any(|finding| finding.severity == Severity::Error);
        let says_better = |finding: &Finding| known && [UNREADABLE, NO_BUCKET].contains(&finding.id);
        findings.extend(more.into_iter().filter(|finding| !says_better(finding)));
        return Ok((store, (content, named(findings, &file_name))));
    }
}

impl Store {
    /// What the metas say of it; [`Store::pages`] is left empty.
    pub(super) fn of<R: ReadAt>(reader: &Reader<R>) -> Store {
        Store {
            file_len: Some(reader.file_len()),
            page_size: reader.metas().page_size,
            txid: reader.meta().txid,
            page_count: reader.meta().high_water.0,
            free_pages: reader.free_page_count(),
            pages: PageCounts::default(),
        }
    }
}

/// What `read` returns of a few pages of the database `path`, within one committed state, though a node writes to it.
///
/// # Errors
/// Also when the file is not a database, or `read` fails on a state that doesn't move.
pub fn read_committed<T>(path: &Path, mut read: impl FnMut(&Database) -> Result<T, bolt::Error>) -> Result<T, Error> {
    let read = bolt::read_committed(Limits::FEW_PAGES, || open_file(path), |reader, _| read(reader));
    read.map_err(|error| Error::live(path, error))
}

/// A database that a node may write to.
pub type Database = Reader<LiveSource<File>>;

pub(super) fn named(findings: Vec<Finding>, file: &str) -> Vec<Finding> {
    findings.into_iter().map(|finding| finding.in_file(file)).collect()
}

/// The checker's problems as findings.
fn structure(check: &bolt::Check) -> Vec<Finding> {
    let mut findings: Vec<Finding> = check.problems.iter().map(problem).collect();
    if let Some(first) = findings.iter_mut().find(|finding| finding.severity == Severity::Error) {
        first.hint = Some(ADD_AGAIN.to_owned());
    }
    if check.omitted > 0 {
        let message = format!("{} more problems in this file are not shown", check.omitted);
        findings.push(Finding::new("REPORT-001", Severity::Error, message));
    }
    findings
}

fn problem(problem: &bolt::Problem) -> Finding {
    let severity = if problem.kind.is_harmless() { Severity::Warning } else { Severity::Error };
    let mut finding = Finding::new(problem.kind.id(), severity, describe_damage(problem));
    (finding.place.page, finding.place.offset) = (problem.page.map(|page| page.0), problem.offset);
    finding
}
