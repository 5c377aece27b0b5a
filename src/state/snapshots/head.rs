//! The unsafe heads in snapshots.

use std::io::Read;
use std::path::Path;

use super::{Snapshots, list};
use crate::durable::open_file;
use crate::payload::{Head, StoredHead};
use crate::raft::{STATE_FILE, SnapshotMeta};
use crate::state::Error;
use crate::state::dir::SNAPSHOTS_DIR;

/// Bytes of an envelope that say which block it is.
const PEEK_LEN: u64 = 4096;

/// The heads in the snapshots of the server's directory `path`, the newest first.
pub fn heads_of_snapshots(path: &Path) -> Result<Vec<StoredHead>, Error> {
    let directory = path.join(SNAPSHOTS_DIR);
    let snapshots = list(&directory).map_err(|source| Error::Io { path: directory, source })?;
    Ok(snapshots.listed.iter().filter_map(|meta| head_in_snapshot(path, meta)).collect())
}

/// The head in the newest snapshot.
pub(in crate::state) fn head_of_snapshot(path: &Path, snapshots: &Snapshots) -> Option<StoredHead> {
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
