//! The raft state of servers as it is on disk: what a path means, one server's directory, its entries and snapshots.

pub mod dir;
pub mod entries;
mod node;
pub mod snapshots;

pub use node::{
    Campaign, Depth, Error, Node, Source, Store, heads_of_snapshots, read_committed, stable_state, state_directories,
};
pub(crate) use node::{has_state, server_id};
