//! One server: what it has on disk, what it knows while it runs, and how it starts.

use std::fmt;

use crate::value::{Body, Entry, Id, Kind, MOST, Members, Message, Snapshot};

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) id: Id,
    // On disk.
    pub(crate) term: u8,
    pub(crate) vote: Option<(u8, Id)>,
    pub(crate) snapshot: Snapshot,
    /// In the order of indexes; there may be a hole below the snapshot, as in real logs.
    pub(crate) log: Vec<Entry>,
    // In memory.
    pub(crate) role: Role,
    pub(crate) commit: u8,
    pub(crate) applied: u8,
    pub(crate) head: u8,
    pub(crate) latest: Configured,
    pub(crate) committed: Configured,
}

/// A configuration, and the index from which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Configured {
    pub(crate) members: Members,
    pub(crate) index: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Follower,
    /// Asks who would vote for it in the next term: a mask of those that would.
    PreCandidate(u8),
    /// Has these votes.
    Candidate(u8),
    Leader(Leading),
}

/// By server: the next index to send, and the last one that is known to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Leading {
    pub(crate) next: [u8; MOST],
    pub(crate) matched: [u8; MOST],
    /// The first index of its own term: nothing below it is committed by counting.
    pub(crate) start: u8,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node { id, term, vote, snapshot, log, role, commit, applied, head, latest, .. } = self;
        write!(f, "{id}: term {term}, vote {vote:?}, ")?;
        if snapshot.index > 0 {
            write!(f, "snapshot {}/{} {:?} head {}, ", snapshot.index, snapshot.term, snapshot.members, snapshot.head)?;
        }
        write!(f, "{log:?} {role:?} commit {commit}, applied {applied}, head {head}, {:?}", latest.members)
    }
}

/// What a step gives beside the node's new state.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) messages: Vec<Message>,
    pub(crate) applied: Vec<Entry>,
    /// raft panics where an entry that must be there isn't.
    pub(crate) panics: bool,
}

impl Node {
    /// A server that starts with this on its disk.
    pub(crate) fn start(id: Id, term: u8, vote: Option<(u8, Id)>, snapshot: Snapshot, log: Vec<Entry>) -> Node {
        let (latest, committed) = (Configured::default(), Configured::default());
        let (role, commit, applied, head) = (Role::Follower, 0, 0, 0);
        let mut node = Node { id, term, vote, snapshot, log, role, commit, applied, head, latest, committed };
        node.restart(&mut Out::default());
        node
    }

    /// Forgets what was in memory. (api.go NewRaft, restoreSnapshot)
    pub(crate) fn restart(&mut self, out: &mut Out) {
        let Snapshot { index, members, head, .. } = self.snapshot;
        (self.role, self.commit, self.applied, self.head) = (Role::Follower, 0, index, head);
        self.latest = Configured { members, index };
        self.committed = self.latest;
        for index in index + 1..=self.last_log() {
            match self.entry(index) {
                Some(entry) => self.configure(entry),
                None => out.panics = true,
            }
        }
    }

    /// A configuration holds as soon as it is stored. (raft.go processConfigurationLogEntry)
    pub(crate) fn configure(&mut self, entry: Entry) {
        if let Kind::Configuration(members) = entry.kind {
            self.committed = self.latest;
            self.latest = Configured { members, index: entry.index };
        }
    }

    pub(crate) fn entry(&self, index: u8) -> Option<Entry> {
        self.log.iter().find(|entry| entry.index == index).copied()
    }

    pub(crate) fn last_log(&self) -> u8 {
        self.log.last().map_or(0, |entry| entry.index)
    }

    /// Index and term of the last entry, or of the snapshot when that is above it. (state.go getLastEntry)
    pub(crate) fn last(&self) -> (u8, u8) {
        match self.log.last() {
            Some(entry) if entry.index >= self.snapshot.index => (entry.index, entry.term),
            _ => (self.snapshot.index, self.snapshot.term),
        }
    }

    /// Applies what is committed, in order. (raft.go processLogs)
    pub(crate) fn commit_up_to(&mut self, index: u8, out: &mut Out) {
        self.commit = index;
        if self.latest.index <= index {
            self.committed = self.latest;
        }
        while self.applied < index {
            let Some(entry) = self.entry(self.applied + 1) else {
                out.panics = true;
                return;
            };
            self.applied += 1;
            if let Kind::Command(head) = entry.kind {
                self.head = head;
            }
            out.applied.push(entry);
        }
    }

    pub(crate) fn send(&self, to: Id, term: u8, body: Body, out: &mut Out) {
        out.messages.push(Message { from: self.id, to, term, body });
    }

    pub(crate) fn receive(&mut self, message: &Message, out: &mut Out) {
        let (from, term) = (message.from, message.term);
        match &message.body {
            Body::PreVote { last_index, last_term } => self.pre_vote(from, term, (*last_index, *last_term), out),
            Body::Vote { last_index, last_term } => self.vote(from, term, (*last_index, *last_term), out),
            Body::PreVoted { term: answered, granted } => self.pre_voted(from, term, *answered, *granted, out),
            Body::Voted { term: answered, granted } => self.voted(from, term, *answered, *granted, out),
            Body::Append { prev_index, prev_term, commit, entries } => {
                self.append(from, term, (*prev_index, *prev_term), *commit, entries, out);
            }
            Body::Install { snapshot } => self.install(from, term, *snapshot, out),
            Body::Appended { term: answered, success, prev_index, last_sent, last_log } => {
                self.appended(from, term, *answered, *success, (*prev_index, *last_sent, *last_log), out);
            }
            Body::Installed { term: answered, success, index } => {
                self.installed(from, term, *answered, *success, *index, out);
            }
        }
    }

    /// Whether this message can no longer change anything, here or by its answer.
    pub(crate) fn ignores(&self, message: &Message, sender: &Node) -> bool {
        match message.body {
            Body::PreVoted { term, .. } => {
                term <= self.term && !(matches!(self.role, Role::PreCandidate(_)) && self.term + 1 == message.term)
            }
            Body::Voted { term, .. } => {
                term <= self.term && !(matches!(self.role, Role::Candidate(_)) && self.term == message.term)
            }
            Body::Appended { success, last_sent, .. } => match self.role {
                Role::Leader(leading) if self.term == message.term => {
                    success && last_sent <= leading.matched[usize::from(message.from)]
                }
                _ => true,
            },
            Body::Installed { .. } => !(matches!(self.role, Role::Leader(_)) && self.term == message.term),
            Body::PreVote { .. } => message.term < self.term && sender.term >= message.term,
            _ => message.term < self.term && sender.term > message.term,
        }
    }
}
