//! The raft state of servers as it is on disk: what a path means, one server's directory, its entries and snapshots.

mod damage;
pub mod dir;
mod discard;
pub mod entries;
mod error;
mod known;
mod lock;
mod node;
mod servers;
pub mod snapshots;

pub use damage::describe_damage;
pub use dir::StateDir;
pub use discard::discard;
pub use error::Error;
pub use lock::{StateLock, lock, lock_shared};
pub use node::{Campaign, Database, Depth, Node, Store, heads_of_snapshots, read_committed, stable_state};
pub use servers::Servers;
pub(crate) use servers::{LOST_FOUND, has_state};
