//! `upgrade-N` and `rollback-N`: servers are replaced one after the other, the leader last.

use tokio::time::{Instant, sleep};

use super::snapshot::SNAPSHOT_FLAGS;
use super::{SETTLE, Seen, Trial};
use crate::durable::temp_dir;
use crate::gate::Error;
use crate::gate::nodes::{Nodes, address};
use crate::gate::timeline::Happened;
use crate::payload::Head;

/// Which way a round goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Back,
}

impl Trial<'_> {
    /// Replaces the next server; then a block is committed, and all is looked at.
    pub(super) async fn replace_next(&mut self, direction: Direction) -> Result<Seen, Error> {
        let Some(leader) = self.current_leader().await? else { return Ok(Seen::Bad("nobody leads".to_owned())) };
        if self.to_replace.is_empty() {
            self.to_replace = self.followers_first(&leader);
        }
        let id = self.to_replace.remove(0);
        let mut seen = String::new();
        if id == leader {
            match self.move_leadership(&id).await? {
                Seen::Good(moved) => seen = moved + ", ",
                bad @ Seen::Bad(_) => return Ok(bad),
            }
        }
        self.replace(&id, direction).await?;
        seen += &format!("{id} was replaced by {}, ", self.target_name(direction));
        let after = self.goes_on().await?;
        Ok(match after {
            Seen::Good(after) => Seen::Good(seen + &after),
            Seen::Bad(bad) => Seen::Bad(seen + "but " + &bad),
        })
    }

    fn followers_first(&self, leader: &str) -> Vec<String> {
        let followers = self.staged.nodes.iter().filter(|id| *id != leader).cloned();
        followers.chain([leader.to_owned()]).collect()
    }

    fn target_name(&self, direction: Direction) -> String {
        let targets = self.job.targets();
        let target = if direction == Direction::Back { targets.first() } else { targets.last() };
        target.map(ToString::to_string).unwrap_or_default()
    }

    /// Nobody leads: adds what raft itself can't do in this job.
    fn no_leader(&self, what: &str) -> Seen {
        let limit = self.job.known_limit().map(|limit| format!("; {limit}")).unwrap_or_default();
        Seen::Bad(format!("{what} {} s later{limit}", self.seconds()))
    }

    /// Lets another server lead. One server alone has nobody to give it to.
    async fn move_leadership(&self, leader: &str) -> Result<Seen, Error> {
        if self.staged.members.voters().count() < 2 {
            return Ok(Seen::Good(format!("{leader} leads alone")));
        }
        if let Err(error) = self.nodes.transfer_leadership(leader).await {
            return Ok(Seen::Bad(format!("{leader} can't transfer leadership: {}", super::chain(&error))));
        }
        let look = || async { Ok(self.sequencing_leader().await?.filter(|now| now != leader)) };
        let Some(now) = self.until(look).await? else {
            return Ok(self.no_leader(&format!("{leader} gave up leadership, but nobody else leads and sequences")));
        };
        Ok(match self.began_elsewhere().await? {
            Some(hash) => Seen::Bad(format!("{now} sequences on {hash}, which is not the last block")),
            None => Seen::Good(format!("leadership went from {leader} to {now}{}", self.pause().await?)),
        })
    }

    /// Stops a server and starts one of the other target on what it left, at the same address.
    async fn replace(&mut self, id: &str, direction: Direction) -> Result<(), Error> {
        let program = if direction == Direction::Back { self.programs.first() } else { self.programs.last() };
        let Some(program) = program else { return Ok(()) };
        let fail = |source| Error::Io { path: std::env::temp_dir(), source };
        let directory = temp_dir("gate").map_err(|error| fail(error.source))?;
        self.nodes.take_away(id, directory.path()).await?;
        self.nodes.start(program, id, address(self.staged, id)?, directory.path(), &SNAPSHOT_FLAGS).await
    }

    /// One leads and sequences, commits the next block, and all logs have it.
    async fn goes_on(&mut self) -> Result<Seen, Error> {
        let Some(leader) = self.until(|| self.sequencing_leader()).await? else {
            return Ok(self.no_leader("nobody leads and sequences"));
        };
        let number = match self.commit_next(&leader).await? {
            Ok(number) => number,
            Err(bad) => return Ok(bad),
        };
        Ok(match self.logs_agree().await? {
            Seen::Good(_) => {
                let verb = if self.job.from().has_conductor() { "leads and sequences" } else { "leads" };
                Seen::Good(format!("{leader} {verb}, block {number} is in all logs, and verify finds no error"))
            }
            bad @ Seen::Bad(_) => bad,
        })
    }

    /// Looks until nothing is wrong: a server that comes back needs a moment to catch up, and a copy of a running one
    /// may be torn.
    async fn logs_agree(&self) -> Result<Seen, Error> {
        let end = Instant::now() + self.options.timeout;
        loop {
            let seen = self.look_at_state().await?;
            if matches!(seen, Seen::Good(_)) || Instant::now() > end {
                return Ok(seen);
            }
            sleep(SETTLE / 4).await;
        }
    }

    /// The block that the sequencer which was started last began on, when it isn't the last one that was committed.
    async fn began_elsewhere(&self) -> Result<Option<String>, Error> {
        let Nodes::Conductor(conductors) = &self.nodes else { return Ok(None) };
        let tip = self.tip.as_deref().and_then(|tip| Head::peek(tip).ok());
        let last = conductors.sequencing().await?.pop();
        Ok(last.map(|last| last.hash).filter(|hash| tip.is_none_or(|tip| *hash != tip.hash.to_string())))
    }

    /// In words, how long nobody sequenced when leadership moved last.
    async fn pause(&self) -> Result<String, Error> {
        let timeline = self.nodes.timeline().await?;
        let last = |what: &Happened| timeline.iter().rfind(|moment| moment.what == *what);
        let (Some(stopped), Some(started)) = (last(&Happened::SequencingStopped), last(&Happened::Sequencing)) else {
            return Ok(String::new());
        };
        let seconds = started.time.duration_since(stopped.time).as_secs_f64();
        Ok(if seconds < 0.0 {
            format!(" (both sequenced for {:.2} s)", -seconds)
        } else {
            format!(" ({seconds:.2} s between their sequencers)")
        })
    }

    /// The server that leads, and whose sequencer is the only active one when there are any.
    async fn sequencing_leader(&self) -> Result<Option<String>, Error> {
        match &self.nodes {
            Nodes::Raft(_) => self.current_leader().await,
            Nodes::Conductor(conductors) => conductors.sequencing_leader().await,
        }
    }

    /// The server that became leader last, if it still runs.
    pub(super) async fn current_leader(&self) -> Result<Option<String>, Error> {
        self.nodes.leader().await
    }
}
