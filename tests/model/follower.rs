//! What a node does with entries and snapshots that a leader sends. (raft.go appendEntries, installSnapshot)

use crate::node::{Configured, Node, Out, Role};
use crate::value::{Body, Entry, Id, Snapshot};

impl Node {
    pub(crate) fn append(
        &mut self,
        from: Id,
        term: u8,
        (prev_index, prev_term): (u8, u8),
        commit: u8,
        entries: &[Entry],
        out: &mut Out,
    ) {
        let last_log = self.last().0;
        let success = term >= self.term && {
            self.follow(term);
            let fits = self.has(prev_index, prev_term);
            fits && self.take(entries)
        };
        if success && commit > self.commit {
            let up_to = commit.min(self.last().0);
            self.commit_up_to(up_to, out);
        }
        // What the leader doesn't look at would only make more states.
        let (prev_index, last_log, last_sent) = match entries.last() {
            _ if !success => (prev_index, last_log, 0),
            Some(entry) => (0, 0, entry.index),
            None => return,
        };
        self.send(from, term, Body::Appended { term: self.term, success, prev_index, last_sent, last_log }, out);
    }

    fn follow(&mut self, term: u8) {
        (self.term, self.role) = (term.max(self.term), Role::Follower);
    }

    /// The entry before the first new one is looked up in the log, and in the snapshot only when that is the last one.
    fn has(&self, index: u8, term: u8) -> bool {
        let (last_index, last_term) = self.last();
        index == 0
            || if index == last_index { term == last_term } else { self.entry(index).is_some_and(|it| it.term == term) }
    }

    /// Stores what is new, and drops its own entries from the first that differs on. False when one can't be read.
    fn take(&mut self, entries: &[Entry]) -> bool {
        let last_log = self.last_log();
        for (at, entry) in entries.iter().enumerate() {
            if entry.index > last_log {
                self.store(&entries[at..]);
                return true;
            }
            let Some(own) = self.entry(entry.index) else { return false };
            if own.term != entry.term {
                self.log.retain(|own| own.index < entry.index);
                if entry.index <= self.latest.index {
                    self.latest = self.committed;
                }
                self.store(&entries[at..]);
                return true;
            }
        }
        true
    }

    fn store(&mut self, entries: &[Entry]) {
        self.log.extend_from_slice(entries);
        entries.iter().for_each(|entry| self.configure(*entry));
    }

    /// The log stays as it is: raft keeps the last 10,240 entries.
    pub(crate) fn install(&mut self, from: Id, term: u8, snapshot: Snapshot, out: &mut Out) {
        let success = term >= self.term;
        if success {
            self.follow(term);
            let Snapshot { index, members, head, .. } = snapshot;
            (self.snapshot, self.applied, self.head) = (snapshot, index, head);
            self.latest = Configured { members, index };
            self.committed = self.latest;
        }
        self.send(from, term, Body::Installed { term: self.term, success, index: snapshot.index }, out);
    }
}
