//! A model of hashicorp/raft (1.7.3), and what becomes of our plans in it: all orders of messages, lost, doubled and late ones,
//! restarts and elections within stated bounds (docs/MODEL.md). What nodes start with comes from [`Plan`], so it is what we write.
//!
//! [`Plan`]: op_conductor_init::plan::Plan
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it saw"
)]

mod follower;
mod leader;
mod named;
mod node;
#[path = "../common/random.rs"]
mod random;
mod recovered;
mod run;
mod start;
mod value;
mod voter;
mod world;
