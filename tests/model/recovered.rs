//! The recovery plan, on clusters that have run and are stopped at any moment.

use op_conductor_init::cluster::Election;

use crate::node::{Node, Out};
use crate::run::{all, breaks, is_long, walks};
use crate::start::{generated, recovered};
use crate::value::{Entry, Id, Kind, ids};
use crate::world::{Action, Left, Planned, State, World};

/// How the cluster is recovered from some of its directories.
pub(crate) struct Recovery {
    absent: Absent,
    /// Also from directories that don't cover what may be committed.
    with_uncovered: bool,
    /// Another head than the base's.
    head: Option<u8>,
    planted: Option<Planted>,
    /// Of the new cluster.
    left: Left,
}

/// Errors that a plan could have.
#[derive(Clone, Copy, PartialEq)]
enum Planted {
    /// The snapshot is of the base's last entry, not above everything.
    SnapshotAtTheBase,
    /// The members' configuration is in the snapshot, and not in the log as well.
    NoConfigurationInTheLog,
}

/// What the servers do whose directories are not here.
#[derive(Clone, Copy, PartialEq)]
enum Absent {
    /// Their state is destroyed, and they get the planned one.
    Replaced,
    /// They go on with their old directories, as members.
    Forgotten,
}

fn node(state: &State, id: Id) -> &Node {
    &state.nodes[usize::from(id)]
}

/// The base, and S and T0 above everything in these directories.
fn above_everything(state: &State, directories: u8) -> (Id, u8, u8) {
    let nodes = || ids(directories).map(|id| node(state, id));
    let base = nodes().max_by_key(|node| (node.last().1, node.last().0)).unwrap().id;
    let index = nodes().map(|node| node.last_log().max(node.snapshot.index)).max().unwrap();
    let of = |node: &Node| node.term.max(node.vote.map_or(0, |(term, _)| term)).max(node.last().1);
    let term = nodes().map(of).max().unwrap();
    (base, index + 1, term + 1)
}

fn head(base: &Node) -> u8 {
    base.log.iter().filter(|entry| entry.index > base.snapshot.index).fold(
        base.snapshot.head,
        |head, entry| match entry.kind {
            Kind::Command(head) => head,
            _ => head,
        },
    )
}

impl Recovery {
    pub(crate) fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let all = (1_u8 << state.nodes.len()) - 1;
        for directories in 1..=all {
            let (base, ..) = above_everything(state, directories);
            if self.with_uncovered || node(state, base).latest.members.has_quorum(directories) {
                actions.push(Action::Recover { directories, with_climbed: false });
                if self.absent == Absent::Forgotten && directories != all {
                    actions.push(Action::Recover { directories, with_climbed: true });
                }
            }
        }
    }

    pub(crate) fn apply(&self, state: &mut State, directories: u8, with_climbed: bool) {
        let (base, mut index, term) = above_everything(state, directories);
        let old = node(state, base).clone();
        let all = (1_u8 << state.nodes.len()) - 1;
        if self.planted == Some(Planted::SnapshotAtTheBase) {
            index = old.last().0;
        }
        let mut planned = recovered(all, base, index, term, self.head.unwrap_or_else(|| head(&old)));
        planned.iter_mut().for_each(|node| self.plant(node, &old));
        let highest = planned[0].term;
        let replaced = if self.absent == Absent::Replaced { all } else { directories };
        let goal = planned[usize::from(base)].last().0 + 1;
        for new in planned {
            let node = &mut state.nodes[usize::from(new.id)];
            if replaced & 1 << new.id != 0 {
                *node = new;
            } else if with_climbed {
                node.adopt(highest);
            }
        }
        let is_in_base = |entry: &Entry| entry.index <= old.snapshot.index || old.entry(entry.index) == Some(*entry);
        state.seen.broken.lost |= !state.seen.committed.iter().all(|(entry, _)| is_in_base(entry));
        state.seen.committed = old.log.iter().map(|entry| (*entry, 0)).collect();
        state.plan =
            Planned { named: Some(base), nodes: replaced, first_term: term, goal, closed: (old.last().0, index) };
        state.left = Left { last_term: highest + 1 + self.left.last_term, ..self.left.clone() };
    }

    fn plant(&self, node: &mut Node, base: &Node) {
        match self.planted {
            Some(Planted::SnapshotAtTheBase) => node.snapshot.term = base.last().1,
            Some(Planted::NoConfigurationInTheLog) => {
                node.log.remove(0);
                node.log[0].index -= 1;
            }
            None => {}
        }
        node.restart(&mut Out::default());
    }
}

/// A cluster of `count` that runs, with elections up to term `last_term` and so many commands, and is then recovered.
fn world(count: u8, last_term: u8, commands: u8, recovery: Recovery) -> World {
    let nodes = generated(count, Election::Open, 1);
    let left = Left { last_term, commands, restarts: 0 };
    World { start: vec![State::new(nodes, Planned::default(), left)], with_pre_vote: false, recovery: Some(recovery) }
}

fn covered(absent: Absent) -> Recovery {
    let left = Left { last_term: 0, commands: 0, restarts: 0 };
    Recovery { absent, with_uncovered: false, head: None, planted: None, left }
}

#[test]
fn two_servers_are_recovered_at_any_moment() {
    all(world(2, 3, 1, covered(Absent::Replaced))).told("recovered, n = 2").holds();
}

#[test]
fn three_servers_are_recovered_from_any_two_at_any_moment() {
    let commands = if is_long() { 2 } else { 1 };
    all(world(3, 2, commands, covered(Absent::Replaced))).told("recovered, n = 3").holds();
}

#[test]
fn more_servers_are_recovered_from_any_majority_at_any_moment() {
    for count in [3, 5] {
        for (absent, what) in [(Absent::Replaced, "recovered"), (Absent::Forgotten, "forgotten")] {
            let left = Left { last_term: 2, commands: 1, restarts: 2 };
            let recovery = Recovery { left, ..covered(absent) };
            walks(&world(count, 4, 2, recovery), 1, 500).told(&format!("{what}, n = {count}")).holds();
        }
    }
}

/// Three servers of which two are recovered to the head 9; the third one goes on with its old directory. What it has: all, less,
/// or what it appended as a leader that nobody followed.
fn forgotten(recovery: &Recovery) -> Vec<State> {
    let mut old = generated(3, Election::Open, 1);
    let entry = |index, term, kind| Entry { index, term, kind };
    let more = [entry(3, 2, Kind::Noop), entry(4, 2, Kind::Command(2))];
    let unheard = [entry(3, 1, Kind::Command(3)), entry(4, 1, Kind::Command(4)), entry(5, 1, Kind::Command(5))];
    let ends: [&[Entry]; 4] = [&[], &more[..1], &more, &unheard];
    for node in &mut old[..2] {
        (node.term, node.vote) = (2, Some((2, 0)));
        node.log.extend(more);
    }
    let left = recovery.left.clone();
    let starts = ends.iter().flat_map(|end| [false, true].map(|with_climbed| (end, with_climbed)));
    let state = |(end, with_climbed): (&&[Entry], bool)| {
        let mut nodes = old.clone();
        nodes[2].log.extend(end.iter());
        let mut state = State::new(nodes, Planned::default(), left.clone());
        recovery.apply(&mut state, 0b011, with_climbed);
        state
    };
    starts.map(state).collect()
}

fn forgotten_world(recovery: Recovery) -> World {
    World { start: forgotten(&recovery), with_pre_vote: false, recovery: Some(recovery) }
}

#[test]
fn a_forgotten_directory_is_healed() {
    let left = Left { last_term: 0, commands: 0, restarts: u8::from(is_long()) };
    let recovery = Recovery { head: Some(9), left, ..covered(Absent::Forgotten) };
    all(forgotten_world(recovery)).told("forgotten, n = 3").holds();
}

#[test]
fn one_directory_of_three_loses_committed_entries() {
    let recovery = Recovery { with_uncovered: true, ..covered(Absent::Replaced) };
    assert!(breaks(world(3, 2, 1, recovery), "committed entries stay"));
}

#[test]
fn old_servers_that_are_not_covered_go_on_and_commit() {
    let recovery = Recovery { with_uncovered: true, ..covered(Absent::Forgotten) };
    assert!(breaks(world(3, 2, 1, recovery), "committed entries stay"));
}

/// The old directory matches there, is sent no snapshot, and keeps its old head.
#[test]
fn a_snapshot_at_the_base_is_found() {
    let planted = Some(Planted::SnapshotAtTheBase);
    let recovery = Recovery { head: Some(9), planted, ..covered(Absent::Forgotten) };
    assert!(breaks(forgotten_world(recovery), "equal indexes have equal heads"));
}

#[test]
fn a_configuration_in_the_snapshot_alone_is_found() {
    let planted = Some(Planted::NoConfigurationInTheLog);
    let found = all(world(2, 2, 1, Recovery { planted, ..covered(Absent::Replaced) }));
    assert_eq!(found.reached(), ["the named leader leads"], "and nothing is ever committed");
}
