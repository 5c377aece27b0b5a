//! Servers and the network between them, as a model for stateright: what can happen next, and what must hold in every state.
//!
//! Messages stay in the network for good. So each can come late, twice, in any order, or never, without an action for it. A
//! server that is stopped is one that does nothing for a while.

use std::hash::Hash;

use stateright::{Model, Property};

use crate::node::{Node, Out, Role};
use crate::recovered::Recovery;
use crate::value::{Entry, Id, Kind, Message};

pub(crate) struct World {
    pub(crate) start: Vec<State>,
    /// raft 1.7.0 and later asks before it campaigns; without that every campaign is one.
    pub(crate) with_pre_vote: bool,
    /// How a cluster that has run is recovered, once and at any moment.
    pub(crate) recovery: Option<Recovery>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// In the order of their numbers.
    pub(crate) nodes: Vec<Node>,
    /// Sorted, each once.
    pub(crate) network: Vec<Message>,
    pub(crate) plan: Planned,
    pub(crate) seen: Seen,
    pub(crate) left: Left,
}

/// What a plan says will happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Planned {
    /// Who must lead first; none while the cluster runs that is recovered later.
    pub(crate) named: Option<Id>,
    /// Who starts from the plan. The others have old state.
    pub(crate) nodes: u8,
    /// The plan's first term. A server that isn't of the plan may still win an old one by a late vote.
    pub(crate) first_term: u8,
    /// Index of the first entry that the named leader appends.
    pub(crate) goal: u8,
    /// Old entries end here, and indexes up to the second have no entry to commit.
    pub(crate) closed: (u8, u8),
}

/// What has happened, as the properties need it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Seen {
    /// Term and leader.
    pub(crate) leaders: Vec<(u8, Id)>,
    /// What some node has ever taken for committed, and its term then.
    pub(crate) committed: Vec<(Entry, u8)>,
    pub(crate) broken: Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Broken {
    pub(crate) two_leaders: bool,
    pub(crate) not_named: bool,
    pub(crate) lost: bool,
    pub(crate) panics: bool,
}

/// The bounds of what may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    /// No one campaigns in a term above this one.
    pub(crate) last_term: u8,
    pub(crate) commands: u8,
    pub(crate) restarts: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Campaign(Id),
    Restart(Id),
    /// A client's command reaches the leader.
    Command(Id),
    /// By its place in the network.
    Deliver(usize),
    /// The directories of these servers are what is left; the others' terms have gone up meanwhile, or not.
    Recover {
        directories: u8,
        with_climbed: bool,
    },
}

impl State {
    pub(crate) fn new(nodes: Vec<Node>, plan: Planned, left: Left) -> State {
        State { nodes, network: Vec::new(), plan, seen: Seen::default(), left }
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[usize::from(id)]
    }

    fn is_planned(&self, id: Id) -> bool {
        self.plan.nodes & 1 << id != 0
    }

    /// A server with old state stays in old terms, or has climbed past all that were skipped.
    fn has_term_left(&self, node: &Node) -> bool {
        let first = self.plan.first_term;
        node.term < self.left.last_term
            && (self.is_planned(node.id) || node.term >= first || node.term + 1 < first || self.plan.named.is_none())
    }

    /// Takes the step of a node, and looks at what it did.
    fn step(&mut self, id: Id, step: impl FnOnce(&mut Node, &mut Out)) {
        let mut out = Out::default();
        let node = &mut self.nodes[usize::from(id)];
        let before = node.clone();
        step(node, &mut out);
        let after = node.clone();
        self.seen.broken.panics |= out.panics;
        self.watch_campaign(&after);
        out.applied.into_iter().for_each(|entry| self.watch_commit(entry, after.term));
        let leads = |node: &Node| matches!(node.role, Role::Leader(_));
        if leads(&after) && !(leads(&before) && before.term == after.term) {
            self.watch_leader(&after);
        }
        for message in out.messages {
            if let Err(at) = self.network.binary_search(&message) {
                self.network.insert(at, message);
            }
        }
        self.forget();
    }

    /// Messages that can change nothing any more make no other states.
    fn forget(&mut self) {
        let nodes = &self.nodes;
        let node = |id: Id| &nodes[usize::from(id)];
        self.network.retain(|message| !node(message.to).ignores(message, node(message.from)));
    }

    fn watch_campaign(&mut self, node: &Node) {
        let is_other = self.plan.named.is_some_and(|named| named != node.id) && self.is_planned(node.id);
        let campaigns = !matches!(node.role, Role::Follower);
        self.seen.broken.not_named |= is_other && campaigns && !self.has_led();
    }

    /// Whether somebody was elected since the plan was made.
    fn has_led(&self) -> bool {
        self.seen.leaders.iter().any(|(term, _)| *term >= self.plan.first_term)
    }

    fn watch_leader(&mut self, node: &Node) {
        let is_two = |(term, id): &(u8, Id)| *term == node.term && *id != node.id;
        self.seen.broken.two_leaders |= self.seen.leaders.iter().any(is_two);
        if node.term >= self.plan.first_term {
            let is_other = self.plan.named.is_some_and(|named| named != node.id);
            self.seen.broken.not_named |= is_other && !self.has_led();
            let has = |entry: &Entry| entry.index <= node.snapshot.index || node.entry(entry.index) == Some(*entry);
            // By a late vote, somebody can win a term that is over; what was committed after it isn't known there.
            let before = self.seen.committed.iter().filter(|(_, term)| *term < node.term);
            self.seen.broken.lost |= !before.into_iter().all(|(entry, _)| has(entry));
        }
        self.seen.leaders.push((node.term, node.id));
    }

    /// No two nodes commit different entries at one index.
    fn watch_commit(&mut self, entry: Entry, term: u8) {
        let (from, to) = self.plan.closed;
        let known = self.seen.committed.iter().find(|(known, _)| known.index == entry.index);
        self.seen.broken.lost |= known.is_some_and(|(known, _)| *known != entry);
        self.seen.broken.lost |= known.is_none() && from < entry.index && entry.index <= to;
        if known.is_none() {
            self.seen.committed.push((entry, term));
            self.seen.committed.sort_unstable();
        }
    }

    /// Where two logs have an entry of one index and term, they are the same up to there.
    fn logs_match(&self) -> bool {
        let pairs = self.nodes.iter().enumerate().flat_map(|(at, a)| self.nodes[..at].iter().map(move |b| (a, b)));
        pairs.into_iter().all(|(a, b)| {
            let bottom = a.snapshot.index.max(b.snapshot.index);
            let above = || a.log.iter().filter(|entry| entry.index > bottom);
            let in_b = |entry: &Entry| b.entry(entry.index);
            let common = above().filter(|entry| in_b(entry).is_some_and(|it| it.term == entry.term));
            let last = common.map(|entry| entry.index).max().unwrap_or(0);
            above().filter(|entry| entry.index <= last).all(|entry| in_b(entry).is_none_or(|it| it == *entry))
        })
    }

    /// Who has applied as much has the same head.
    fn heads_match(&self) -> bool {
        let pairs = self.nodes.iter().flat_map(|a| self.nodes.iter().map(move |b| (a, b)));
        pairs.into_iter().all(|(a, b)| a.applied != b.applied || a.head == b.head)
    }

    fn named_leads(&self) -> bool {
        self.plan.named.is_some_and(|id| matches!(self.node(id).role, Role::Leader(_)))
    }

    fn goal_is_committed(&self) -> bool {
        self.plan.named.is_some_and(|id| self.node(id).applied >= self.plan.goal)
    }

    /// Everybody has the named leader's first entry, and all of them vote.
    fn all_are_equal(&self) -> bool {
        let all = (1_u8 << self.nodes.len()) - 1;
        let is_done = |node: &Node| node.applied >= self.plan.goal && node.latest.members.voters == all;
        self.plan.named.is_some() && self.nodes.iter().all(is_done)
    }
}

impl World {
    pub(crate) const SAFETY: [&str; 6] = [
        "one leader a term",
        "nobody before the named leader",
        "committed entries stay",
        "logs match",
        "equal indexes have equal heads",
        "raft does not panic",
    ];
    pub(crate) const REACHED: [&str; 3] =
        ["the named leader leads", "its first entry is committed", "all have it, and all of them vote"];
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.start.clone()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((0..state.network.len()).map(Action::Deliver));
        for node in &state.nodes {
            if node.may_campaign() && state.has_term_left(node) {
                actions.push(Action::Campaign(node.id));
            }
            if state.left.restarts > 0 {
                actions.push(Action::Restart(node.id));
            }
            if state.left.commands > 0 && matches!(node.role, Role::Leader(_)) {
                actions.push(Action::Command(node.id));
            }
        }
        if let Some(recovery) = self.recovery.as_ref().filter(|_| state.plan.named.is_none()) {
            recovery.actions(state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Campaign(id) => state.step(id, |node, out| node.campaign(self.with_pre_vote, out)),
            Action::Restart(id) => {
                state.left.restarts -= 1;
                state.step(id, Node::restart);
            }
            Action::Command(id) => {
                state.left.commands -= 1;
                let command = 100 + state.left.commands;
                state.step(id, |node, out| node.dispatch(Kind::Command(command), out));
            }
            Action::Deliver(at) => {
                let message = &last.network[at];
                state.step(message.to, |node, out| node.receive(message, out));
            }
            Action::Recover { directories, with_climbed } => {
                let recovery = self.recovery.as_ref().expect("it is offered with a recovery alone");
                recovery.apply(&mut state, directories, with_climbed);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<World>> {
        let [two_leaders, named, lost, logs, heads, panics] = World::SAFETY;
        let [leads, committed, equal] = World::REACHED;
        vec![
            Property::always(two_leaders, |_, state: &State| !state.seen.broken.two_leaders),
            Property::always(named, |_, state: &State| !state.seen.broken.not_named),
            Property::always(lost, |_, state: &State| !state.seen.broken.lost),
            Property::always(logs, |_, state: &State| state.logs_match()),
            Property::always(heads, |_, state: &State| state.heads_match()),
            Property::always(panics, |_, state: &State| !state.seen.broken.panics),
            Property::sometimes(leads, |_, state: &State| state.named_leads()),
            Property::sometimes(committed, |_, state: &State| state.goal_is_committed()),
            Property::sometimes(equal, |_, state: &State| state.all_are_equal()),
        ]
    }
}
