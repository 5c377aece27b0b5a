//! The folder of one server: raft-log.db, raft-stable.db, snapshots/. (op-conductor consensus/raft.go)

/// The log store.
pub const LOG_FILE: &str = "raft-log.db";
/// The stable store.
pub const STABLE_FILE: &str = "raft-stable.db";
/// The snapshot store.
pub const SNAPSHOTS_FOLDER: &str = "snapshots";
