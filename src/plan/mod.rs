//! State that a whole cluster starts from: who wins its first election, and why that is safe.
//!
//! There are two doors: [`Plan::new`] for a cluster that has never run, and [`Plan::recovered`] for one that has.
//!
//! # The named plan
//!
//! n voters, the leader L, the initial term T0, the other voters numbered i = 1 to n-1 in the order of the flags:
//!
//! ```text
//! index   on L                             on follower i                                      on a nonvoter
//! 1       Configuration of all, term T0    the same bytes                                     the same bytes
//! 2       Command, the payload, term T0    the same bytes                                     the same bytes
//! last    Noop, term T0+n                  Configuration, i itself a nonvoter, term T0+i      -
//!
//! CurrentTerm = LastVoteTerm = T0+n, LastVoteCand = L's address, on all
//! ```
//!
//! Index 2 is there only with an unsafe head: without it op-conductor leads, but has nothing to sequence on.
//!
//! A node takes the last configuration of its log for its own, committed or not, and does not campaign unless it is a
//! voter there (hashicorp/raft raft.go runFollower). So no follower campaigns, and L does. A voter's own suffrage is
//! never looked at when it is asked for its vote (requestVote), the candidate must be a voter in its configuration, which
//! L is in all of them, and L's last entry has the highest term. So L gets every vote, wins at term T0+n+1, and its
//! entries overwrite the followers' last ones: then index 1 is everybody's configuration again.
//!
//! # Why it is safe
//!
//! raft itself would not write this history: its leader commits an entry of its own before it changes the configuration,
//! and the configurations of two followers differ in two servers, so that their majorities need not meet. Neither
//! matters. Votes and commits are counted by candidates and leaders, each by its own configuration, and follower i is
//! neither while its odd configuration is its last: a nonvoter there, it does not campaign by itself, and it is told to
//! (TimeoutNow) only once it has all of the leader's entries, when its own last one is gone. Nor does that entry ever
//! reach another node, since only a leader sends entries. So all counting is done by the configuration at index 1. And
//! no two plan entries of one index and term differ, so raft's log matching holds from the start.
//!
//! # What it costs
//!
//! If L never starts, nobody campaigns and the cluster waits. A follower that heard nothing can't tell "L won, then
//! died" from "L never came", so no plan that guarantees L avoids this. Nothing is committed then: start L, or generate
//! again with another leader, for all nodes and L's old directory too.
//!
//! # The open plan
//!
//! Index 1 only, CurrentTerm T0, and L's vote for itself on L: what raft's own bootstrap writes. Any voter may win.

//!
//! # The recovery plan
//!
//! The named plan on a snapshot above everything that was ever stored: see [`recovered`].

mod files;
pub mod recovered;

use std::borrow::Cow;

use crate::cluster::{ClusterSpec, Election};
use crate::raft::{
    AppendedAt, CURRENT_TERM, Configuration, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, Log, LogType, Server, StableState,
    Suffrage, Term, codec,
};

pub use files::StateFiles;
pub use recovered::{Error, Snapshot};

/// What each node of a cluster starts with.
#[derive(Debug)]
pub struct Plan<'a> {
    spec: &'a ClusterSpec,
    /// Encoded configuration of all members: the data of the first entry, shared by all nodes.
    members: Vec<u8>,
    /// The unsafe head, as op-conductor's state machine stores it, shared by all nodes: the data of index 2, or the state of
    /// the snapshot.
    payload: Option<&'a [u8]>,
    /// Last index of the snapshot below the log; 0 without one.
    base: Index,
    final_term: Term,
}

/// What a node is for in the first election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The named leader.
    Leader,
    /// Another voter, numbered from 1 in the order of the flags.
    Follower(u64),
    /// Never campaigns.
    Nonvoter,
}

/// The calls that make one node's stores, in their order: all entries in one StoreLogs, then each stable key in a
/// transaction of its own. The order is part of the files' bytes.
#[derive(Debug)]
pub struct NodePlan<'a> {
    /// Whose stores they are.
    pub server: &'a Server,
    /// What the node is for.
    pub role: Role,
    /// The log, from index 1, or from the one after the snapshot.
    pub entries: Vec<Log<'a>>,
    /// Stable keys and values.
    pub stable: Vec<(&'static str, Vec<u8>)>,
}

impl<'a> Plan<'a> {
    /// Plans the first election of a cluster.
    pub fn new(spec: &'a ClusterSpec) -> Plan<'a> {
        let mut members = Vec::new();
        codec::encode_configuration(spec.configuration(), &mut members);
        let Term(initial_term) = spec.initial_term();
        let final_term = Term(match spec.election() {
            Election::Named => initial_term + spec.configuration().voters().count() as u64,
            Election::Open => initial_term,
        });
        Plan { spec, members, payload: None, base: Index(0), final_term }
    }

    /// Plans the first election of a cluster that is recovered: [`recovered`] says how. Its initial term must be above all
    /// terms that any of its servers ever had, and `index` above all indexes. `head` is the unsafe head that all start
    /// from: the bytes of an execution payload envelope.
    ///
    /// # Errors
    /// When the index leaves no room for the entries to come.
    pub fn recovered(spec: &'a ClusterSpec, index: Index, head: &'a [u8]) -> Result<Plan<'a>, Error> {
        recovered::check_index(index)?;
        Ok(Plan { payload: Some(head), base: index, ..Plan::new(spec) })
    }

    /// The same with an unsafe head at index 2 of every node: the bytes of an execution payload envelope.
    #[must_use]
    pub fn with_payload(self, payload: &'a [u8]) -> Plan<'a> {
        Plan { payload: Some(payload), ..self }
    }

    /// The unsafe head, when there is one.
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.payload
    }

    /// The cluster it is for.
    pub fn spec(&self) -> &'a ClusterSpec {
        self.spec
    }

    /// The snapshot that every node of a recovered cluster starts from.
    pub fn snapshot(&self) -> Option<Snapshot<'a>> {
        (self.base > Index(0)).then(|| Snapshot::new(self.spec, self.base, self.payload.unwrap_or_default()))
    }

    /// CurrentTerm of every node; the first election is held in the term after it.
    pub fn final_term(&self) -> Term {
        self.final_term
    }

    /// Each node in the order of the flags, made when it is asked for: a large cluster doesn't fit in memory at once.
    pub fn nodes(&self) -> impl Iterator<Item = NodePlan<'_>> {
        let mut followers = 0;
        self.spec.configuration().servers.iter().map(move |server| {
            let role = if server.suffrage != Suffrage::Voter {
                Role::Nonvoter
            } else if server.id == self.spec.leader().id {
                Role::Leader
            } else {
                followers += 1;
                Role::Follower(followers)
            };
            NodePlan { server, role, entries: self.entries(server, role), stable: self.stable(role) }
        })
    }

    fn entries(&self, server: &Server, role: Role) -> Vec<Log<'_>> {
        let (Term(initial_term), Index(base)) = (self.spec.initial_term(), self.base);
        let mut entries = vec![log(base + 1, initial_term, LogType::Configuration, Some(Cow::Borrowed(&self.members)))];
        // A recovered cluster has its head in the snapshot.
        let payload = self.payload.filter(|_| base == 0);
        entries.extend(payload.map(|payload| log(2, initial_term, LogType::Command, Some(Cow::Borrowed(payload)))));
        let last = base + entries.len() as u64 + 1;
        match (self.spec.election(), role) {
            (Election::Named, Role::Leader) => entries.push(log(last, self.final_term.0, LogType::Noop, None)),
            (Election::Named, Role::Follower(number)) => {
                let data = encode_without_vote(self.spec.configuration(), server);
                entries.push(log(last, initial_term + number, LogType::Configuration, Some(Cow::Owned(data))));
            }
            (Election::Open, _) | (_, Role::Nonvoter) => {}
        }
        entries
    }

    fn stable(&self, role: Role) -> Vec<(&'static str, Vec<u8>)> {
        let term = self.final_term.0.to_be_bytes().to_vec();
        let mut stable = vec![(CURRENT_TERM, term.clone())];
        if self.spec.election() == Election::Named || role == Role::Leader {
            stable.push((LAST_VOTE_TERM, term));
            // The address, not the id. (hashicorp/raft raft.go persistVote)
            stable.push((LAST_VOTE_CAND, self.spec.leader().address.clone().into_bytes()));
        }
        stable
    }
}

impl NodePlan<'_> {
    /// The stable keys as raft will read them.
    pub fn stable_state(&self) -> StableState {
        let mut state = StableState::default();
        for (key, value) in &self.stable {
            state.insert(key.as_bytes(), value).expect("a plan's terms have 8 bytes");
        }
        state
    }
}

/// The configuration in which `server` is a nonvoter, and all else is the same.
fn encode_without_vote(configuration: &Configuration, server: &Server) -> Vec<u8> {
    let mut demoted = configuration.clone();
    for member in demoted.servers.iter_mut().filter(|member| member.id == server.id) {
        member.suffrage = Suffrage::Nonvoter;
    }
    let mut bytes = Vec::new();
    codec::encode_configuration(&demoted, &mut bytes);
    bytes
}

/// An entry as no leader appended it: with the zero time, as raft's BootstrapCluster does.
fn log(index: u64, term: u64, kind: LogType, data: Option<Cow<'_, [u8]>>) -> Log<'_> {
    let (index, term) = (Index(index), Term(term));
    Log { index, term, kind, data, extensions: None, appended_at: AppendedAt::ZERO }
}
