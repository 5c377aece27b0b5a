//! Content in buckets that raft never looks into: databases that were exchanged or copied over each other.
//!
//! raft-boltdb makes both buckets in either file. op-conductor uses `logs` of raft-log.db and `conf` of raft-stable.db.
//! (op-conductor consensus/raft.go NewRaftConsensus, raft-boltdb bolt_store.go initialize)

use super::dir::{LOG_FILE, STABLE_FILE};
use super::node::Node;
use super::read_committed;
use crate::bolt;
use crate::raft::{CONF_BUCKET, LOGS_BUCKET, StableState};
use crate::report::{Finding, Severity};

/// Pairs are counted up to this number.
const MOST_COUNTED: usize = 100_000;

/// Reports pairs in the bucket of each database that raft doesn't use.
pub(super) fn check(node: &Node) -> Vec<Finding> {
    let (Some(log), Some(stable)) = (node.known_log(), node.known_stable()) else { return Vec::new() };
    let in_log = count(node, LOG_FILE, CONF_BUCKET);
    let in_stable = count(node, STABLE_FILE, LOGS_BUCKET);
    let has_no_entries = log.count == 0;
    let has_no_keys = *stable == StableState::default();
    if in_log > 0 && in_stable > 0 && has_no_entries && has_no_keys {
        let message = format!(
            "{LOG_FILE} has a term and a vote and no entries, {STABLE_FILE} has {in_stable} entries and no term: the files are exchanged, and raft would start as if it were new"
        );
        let hint = "stop the server and give the two files each other's names";
        return vec![Finding::new("NODE-012", Severity::Error, message).hint(hint)];
    }
    let keys = finding(LOG_FILE, in_log, "keys of a stable store", has_no_entries);
    let entries = finding(STABLE_FILE, in_stable, "entries of a log", has_no_keys);
    keys.into_iter().chain(entries).collect()
}

fn finding(file: &str, count: usize, what: &str, instead: bool) -> Option<Finding> {
    let (severity, rest) = match instead {
        true => (Severity::Error, "and nothing of its own: it looks like a copy of the other database"),
        false => (Severity::Warning, "beside its own content: raft never reads them"),
    };
    let message = format!("it has {count} {what} {rest}");
    (count > 0).then(|| Finding::new("NODE-013", severity, message).in_file(file))
}

/// How many pairs `bucket` of the database has; 0 when it can't be read.
fn count(node: &Node, file: &str, bucket: &[u8]) -> usize {
    let read = read_committed(&node.path.join(file), |database| -> Result<usize, bolt::Error> {
        let Some(bucket) = database.bucket(bucket)? else { return Ok(0) };
        let mut cursor = bucket.cursor();
        let mut count = 0;
        while count < MOST_COUNTED && cursor.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    });
    read.unwrap_or_default()
}
