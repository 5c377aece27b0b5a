//! The gate's answer for programs.

use std::path::Path;

use op_conductor_init::gate::{Moved, Staged, TargetReport};
use op_conductor_init::payload::Head;
use op_conductor_init::raft::Server;
use serde::Serialize;

use super::text::verdict;

#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    /// The state that was booted; none when it was made for this.
    state_dir: Option<String>,
    /// The members, with the addresses that they had on the network of containers.
    servers: &'a [Server],
    /// Ids of the servers that were started: those with a directory.
    started: &'a [String],
    /// Ids of those that could lead first.
    first_leaders: &'a [String],
    unsafe_head: Option<&'a Head>,
    /// Addresses that were changed in the copy.
    moved: &'a [Moved],
    verdict: String,
    targets: &'a [TargetReport],
}

impl<'a> Answer<'a> {
    pub(super) fn new(state_dir: Option<&Path>, staged: &'a Staged, reports: &'a [TargetReport]) -> Answer<'a> {
        Answer {
            state_dir: state_dir.map(|path| path.to_string_lossy().into_owned()),
            servers: &staged.members.servers,
            started: &staged.nodes,
            first_leaders: &staged.candidates,
            unsafe_head: staged.head.as_ref().map(|(head, _)| head),
            moved: &staged.moved,
            verdict: verdict(reports),
            targets: reports,
        }
    }
}
