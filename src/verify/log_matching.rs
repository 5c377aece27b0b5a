//! Log matching: entries of one index and term are the same on all servers. (raft paper 5.3)

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::raft::Log;
use crate::report::{Finding, Severity};
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
        // AppendedAt is left out: raft compares neither, and a leader's clock is not a difference.
        let mut hasher = DefaultHasher::new();
        (log.kind, log.data.as_deref(), log.extensions.as_deref()).hash(&mut hasher);
        let content = hasher.finish();
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
    for (index, term, first, second) in contents.different {
        let (first, second) = (&nodes[first].id, &nodes[second].id);
        let message = format!(
            "the entry of term {term}, or the term of the one before it, differs from that of {first}: raft compares only index and term here and would never notice"
        );
        findings.push(Finding::new("CLUSTER-001", Severity::Error, message).in_node(second).at_index(index).hint(
            "the directories are not of one cluster, or one was edited alone: generate or restore all nodes together",
        ));
    }
    Ok(())
}
