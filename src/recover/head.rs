//! The unsafe head that a recovered cluster starts from.

use std::path::Path;

use super::Error;
use crate::durable::{IoError, read_file};
use crate::payload::{Envelope, Head, StoredHead};
use crate::raft::{Index, LogType, STATE_FILE, Term};
use crate::state::dir::{LOG_FILE, StateDir};
use crate::state::entries::Entries;
use crate::state::snapshots;

/// A state.bin of more bytes isn't read: the largest blocks have a few MiB.
const MAX_HEAD_LEN: u64 = 256 << 20;

/// Which of the blocks that the base has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichHead {
    /// The one with the highest number: what op-conductor takes.
    Highest,
    /// The one that was written last: what releases with reorg recovery take.
    Last,
}

/// Where the head comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadChoice {
    /// The base's own. Without a choice, an error when the highest block isn't the last one.
    Base(Option<WhichHead>),
    /// A block that the caller has: an execution payload envelope, and where it is from.
    Given {
        /// The envelope's bytes.
        bytes: Vec<u8>,
        /// Such as the name of a file, or of an execution client.
        source: String,
    },
}

/// The latest block of an execution client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Which block.
    pub head: Head,
}

/// What op-conductor's state machine would have applied. (op-conductor consensus/raft_fsm.go Apply)
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay {
    snapshot: Index,
    highest: Option<StoredHead>,
    last: Option<StoredHead>,
}

impl Replay {
    /// Commands up to `snapshot` are in its state.
    pub(super) fn new(snapshot: Index) -> Replay {
        Replay { snapshot, highest: None, last: None }
    }

    pub(super) fn add(&mut self, index: Index, term: Term, data: &[u8]) {
        let Ok(head) = Head::peek(data) else { return };
        if index <= self.snapshot {
            return;
        }
        let stored = StoredHead { head, index: index.0, term: term.0, in_snapshot: false };
        if self.highest.is_none_or(|highest| head.number > highest.head.number) {
            self.highest = Some(stored);
        }
        self.last = Some(stored);
    }

    /// The highest block and the last one, after the snapshot's was applied first.
    pub(super) fn finish(self, snapshot: Option<StoredHead>) -> (Option<StoredHead>, Option<StoredHead>) {
        let above = |log: &StoredHead| snapshot.is_none_or(|snapshot| log.head.number > snapshot.head.number);
        (self.highest.filter(above).or(snapshot), self.last.or(snapshot))
    }
}

/// The bytes of a head in the stores of `directory`. Blocks that can't be decoded are passed over, as op-conductor does.
pub(super) fn read_head(directory: &Path, which: WhichHead) -> Result<Option<Vec<u8>>, Error> {
    let dir = StateDir::new(directory);
    let snapshots_path = dir.snapshots_path();
    let listed = snapshots::list(&snapshots_path).map_err(IoError::when("reading", &snapshots_path))?;
    let mut best: Option<(u64, Vec<u8>)> = None;
    let mut base = Index(0);
    if let Some(meta) = listed.listed.first() {
        let state = read_file(&snapshots_path.join(&meta.directory).join(STATE_FILE), MAX_HEAD_LEN)?;
        best = Head::peek(&state).ok().map(|head| (head.number, state));
        base = meta.index;
    }
    if !directory.join(LOG_FILE).exists() {
        return Ok(best.map(|(_, bytes)| bytes));
    }
    let mut entries = Entries::open(directory, Index(base.0.saturating_add(1)))?;
    while let Some(log) = entries.next_log()? {
        let data = log.data.as_deref().unwrap_or_default();
        let Some(head) = Head::peek(data).ok().filter(|_| log.kind == LogType::Command) else { continue };
        let takes = match which {
            WhichHead::Highest => best.as_ref().is_none_or(|(number, _)| head.number > *number),
            WhichHead::Last => true,
        };
        if takes && Envelope::decode(data).is_ok() {
            best = Some((head.number, data.to_vec()));
        }
    }
    Ok(best.map(|(_, bytes)| bytes))
}
