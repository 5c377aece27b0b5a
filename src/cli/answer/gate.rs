//! Answer of `gate`.

use std::path::Path;

use op_conductor_init::gate::{Moved, Staged, TargetReport};
use op_conductor_init::payload::Head;
use op_conductor_init::raft::Server;
use serde::Serialize;

use super::shown;

/// `gate`.
#[derive(Serialize)]
pub(in crate::cli) struct Answer<'a> {
    /// Null when the state was made for the call.
    state_dir: Option<String>,
    /// The members.
    servers: &'a [Server],
    /// Ids of those that have a directory.
    started: &'a [String],
    /// Who can win the first election, by the state.
    first_leaders: &'a [String],
    unsafe_head: Option<&'a Head>,
    /// Addresses that are others in the copy.
    moved: &'a [Moved],
    /// In a few words.
    verdict: String,
    targets: &'a [TargetReport],
}

impl Answer<'_> {
    pub(in crate::cli) fn new<'a>(
        state_dir: Option<&Path>,
        staged: &'a Staged,
        verdict: String,
        targets: &'a [TargetReport],
    ) -> Answer<'a> {
        Answer {
            state_dir: state_dir.map(shown),
            servers: &staged.members.servers,
            started: &staged.nodes,
            first_leaders: &staged.candidates,
            unsafe_head: staged.head.as_ref().map(|(head, _)| head),
            moved: &staged.moved,
            verdict,
            targets,
        }
    }
}
