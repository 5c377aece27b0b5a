//! What a plan needs to know of one server's state: a few numbers, and no log.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::payload::StoredHead;
use crate::raft::{Configuration, Index, Log, Server, Term, codec};
use crate::state::Node;

/// The facts about one server's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Id of the server.
    pub id: String,
    /// What has become of the state since it was made.
    pub history: History,
    /// CurrentTerm.
    pub current_term: Term,
    /// The last vote.
    pub vote: Option<Vote>,
    /// The last entry, as raft compares it in an election: of the log, or of a snapshot above it.
    pub last: Option<Position>,
    /// The highest term of anything that is stored.
    pub highest_term: Term,
    /// The highest index of anything that is stored.
    pub highest_index: Index,
    /// The latest configuration. Of planned state that never ran, that of all members.
    pub configuration: Option<MembersAt>,
    /// The newest snapshot.
    pub snapshot: Option<Position>,
    /// The block with the highest number that is stored, which op-conductor takes for its head.
    pub head: Option<StoredBlock>,
    /// The block that was stored last, where that is another one.
    pub last_head: Option<StoredBlock>,
    /// What is wrong with the state, errors only.
    pub damage: Vec<Damage>,
    /// Whether the server ran when it was read.
    pub running: bool,
    /// Why the state is older than what the server had before, when that shows.
    pub set_back: Option<String>,
    /// SHA-256 of what is stored, in hexadecimal: entries, stable keys and metas of snapshots. Opening a store doesn't change it.
    pub sha256: String,
}

/// What has become of a server's state since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// A leader's entries are in it.
    Ran,
    /// As `generate` or raft's bootstrap made it.
    Generated,
    /// As `recover apply` made it.
    Recovered,
    /// Nothing is stored.
    Empty,
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// In which term.
    pub term: Term,
    /// Address of the candidate.
    pub candidate: String,
}

/// Where something is in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Term of the entry.
    pub term: Term,
    /// Its index.
    pub index: Index,
}

/// A configuration, and the entry that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersAt {
    /// Index of the entry.
    pub index: Index,
    /// All members.
    pub servers: Vec<Server>,
}

/// A block that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlock {
    /// Its number.
    pub number: u64,
    /// Its hash: `0x` and 64 digits.
    pub hash: String,
    /// Index of its entry, or of the snapshot that holds it.
    pub index: Index,
}

/// Something that is wrong with the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Id of the finding.
    pub id: String,
    /// What is wrong.
    pub message: String,
}

impl History {
    pub(super) fn of(node: &Node) -> History {
        if node.log.count == 0 && node.snapshots.listed.is_empty() {
            History::Empty
        } else if node.is_recovered() {
            History::Recovered
        } else if node.is_untouched() {
            History::Generated
        } else {
            History::Ran
        }
    }
}

impl Facts {
    /// The members of the latest configuration, when there is one.
    pub fn members(&self) -> Option<Configuration> {
        self.configuration.as_ref().map(|at| Configuration { servers: at.servers.clone() })
    }
}

impl From<StoredHead> for StoredBlock {
    fn from(stored: StoredHead) -> StoredBlock {
        StoredBlock { number: stored.head.number, hash: stored.head.hash.to_string(), index: Index(stored.index) }
    }
}

/// The hash of a server's content, whatever pages it is on.
#[derive(Debug, Default, Clone)]
pub(super) struct ContentHash(Sha256);

impl ContentHash {
    pub(super) fn add(&mut self, log: &Log<'_>) {
        self.0.update(log.index.0.to_be_bytes());
        self.0.update(log.term.0.to_be_bytes());
        self.0.update([log.kind.to_byte()]);
        self.bytes(log.data.as_deref());
        self.bytes(log.extensions.as_deref());
        self.0.update(log.appended_at.seconds.to_be_bytes());
        self.0.update(log.appended_at.nanos.to_be_bytes());
    }

    /// Adds what isn't in the log. A missing CurrentTerm is 0: raft writes that back when it starts.
    pub(super) fn finish(mut self, node: &Node) -> String {
        self.0.update(node.stable.term().0.to_be_bytes());
        let vote_term = node.stable.last_vote_term.map(|term| term.0.to_be_bytes());
        self.bytes(vote_term.as_ref().map(|bytes| &bytes[..]));
        self.bytes(node.stable.last_vote_cand.as_deref());
        for meta in &node.snapshots.listed {
            self.bytes(Some(meta.id.as_bytes()));
            for number in [meta.index.0, meta.term.0, meta.configuration_index.0, meta.size] {
                self.0.update(number.to_be_bytes());
            }
            let mut members = Vec::new();
            codec::encode_configuration(&meta.configuration, &mut members);
            self.bytes(Some(&members));
            self.bytes(Some(&meta.crc));
        }
        const_hex::encode(self.0.finalize())
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.0.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_be_bytes());
        self.0.update(bytes.unwrap_or_default());
    }
}
