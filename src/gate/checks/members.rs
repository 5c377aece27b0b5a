//! `members`.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Instant, sleep};

use super::{Seen, Trial};
use crate::gate::nodes::Member;
use crate::gate::{Error, POLL};

/// What each node answered last.
type Answers<'a> = BTreeMap<&'a str, Result<BTreeSet<Member>, Error>>;

impl Trial<'_> {
    /// Asks until all servers see the members that the state has.
    pub(super) async fn members(&self) -> Result<Seen, Error> {
        let expected: BTreeSet<Member> = self.staged.members.servers.iter().map(Member::of).collect();
        let end = Instant::now() + self.options.timeout;
        loop {
            let answers = self.all_members().await;
            let differs = answers.iter().find(|(_, members)| members.as_ref().ok() != Some(&expected));
            let Some((id, members)) = differs else {
                let voters = self.staged.members.voters().count();
                return Ok(Seen::Good(format!(
                    "all {} servers see the same members, {voters} of them voters",
                    answers.len()
                )));
            };
            if Instant::now() > end {
                return Ok(Seen::Bad(match members {
                    Ok(members) => format!("{id} sees {}, expected {}", list(members), list(&expected)),
                    Err(error) => super::chain(error),
                }));
            }
            sleep(POLL).await;
        }
    }

    /// A node's RPC comes up a moment after raft, so an error isn't the end.
    async fn all_members(&self) -> Answers<'_> {
        let mut answers = BTreeMap::new();
        for id in &self.staged.nodes {
            answers.insert(id.as_str(), self.nodes.members(id).await);
        }
        answers
    }
}

fn list(members: &BTreeSet<Member>) -> String {
    let word = |suffrage| if suffrage == 0 { "voter" } else { "nonvoter" };
    let described = members.iter().map(|it| format!("{} {} {}", word(it.suffrage), it.id, it.address));
    described.collect::<Vec<_>>().join(", ")
}
