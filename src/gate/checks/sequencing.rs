//! `sequencing`.

use tokio::time::sleep;

use super::{SETTLE, Seen, Trial};
use crate::gate::Error;
use crate::gate::conductor::Started;
use crate::gate::nodes::Nodes;
use crate::payload::Head;

impl Trial<'_> {
    pub(super) async fn sequencing(&self) -> Result<Seen, Error> {
        let (Nodes::Conductor(conductors), Some(leader)) = (&self.nodes, &self.leader) else {
            return Ok(Seen::Good("raft alone sequences nothing".to_owned()));
        };
        let Some((head, _)) = &self.staged.head else {
            return Ok(Seen::Bad(
                "the state has no unsafe head, so nobody sequences: generate it with --unsafe-head or --execution-rpc"
                    .to_owned(),
            ));
        };
        let first = self.until(|| async { Ok(conductors.sequencing().await?.into_iter().next()) }).await?;
        let Some(first) = first else { return self.no_sequencer(head, &leader.node).await };
        sleep(SETTLE).await;
        let all = conductors.sequencing().await?;
        if let Some(other) = all.iter().find(|started| started.node != leader.node) {
            return Ok(Seen::Bad(format!("the sequencer of {} was started, but {} leads", other.node, leader.node)));
        }
        Ok(judge(&first, head, leader.time))
    }

    /// Nobody sequences, and why.
    async fn no_sequencer(&self, head: &Head, leader: &str) -> Result<Seen, Error> {
        let last = self.nodes.fleet().last_words(leader).await?;
        let release = self.job.from().release().filter(|release| !release.can_read(head.version));
        let why = release.map_or_else(String::new, |it| format!(": {} can't read a {} payload", it.name, head.version));
        let seconds = self.seconds();
        Ok(Seen::Bad(format!("no sequencer was started within {seconds} s{why}; {leader} said last: {last}")))
    }
}

fn judge(first: &Started, head: &Head, led: jiff::Timestamp) -> Seen {
    if first.hash != head.hash.to_string() {
        return Seen::Bad(format!("started on {}, expected block {} {}", first.hash, head.number, head.hash));
    }
    let after = first.time.duration_since(led).as_secs_f64();
    let block = format!("block {} {}", head.number, head.hash);
    Seen::Good(format!("on {} and nobody else, on {block}, {after:.1} s after it led", first.node))
}
