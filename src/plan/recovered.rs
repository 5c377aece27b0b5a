//! A cluster that has run, and starts again from one head: a snapshot above everything, and the named plan on it.
//!
//! S is above every index and T0 above every term that any server of the cluster ever stored; n voters, the leader L,
//! the other voters numbered i = 1 to n-1 in the order of the members:
//!
//! ```text
//!                        on L                            on follower i                           on a nonvoter
//! snapshots/T0-S-0       the head, all members           the same bytes                          the same bytes
//! index S+1              Configuration of all, term T0   the same bytes                          the same bytes
//! index S+2              Noop, term T0+n                 Configuration, i a nonvoter, term T0+i  -
//!
//! CurrentTerm = LastVoteTerm = T0+n, LastVoteCand = L's address, on all
//! ```
//!
//! op-conductor's state machine is one block, so the head is all that has to come through. No entry is copied: with the
//! base's log copied the head could not be lowered, and appending to each survivor's own log loses entries.
//!
//! The snapshot is above everything, so that an old directory that is started as a member by mistake is behind, and is
//! sent the snapshot: with one at the base's last entry it would match there, get no snapshot and keep its old head.
//! Index S+1 must be in the log: a follower looks up the entry before the leader's first one in its log, not in its
//! snapshot, unless that is its last (hashicorp/raft raft.go appendEntries). With the configuration in the snapshot alone,
//! each follower's demotion would be at S+1, nothing at S could be looked up, and nothing would ever commit.

use crate::cluster::ClusterSpec;
use crate::raft::{Index, LAST_NUMBER, META_FILE, STATE_FILE, SnapshotMeta, codec, encode_meta};
use crate::state::snapshots::checksum;

/// Why a plan can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The entries after the snapshot would have no index.
    #[error("expected an index of at most {max}, so that the cluster can go on, found {index}")]
    IndexTooHigh {
        /// The snapshot's index.
        index: Index,
        /// The highest that works.
        max: Index,
    },
    /// raft takes index 0 for no snapshot.
    #[error("expected an index of at least 1, found 0")]
    ZeroIndex,
}

/// The snapshot that all servers of a recovered cluster start from. It is the same on each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// What raft reads of it.
    pub meta: SnapshotMeta,
    /// The content of state.bin: the unsafe head.
    pub state: &'a [u8],
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(spec: &ClusterSpec, index: Index, state: &'a [u8]) -> Snapshot<'a> {
        let term = spec.initial_term();
        // raft puts the time last; 0 makes the bytes the same wherever they are made.
        let id = format!("{term}-{index}-0");
        let configuration = spec.configuration().clone();
        let mut peers = Vec::new();
        codec::encode_peers(&configuration, &mut peers);
        let meta = SnapshotMeta {
            directory: id.clone(),
            id,
            index,
            term,
            configuration,
            configuration_index: index,
            size: state.len() as u64,
            crc: checksum(state).to_vec(),
            peers,
            version: 1,
        };
        Snapshot { meta, state }
    }

    /// Its files: name and content.
    pub fn files(&self) -> [(&'static str, Vec<u8>); 2] {
        [(META_FILE, encode_meta(&self.meta)), (STATE_FILE, self.state.to_vec())]
    }
}

/// Two entries follow the snapshot, and then those of the cluster's life.
pub(super) fn check_index(index: Index) -> Result<(), Error> {
    let max = Index(LAST_NUMBER - 2);
    match index {
        Index(0) => Err(Error::ZeroIndex),
        index if index > max => Err(Error::IndexTooHigh { index, max }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, Role};
    use crate::raft::{Configuration, Log, LogType, Server, Suffrage, Term};

    const HEAD: &[u8] = b"the head";

    fn members(voters: usize, nonvoters: usize) -> Configuration {
        let server = |number: usize| Server {
            suffrage: if number < voters { Suffrage::Voter } else { Suffrage::Nonvoter },
            id: format!("node-{number}"),
            address: format!("node-{number}.example:50050"),
        };
        Configuration { servers: (0..voters + nonvoters).map(server).collect() }
    }

    fn spec(voters: usize, nonvoters: usize, leader: &str, term: u64) -> ClusterSpec {
        ClusterSpec::from_members(&members(voters, nonvoters), leader, Term(term)).unwrap()
    }

    fn line(log: &Log<'_>) -> String {
        let demoted = match log.kind {
            LogType::Configuration => {
                let decoded = codec::decode_configuration(log.data.as_deref().unwrap()).unwrap();
                let others = decoded.servers.into_iter().filter(|server| server.suffrage != Suffrage::Voter);
                others.map(|server| format!(" -{}", server.id)).collect()
            }
            _ => String::new(),
        };
        format!("{}/{} {}{demoted}", log.index, log.term, log.kind)
    }

    /// A base that ends at term 6 and index 67, CurrentTerm 6: run on op-conductor v1.19.0.
    #[test]
    fn the_example_has_these_entries() {
        let spec = spec(3, 0, "node-1", 7);
        let plan = Plan::recovered(&spec, Index(68), HEAD).unwrap();
        let entries: Vec<Vec<String>> = plan.nodes().map(|node| node.entries.iter().map(line).collect()).collect();
        assert_eq!(entries[0], ["69/7 Configuration", "70/8 Configuration -node-0"]);
        assert_eq!(entries[1], ["69/7 Configuration", "70/10 Noop"]);
        assert_eq!(entries[2], ["69/7 Configuration", "70/9 Configuration -node-2"]);
        for node in plan.nodes() {
            let stable = node.stable_state();
            assert_eq!(stable.term(), Term(10));
            assert_eq!(stable.vote(), Some((Term(10), "node-1.example:50050".to_owned())));
        }
    }

    #[test]
    fn the_snapshot_is_above_everything_and_has_all_members() {
        let spec = spec(3, 1, "node-1", 7);
        let plan = Plan::recovered(&spec, Index(68), HEAD).unwrap();
        let Snapshot { meta, state } = plan.snapshot().unwrap();
        assert_eq!((meta.id.as_str(), meta.directory.as_str()), ("7-68-0", "7-68-0"));
        assert_eq!((meta.index, meta.term, meta.configuration_index), (Index(68), Term(7), Index(68)));
        assert_eq!(meta.configuration, members(3, 1));
        assert_eq!(codec::decode_peers(&meta.peers).unwrap().len(), 3, "voters only");
        assert_eq!((state, meta.size), (HEAD, HEAD.len() as u64));
        assert_eq!(meta.crc, checksum(HEAD));
    }

    #[test]
    fn a_nonvoter_has_the_members_alone_and_one_voter_needs_no_demotion() {
        let spec = spec(1, 1, "node-0", 2);
        let plan = Plan::recovered(&spec, Index(1), HEAD).unwrap();
        let nodes: Vec<_> = plan.nodes().collect();
        assert_eq!(nodes[0].entries.iter().map(line).collect::<Vec<_>>(), ["2/2 Configuration -node-1", "3/3 Noop"]);
        assert_eq!(nodes[1].role, Role::Nonvoter);
        assert_eq!(nodes[1].entries.iter().map(line).collect::<Vec<_>>(), ["2/2 Configuration -node-1"]);
        assert_eq!(nodes[1].stable_state().term(), Term(3));
    }

    #[test]
    fn the_same_plan_has_the_same_bytes() {
        let spec = spec(3, 1, "node-2", 7);
        let make = || {
            let plan = Plan::recovered(&spec, Index(68), HEAD).unwrap();
            let files: Vec<_> = plan.nodes().map(|node| node.files(4096).unwrap()).collect();
            (files, plan.snapshot().unwrap().files())
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn an_index_without_room_after_it_is_refused() {
        let spec = spec(1, 0, "node-0", 2);
        let refused = |index| Plan::recovered(&spec, Index(index), HEAD).unwrap_err();
        let max = Index(LAST_NUMBER - 2);
        assert_eq!(refused(0), Error::ZeroIndex);
        assert_eq!(refused(u64::MAX), Error::IndexTooHigh { index: Index(u64::MAX), max });
        assert!(Plan::recovered(&spec, max, HEAD).is_ok());
    }
}
