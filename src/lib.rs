//! Makes, reads, checks and mends the HashiCorp Raft state of op-conductor clusters, offline.
//!
//! Data has five ways, and each can be followed by opening the modules in this order:
//!
//! ```text
//! down   cluster::ClusterSpec -> plan::Plan -> raft::codec -> bolt::tx -> durable -> <output>/<id>/*.db
//! back   <dir>/<id>/*.db -> bolt::read -> raft stores -> state::Node, state::entries::Entries | verify::Report -> text or JSON
//! bulk   pairs of a store (compact), or lines in any order (transfer) -> bolt::bulk -> durable
//! safe   <dir>/<id>/* -> backup -> <backups>/raft-backup-<time> -> restore -> durable
//! truth  the same files -> gate: containers with real raft and op-conductor
//! ```
//!
//! [`bolt`] knows pages and buckets and has never heard of a term; [`raft`] knows terms and indexes and never
//! sees a page; [`state`] is the seam between both and the file system.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod backup;
pub mod bolt;
pub mod cluster;
pub mod compact;
pub mod durable;
#[cfg(feature = "gate")]
pub mod gate;
pub mod generate;
#[cfg(feature = "payload")]
pub mod head;
pub mod payload;
pub mod plan;
pub mod raft;
#[cfg(feature = "payload")]
pub mod recover;
pub mod report;
pub mod restore;
pub mod state;
pub mod transfer;
pub mod verify;

pub use durable::{open_file, read_file};
