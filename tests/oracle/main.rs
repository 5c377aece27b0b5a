//! The same against the real code: bbolt, raft-boltdb and hashicorp/raft by the oracle (oracle/build.sh), and raft and
//! op-conductor in containers. Compiled with the feature `gate`, and then nothing is left out: what a test needs and isn't
//! there makes it fail with a sentence that says what to start.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its seeds"
)]

#[path = "../common/mod.rs"]
mod common;

mod backup_running;
mod bulk;
mod cluster_histories;
mod conductor;
mod damage;
mod differential;
mod gate;

mod puts;
mod raft;
mod recover;
mod restore_crash;
mod restore_gate;
mod running;
mod specs;
