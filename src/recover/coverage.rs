//! Whether a committed entry can be lost.
//!
//! It can't if a majority of the voters of the base's own latest configuration is among the inputs, committed or not,
//! none of these was wiped, restored or generated again, and none runs after it was read. Then they could by themselves
//! have elected the base's log, so the recovery is one election by raft's rules, and leader completeness holds over the
//! whole history of membership changes. Half of the voters isn't enough.

use serde::{Deserialize, Serialize};

use super::base::Base;
use super::facts::History;
use super::input::{Input, Origin};
use crate::raft::{Configuration, Index};

/// Why a voter doesn't count that has no input.
const ABSENT: &str = "not here";

/// What the inputs cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Whether no committed entry can be lost.
    pub covered: bool,
    /// Index of the base's latest configuration; 0 when it has none.
    pub configuration: Index,
    /// How many voters that has.
    pub voter_count: usize,
    /// How many of them elect a leader.
    pub quorum: usize,
    /// Ids of its voters that are here and count.
    pub counted: Vec<String>,
    /// Its other voters, and why they don't count.
    pub uncounted: Vec<Uncounted>,
    /// The same in words.
    pub sentence: String,
}

/// A voter that doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncounted {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
}

impl Coverage {
    pub(super) fn of(base: &Base<'_>, inputs: &[Input]) -> Coverage {
        let members = base.input.facts.members().unwrap_or_default();
        let (mut counted, mut uncounted) = (Vec::new(), Vec::new());
        for voter in members.voters() {
            match reason_not_to_count(&voter.id, inputs) {
                None => counted.push(voter.id.clone()),
                Some(reason) => uncounted.push(Uncounted { id: voter.id.clone(), reason }),
            }
        }
        let voter_count = members.voters().count();
        let covered = voter_count > 0 && counted.len() >= members.quorum();
        let configuration = base.configuration().map_or(Index(0), |at| at.index);
        let mut coverage = Coverage {
            covered,
            configuration,
            voter_count,
            quorum: quorum(&members),
            counted,
            uncounted,
            sentence: String::new(),
        };
        coverage.sentence = coverage.words(base);
        coverage
    }

    fn words(&self, base: &Base<'_>) -> String {
        let Coverage { voter_count, configuration, counted, uncounted, .. } = self;
        let ids: Vec<&str> = uncounted.iter().map(|voter| voter.id.as_str()).collect();
        let ids = ids.join(", ");
        if self.covered {
            let (be, they) = if counted.len() == 1 { ("is", "It") } else { ("are", "They") };
            let this_log = if counted.len() == 1 { "itself" } else { "themselves" };
            return format!(
                "No committed entry can be lost: {} {be} {} of the {voter_count} voters of configuration {configuration}, the base's latest. {they} could have elected this log {this_log}.",
                counted.join(", "),
                counted.len(),
            );
        }
        let lost = format!("Entries after {} may be lost: ", base.index);
        if *voter_count == 0 {
            return lost + "the base holds no configuration, so nobody knows who the voters are.";
        }
        let is_absent = |voter: &Uncounted| voter.reason == ABSENT;
        let here = if uncounted.iter().all(is_absent) { "here" } else { "here and can be counted" };
        let here = match counted.len() {
            0 => format!("none of {voter_count} voters is {here}"),
            1 => format!("only 1 of {voter_count} voters is {here}"),
            several => format!("only {several} of {voter_count} voters are {here}"),
        };
        let elect = match uncounted.len() {
            1 if self.quorum == 1 => ", and can still elect itself",
            several if several >= self.quorum => ", and can still elect a leader between them",
            _ => ", together with one that is here",
        };
        format!("{lost}{here}. {ids} may have committed more{elect}.")
    }
}

fn quorum(members: &Configuration) -> usize {
    if members.voters().next().is_some() { members.quorum() } else { 0 }
}

/// Why a voter doesn't count; none when one of its inputs does.
fn reason_not_to_count(id: &str, inputs: &[Input]) -> Option<String> {
    let mut reason = ABSENT.to_owned();
    for input in inputs.iter().filter(|input| input.facts.id == id) {
        match reason_of(input, inputs) {
            None => return None,
            Some(why) => reason = why,
        }
    }
    Some(reason)
}

/// Why an input doesn't count.
pub(super) fn reason_of(input: &Input, inputs: &[Input]) -> Option<String> {
    let facts = &input.facts;
    if input.origin == Origin::Backup {
        return Some("a backup: the server may have gone on after it".to_owned());
    }
    if facts.running {
        return Some("running: it goes on".to_owned());
    }
    if !facts.damage.is_empty() {
        return Some("damaged: it may have had more".to_owned());
    }
    match facts.history {
        History::Empty => return Some("empty: it has forgotten what it had".to_owned()),
        History::Generated => return Some("generated: it may have forgotten what it had".to_owned()),
        History::Ran | History::Recovered => {}
    }
    facts.set_back.clone().or_else(|| forgotten(input, inputs)).map(|why| format!("restored: {why}"))
}

/// Whether another server voted for this one in a term that it has forgotten: who asks for votes has stored the term
/// before. (hashicorp/raft raft.go electSelf)
fn forgotten(input: &Input, inputs: &[Input]) -> Option<String> {
    let facts = &input.facts;
    let address = facts.configuration.as_ref()?.servers.iter().find(|server| server.id == facts.id)?.address.as_str();
    let voted = |other: &&Input| {
        let planned = other.facts.history == History::Recovered || other.facts.history == History::Generated;
        let vote = other.facts.vote.as_ref().filter(|_| !planned);
        vote.is_some_and(|vote| vote.candidate == address && vote.term > facts.current_term)
    };
    let voter = inputs.iter().find(voted)?;
    let term = voter.facts.vote.as_ref()?.term;
    Some(format!("{} voted for it in term {term}, and its own term is {}", voter.facts.id, facts.current_term))
}
