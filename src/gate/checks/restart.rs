//! `restart`.

use tokio::time::sleep;

use super::{SETTLE, Seen, Trial};
use crate::gate::Error;
use crate::gate::conductor::Conductors;
use crate::gate::fleet::Campaign;
use crate::gate::nodes::Nodes;

impl Trial<'_> {
    /// Stops all and starts all again: somebody must lead, and sequence if it did before.
    pub(super) async fn restart(&self) -> Result<Seen, Error> {
        // What was committed has to reach the others first.
        sleep(SETTLE).await;
        let fleet = self.nodes.fleet();
        fleet.stop_all().await?;
        // Counted, because the daemon's clock may not be ours.
        let leaders = |campaigns: Vec<Campaign>| campaigns.into_iter().filter(|campaign| campaign.leads);
        let before = leaders(fleet.campaigns().await?).count();
        fleet.start_all().await?;
        let look = || async { Ok(leaders(fleet.campaigns().await?).nth(before)) };
        let Some(leader) = self.until(look).await? else {
            let seconds = self.seconds();
            return Ok(Seen::Bad(format!("after all were stopped and started again, nobody led within {seconds} s")));
        };
        match &self.nodes {
            Nodes::Raft(_) => Ok(Seen::Good(format!("all were stopped and started again, and {} led", leader.node))),
            Nodes::Conductor(conductors) => self.sequences_again(conductors, &leader.node).await,
        }
    }

    async fn sequences_again(&self, conductors: &Conductors, leader: &str) -> Result<Seen, Error> {
        let found = self.until(|| conductors.sequencing_leader()).await?;
        Ok(match found {
            Some(node) => Seen::Good(format!("all were stopped and started again, and {node} leads and sequences")),
            None => Seen::Bad(format!(
                "after all were stopped and started again, {leader} leads, but the active sequencers are {:?} after {} s",
                conductors.active().await?,
                self.seconds()
            )),
        })
    }
}
