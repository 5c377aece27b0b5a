//! The server whose log counts, and the index and the term above everything.

use std::cmp::Reverse;

use super::facts::{Facts, History};
use super::input::{Input, Origin};
use super::{Error, MembersAt};
use crate::raft::{Index, LAST_NUMBER, Term};

/// The input with the highest last entry, by raft's own rule: first by term, then by index.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// Which input.
    pub input: &'a Input,
    /// Term of its last entry.
    pub term: Term,
    /// Index of its last entry.
    pub index: Index,
}

impl<'a> Base<'a> {
    /// Finds the base. State that was only generated is one only when none of the servers has run.
    ///
    /// # Errors
    /// When nothing is stored in any input.
    pub fn find(inputs: &'a [Input]) -> Result<Base<'a>, Error> {
        let any_has_run = inputs.iter().any(|input| has_run(&input.facts));
        let candidates = inputs.iter().filter(|input| !any_has_run || has_run(&input.facts));
        let ranked = candidates.filter_map(|input| {
            let last = input.facts.last?;
            Some(Base { input, term: last.term, index: last.index })
        });
        ranked.max_by_key(Base::rank).ok_or(Error::NoEntries)
    }

    /// The configuration that its server acts by.
    pub fn configuration(&self) -> Option<&'a MembersAt> {
        self.input.facts.configuration.as_ref()
    }

    /// Between equal ones: sound before damaged, a directory before a backup, then the first id.
    fn rank(&self) -> (Term, Index, bool, bool, Reverse<&'a str>) {
        let Input { origin, facts, .. } = self.input;
        (self.term, self.index, facts.damage.is_empty(), *origin != Origin::Backup, Reverse(&facts.id))
    }
}

fn has_run(facts: &Facts) -> bool {
    matches!(facts.history, History::Ran | History::Recovered)
}

/// The index and the term of the recovered cluster's snapshot: one above everything that any input has stored.
pub(super) fn above_everything(inputs: &[Input]) -> Result<(Index, Term), Error> {
    let facts = || inputs.iter().map(|input| &input.facts);
    let too_high = |number: u64| number >= LAST_NUMBER - 2;
    if let Some(high) = facts().find(|it| too_high(it.highest_index.0) || too_high(it.highest_term.0)) {
        let (index, term) = (high.highest_index, high.highest_term);
        return Err(Error::NoRoom { id: high.id.clone(), index, term });
    }
    let index = facts().map(|it| it.highest_index.0).max().unwrap_or_default() + 1;
    let term = facts().map(|it| it.highest_term.0).max().unwrap_or_default() + 1;
    Ok((Index(index), Term(term)))
}

/// The inputs as they are shown and written: the highest last entry first.
pub(super) fn ranked(mut inputs: Vec<Input>) -> Vec<Input> {
    let last = |input: &Input| input.facts.last.map(|last| (last.term, last.index));
    inputs.sort_by(|a, b| {
        let by_last = last(b).cmp(&last(a));
        by_last.then_with(|| (&a.facts.id, a.origin as u8, &a.path).cmp(&(&b.facts.id, b.origin as u8, &b.path)))
    });
    // One directory that two paths mean.
    inputs.dedup_by(|a, b| (&a.facts, a.origin) == (&b.facts, b.origin));
    inputs
}
