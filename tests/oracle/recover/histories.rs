//! Random histories, and every subset of what they leave.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use op_conductor_init::payload::{Envelope, Head};
use op_conductor_init::recover::{AppliedState, Error, PlanFile, applied_state};
use op_conductor_init::state::{Depth, Node as State, StateDir};
use tempfile::TempDir;

use super::loopback::{Node, PATIENCE, wait_for};
use super::{apply, plan};
use crate::common::{SplitMix, hex, number};

const BLOCK_100: &[u8] = include_bytes!("../../vectors/payload/v3.ssz");
/// A history runs on the first, and its recovery on the second.
const VERSIONS: [(&str, &str); 6] = [
    ("1.7.3", "1.7.3"),
    ("1.8.0", "1.8.0"),
    ("1.7.3", "1.8.0"),
    ("1.7.1", "1.7.3"),
    ("1.6.1", "1.6.1"),
    ("1.8.0", "1.7.3"),
];
/// An acknowledgement takes as long as the disk and two messages.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Two histories at a time: more only wait for each other on two cores.
const AT_A_TIME: usize = 2;

/// A cluster to which things happen.
struct History {
    random: SplitMix,
    version: &'static str,
    dir: TempDir,
    nodes: Vec<Node>,
    /// Each block that was made: its hash, and the hash of the one that was acknowledged last before.
    after: HashMap<String, String>,
    /// The block that was made last.
    made: Vec<u8>,
    /// The last block that a leader acknowledged.
    acknowledged: Vec<u8>,
}

/// What the subsets of one history, or of several, came to.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    covered: u64,
    kept: u64,
    lost: u64,
    unplanned: u64,
}

fn hash(block: &[u8]) -> String {
    Head::peek(block).unwrap().hash.to_string()
}

impl History {
    fn new(seed: u64, version: &'static str) -> History {
        let mut random = SplitMix(seed);
        let dir = tempfile::tempdir().unwrap();
        let size = 3 + random.index(3);
        let mut nodes: Vec<Node> = (1..=size).map(|number| Node::new(&format!("s{number}"), dir.path())).collect();
        let head = dir.path().join("head.ssz");
        std::fs::write(&head, BLOCK_100).unwrap();
        let list = |of: fn(&Node) -> &str| nodes.iter().map(of).collect::<Vec<_>>().join(",");
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
        command.args(["generate", "--nodes", &list(|node| &node.address), "--server-ids", &list(|node| &node.id)]);
        command.args(["--initial-leader", "s1", "--unsafe-head"]).arg(head);
        command.arg("--output-dir").arg(dir.path().join("state")).env_clear();
        let output = command.output().unwrap();
        assert!(output.status.success(), "generate: {}", String::from_utf8_lossy(&output.stderr));
        nodes.iter_mut().for_each(|node| node.start(version, &dir.path().join("state")));
        let (made, acknowledged) = (BLOCK_100.to_vec(), BLOCK_100.to_vec());
        History { random, version, dir, nodes, after: HashMap::new(), made, acknowledged }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn leader(&self, timeout: Duration) -> Option<usize> {
        wait_for(timeout, || self.nodes.iter().position(|node| node.runs() && node.leads()))
    }

    /// A block above all that were made. What isn't acknowledged may be committed all the same, and op-conductor ignores
    /// a second block of its number.
    fn block(&mut self) -> Vec<u8> {
        self.made = Envelope::decode(&self.made).unwrap().child().unwrap().encode();
        self.after.insert(hash(&self.made), hash(&self.acknowledged));
        self.made.clone()
    }

    fn run(&mut self) {
        self.leader(PATIENCE).expect("the named leader leads");
        for _ in 0..8 + self.random.index(8) {
            match self.random.index(16) {
                0..=5 => self.apply(),
                6 | 7 => self.kill(),
                8 | 9 => self.restart(),
                10 | 11 => self.cut_off_the_leader(),
                12 | 13 => self.snapshot(),
                14 => self.remove(),
                _ => self.add(),
            }
        }
        self.nodes.iter_mut().for_each(Node::kill);
    }

    fn apply(&mut self) {
        for _ in 0..=self.random.index(3) {
            let block = self.block();
            let Some(leader) = self.leader(Duration::from_secs(2)) else { return };
            if self.nodes[leader].apply(&block, ACKNOWLEDGED) {
                self.acknowledged = block;
            }
        }
    }

    fn one(&mut self, wanted: impl Fn(&Node) -> bool) -> Option<usize> {
        let found: Vec<usize> = (0..self.nodes.len()).filter(|at| wanted(&self.nodes[*at])).collect();
        (!found.is_empty()).then(|| found[self.random.index(found.len())])
    }

    fn kill(&mut self) {
        if let Some(at) = self.one(Node::runs) {
            self.nodes[at].kill();
        }
    }

    fn restart(&mut self) {
        if let Some(at) = self.one(|node| !node.runs()) {
            let (version, state) = (self.version, self.state());
            self.nodes[at].start(version, &state);
        }
    }

    /// A leader gets a block that nobody else hears of, and dies.
    fn cut_off_the_leader(&mut self) {
        let block = self.block();
        let Some(leader) = self.leader(Duration::from_secs(1)) else { return };
        let others: Vec<usize> = (0..self.nodes.len()).filter(|at| *at != leader).collect();
        others.iter().for_each(|at| self.nodes[*at].freeze(true));
        let acknowledged = self.nodes[leader].apply(&block, Duration::from_millis(300));
        self.nodes[leader].kill();
        others.iter().for_each(|at| self.nodes[*at].freeze(false));
        // It was its own majority.
        if acknowledged {
            self.acknowledged = block;
        }
    }

    fn snapshot(&mut self) {
        if let Some(at) = self.one(Node::runs) {
            self.nodes[at].call("POST", "/snapshot", "", ACKNOWLEDGED);
        }
    }

    fn remove(&mut self) {
        let Some(leader) = self.leader(Duration::from_secs(1)) else { return };
        let Some(at) = self.one(|_| true) else { return };
        let body = format!(r#"{{"id": "{}"}}"#, self.nodes[at].id);
        self.nodes[leader].call("POST", "/remove", &body, ACKNOWLEDGED);
    }

    fn add(&mut self) {
        let Some(leader) = self.leader(Duration::from_secs(1)).filter(|_| self.nodes.len() < 6) else { return };
        let mut node = Node::new(&format!("s{}", self.nodes.len() + 1), self.dir.path());
        node.start(self.version, &self.state());
        let body = format!(r#"{{"id": "{}", "address": "{}"}}"#, node.id, node.address);
        self.nodes[leader].call("POST", "/add", &body, ACKNOWLEDGED);
        self.nodes.push(node);
    }

    /// Whether `head` is the last acknowledged block, or was made after it.
    fn has_acknowledged(&self, head: &str) -> bool {
        let wanted = hash(&self.acknowledged);
        let mut at = head;
        while at != wanted {
            match self.after.get(at) {
                Some(before) => at = before,
                None => return false,
            }
        }
        true
    }

    /// Plans from every subset of the directories; the covered plans are returned.
    fn subsets(&self, seed: u64) -> (Counts, Vec<PlanFile>) {
        let state = self.state();
        // A node that was killed as soon as it was added has none.
        let directories = self.nodes.iter().map(|node| state.join(&node.id)).filter(|path| path.is_dir());
        let directories: Vec<PathBuf> = directories.collect();
        let (mut counts, mut plans) = (Counts::default(), Vec::new());
        for subset in 1..1_u32 << directories.len() {
            let chosen = directories.iter().enumerate().filter(|(at, _)| subset & (1 << at) != 0);
            let chosen: Vec<&Path> = chosen.map(|(_, path)| path.as_path()).collect();
            let file = match plan(&chosen, None) {
                Ok(planned) => planned.file,
                // A base that was removed doesn't lead; a node that was just added may have nothing.
                Err(Error::NoLeader { .. }) => match self.with_another_leader(&chosen) {
                    Some(file) => file,
                    None => continue,
                },
                Err(_) => {
                    counts.unplanned += 1;
                    continue;
                }
            };
            let has_it = self.has_acknowledged(&file.head.hash);
            match (file.coverage.covered, has_it) {
                (true, true) => {
                    counts.covered += 1;
                    plans.push(file);
                }
                (true, false) => panic!("seed {seed}: lost, though {}", file.coverage.sentence),
                (false, true) => counts.kept += 1,
                (false, false) => counts.lost += 1,
            }
        }
        (counts, plans)
    }

    fn with_another_leader(&self, chosen: &[&Path]) -> Option<PlanFile> {
        self.nodes.iter().find_map(|node| plan(chosen, Some(&node.id)).ok()).map(|planned| planned.file)
    }

    /// Boots a plan: the named leader leads first, all have its head and the block after it.
    fn boots(&mut self, seed: u64, file: &PlanFile, version: &str) {
        let to = self.dir.path().join("recovered");
        apply(file, &to);
        // One member may start from its old directory: it is behind, and gets the snapshot.
        let forgotten = self.random.index(3) == 0;
        let forgotten = self.one(|node| forgotten && node.id != file.leader).map(|at| self.nodes[at].id.clone());
        let logs = self.dir.path().join("events");
        std::fs::create_dir(&logs).unwrap();
        let mut members: Vec<Node> = Vec::new();
        for server in &file.members {
            let mut node = Node::new(&server.id, &logs);
            node.address.clone_from(&server.address);
            let old = forgotten.as_ref() == Some(&server.id);
            node.start(version, if old { self.dir.path() } else { &to }.join(if old { "state" } else { "" }).as_path());
            members.push(node);
        }
        let fail = |what: &str| {
            panic!("seed {seed}, on {version}, {forgotten:?} forgotten: {what}: {:?}", campaigns(&members))
        };
        let leads = || members.iter().find(|node| node.leads());
        if wait_for(PATIENCE, leads).is_none() {
            fail("nobody leads");
        }
        if campaigns(&members).iter().find(|(_, _, state)| state == "leader").map(|it| it.1.as_str())
            != Some(&file.leader)
        {
            fail("another one led first");
        }
        if campaigns(&members)
            .iter()
            .take_while(|(_, _, state)| state != "leader")
            .any(|it| it.1 != file.leader && forgotten.as_ref() != Some(&it.1))
        {
            // Who still has its old directory may ask, and gets no vote.
            fail("another one asked for votes first");
        }
        let block = Envelope::decode(&file.head.bytes().unwrap()).unwrap().child().unwrap().encode();
        // With timeouts this short another one may lead by now.
        if wait_for(PATIENCE, || leads()?.apply(&block, ACKNOWLEDGED).then_some(())).is_none() {
            fail("the block after the head isn't committed");
        }
        let all_have_it = || members.iter().all(|node| node.last() == Some(hex(&block))).then_some(());
        if wait_for(PATIENCE, all_have_it).is_none() {
            fail("not all have the block after the head");
        }
        members.iter_mut().for_each(Node::kill);
        for server in file.members.iter().filter(|server| forgotten.as_ref() != Some(&server.id)) {
            let node =
                State::read(&StateDir::resolve(&to.join(&server.id)).unwrap(), Depth::Content, &mut |_| {}).unwrap();
            assert_eq!(applied_state(file, &node).unwrap(), AppliedState::GoneOn, "seed {seed}: {}", server.id);
        }
    }
}

/// Who campaigned, in the order of time: when, who, and the state.
fn campaigns(nodes: &[Node]) -> Vec<(String, String, String)> {
    let of = |node: &Node| {
        node.campaigns().into_iter().map(|(time, state)| (time, node.id.clone(), state)).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = nodes.iter().flat_map(of).collect();
    all.sort();
    all
}

/// RECOVER_HISTORIES=N runs N of them, RECOVER_SEED=S those from S on.
#[test]
fn what_is_covered_is_never_lost_and_a_plan_elects_its_leader() {
    let (count, first) = (number("RECOVER_HISTORIES", 12), number("RECOVER_SEED", 1));
    let next = AtomicU64::new(first);
    let total = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let counts = one(seed);
                    let mut total = total.lock().unwrap();
                    total.covered += counts.covered;
                    total.kept += counts.kept;
                    total.lost += counts.lost;
                    total.unplanned += counts.unplanned;
                }
            });
        }
    });
    let total = *total.lock().unwrap();
    println!("{count} histories: {total:?}");
    assert!(total.covered > 0 && total.lost > 0, "the control: what isn't covered can be lost: {total:?}");
}

fn one(seed: u64) -> Counts {
    let (version, after) = VERSIONS[usize::try_from(seed).unwrap() % VERSIONS.len()];
    let mut history = History::new(seed, version);
    history.run();
    let (counts, plans) = history.subsets(seed);
    if !plans.is_empty() {
        let at = history.random.index(plans.len());
        history.boots(seed, &plans[at], after);
    }
    println!("seed {seed}, raft {version} to {after}: {counts:?}");
    counts
}
