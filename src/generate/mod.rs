//! The first state of a whole cluster: a plan, then the bytes of each server's files.
//!
//! # Why the named leader leads first
//!
//! Every node holds the same configuration at index 1. In the *named* plan each follower has one more entry, a
//! configuration in which it is itself a Nonvoter, of a term between the initial one and the leader's; the leader
//! has a LogNoop of the highest term instead. raft acts by the last configuration in the log, so no follower ever
//! campaigns; the leader is a Voter in everybody's, and its last entry has the highest term, so everybody grants it
//! the vote. When it has won, its entries overwrite the followers' last ones, and index 1 holds for all.
//!
//! # Why that is safe
//!
//! A real leader would not write such a history: it commits an entry of its own term before it changes the
//! configuration, and two of the followers' configurations differ in two servers, so majorities of them need not
//! overlap. Neither matters, because no vote and no commit is ever counted by such a configuration. A node counts by
//! its own latest configuration, and only as candidate or leader; a follower's demoted one is latest on that
//! follower alone, which therefore never becomes either. Entries leave a node only through a leader. TimeoutNow goes
//! only to a follower that has caught up, which by then holds the leader's entries and index 1. All terms differ, so
//! entries of the same index and term are the same everywhere.
//!
//! What the plan can't give: if the leader never starts, nobody leads. A follower that has heard nothing can't tell
//! "the leader won and died" from "it never came".

mod write;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::bolt::{self, Db};
use crate::cluster::{ClusterSpec, Election};
use crate::raft::codec::{encode_configuration, encode_log};
use crate::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, LOGS_BUCKET, Log,
    LogType, Server, Suffrage, Term,
};

pub use write::{CLUSTER_FILE, Error, WriteOptions, Written, write};

/// What every server's files are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The request that it was made for.
    pub spec: ClusterSpec,
    /// CurrentTerm of all servers.
    pub current_term: Term,
    /// Index 1 of all servers, encoded.
    configuration: Vec<u8>,
    /// Index 2 of all servers: the unsafe head, as op-conductor's state machine stores it.
    payload: Option<Vec<u8>>,
}

/// What one server gets that others don't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan<'a> {
    /// The server.
    pub server: &'a Server,
    /// Its log.
    pub entries: Vec<PlannedEntry<'a>>,
    /// Term and candidate's address, when a vote is recorded.
    pub vote: Option<(Term, &'a str)>,
}

/// One entry, and what it is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedEntry<'a> {
    /// Where.
    pub index: Index,
    /// Of which term.
    pub term: Term,
    /// What.
    pub kind: LogType,
    /// Its data, when it has some.
    pub data: Option<Cow<'a, [u8]>>,
    /// For people.
    pub purpose: String,
}

impl Plan {
    /// Plans the state of every server.
    pub fn new(spec: ClusterSpec) -> Plan {
        let mut configuration = Vec::new();
        encode_configuration(&spec.configuration, &mut configuration);
        let above = match spec.election {
            Election::Named => spec.voter_count(),
            Election::Open => 0,
        };
        Plan { current_term: Term(spec.initial_term.0 + above), spec, configuration, payload: None }
    }

    /// The same with an unsafe head at index 2 of every server: `payload` is an envelope's bytes.
    #[must_use]
    pub fn with_payload(self, payload: Vec<u8>) -> Plan {
        Plan { payload: Some(payload), ..self }
    }

    /// The unsafe head, when there is one.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// The state of each server, in the order of the flags. One at a time: a large cluster's entries are large.
    pub fn nodes(&self) -> impl Iterator<Item = NodePlan<'_>> {
        let mut follower = 0;
        self.spec.configuration.servers.iter().map(move |server| {
            let is_voting_follower = server.suffrage == Suffrage::Voter && server.id != self.spec.leader;
            follower += u64::from(is_voting_follower);
            self.node(server, is_voting_follower.then_some(follower))
        })
    }

    /// `follower` numbers the voting followers from 1.
    fn node<'a>(&'a self, server: &'a Server, follower: Option<u64>) -> NodePlan<'a> {
        let (spec, is_leader) = (&self.spec, server.id == self.spec.leader);
        let mut entries = vec![PlannedEntry {
            index: Index(1),
            term: spec.initial_term,
            kind: LogType::Configuration,
            data: Some(Cow::Borrowed(self.configuration.as_slice())),
            purpose: "all members".to_owned(),
        }];
        entries.extend(self.payload.as_deref().map(|payload| PlannedEntry {
            index: Index(2),
            term: spec.initial_term,
            kind: LogType::Command,
            data: Some(Cow::Borrowed(payload)),
            purpose: "the unsafe head: sequencing starts on it".to_owned(),
        }));
        if spec.election == Election::Named {
            entries.extend(self.last_entry(server, follower, entries.len()));
        }
        let votes = spec.election == Election::Named || is_leader;
        let vote = votes.then(|| (self.current_term, spec.leader_server().address.as_str()));
        NodePlan { server, entries, vote }
    }

    /// What makes only the leader campaign. Nonvoters never do, and need nothing.
    fn last_entry<'a>(&'a self, server: &Server, follower: Option<u64>, before: usize) -> Option<PlannedEntry<'a>> {
        let index = Index(before as u64 + 1);
        if server.id == self.spec.leader {
            return Some(PlannedEntry {
                index,
                term: self.current_term,
                kind: LogType::Noop,
                data: None,
                purpose: "the highest term: every vote goes to this node".to_owned(),
            });
        }
        let mut data = Vec::new();
        encode_configuration(&demoted(&self.spec.configuration, &server.id), &mut data);
        Some(PlannedEntry {
            index,
            term: Term(self.spec.initial_term.0 + follower?),
            kind: LogType::Configuration,
            data: Some(Cow::Owned(data)),
            purpose: format!("{} as Nonvoter: it waits for the leader", server.id),
        })
    }
}

/// The same members, with `id` as Nonvoter.
fn demoted(configuration: &Configuration, id: &str) -> Configuration {
    let mut demoted = configuration.clone();
    demoted.servers.iter_mut().filter(|server| server.id == id).for_each(|server| server.suffrage = Suffrage::Nonvoter);
    demoted
}

/// The bytes of one server's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFiles {
    /// raft-log.db.
    pub log: Vec<u8>,
    /// raft-stable.db.
    pub stable: Vec<u8>,
}

impl NodePlan<'_> {
    /// Makes both files by the calls that raft-boltdb would get: open; all entries by one StoreLogs; then
    /// SetUint64 CurrentTerm, SetUint64 LastVoteTerm, Set LastVoteCand, a transaction each.
    pub fn files(&self, current_term: Term, page_size: usize) -> Result<StateFiles, bolt::Error> {
        Ok(StateFiles { log: self.log_file(page_size)?, stable: self.stable_file(current_term, page_size)? })
    }

    fn log_file(&self, page_size: usize) -> Result<Vec<u8>, bolt::Error> {
        let mut db = new_store(page_size)?;
        let mut tx = db.begin()?;
        let mut value = Vec::new();
        for entry in &self.entries {
            value.clear();
            encode_log(&entry.log(), &mut value);
            tx.put(LOGS_BUCKET, &entry.index.to_key(), &value)?;
        }
        tx.commit()?;
        Ok(db.into_storage())
    }

    fn stable_file(&self, current_term: Term, page_size: usize) -> Result<Vec<u8>, bolt::Error> {
        let mut db = new_store(page_size)?;
        let mut set = |key: &str, value: &[u8]| {
            let mut tx = db.begin()?;
            tx.put(CONF_BUCKET, key.as_bytes(), value)?;
            tx.commit()
        };
        set(CURRENT_TERM, &current_term.0.to_be_bytes())?;
        if let Some((term, candidate)) = self.vote {
            set(LAST_VOTE_TERM, &term.0.to_be_bytes())?;
            set(LAST_VOTE_CAND, candidate.as_bytes())?;
        }
        Ok(db.into_storage())
    }
}

impl PlannedEntry<'_> {
    /// The entry as raft has it: appended by nobody, so without a time, as raft's own bootstrap writes it.
    fn log(&self) -> Log<'_> {
        Log {
            index: self.index,
            term: self.term,
            kind: self.kind,
            data: self.data.as_deref().map(Cow::Borrowed),
            extensions: None,
            appended_at: AppendedAt::ZERO,
        }
    }
}

/// A new store as raft-boltdb makes it: both buckets, in one transaction. (raft-boltdb v2/bolt_store.go initialize)
fn new_store(page_size: usize) -> Result<Db<Vec<u8>>, bolt::Error> {
    let mut db = Db::create(Vec::new(), page_size)?;
    let mut tx = db.begin()?;
    tx.create_bucket_if_not_exists(LOGS_BUCKET)?;
    tx.create_bucket_if_not_exists(CONF_BUCKET)?;
    tx.commit()?;
    Ok(db)
}

/// `cluster.json`: what was generated, for people and for `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFile {
    /// Version of this file's form: 1.
    pub format_version: u32,
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// A name for people.
    pub network: Option<String>,
    /// Members, in the order of the flags.
    pub servers: Vec<Server>,
    /// Id of the named leader.
    pub initial_leader: String,
    /// Who may win the first election.
    pub election: Election,
    /// Term of the first entry.
    pub initial_term: Term,
    /// CurrentTerm of all servers.
    pub current_term: Term,
    /// Bytes of a page of the databases.
    pub page_size: usize,
}

impl ClusterFile {
    /// Describes a plan.
    pub fn new(plan: &Plan, page_size: usize) -> ClusterFile {
        ClusterFile {
            format_version: 1,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            network: plan.spec.network.clone(),
            servers: plan.spec.configuration.servers.clone(),
            initial_leader: plan.spec.leader.clone(),
            election: plan.spec.election,
            initial_term: plan.spec.initial_term,
            current_term: plan.current_term,
            page_size,
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers are always JSON");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::cluster::Request;

    fn plan(n: usize, nonvoters: &str, leader: &str, initial_term: u64, election: Election) -> Plan {
        let list = |item: &dyn Fn(usize) -> String| (1..=n).map(item).collect::<Vec<_>>().join(",");
        let spec = ClusterSpec::parse(&Request {
            nodes: &list(&|i| format!("sequencer-{i}.namespace.svc.cluster.local:50050")),
            server_ids: &list(&|i| format!("sequencer-{i}")),
            nonvoters,
            initial_leader: leader,
            initial_term,
            network: None,
            election,
        });
        Plan::new(spec.unwrap())
    }

    /// (index, term, type) of each entry, and the term of the vote.
    fn shape(node: &NodePlan<'_>) -> (Vec<(u64, u64, LogType)>, Option<u64>) {
        let entries = node.entries.iter().map(|entry| (entry.index.0, entry.term.0, entry.kind)).collect();
        (entries, node.vote.map(|(term, _)| term.0))
    }

    fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// sha256 of what raft-boltdb/v2 2.3.1 with bbolt 1.3.6 wrote by the same calls: NewBoltStore, one StoreLogs,
    /// SetUint64 CurrentTerm, SetUint64 LastVoteTerm, Set LastVoteCand, Close; page size 4096.
    #[test]
    fn the_example_of_the_readme_has_the_bytes_of_go() {
        let plan = plan(3, "", "sequencer-1", 1, Election::Named);
        let logs = [
            "cd139815e8c68d8331175f6afa9ed80ca8fd5a7849a8b459230559d991ecc85d",
            "ab0dffd81a294459dc515bd75d9ce4e584d629246084ef55de9ebebd707257f5",
            "3d2322f253c177bb0a482d8645d08cd086cd59a495cd80c3318eedd0f5f801bf",
        ];
        for (node, log) in plan.nodes().zip(logs) {
            let files = node.files(plan.current_term, 4096).unwrap();
            assert_eq!(sha256(&files.log), log, "{}", node.server.id);
            assert_eq!(
                sha256(&files.stable),
                "ab58da5c3d801a7b99c18fd6f21a559dfb8c83b2b4442a8f298d954197dab264",
                "{}",
                node.server.id
            );
        }
    }

    #[test]
    fn the_named_plan_gives_each_voter_a_last_entry_of_its_own_term() {
        use LogType::{Configuration, Noop};
        let plan = plan(4, "sequencer-3", "sequencer-2", 57, Election::Named);
        let shapes: Vec<_> = plan.nodes().map(|node| shape(&node)).collect();
        let first = (1, 57, Configuration);
        assert_eq!(
            shapes,
            [
                (vec![first, (2, 58, Configuration)], Some(60)),
                (vec![first, (2, 60, Noop)], Some(60)),
                (vec![first], Some(60)),
                (vec![first, (2, 59, Configuration)], Some(60)),
            ]
        );
        assert_eq!(plan.current_term, Term(60));
    }

    #[test]
    fn a_single_voter_follows_the_same_rule() {
        let plan = plan(1, "", "sequencer-1", 1, Election::Named);
        let shapes: Vec<_> = plan.nodes().map(|node| shape(&node)).collect();
        assert_eq!(shapes, [(vec![(1, 1, LogType::Configuration), (2, 2, LogType::Noop)], Some(2))]);
    }

    #[test]
    fn the_open_plan_is_one_configuration_and_the_leaders_own_vote() {
        let plan = plan(3, "", "sequencer-2", 5, Election::Open);
        let entries = vec![(1, 5, LogType::Configuration)];
        let shapes: Vec<_> = plan.nodes().map(|node| shape(&node)).collect();
        assert_eq!(shapes, [(entries.clone(), None), (entries.clone(), Some(5)), (entries, None)]);
    }

    #[test]
    fn a_payload_is_index_2_of_everybody() {
        use LogType::{Command, Configuration, Noop};
        let plan = plan(2, "", "sequencer-1", 1, Election::Named).with_payload(vec![7; 600]);
        let shapes: Vec<_> = plan.nodes().map(|node| shape(&node).0).collect();
        let first = [(1, 1, Configuration), (2, 1, Command)];
        assert_eq!(shapes, [[&first[..], &[(3, 3, Noop)]].concat(), [&first[..], &[(3, 2, Configuration)]].concat()]);
        for node in plan.nodes() {
            assert_eq!(node.entries[1].data.as_deref(), plan.payload());
        }
    }

    #[test]
    fn only_the_follower_itself_is_demoted_in_its_last_entry() {
        let plan = plan(3, "", "sequencer-1", 1, Election::Named);
        let node = plan.nodes().nth(2).unwrap();
        let data = node.entries[1].data.clone().unwrap();
        let last = crate::raft::codec::decode_configuration(&data).unwrap();
        let suffrages: Vec<_> = last.servers.iter().map(|server| server.suffrage).collect();
        assert_eq!(suffrages, [Suffrage::Voter, Suffrage::Voter, Suffrage::Nonvoter]);
    }
}
