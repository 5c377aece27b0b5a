//! `next-block`, and the blocks that later checks commit.

use super::{Seen, Trial};
use crate::gate::timeline::Happened;
use crate::gate::{Error, SAMPLE_HEAD};
use crate::payload::{Envelope, EnvelopeError};

impl Trial<'_> {
    /// Commits a block on top of the head.
    pub(super) async fn next_block(&mut self) -> Result<Seen, Error> {
        let Some(leader) = self.leader.as_ref().map(|leader| leader.node.clone()) else {
            return Ok(Seen::Bad("nobody leads".to_owned()));
        };
        Ok(match self.commit_next(&leader).await? {
            Ok(number) => Seen::Good(format!("{leader} committed block {number} on top of it")),
            Err(bad) => bad,
        })
    }

    /// Commits the next block through node `leader`; its number, or what is wrong.
    pub(super) async fn commit_next(&mut self, leader: &str) -> Result<Result<u64, Seen>, Error> {
        let next = match self.child() {
            Ok(next) => next,
            Err(error) => return Ok(Err(Seen::Bad(format!("no block can be put on top of the head: {error}")))),
        };
        if let Err(error) = self.nodes.commit(leader, &next).await {
            return Ok(Err(Seen::Bad(super::chain(&error))));
        }
        self.nodes.fleet().note(leader, Happened::Committed { block: next.head().number });
        self.tip = Some(next.encode());
        Ok(Ok(next.head().number))
    }

    fn child(&self) -> Result<Envelope, EnvelopeError> {
        let head = self.staged.head.as_ref().map_or(SAMPLE_HEAD, |(_, bytes)| bytes);
        Envelope::decode(self.tip.as_deref().unwrap_or(head))?.child()
    }
}
