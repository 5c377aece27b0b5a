//! What nodes store and send. Numbers are small: indexes, terms and servers fit a byte.

use std::fmt;

/// A server's number; sets of servers are masks.
pub(crate) type Id = u8;

/// Servers that a model has at most.
pub(crate) const MOST: usize = 7;

pub(crate) fn ids(mask: u8) -> impl Iterator<Item = Id> {
    (0..8).filter(move |id| mask & (1 << id) != 0)
}

/// A configuration: masks of its members, and of those that vote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Members {
    pub(crate) all: u8,
    pub(crate) voters: u8,
}

impl Members {
    pub(crate) fn has(self, id: Id) -> bool {
        self.all & (1 << id) != 0
    }

    pub(crate) fn is_voter(self, id: Id) -> bool {
        self.voters & (1 << id) != 0
    }

    /// Whether these are a majority of the voters. (raft.go quorumSize)
    pub(crate) fn has_quorum(self, ids: u8) -> bool {
        2 * (ids & self.voters).count_ones() > self.voters.count_ones()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Noop,
    /// Replaces the head, op-conductor's whole state.
    Command(u8),
    Configuration(Members),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub(crate) index: u8,
    pub(crate) term: u8,
    pub(crate) kind: Kind,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {:?}", self.index, self.term, self.kind)
    }
}

impl fmt::Debug for Members {
    /// Voters, and who else is a member.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |mask| ids(mask).map(|id| id.to_string()).collect::<String>();
        write!(f, "{}+{}", list(self.voters), list(self.all & !self.voters))
    }
}

/// A snapshot; none when its index is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Snapshot {
    pub(crate) index: u8,
    pub(crate) term: u8,
    pub(crate) members: Members,
    pub(crate) head: u8,
}

/// A request or its answer, which carries the term of its request: an answer that comes after that is dropped with the
/// connection or the channel that waited for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    pub(crate) from: Id,
    pub(crate) to: Id,
    pub(crate) term: u8,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Body {
    PreVote { last_index: u8, last_term: u8 },
    PreVoted { term: u8, granted: bool },
    Vote { last_index: u8, last_term: u8 },
    Voted { term: u8, granted: bool },
    Append { prev_index: u8, prev_term: u8, commit: u8, entries: Vec<Entry> },
    Appended { term: u8, success: bool, prev_index: u8, last_sent: u8, last_log: u8 },
    Install { snapshot: Snapshot },
    Installed { term: u8, success: bool, index: u8 },
}
