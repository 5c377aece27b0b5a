//! The folder of one server: raft-log.db, raft-stable.db, snapshots/.
