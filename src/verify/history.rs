//! What the log of one server says of its past: the term of each index, and every configuration.

use crate::raft::{ConfigurationAt, Index, Log, LogType, Term, decode_shared};
use crate::state::Node;

/// How many configurations of a log are kept, the newest: no cluster changes its members more often between snapshots.
const MOST_CONFIGURATIONS: usize = 1000;

/// Adjacent entries of one term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
    term: Term,
}

/// Filled entry by entry, while the log is read.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    spans: Vec<Span>,
    configurations: Vec<ConfigurationAt>,
    last_elected: Option<(Index, Term)>,
}

impl History {
    /// Adds the next entry.
    pub(super) fn add(&mut self, log: &Log<'_>) {
        match self.spans.last_mut() {
            Some(span) if span.term == log.term && span.last.checked_add(1) == Some(log.index.0) => {
                span.last = log.index.0;
            }
            _ => self.spans.push(Span { first: log.index.0, last: log.index.0, term: log.term }),
        }
        // Entries that no leader appended have the zero time: those of a bootstrap and those of plans.
        if !log.appended_at.is_zero() && self.last_elected.is_none_or(|(_, term)| log.term > term) {
            self.last_elected = Some((log.index, log.term));
        }
        if log.kind == LogType::Configuration
            && let Ok(configuration) = decode_shared(log.data.as_deref().unwrap_or_default())
        {
            if self.configurations.len() == MOST_CONFIGURATIONS {
                self.configurations.remove(0);
            }
            self.configurations.push(ConfigurationAt { index: log.index, term: log.term, configuration });
        }
    }

    /// The term of the entry at `index`, when the log has it.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        let at = self.spans.partition_point(|span| span.last < index.0);
        self.spans.get(at).filter(|span| span.first <= index.0).map(|span| span.term)
    }

    /// The configuration that the log has at `index`.
    pub(super) fn configuration_at(&self, index: Index) -> Option<&ConfigurationAt> {
        self.configurations.iter().find(|at| at.index == index)
    }

    /// All configurations that the log has, in its order.
    pub(super) fn configurations(&self) -> &[ConfigurationAt] {
        &self.configurations
    }

    /// The first entry of the last term in which a leader appended one.
    pub(super) fn last_elected(&self) -> Option<(Index, Term)> {
        self.last_elected
    }

    /// The last index up to which the logs of both servers are one, by log matching; 0 when they share nothing that
    /// can be compared.
    pub(super) fn matched(&self, node: &Node, other: &History, other_node: &Node) -> Index {
        let mut index = node.last().0.min(other_node.last().0);
        while index > Index(0) {
            let (mine, theirs) = (term_of(node, self, index), term_of(other_node, other, index));
            match (mine, theirs) {
                (Some(mine), Some(theirs)) if mine == theirs => return index,
                (Some(_), Some(_)) => index = Index(self.start_of(index).max(other.start_of(index)).saturating_sub(1)),
                // What is before a snapshot was committed, and can't differ between servers of one cluster.
                _ => return index,
            }
        }
        index
    }

    /// The first index of the span that has `index`.
    fn start_of(&self, index: Index) -> u64 {
        let at = self.spans.partition_point(|span| span.last < index.0);
        self.spans.get(at).filter(|span| span.first <= index.0).map_or(index.0, |span| span.first)
    }
}

/// The term of an entry by the log, or by the snapshot that ends with it.
fn term_of(node: &Node, history: &History, index: Index) -> Option<Term> {
    let snapshot = node.snapshots.listed.first().filter(|meta| meta.index == index).map(|meta| meta.term);
    snapshot.or_else(|| history.term_at(index))
}

/// Whether a server has the entry `index` of term `term`, in its log or in its snapshot.
pub(super) fn has_entry(node: &Node, history: &History, index: Index, term: Term) -> bool {
    let in_snapshot = node.snapshots.listed.first().is_some_and(|meta| meta.index >= index && meta.term >= term);
    in_snapshot || history.term_at(index) == Some(term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::AppendedAt;

    fn history(terms: &[u64]) -> History {
        let mut history = History::default();
        for (index, term) in (3..).zip(terms) {
            let (index, term, kind) = (Index(index), Term(*term), LogType::Noop);
            let appended_at = AppendedAt::from_unix(1, 0);
            history.add(&Log { index, term, kind, data: None, extensions: None, appended_at });
        }
        history
    }

    #[test]
    fn each_index_has_its_term_and_none_outside_of_the_log() {
        let history = history(&[1, 1, 4, 4, 4, 6]);
        let terms: Vec<_> = (2..10).map(|index| history.term_at(Index(index)).map(|term| term.0)).collect();
        assert_eq!(terms, [None, Some(1), Some(1), Some(4), Some(4), Some(4), Some(6), None]);
        assert_eq!(history.last_elected(), Some((Index(8), Term(6))));
    }
}
