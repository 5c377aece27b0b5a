//! The directory of one server, read as it is: what raft would start from.
//!
//! No lock is taken or waited for and nothing is created. A database that changes while it is read is read again:
//! what lies between two looks at the metas that agree is one committed state.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::Error;
use super::damage::describe_damage;
use crate::bolt::{self, Attempts, Limits, LiveError, LiveSource, PageCounts, ReadAt, Reader, TxId};
use crate::durable::open_file;
use crate::payload::{Head, PayloadChecker, StoredHead, Version};
use crate::raft::{
    CONF_BUCKET, ConfigurationAt, Index, LOGS_BUCKET, Log, LogChecker, LogSummary, LogType, StableState, Suffrage,
    Term, check_stable,
};
use crate::raft::{STATE_FILE, SnapshotMeta};
use crate::report::{Finding, Findings, Severity};
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE, StateDir};
use crate::state::entries::{self, Entries};
use crate::state::snapshots::{self, Snapshots};

/// Bytes of an envelope that tell which block it is.
const PEEK_LEN: u64 = 4096;
/// Attempts to read a log in chunks when another leader replaces what was read.
const ATTEMPTS_OF_CHUNKS: u32 = 3;
/// A snapshot that was begun longer ago was never finished.
const LONGEST_SNAPSHOT: Duration = Duration::from_mins(10);
/// What to do about a damaged file, said once a file.
const DAMAGED: &str = "keep a copy of the directory; if the other nodes are sound, remove this one from the cluster and add it again with an empty directory, else restore all nodes from one backup";
/// A bucket whose pages lead nowhere; the checker, when it runs, tells more.
const UNREADABLE: &str = "BOLT-025";
/// Entries are missing between two others.
const GAP: &str = "RAFT-005";
/// A bolt file without the store's bucket.
const NO_BUCKET: &str = "NODE-003";

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

/// What one server's directory holds.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name of the directory, which must be the server's id.
    pub id: String,
    /// The directory.
    pub path: PathBuf,
    /// raft-log.db as a file.
    pub log_store: Store,
    /// raft-stable.db as a file.
    pub stable_store: Store,
    /// The log.
    pub log: LogSummary,
    /// Term and vote.
    pub stable: StableState,
    /// The highest unsafe head of the log.
    pub head: Option<StoredHead>,
    /// The forms of the payloads in the log.
    pub payload_versions: Vec<Version>,
    /// The snapshots.
    pub snapshots: Snapshots,
    /// What is wrong with this directory.
    pub findings: Vec<Finding>,
}

/// Whether a node will ask for votes, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Campaign {
    /// Whether it will, once it hears from no leader.
    pub will: bool,
    /// Why.
    pub reason: String,
}

impl Node {
    /// Reads the directory `dir`; `each` sees every entry of the log that can be decoded, in order.
    ///
    /// When the log changes meanwhile, `each` is called with [`None`] and then for all entries again.
    pub fn read(dir: &StateDir, depth: Depth, each: &mut dyn FnMut(Option<&Log<'_>>)) -> Result<Node, Error> {
        let (id, path) = (dir.id().to_owned(), dir.path());
        // The log first: raft makes a snapshot before it cuts off what that has. The stable store last: raft raises its
        // term before it appends an entry of that term.
        let (log_store, (log, log_findings)) = read_log(&path.join(LOG_FILE), depth, each)?;
        let LogContent { summary: log, head, payload_versions } = log;
        let directory = path.join(SNAPSHOTS_DIR);
        let snapshots = snapshots::list(&directory).map_err(|source| Error::Io { path: directory, source })?;
        let (stable_store, (stable, stable_findings)) = read_stable(&path.join(STABLE_FILE), depth)?;
        let head = head.into_iter().chain(head_of_snapshot(path, &snapshots)).max_by_key(|stored| stored.head.number);
        let path = path.to_owned();
        let findings = Vec::new();
        let mut node =
            Node { id, path, log_store, stable_store, log, stable, head, payload_versions, snapshots, findings };
        node.findings.extend(log_findings);
        node.findings.extend(stable_findings);
        if depth != Depth::Content {
            node.check_snapshots();
        }
        node.excuse_gaps();
        node.check();
        Ok(node)
    }

    /// The configuration that raft will act by: the last of the log, or the snapshot's. (hashicorp/raft api.go
    /// NewRaft, restoreSnapshot)
    pub fn latest_configuration(&self) -> Option<ConfigurationAt> {
        let snapshot = self.snapshots.listed.first();
        let from_log = self.log.latest_configuration.as_ref();
        match (snapshot, from_log) {
            (Some(snapshot), Some(log)) if log.index > snapshot.index => Some(log.clone()),
            (Some(snapshot), _) => Some(ConfigurationAt {
                index: snapshot.configuration_index,
                term: snapshot.term,
                configuration: snapshot.configuration.clone(),
            }),
            (None, log) => log.cloned(),
        }
    }

    /// The head in the newest snapshot.
    pub fn head_of_snapshot(&self) -> Option<StoredHead> {
        head_of_snapshot(&self.path, &self.snapshots)
    }

    /// Index and term of the last entry, or of the snapshot behind which there is none.
    pub fn last(&self) -> (Index, Term) {
        let snapshot = self.snapshots.listed.first().map(|meta| (meta.index, meta.term));
        snapshot.into_iter().chain(self.log.last).max().unwrap_or_default()
    }

    /// Whether both stores are there and were read to their end. If not, what they don't say is unknown: a term of 0 may be
    /// any term.
    pub fn is_readable(&self) -> bool {
        let is_there = |store: &Store| store.file_len.is_some() && store.page_size != 0;
        let hides = |finding: &Finding| {
            finding.severity == Severity::Error
                && (finding.id.starts_with("BOLT-") || [NO_BUCKET, "RAFT-016"].contains(&finding.id))
        };
        is_there(&self.log_store) && is_there(&self.stable_store) && !self.findings.iter().any(hides)
    }

    /// Whether the node will ask for votes. (hashicorp/raft raft.go runFollower)
    pub fn campaign(&self) -> Campaign {
        if let Some(failure) = self.start_failure() {
            let file = failure.place.file.as_deref().unwrap_or("its directory");
            return Campaign { will: false, reason: format!("it can't start: {} in {file}", failure.id) };
        }
        let Some(latest) = self.latest_configuration() else {
            return Campaign { will: false, reason: "it has no configuration: it knows no peers".to_owned() };
        };
        let from = format!("in its latest configuration (entry {})", latest.index);
        match latest.configuration.server(&self.id).map(|server| server.suffrage) {
            Some(Suffrage::Voter) => Campaign { will: true, reason: format!("it is a Voter {from}") },
            Some(other) => Campaign { will: false, reason: format!("it is a {other} {from}") },
            None => Campaign { will: false, reason: format!("{:?} is no member {from}", self.id) },
        }
    }

    /// Whether it is as it was generated: raft has not written a single entry or snapshot since.
    pub fn is_untouched(&self) -> bool {
        self.known_log().is_some_and(|log| log.count > 0 && log.dated == 0) && self.snapshots.listed.is_empty()
    }

    /// Whether it is as a recovery made it: raft has not written a single entry or snapshot since. The log goes on from a
    /// snapshot that no server took: its name has no time.
    pub fn is_recovered(&self) -> bool {
        let Some(snapshot) = self.snapshots.listed.first() else { return false };
        let (index, term) = (snapshot.index, snapshot.term);
        let first = Some((Index(index.0.saturating_add(1)), term));
        self.log.dated == 0 && self.log.first == first && snapshot.id == format!("{term}-{index}-0")
    }

    /// Whether it is as a plan made it, of a new cluster or of a recovered one.
    pub fn is_planned(&self) -> bool {
        self.is_untouched() || self.is_recovered()
    }

    /// Whether raft has led or followed somebody on this state.
    pub fn has_run(&self) -> bool {
        self.log.dated > 0 || (!self.snapshots.listed.is_empty() && !self.is_recovered())
    }

    /// Whether raft could load the snapshots. One that a running node reaps meanwhile is none.
    fn check_snapshots(&mut self) {
        let directory = self.path.join(SNAPSHOTS_DIR);
        for (place, meta) in self.snapshots.listed.iter().enumerate() {
            let found = snapshots::check(&directory, meta, place == 0);
            if found.is_empty() || directory.join(&meta.directory).is_dir() {
                self.findings.extend(found);
            }
        }
    }

    /// A follower that a leader sent its snapshot keeps the end of its old log, and goes on behind the snapshot: raft
    /// reads nothing in front of it, and sends others the snapshot instead. (hashicorp/raft raft.go installSnapshot,
    /// snapshot.go compactLogsWithTrailing)
    fn excuse_gaps(&mut self) {
        let Some(Index(snapshot)) = self.snapshots.listed.first().map(|meta| meta.index) else { return };
        for finding in self.findings.iter_mut().filter(|finding| finding.id == GAP) {
            if finding.place.first_index.is_some_and(|index| index <= snapshot.saturating_add(1)) {
                finding.severity = Severity::Note;
                finding.message = format!(
                    "entries are missing before this one, and the snapshot up to {snapshot} has them: so it looks when a leader sent a snapshot"
                );
            }
        }
    }

    /// What only both files together tell.
    fn check(&mut self) {
        let mut found = Vec::new();
        let mut add = |finding: Finding| found.push(finding);
        let file = |store: &Store| store.file_len.is_some();
        match (file(&self.log_store), file(&self.stable_store)) {
            (true, false) => add(missing(STABLE_FILE, "the node forgets its term and its vote and could vote twice")),
            (false, true) => add(missing(LOG_FILE, "the node forgets its log but keeps its vote")),
            (false, false) => {
                add(missing(LOG_FILE, "only snapshots are left: the node forgets its term, vote and log"));
            }
            (true, true) => {}
        }
        let snapshot = self.snapshots.listed.first().map(|meta| (meta.index, meta.term));
        let highest = snapshot.into_iter().chain(self.log.last).max_by_key(|(_, term)| *term);
        if let Some(stable) = self.known_stable() {
            check_stable(stable, highest).into_iter().for_each(|finding| add(finding.in_file(STABLE_FILE)));
        }
        if let Some((first, _)) = self.known_log().and_then(|log| log.first)
            && first > Index(1)
            // op-conductor keeps one snapshot, and raft loads no other than the newest by term.
            && self.snapshots.listed.first().is_none_or(|meta| meta.index.0.saturating_add(1) < first.0)
        {
            let message = format!(
                "the log begins at {first} and no snapshot reaches {}: raft panics with \"log not found\"",
                first.0 - 1
            );
            add(Finding::new("RAFT-015", Severity::Error, message)
                .in_file(LOG_FILE)
                .hint("restore the snapshots directory that belongs to this log"));
        }
        for (name, reason) in &self.snapshots.ignored {
            if is_being_made(&self.path.join(SNAPSHOTS_DIR).join(name)) {
                continue;
            }
            let finding =
                Finding::new("SNAP-001", Severity::Warning, format!("raft passes over this snapshot: {reason}"));
            add(finding.in_file(&format!("{SNAPSHOTS_DIR}/{name}")));
        }
        if let Some(latest) = self.latest_configuration()
            && self.known_log().is_some()
            && latest.configuration.server(&self.id).is_none()
        {
            let message = format!(
                "the directory is {:?}, but no member of the latest configuration (entry {}) has this id",
                self.id, latest.index
            );
            add(Finding::new("NODE-002", Severity::Warning, message)
                .hint("op-conductor takes the directory that --raft.server.id names; the ids must be equal"));
        }
        self.findings.extend(found);
        let node = self.id.clone();
        for finding in &mut self.findings {
            finding.place.node = Some(node.clone());
        }
    }
}

/// Whether a running node may be at work on this snapshot: it has the name of one that isn't finished, and is new.
fn is_being_made(directory: &Path) -> bool {
    let age = || directory.metadata().ok()?.modified().ok()?.elapsed().ok();
    directory.extension().is_some_and(|extension| extension == "tmp") && age().is_some_and(|age| age < LONGEST_SNAPSHOT)
}

fn missing(file: &str, consequence: &str) -> Finding {
    Finding::new(
        "NODE-001",
        Severity::Error,
        format!("the file is missing: op-conductor would make an empty one, and {consequence}"),
    )
    .in_file(file)
    .hint(
        "restore both files of this node from one backup, or remove the node and add it again with an empty directory",
    )
}

/// What a log says.
#[derive(Debug, Default)]
struct LogContent {
    summary: LogSummary,
    head: Option<StoredHead>,
    payload_versions: Vec<Version>,
}

type EachLog<'a> = &'a mut dyn FnMut(Option<&Log<'_>>);

/// Judges the entries of a log, one after the other.
struct LogReader {
    checker: LogChecker,
    payloads: PayloadChecker,
}

impl LogReader {
    fn new(depth: Depth) -> LogReader {
        LogReader { checker: LogChecker::default(), payloads: PayloadChecker::new(depth == Depth::Structure) }
    }

    fn push(&mut self, key: &[u8], value: &[u8], each: EachLog<'_>) {
        if let Some(log) = self.checker.push(key, value) {
            if log.kind == LogType::Command {
                self.payloads.push(log.index.0, log.term.0, log.data.as_deref().unwrap_or_default());
            }
            each(Some(&log));
        }
    }

    fn finish(self) -> (LogContent, Vec<Finding>) {
        let (summary, mut findings) = self.checker.finish();
        let (head, payload_versions, payload_findings) = self.payloads.finish();
        findings.extend(payload_findings);
        (LogContent { summary, head, payload_versions }, findings)
    }
}

fn read_log(path: &Path, depth: Depth, each: EachLog<'_>) -> Result<(Store, (LogContent, Vec<Finding>)), Error> {
    let mut again = false;
    let read = read_store(path, depth, &mut |walk| {
        if std::mem::replace(&mut again, true) {
            each(None);
        }
        let mut log = LogReader::new(depth);
        let found = walk(LOGS_BUCKET, &mut |key, value| log.push(key, value, each))?;
        let (content, mut findings) = log.finish();
        findings.extend(found);
        Ok((content, findings))
    });
    match read {
        Err(Error::Moving { .. }) => read_in_chunks(path, depth, each),
        read => read,
    }
}

/// Reads the entries of a log whose node commits faster than all of it can be read: chunk by chunk. What only one
/// committed state as a whole tells, its pages, isn't looked at.
fn read_in_chunks(path: &Path, depth: Depth, each: EachLog<'_>) -> Result<(Store, (LogContent, Vec<Finding>)), Error> {
    let fail = |source| Error::Bolt { path: path.to_owned(), source };
    let unreadable = |source| Error::Io { path: path.to_owned(), source };
    let reader = Reader::open(open_file(path).map_err(unreadable)?).map_err(fail)?;
    let store = Store::of(&reader);
    for _ in 0..ATTEMPTS_OF_CHUNKS {
        each(None);
        let mut log = LogReader::new(depth);
        let mut entries = Entries::open_file(path, Index(0))?;
        let read = loop {
            match entries.next_bytes() {
                Ok(Some((index, value))) => log.push(&index.to_key(), value, each),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match read {
            // Another leader's entries came: what was read is of no log any more.
            Err(entries::Error::Replaced { .. }) => continue,
            read => read?,
        }
        let (content, mut findings) = log.finish();
        if depth != Depth::Content {
            let message = "the node commits faster than this file can be read at once: its entries were checked, its pages were not";
            findings.push(
                Finding::new("NODE-006", Severity::Note, message)
                    .hint("to check the pages too, verify again when it commits less, or stop the node for as long"),
            );
        }
        return Ok((store, (content, named(findings, LOG_FILE))));
    }
    Err(Error::Moving { path: path.to_owned(), attempts: ATTEMPTS_OF_CHUNKS })
}

/// The heads in the snapshots of the server's directory `path`, the newest first.
pub fn heads_of_snapshots(path: &Path) -> Result<Vec<StoredHead>, Error> {
    let directory = path.join(SNAPSHOTS_DIR);
    let snapshots = snapshots::list(&directory).map_err(|source| Error::Io { path: directory, source })?;
    Ok(snapshots.listed.iter().filter_map(|meta| head_in_snapshot(path, meta)).collect())
}

/// The head in the newest snapshot.
fn head_of_snapshot(path: &Path, snapshots: &Snapshots) -> Option<StoredHead> {
    head_in_snapshot(path, snapshots.listed.first()?)
}

/// The head in a snapshot's state.bin, which is an envelope as in the log. (op-conductor raft_fsm.go Persist)
fn head_in_snapshot(path: &Path, meta: &SnapshotMeta) -> Option<StoredHead> {
    let file = open_file(&path.join(SNAPSHOTS_DIR).join(&meta.id).join(STATE_FILE)).ok()?;
    let mut bytes = Vec::new();
    file.take(PEEK_LEN).read_to_end(&mut bytes).ok()?;
    let head = Head::peek(&bytes).ok()?;
    Some(StoredHead { head, index: meta.index.0, term: meta.term.0, in_snapshot: true })
}

/// What the stable store of the server's directory `directory` says now.
///
/// # Errors
/// When it can't be read.
pub fn stable_state(directory: &Path) -> Result<StableState, Error> {
    let (_, (stable, _)) = read_stable(&directory.join(STABLE_FILE), Depth::Content)?;
    Ok(stable)
}

fn read_stable(path: &Path, depth: Depth) -> Result<(Store, (StableState, Vec<Finding>)), Error> {
    read_store(path, depth, &mut |walk| {
        let mut stable = StableState::default();
        let mut findings = Findings::default();
        let found = walk(CONF_BUCKET, &mut |key, value| {
            if let Err(error) = stable.insert(key, value) {
                findings.add(Finding::new(
                    "RAFT-016",
                    Severity::Error,
                    format!("{error}: raft fails or reads another number"),
                ));
            }
        })?;
        let mut findings = findings.finish();
        findings.extend(found);
        Ok((stable, findings))
    })
}

type Pair<'a> = &'a mut dyn FnMut(&[u8], &[u8]);

/// Calls `each` for the pairs of a bucket; gives what stopped it, when that is the file's fault.
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

/// The names of raft-boltdb's two buckets, which it makes in either file, where they stand for something else.
/// (raft-boltdb bolt_store.go initialize)
fn no_buckets(reader: &Database) -> Vec<Finding> {
    let is_none = |name: &&[u8]| matches!(reader.bucket(name), Err(bolt::Error::Incompatible { .. }));
    let finding = |name: &[u8]| {
        let name = String::from_utf8_lossy(name);
        let message = format!("the key {name:?} is no bucket: raft-boltdb refuses to open the file");
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

/// Gives the pairs of a bucket, and what stopped it.
type Walk<'a> = &'a mut dyn FnMut(&[u8], Pair<'_>) -> Result<Option<Finding>, bolt::Error>;
/// Reads the content of an open database by a walk, and what is wrong with it.
type ReadContent<'a, T> = &'a mut dyn FnMut(Walk<'_>) -> Result<(T, Vec<Finding>), bolt::Error>;

/// Opens a database and reads it by `read`, again when it changed meanwhile.
fn read_store<T: Default>(
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
        // The checker says it better.
        let known = findings.iter().any(|finding| finding.severity == Severity::Error);
        let says_better = |finding: &Finding| known && [UNREADABLE, NO_BUCKET].contains(&finding.id);
        findings.extend(more.into_iter().filter(|finding| !says_better(finding)));
        return Ok((store, (content, named(findings, &file_name))));
    }
}

impl Store {
    /// What the metas say of it; [`Store::pages`] is left empty.
    fn of<R: ReadAt>(reader: &Reader<R>) -> Store {
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

fn named(findings: Vec<Finding>, file: &str) -> Vec<Finding> {
    findings.into_iter().map(|finding| finding.in_file(file)).collect()
}

/// The checker's problems as findings.
fn structure(check: &bolt::Check) -> Vec<Finding> {
    let mut findings: Vec<Finding> = check.problems.iter().map(problem).collect();
    if let Some(first) = findings.iter_mut().find(|finding| finding.severity == Severity::Error) {
        first.hint = Some(DAMAGED.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt::Db;
    use crate::raft::AppendedAt;
    use crate::raft::codec::encode_log;

    #[test]
    fn chunks_say_the_same_of_the_entries_as_the_whole_and_that_pages_were_not_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG_FILE);
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let mut db = Db::create(file, 4096).unwrap();
        let mut tx = db.begin().unwrap();
        tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
        for index in 3..40 {
            let (index, term, kind) = (Index(index), Term(index / 9), LogType::Command);
            // Long enough for several chunks.
            let (data, appended_at) = (Some(vec![7; 1 << 18].into()), AppendedAt::from_unix(1, 0));
            let mut value = Vec::new();
            encode_log(&Log { index, term, kind, data, extensions: None, appended_at }, &mut value);
            tx.put(LOGS_BUCKET, &index.to_key(), &value).unwrap();
        }
        tx.commit().unwrap();
        let read = |chunks: bool| {
            let mut seen = Vec::new();
            let mut each = |log: Option<&Log<'_>>| match log {
                None => seen.clear(),
                Some(log) => seen.push(log.index),
            };
            let read = if chunks { read_in_chunks } else { read_log };
            let (store, (content, findings)) = read(&path, Depth::Structure, &mut each).unwrap();
            let findings: Vec<_> = findings.into_iter().map(|found| (found.id, found.place.last_index)).collect();
            (store.page_count, content.summary, findings, seen)
        };
        let (whole, mut chunks) = (read(false), read(true));
        assert_eq!(whole.3, (3..40).map(Index).collect::<Vec<_>>());
        assert_eq!(chunks.2.pop(), Some(("NODE-006", None)));
        assert_eq!(whole, chunks);
    }
}
