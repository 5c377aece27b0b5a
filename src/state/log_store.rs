//! The log store of one server, read to its end: what the log says, and what is wrong with it.

use std::path::Path;

use super::Error;
use super::dir::LOG_FILE;
use super::entries::{self, Entries};
use super::store::{Depth, Store, named, read_store};
use crate::bolt::Reader;
use crate::durable::open_file;
use crate::payload::{PayloadChecker, StoredHead, Version};
use crate::raft::{Index, LOGS_BUCKET, Log, LogChecker, LogSummary, LogType};
use crate::report::{Finding, Severity};

/// Attempts to read a log in chunks when another leader replaces what was read.
const ATTEMPTS_OF_CHUNKS: u32 = 3;

/// What a log says.
#[derive(Debug, Default)]
pub(super) struct LogContent {
    pub(super) summary: LogSummary,
    pub(super) head: Option<StoredHead>,
    pub(super) payload_versions: Vec<Version>,
}

/// Gets each entry; [`None`] when all were read for nothing and come again.
pub(super) type EachLog<'a> = &'a mut dyn FnMut(Option<&Log<'_>>);

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

pub(super) fn read_log(
    path: &Path,
    depth: Depth,
    each: EachLog<'_>,
) -> Result<(Store, (LogContent, Vec<Finding>)), Error> {
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

/// Reads the entries of a log whose node commits faster than all of it can be read: chunk by chunk. Pages
/// aren't checked: that needs one committed state as a whole.
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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::bolt::Db;
    use crate::raft::codec::encode_log;
    use crate::raft::{AppendedAt, Term};

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
