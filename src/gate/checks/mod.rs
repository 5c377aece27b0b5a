//! The checks of one target on one state, as one table.

mod block;
mod leader;
mod left;
mod members;
mod restart;
mod sequencing;
mod snapshot;
mod upgrade;

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fleet::Campaign;
use super::nodes::{Nodes, Program};
use super::options::Options;
use super::staged::Staged;
use super::target::Job;
use super::{Error, POLL};
pub(super) use snapshot::SNAPSHOT_FLAGS;
use upgrade::Direction;

/// What others may still do after all looks right: a second sequencer would come with the next health check.
const SETTLE: Duration = Duration::from_secs(2);

/// One of the checks. They are done in an order in which each builds on those before it.
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
    /// All take a snapshot.
    Snapshot,
    /// This server, counted from 1, is replaced by one of the new target; the leader is the last.
    Upgrade(usize),
    /// All take a snapshot, now that all are of the new target.
    NewSnapshot,
    /// This server, counted from 1, is replaced by one of the old target; the leader is the last.
    Rollback(usize),
    /// `verify` finds no error in what they leave; the last block is in every log.
    StateLeft,
}

impl CheckName {
    /// The checks of a job on this number of servers.
    pub(super) fn of(job: &Job, servers: usize) -> Vec<CheckName> {
        use CheckName::{Boot, FirstLeader, Members, NewSnapshot, NextBlock, Restart, Sequencing, Snapshot, StateLeft};
        let has_conductor = job.from().has_conductor();
        let mut names = vec![Boot, FirstLeader, Members];
        // Raft alone sequences nothing, and snapshots of the oracle's state machine are not op-conductor's.
        names.extend(has_conductor.then_some(Sequencing));
        names.push(NextBlock);
        match job {
            Job::Boot(_) => names.push(Restart),
            Job::Upgrade(upgrade) => {
                names.extend(has_conductor.then_some(Snapshot));
                names.extend((1..=servers).map(CheckName::Upgrade));
                if upgrade.rollback {
                    names.extend(has_conductor.then_some(NewSnapshot));
                    names.extend((1..=servers).map(CheckName::Rollback));
                }
            }
        }
        names.push(StateLeft);
        names
    }

    /// Its name in answers: stable.
    pub fn word(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            CheckName::Boot => "boot",
            CheckName::FirstLeader => "first-leader",
            CheckName::Members => "members",
            CheckName::Sequencing => "sequencing",
            CheckName::NextBlock => "next-block",
            CheckName::Restart => "restart",
            CheckName::Snapshot => "snapshot",
            CheckName::Upgrade(number) => return format!("upgrade-{number}").into(),
            CheckName::NewSnapshot => "new-snapshot",
            CheckName::Rollback(number) => return format!("rollback-{number}").into(),
            CheckName::StateLeft => "state-left",
        })
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
    pub job: &'a Job,
    /// What the nodes are started from: that of the first target, and that of the one that takes its place.
    pub programs: &'a [Program],
    pub options: Options,
    pub nodes: Nodes,
    /// The first leader, from `first-leader` on.
    pub leader: Option<Campaign>,
    /// The envelope of the last block that was committed, from `next-block` on.
    pub tip: Option<Vec<u8>>,
    /// Servers that are still to be replaced, the next one first; filled when a round begins.
    pub to_replace: Vec<String>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        staged: &'a Staged,
        job: &'a Job,
        options: Options,
        programs: &'a [Program],
        nodes: Nodes,
    ) -> Trial<'a> {
        Trial { staged, job, options, programs, nodes, leader: None, tip: None, to_replace: Vec::new() }
    }

    /// Does one check. Those before it must have passed.
    pub(super) async fn check(&mut self, name: CheckName) -> Result<Seen, Error> {
        match name {
            CheckName::Boot => self.boot().await,
            CheckName::FirstLeader => self.first_leader().await,
            CheckName::Members => self.members().await,
            CheckName::Sequencing => self.sequencing().await,
            CheckName::NextBlock => self.next_block().await,
            CheckName::Restart => self.restart().await,
            CheckName::Snapshot | CheckName::NewSnapshot => self.snapshot().await,
            CheckName::Upgrade(_) => self.replace_next(Direction::Forward).await,
            CheckName::Rollback(_) => self.replace_next(Direction::Back).await,
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
