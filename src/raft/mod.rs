//! HashiCorp Raft on disk: log entries, configurations, stable keys, snapshots.
//!
//! Reading order: [`Log`] and [`Configuration`] say what there is, [`codec`] turns them into go-msgpack's bytes and
//! back, [`StableState`], [`SnapshotMeta`] and [`LogChecker`] know what raft makes of them at its start. Storage is
//! seen only as `(key, value)` pairs, in the two buckets that raft-boltdb has in every file.

mod check;
pub mod codec;
mod configuration;
mod error;
mod log;
mod shared;
mod snapshot_meta;
mod stable_store;

pub(crate) use check::LAST_NUMBER;
pub use check::{ConfigurationAt, LogChecker, LogSummary, check_stable};
pub use configuration::{Configuration, ConfigurationError, Server, Suffrage};
pub use error::Error;
pub use log::{AppendedAt, Index, Log, LogType, Term};
pub use shared::decode_shared;
pub use snapshot_meta::{META_FILE, STATE_FILE, SnapshotMeta, decode_meta, encode_meta};
pub use stable_store::{CURRENT_TERM, LAST_VOTE_CAND, LAST_VOTE_TERM, StableState};

/// Bucket of the log entries: key = index, 8 bytes big endian. (raft-boltdb v2/bolt_store.go dbLogs)
pub const LOGS_BUCKET: &[u8] = b"logs";
/// Bucket of the stable keys. (raft-boltdb v2/bolt_store.go dbConf)
pub const CONF_BUCKET: &[u8] = b"conf";
