//! Nodes that start with what [`Plan`] writes for them.

use op_conductor_init::cluster::{ClusterSpec, Election, SpecText};
use op_conductor_init::plan::{NodePlan, Plan};
use op_conductor_init::raft::{Configuration, Index, Log, LogType, Server, Suffrage, Term, codec};

use crate::node::Node;
use crate::value::{Entry, Id, Kind, Members, Snapshot, ids};

fn name(id: Id) -> String {
    format!("n{id}")
}

fn address(id: Id) -> String {
    format!("n{id}.example:50050")
}

fn number(name: &str) -> Id {
    name.strip_prefix('n').unwrap().parse().unwrap()
}

fn byte(number: u64) -> u8 {
    u8::try_from(number).unwrap()
}

/// `count` voters, of which the first is the named leader.
pub(crate) fn generated(count: u8, election: Election, initial_term: u64) -> Vec<Node> {
    let nodes: Vec<String> = (0..count).map(address).collect();
    let ids: Vec<String> = (0..count).map(name).collect();
    let (nodes, server_ids) = (nodes.join(","), ids.join(","));
    let text = SpecText {
        nodes: &nodes,
        server_ids: &server_ids,
        initial_leader: "n0",
        nonvoters: "",
        initial_term,
        network: None,
        election,
    };
    let spec = ClusterSpec::parse(&text).unwrap();
    let plan = Plan::new(&spec).with_payload(&[1]);
    plan.nodes().map(|node| as_node(&node, Snapshot::default())).collect()
}

/// The recovered state of `members`, all voters.
pub(crate) fn recovered(members: u8, leader: Id, index: u8, term: u8, head: u8) -> Vec<Node> {
    let server = |id| Server { suffrage: Suffrage::Voter, id: name(id), address: address(id) };
    let configuration = Configuration { servers: ids(members).map(server).collect() };
    let spec = ClusterSpec::from_members(&configuration, &name(leader), Term(term.into())).unwrap();
    let head = [head];
    let plan = Plan::recovered(&spec, Index(index.into()), &head).unwrap();
    let snapshot = plan.snapshot().unwrap();
    let meta = &snapshot.meta;
    let snapshot = Snapshot {
        index: byte(meta.index.0),
        term: byte(meta.term.0),
        members: masks(&meta.configuration),
        head: snapshot.state[0],
    };
    plan.nodes().map(|node| as_node(&node, snapshot)).collect()
}

fn as_node(plan: &NodePlan<'_>, snapshot: Snapshot) -> Node {
    let stable = plan.stable_state();
    let candidate = |address: Vec<u8>| number(std::str::from_utf8(&address).unwrap().split('.').next().unwrap());
    let vote = stable.last_vote_term.zip(stable.last_vote_cand).map(|(term, it)| (byte(term.0), candidate(it)));
    let log = plan.entries.iter().map(as_entry).collect();
    Node::start(number(&plan.server.id), byte(stable.current_term.unwrap().0), vote, snapshot, log)
}

fn as_entry(log: &Log<'_>) -> Entry {
    let data = log.data.as_deref().unwrap_or_default();
    let kind = match log.kind {
        LogType::Noop => Kind::Noop,
        LogType::Command => Kind::Command(data[0]),
        LogType::Configuration => Kind::Configuration(masks(&codec::decode_configuration(data).unwrap())),
        other => panic!("a plan has an entry of type {other}"),
    };
    Entry { index: byte(log.index.0), term: byte(log.term.0), kind }
}

fn masks(configuration: &Configuration) -> Members {
    let mask = |servers: &mut dyn Iterator<Item = &Server>| servers.fold(0, |mask, it| mask | 1 << number(&it.id));
    Members { all: mask(&mut configuration.servers.iter()), voters: mask(&mut configuration.voters()) }
}
