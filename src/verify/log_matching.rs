//! Log matching: entries of one index and term are the same on all servers. (raft paper 5.3)

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use crate::raft::{Index, Log, Term};
use crate::report::{Finding, Severity};
use crate::state::entries::Entries;
use crate::state::{Depth, Error, Node, StateDir};

/// How many indexes are compared in one pass over the logs: bounds the memory.
const WINDOW: u64 = 1 << 16;

/// The distinct entries at the indexes of one window: equal entries of several servers are kept once.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// By index and term: the entry of the first server that has it.
    known: HashMap<(u64, u64), Known>,
    node: usize,
    /// Index and term of the entry before, on the server that is being read.
    previous: Option<(u64, u64)>,
    /// First index of the window.
    start: u64,
    /// The lowest index after the window, where the next window starts: hostile entries can be 2^63 apart.
    next: Option<u64>,
    /// (index, term, node, node that differs)
    different: Vec<(u64, u64, usize, usize)>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// A hash.
    content: u64,
    /// Term of the entry right before it, when a server has that.
    before: Option<u64>,
    node: usize,
}

impl Contents {
    pub(super) fn begin(&mut self, node: usize, start: u64) {
        self.node = node;
        self.previous = None;
        self.start = start;
        self.different.retain(|(.., second)| *second != node);
        self.known.retain(|_, known| known.node != node);
    }

    pub(super) fn add(&mut self, log: &Log<'_>) {
        let (index, term) = (log.index.0, log.term.0);
        let previous = self.previous.replace((index, term));
        let before = previous.filter(|(last, _)| last.checked_add(1) == Some(index)).map(|(_, term)| term);
        match index.checked_sub(self.start) {
            None => return,
            Some(0..WINDOW) => {}
            Some(_) => {
                self.next = Some(self.next.map_or(index, |next| next.min(index)));
                return;
            }
        }
        let content = content(log);
        let node = self.node;
        let known = self.known.entry((index, term)).or_insert(Known { content, before, node });
        let differs = known.content != content || matches!((known.before, before), (Some(a), Some(b)) if a != b);
        known.before = known.before.or(before);
        if differs && self.different.len() < 100 {
            self.different.push((index, term, known.node, node));
        }
    }
}

/// Reads the logs again for the indexes after the first window, and returns every difference as a finding.
pub(super) fn check(nodes: &[Node], mut contents: Contents, findings: &mut Vec<Finding>) -> Result<(), Error> {
    // Enough windows for all logs without gaps. A log with more gaps has its own finding (RAFT-005), and each gap would
    // cost one more pass over all files.
    let windows: u64 = nodes.iter().map(|node| node.log.count / WINDOW + 2).sum();
    for _ in 0..windows {
        let Some(start) = contents.next.take() else { break };
        contents.known.clear();
        for (node, state) in nodes.iter().enumerate() {
            if state.log.last.is_none_or(|(last, _)| last.0 < start) {
                continue;
            }
            contents.begin(node, start);
            Node::read(&StateDir::new(&state.path), Depth::Content, &mut |log| match log {
                Some(log) => contents.add(log),
                None => contents.begin(node, start),
            })?;
        }
    }
    let mut known = HashSet::new();
    for (index, term, first, second) in contents.different {
        for (odd, usual) in odd_ones(nodes, index, term, (first, second)) {
            if !known.insert((index, term, odd)) {
                continue;
            }
            let message = format!(
                "the entry of term {term}, or the term of the one before it, differs from that of {}: raft compares only index and term here and would never notice",
                nodes[usual].id
            );
            let finding = Finding::new("CLUSTER-001", Severity::Error, message).in_node(&nodes[odd].id).at_index(index);
            findings.push(finding);
        }
    }
    Ok(())
}

/// Which servers have not what most have at `index`, each with one that has it; of two that differ, the second when
/// no more can be said.
fn odd_ones(nodes: &[Node], index: u64, term: u64, (first, second): (usize, usize)) -> Vec<(usize, usize)> {
    let contents: Vec<Option<u64>> = nodes.iter().map(|node| content_at(node, index, term)).collect();
    let count = |content: Option<u64>| contents.iter().filter(|other| content.is_some() && **other == content).count();
    let Some(usual) = (0..nodes.len()).rev().max_by_key(|at| count(contents[*at])) else { return Vec::new() };
    if count(contents[usual]) * 2 <= contents.iter().flatten().count() || contents[first] == contents[second] {
        return vec![(second, first)];
    }
    let is_odd = |at: &usize| contents[*at].is_some() && contents[*at] != contents[usual];
    (0..nodes.len()).filter(is_odd).map(|odd| (odd, usual)).collect()
}

/// A hash of what the entry says, when the server has it in this term.
fn content_at(node: &Node, index: u64, term: u64) -> Option<u64> {
    let mut entries = Entries::open(&node.path, Index(index)).ok()?;
    let log = entries.next_log().ok()??;
    (log.index == Index(index) && log.term == Term(term)).then(|| content(&log))
}

/// A hash without AppendedAt: raft compares neither, and a leader's clock is not a difference.
fn content(log: &Log<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (log.kind, log.data.as_deref(), log.extensions.as_deref()).hash(&mut hasher);
    hasher.finish()
}
