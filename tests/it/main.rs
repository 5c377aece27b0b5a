//! Everything that needs neither Docker nor Go: the built command as people use it, and the library on bytes of all kinds.
//!
//! The tests of one binary are threads of one process, so none of them changes the process: a directory, variables, a umask or
//! limits are given to the command that a test starts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its seeds"
)]

#[path = "../common/mod.rs"]
mod common;

mod backup;
mod cli;
mod completions;
mod corpus;
mod damage;
mod findings;
#[cfg(feature = "payload")]
mod head;
mod hostile;
mod layers;
mod look;
mod prune;
mod quorum;
mod recover;
mod replace;
mod restore;
mod schemas;
mod views;
