//! The named plan, as `generate` writes it.

use op_conductor_init::cluster::Election;

use crate::node::Node;
use crate::run::{all, breaks, is_long, walks};
use crate::start::generated;
use crate::value::{Kind, Members};
use crate::world::{Left, Planned, State, World};

/// A cluster of `count` from the plan. After the first election there may be `more` others.
fn world(count: u8, with_pre_vote: bool, more: u8, commands: u8, restarts: u8, change: fn(&mut [Node])) -> World {
    let mut nodes = generated(count, Election::Named, 1);
    change(&mut nodes);
    let last_term = nodes[0].term + 1 + more;
    let goal = nodes[0].last().0 + 1;
    let plan = Planned { named: Some(0), nodes: u8::MAX, first_term: 0, goal, closed: (0, 0) };
    let left = Left { last_term, commands, restarts };
    World { start: vec![State::new(nodes, plan, left)], with_pre_vote, recovery: None }
}

fn as_planned(_: &mut [Node]) {}

#[test]
fn two_servers_elect_the_named_one_and_go_on() {
    for with_pre_vote in [true, false] {
        let what = if with_pre_vote { "named, n = 2, with pre-vote" } else { "named, n = 2" };
        let more = if is_long() { 2 } else { 1 };
        all(world(2, with_pre_vote, more, 1, 1, as_planned)).told(what).holds();
    }
}

#[test]
fn three_servers_elect_the_named_one() {
    all(world(3, false, 0, u8::from(is_long()), 1, as_planned)).told("named, n = 3, one election").holds();
    all(world(3, true, 0, 0, 1, as_planned)).told("named, n = 3, one election with pre-vote").holds();
    if is_long() {
        all(world(3, false, 1, 0, 0, as_planned)).told("named, n = 3, two elections").holds();
    }
}

#[test]
fn five_and_seven_servers_elect_the_named_one() {
    for count in [3, 5, 7] {
        walks(&world(count, true, 3, 2, 3, as_planned), 1, 400).told(&format!("named, n = {count}")).holds();
    }
}

/// A follower's entry is of the same index and term then.
#[test]
fn a_noop_below_the_highest_term_is_found() {
    let change = |nodes: &mut [Node]| nodes[0].log.last_mut().unwrap().term = 2;
    assert!(breaks(world(3, false, 0, 0, 0, change), "logs match"));
}

#[test]
fn a_follower_that_is_not_demoted_is_found() {
    let change = |nodes: &mut [Node]| {
        let all = Members { all: 0b111, voters: 0b111 };
        nodes[1].log.last_mut().unwrap().kind = Kind::Configuration(all);
        nodes[1].restart(&mut crate::node::Out::default());
    };
    assert!(breaks(world(3, false, 0, 0, 0, change), "nobody before the named leader"));
}
