//! The directory of one server, read as it is: what raft would start from.
//!
//! No lock is taken or waited for and nothing is created. A database that changes while it is read is read again.

use super::check::check;
use super::log_store::{LogContent, read_log};
use super::snapshots::{self, head_of_snapshot};
use super::stable_store::read_stable;
use super::{Depth, Error, Node, StateDir};
use crate::raft::Log;

impl Node {
    /// Reads the directory `dir`; `each` sees every entry of the log that can be decoded, in order.
    ///
    /// When the log changes during the read, `each` is called with [`None`] and then for all entries again.
    pub fn read(dir: &StateDir, depth: Depth, each: &mut dyn FnMut(Option<&Log<'_>>)) -> Result<Node, Error> {
        let (id, path) = (dir.id().to_owned(), dir.path());
        // The log first: raft makes a snapshot before it cuts off what that has. The stable store last: raft raises its
        // term before it appends an entry of that term.
        let (log_store, (log, log_findings)) = read_log(&dir.log_path(), depth, each)?;
        let LogContent { summary: log, head, payload_versions } = log;
        let directory = dir.snapshots_path();
        let snapshots = snapshots::list(&directory).map_err(|source| Error::Io { path: directory, source })?;
        let (stable_store, (stable, stable_findings)) = read_stable(&dir.stable_path(), depth)?;
        let head = head.into_iter().chain(head_of_snapshot(path, &snapshots)).max_by_key(|stored| stored.head.number);
        let path = path.to_owned();
        let findings = Vec::new();
        let mut node =
            Node { id, path, log_store, stable_store, log, stable, head, payload_versions, snapshots, findings };
        node.findings.extend(log_findings);
        node.findings.extend(stable_findings);
        check(&mut node, depth != Depth::Content);
        Ok(node)
    }
}
