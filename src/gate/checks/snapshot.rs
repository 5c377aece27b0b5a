//! `snapshot` and `new-snapshot`.

use super::{Seen, Trial};
use crate::gate::Error;
use crate::state::dir::SNAPSHOTS_DIR;
use crate::state::snapshots;

/// Blocks that make op-conductor take a snapshot: more than [`SNAPSHOT_FLAGS`] want.
const BLOCKS: usize = 10;
/// So that op-conductor takes a snapshot soon, and what it leaves in the log is less than all.
pub(in crate::gate) const SNAPSHOT_FLAGS: [&str; 3] =
    ["--raft.snapshot-interval=1s", "--raft.snapshot-threshold=8", "--raft.trailing-logs=4"];

impl Trial<'_> {
    /// Commits blocks until all servers have a newer snapshot than before.
    pub(super) async fn snapshot(&mut self) -> Result<Seen, Error> {
        let Some(leader) = self.current_leader().await? else { return Ok(Seen::Bad("nobody leads".to_owned())) };
        let before = self.newest_snapshots().await?;
        for _ in 0..BLOCKS {
            if let Err(bad) = self.commit_next(&leader).await? {
                return Ok(bad);
            }
        }
        let look = || async {
            let now = self.newest_snapshots().await?;
            let all = now.iter().zip(&before).all(|(now, before)| now.is_some() && now > before);
            Ok(all.then_some(now))
        };
        Ok(match self.until(look).await? {
            Some(now) => {
                let indexes: Vec<String> = now.into_iter().flatten().map(|index| index.to_string()).collect();
                Seen::Good(format!("all servers have a new snapshot, of entries {}", indexes.join(", ")))
            }
            None => Seen::Bad(format!(
                "{BLOCKS} blocks and {} s later, not all servers have a new snapshot",
                self.seconds()
            )),
        })
    }

    /// Index of each server's newest snapshot, in the order of the servers.
    async fn newest_snapshots(&self) -> Result<Vec<Option<u64>>, Error> {
        let directory = self.copy_out().await?;
        let newest = |id: &String| {
            let listed = snapshots::list(&directory.path().join(id).join(SNAPSHOTS_DIR)).ok()?;
            listed.listed.first().map(|meta| meta.index.0)
        };
        Ok(self.staged.nodes.iter().map(newest).collect())
    }
}
