//! Elections: who campaigns, who votes for whom. (raft.go runFollower, runCandidate, requestVote, requestPreVote)

use crate::node::{Node, Out, Role};
use crate::value::{Body, Id, ids};

impl Node {
    /// The heartbeat's timeout campaigns only on a voter by the node's own latest configuration.
    pub(crate) fn may_campaign(&self) -> bool {
        let has_timeout = !matches!(self.role, Role::Leader(_));
        has_timeout && self.latest.index > 0 && self.latest.members.is_voter(self.id)
    }

    pub(crate) fn campaign(&mut self, with_pre_vote: bool, out: &mut Out) {
        if !with_pre_vote {
            return self.elect_self(out);
        }
        self.role = Role::PreCandidate(1 << self.id);
        let (last_index, last_term) = self.last();
        for voter in ids(self.latest.members.voters).filter(|voter| *voter != self.id) {
            self.send(voter, self.term + 1, Body::PreVote { last_index, last_term }, out);
        }
        self.count(out);
    }

    fn elect_self(&mut self, out: &mut Out) {
        self.term += 1;
        self.vote = Some((self.term, self.id));
        self.role = Role::Candidate(1 << self.id);
        let (last_index, last_term) = self.last();
        for voter in ids(self.latest.members.voters).filter(|voter| *voter != self.id) {
            self.send(voter, self.term, Body::Vote { last_index, last_term }, out);
        }
        self.count(out);
    }

    fn count(&mut self, out: &mut Out) {
        let has_quorum = |granted| self.latest.members.has_quorum(granted);
        match self.role {
            Role::PreCandidate(granted) if has_quorum(granted) => self.elect_self(out),
            Role::Candidate(granted) if has_quorum(granted) => self.lead(out),
            _ => {}
        }
    }

    /// Changes nothing here.
    pub(crate) fn pre_vote(&self, from: Id, term: u8, last: (u8, u8), out: &mut Out) {
        let members = self.latest.members;
        let (is_known, is_voter) = (members.all == 0 || members.has(from), members.all == 0 || members.is_voter(from));
        let is_current = is_known && term >= self.term;
        let answered = if is_current { term } else { self.term };
        let granted = is_current && is_voter && self.is_good_enough(last);
        self.send(from, term, Body::PreVoted { term: answered, granted }, out);
    }

    pub(crate) fn vote(&mut self, from: Id, term: u8, last: (u8, u8), out: &mut Out) {
        let members = self.latest.members;
        let granted = (members.all == 0 || members.has(from)) && term >= self.term && {
            self.adopt(term);
            (members.all == 0 || members.is_voter(from)) && self.decide(from, term, last)
        };
        self.send(from, term, Body::Voted { term: self.term, granted }, out);
    }

    /// One vote a term, which is repeated when it is asked for again.
    fn decide(&mut self, from: Id, term: u8, last: (u8, u8)) -> bool {
        match self.vote {
            Some((voted, candidate)) if voted == term => candidate == from,
            _ if self.is_good_enough(last) => {
                self.vote = Some((term, from));
                true
            }
            _ => false,
        }
    }

    fn is_good_enough(&self, (index, term): (u8, u8)) -> bool {
        let (own_index, own_term) = self.last();
        (term, index) >= (own_term, own_index)
    }

    /// A newer term ends whatever this was.
    pub(crate) fn adopt(&mut self, term: u8) {
        if term > self.term {
            (self.term, self.role) = (term, Role::Follower);
        }
    }

    pub(crate) fn pre_voted(&mut self, from: Id, term: u8, answered: u8, granted: bool, out: &mut Out) {
        let Role::PreCandidate(votes) = self.role else { return };
        if answered > self.term + 1 && !granted {
            return self.adopt(answered);
        }
        if granted && term == self.term + 1 {
            self.role = Role::PreCandidate(votes | 1 << from);
            self.count(out);
        }
    }

    pub(crate) fn voted(&mut self, from: Id, term: u8, answered: u8, granted: bool, out: &mut Out) {
        let Role::Candidate(votes) = self.role else { return };
        if answered > self.term {
            return self.adopt(answered);
        }
        if granted && term == self.term {
            self.role = Role::Candidate(votes | 1 << from);
            self.count(out);
        }
    }
}
