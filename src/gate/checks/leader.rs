//! `boot` and `first-leader`.

use std::collections::BTreeSet;

use super::{Seen, Trial};
use crate::gate::Error;
use crate::gate::fleet::Campaign;

impl Trial<'_> {
    /// Waits for a first leader: a node that can't use its state ends before there is one.
    pub(super) async fn boot(&mut self) -> Result<Seen, Error> {
        let fleet = self.nodes.fleet();
        let look = || async {
            for id in &self.staged.nodes {
                if let Some(code) = fleet.node(id)?.exit_code().await? {
                    let last = fleet.last_words(id).await?;
                    return Ok(Some(Err(format!("{id} ended with exit code {code}: {last}"))));
                }
            }
            let leader = fleet.campaigns().await?.into_iter().find(|campaign| campaign.leads);
            Ok(leader.map(Ok))
        };
        self.leader = match self.until(look).await?.transpose() {
            Err(ended) => return Ok(Seen::Bad(ended)),
            Ok(leader) => leader,
        };
        Ok(Seen::Good(format!("{} servers run", self.staged.nodes.len())))
    }

    pub(super) async fn first_leader(&mut self) -> Result<Seen, Error> {
        let Some(leader) = &self.leader else {
            return Ok(Seen::Bad(format!("nobody led within {} s", self.seconds())));
        };
        let seen = format!("{} led first, {}", leader.node, self.after_start(leader).await?);
        let candidates = &self.staged.candidates;
        if candidates.is_empty() {
            return Ok(Seen::Bad(format!("{seen}, but by the state nobody can win")));
        }
        if !candidates.contains(&leader.node) {
            return Ok(Seen::Bad(format!("{seen}, but by the state only {} can win", candidates.join(", "))));
        }
        let [named] = candidates.as_slice() else {
            return Ok(Seen::Good(format!("{seen}; by the state {} could", candidates.join(", "))));
        };
        let others = self.others_before(leader, named).await?;
        Ok(if others.is_empty() {
            Seen::Good(format!("{seen}, as named, and nobody else had asked for votes"))
        } else {
            Seen::Bad(format!("{seen}, but {} had asked for votes before", others.join(", ")))
        })
    }

    async fn after_start(&self, leader: &Campaign) -> Result<String, Error> {
        let started = self.nodes.fleet().node(&leader.node)?.started().await?;
        Ok(match started {
            Some(started) => format!("{:.1} s after its start", leader.time.duration_since(started).as_secs_f64()),
            None => "at an unknown time".to_owned(),
        })
    }

    /// Nodes besides `named` that asked for votes before the leader led.
    async fn others_before(&self, leader: &Campaign, named: &str) -> Result<Vec<String>, Error> {
        let campaigns = self.nodes.fleet().campaigns().await?.into_iter();
        let before = campaigns.filter(|campaign| campaign.time <= leader.time && campaign.node != named);
        let others: BTreeSet<String> = before.map(|campaign| campaign.node).collect();
        Ok(others.into_iter().collect())
    }
}
