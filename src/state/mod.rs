//! The raft state of servers as it is on disk: what a path means, one server's directory, its entries and snapshots.

mod check;
mod cluster_file;
pub mod copy;
mod damage;
pub mod dir;
mod discard;
pub mod entries;
mod error;
mod known;
mod lock;
mod log_store;
mod node;
mod read;
pub mod rename;
mod servers;
pub mod snapshots;
mod stable_store;
mod store;
mod stray;

pub use cluster_file::{ClusterFileError, read_cluster_file};
pub use damage::describe_damage;
pub use dir::StateDir;
pub use discard::discard;
pub use error::Error;
pub use lock::{StateLock, lock, lock_shared};
pub use node::{Candidacy, Node};
pub use servers::Servers;
pub(crate) use servers::{LOST_FOUND, has_state};
pub use snapshots::heads_of_snapshots;
pub use stable_store::stable_state;
pub use store::{Database, Depth, Store, read_committed};
