//! A cluster that lost its quorum, its addresses or its head starts again, and what may be lost is said before.
//!
//! ```text
//! directories, backups, collected facts -> Input -> Base, Coverage, head -> PlanFile -> apply, anywhere -> check
//! ```
//!
//! 1. [`read_inputs`] reads what is left of the servers: nothing is changed. [`collect()`] does it on another machine.
//! 2. [`plan()`] decides once, for all servers: the base, what that covers, the members, the leader and the head. What
//!    speaks against it are findings, RECOVER-001 to -008, and each can be allowed.
//! 3. [`apply()`] writes the servers' state of a [`PlanFile`], which has everything needed: the same bytes on any machine.
//! 4. [`compare`] says whether servers have the planned state, or have gone on from it.
//!
//! What is written, and why that is safe, is in [`crate::plan::recovered`].

mod apply;
mod base;
mod collect;
mod compare;
mod coverage;
mod error;
mod facts;
mod file;
mod guard;
mod head;
mod input;
mod members;
mod planning;
mod sources;
#[cfg(test)]
mod tests;

pub use apply::{Applied, ApplyOptions, Change, Target, apply};
pub use base::Base;
pub use collect::{CollectedFile, collect};
pub use compare::{AppliedState, applied_state, compare};
pub use coverage::{Coverage, Uncounted};
pub use error::Error;
pub use facts::{Damage, Facts, History, MembersAt, Position, Vote};
pub use file::{PlanFile, PlannedHead, PlannedInput, PlannedServer};
pub use guard::GUARDS;
pub use head::{Client, HeadChoice, WhichHead};
pub use input::{Input, Origin};
pub use members::{MemberChanges, Members};
pub use planning::{PlanOptions, Planned, plan};
pub use sources::{Inputs, read_inputs};
