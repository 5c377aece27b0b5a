//! What a leader sends, and when an entry is committed. (raft.go runLeader, replication.go, commitment.go)

use crate::node::{Leading, Node, Out, Role};
use crate::value::{Body, Entry, Id, Kind, MOST, ids};

impl Node {
    pub(crate) fn lead(&mut self, out: &mut Out) {
        let next = self.last().0 + 1;
        self.role = Role::Leader(Leading { next: [next; MOST], matched: [0; MOST], start: next });
        self.dispatch(Kind::Noop, out);
    }

    /// Appends an entry of its own.
    pub(crate) fn dispatch(&mut self, kind: Kind, out: &mut Out) {
        let entry = Entry { index: self.last().0 + 1, term: self.term, kind };
        self.log.push(entry);
        self.matches(self.id, entry.index, out);
        self.replicate(out);
    }

    /// Sends every other member what it is missing, by what is known of it.
    fn replicate(&self, out: &mut Out) {
        for id in ids(self.latest.members.all).filter(|id| *id != self.id) {
            self.send(id, self.term, self.for_member(id), out);
        }
    }

    fn for_member(&self, id: Id) -> Body {
        let Role::Leader(leading) = self.role else { unreachable!("only a leader replicates") };
        let next = leading.next[usize::from(id)];
        let entries: Option<Vec<Entry>> = (next..=self.last().0).map(|index| self.entry(index)).collect();
        match (self.before(next), entries) {
            (Some((prev_index, prev_term)), Some(entries)) => {
                Body::Append { prev_index, prev_term, commit: self.commit, entries }
            }
            _ => Body::Install { snapshot: self.snapshot },
        }
    }

    /// Index and term of the entry before `next`; none when it is known neither to the log nor as the snapshot's last.
    /// (replication.go setPreviousLog)
    fn before(&self, next: u8) -> Option<(u8, u8)> {
        match next - 1 {
            0 => Some((0, 0)),
            index if index == self.snapshot.index => Some((index, self.snapshot.term)),
            index => self.entry(index).map(|entry| (index, entry.term)),
        }
    }

    fn matches(&mut self, id: Id, index: u8, out: &mut Out) {
        let Role::Leader(leading) = &mut self.role else { return };
        let matched = &mut leading.matched[usize::from(id)];
        *matched = index.max(*matched);
        let mut stored: Vec<u8> = ids(self.latest.members.voters).map(|id| leading.matched[usize::from(id)]).collect();
        stored.sort_unstable();
        let by_quorum = stored[(stored.len() - 1) / 2];
        if by_quorum > self.commit && by_quorum >= leading.start {
            self.commit_up_to(by_quorum, out);
        }
    }

    /// `prev_index` and `last_sent` are the request's, so an answer that is late or comes twice is not another one's.
    pub(crate) fn appended(
        &mut self,
        from: Id,
        term: u8,
        answered: u8,
        success: bool,
        (prev_index, last_sent, last_log): (u8, u8, u8),
        out: &mut Out,
    ) {
        let Role::Leader(leading) = &mut self.role else { return };
        if term != self.term {
            return;
        }
        let next = &mut leading.next[usize::from(from)];
        if answered > term {
            self.role = Role::Follower;
        } else if success && last_sent > 0 {
            *next = (last_sent + 1).max(*next);
            self.matches(from, last_sent, out);
            self.replicate(out);
        } else if !success && prev_index + 1 == *next {
            *next = (*next - 1).min(last_log + 1).max(1);
            self.replicate(out);
        }
    }

    pub(crate) fn installed(&mut self, from: Id, term: u8, answered: u8, success: bool, index: u8, out: &mut Out) {
        let Role::Leader(leading) = &mut self.role else { return };
        if term != self.term {
            return;
        }
        if answered > term {
            self.role = Role::Follower;
        } else if success {
            let next = &mut leading.next[usize::from(from)];
            *next = (index + 1).max(*next);
            self.matches(from, index, out);
            self.replicate(out);
        }
    }
}
