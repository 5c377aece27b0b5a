//! The checks of one target on one state, as one table.

mod block;
mod leader;
mod left;
mod members;
mod restart;
mod sequencing;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fleet::Campaign;
use super::nodes::Nodes;
use super::run::Options;
use super::staged::Staged;
use super::target::Target;
use super::{Error, POLL};

/// What others may still do after all looks right: a second sequencer would come with the next health check.
const SETTLE: Duration = Duration::from_secs(2);

/// One of the checks, in their order; each builds on those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckName {
    /// Every server runs.
    Boot,
    /// Who led first, and whether only it could by the state.
    FirstLeader,
    /// All servers see the members that the state has.
    Members,
    /// The sequencer was started on the leader alone, on the unsafe head.
    Sequencing,
    /// The leader commits a block on top of it.
    NextBlock,
    /// All are stopped and started again; one leads and sequences.
    Restart,
    /// `verify` finds no error in what they leave; the last block is in every log.
    StateLeft,
}

impl CheckName {
    const ALL: [CheckName; 7] = [
        CheckName::Boot,
        CheckName::FirstLeader,
        CheckName::Members,
        CheckName::Sequencing,
        CheckName::NextBlock,
        CheckName::Restart,
        CheckName::StateLeft,
    ];

    /// The checks of a target. Raft alone sequences nothing.
    pub(super) fn of(target: &Target) -> Vec<CheckName> {
        let applies = |name: &CheckName| *name != CheckName::Sequencing || target.has_conductor();
        CheckName::ALL.into_iter().filter(applies).collect()
    }

    /// Its name in answers: stable.
    pub const fn word(self) -> &'static str {
        match self {
            CheckName::Boot => "boot",
            CheckName::FirstLeader => "first-leader",
            CheckName::Members => "members",
            CheckName::Sequencing => "sequencing",
            CheckName::NextBlock => "next-block",
            CheckName::Restart => "restart",
            CheckName::StateLeft => "state-left",
        }
    }
}

/// What a check saw, in one sentence.
#[derive(Debug)]
pub(super) enum Seen {
    /// All is as it should be.
    Good(String),
    /// It isn't.
    Bad(String),
}

/// One target on one state, and what the checks have seen so far.
pub(super) struct Trial<'a> {
    pub staged: &'a Staged,
    pub target: &'a Target,
    pub options: Options,
    pub nodes: Nodes,
    /// The first leader, from `first-leader` on.
    pub leader: Option<Campaign>,
    /// The envelope of the last block that was committed, from `next-block` on.
    pub tip: Option<Vec<u8>>,
}

impl Trial<'_> {
    /// Does one check. Those before it must have passed.
    pub(super) async fn check(&mut self, name: CheckName) -> Result<Seen, Error> {
        match name {
            CheckName::Boot => self.boot().await,
            CheckName::FirstLeader => self.first_leader().await,
            CheckName::Members => self.members().await,
            CheckName::Sequencing => self.sequencing().await,
            CheckName::NextBlock => self.next_block().await,
            CheckName::Restart => self.restart().await,
            CheckName::StateLeft => self.state_left().await,
        }
    }

    fn seconds(&self) -> u64 {
        self.options.timeout.as_secs()
    }

    /// Looks until `found` finds what it looks for; none when the time is over.
    async fn until<T, F: Future<Output = Result<Option<T>, Error>>>(
        &self,
        mut found: impl FnMut() -> F,
    ) -> Result<Option<T>, Error> {
        let end = Instant::now() + self.options.timeout;
        loop {
            if let Some(found) = found().await? {
                return Ok(Some(found));
            }
            if Instant::now() > end {
                return Ok(None);
            }
            sleep(POLL).await;
        }
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}
