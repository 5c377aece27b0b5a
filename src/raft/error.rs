//! Why raft's bytes could not be read.

/// What is wrong with a key, an entry or a stable value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key of the log store that is no index.
    #[error("expected a key of 8 bytes, found {len}")]
    KeyLen {
        /// Its length in bytes.
        len: usize,
    },
    /// A value of the log store that go-msgpack can't decode.
    #[error("not a raft log entry: {reason}")]
    Log {
        /// What the decoder said.
        reason: String,
    },
    /// Data of a configuration entry that go-msgpack can't decode: raft panics on it.
    #[error("not a raft configuration: {reason}")]
    Configuration {
        /// What the decoder said.
        reason: String,
    },
    /// A snapshot's meta.json that encoding/json can't decode: raft passes over the snapshot.
    #[error("meta.json: {reason}")]
    SnapshotMeta {
        /// What the decoder said.
        reason: String,
    },
    /// A snapshot's meta.json of a version that raft passes over.
    #[error("meta.json: expected version 0 or 1, found {version}")]
    SnapshotVersion {
        /// The version that it names.
        version: i64,
    },
    /// A stable key whose value is not a number.
    #[error("{key}: expected 8 bytes, found {len}")]
    StableLen {
        /// Which key.
        key: &'static str,
        /// Length of its value in bytes.
        len: usize,
    },
}
