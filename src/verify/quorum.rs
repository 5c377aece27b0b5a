//! What a majority must have had: from entries that a leader appended, snapshots and configurations, over all servers.
//!
//! Each of these is a fact about more servers than the one that holds it. An entry of term T was appended by a leader,
//! so a majority had stored term T. A snapshot ends with a committed entry, so a majority had that entry. A server that
//! lacks what it must have had was set back: by an older image, a restore or a disk that lied. raft survives that on
//! fewer servers than half, which is also what a server looks like that was down. On more of them, committed entries
//! are lost, and servers can vote a second time in terms that they forgot.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster::{ahead, members};
use super::history::{History, has_entry};
use crate::raft::{Configuration, ConfigurationAt, Index, Term};
use crate::report::{Finding, Severity};
use crate::state::Node;
use crate::state::entries::Entries;

/// A leader that hears from no quorum steps down after its lease, 500 ms in op-conductor: entries that one server
/// appended over a longer time than this were confirmed by others.
const LONGEST_LEASE: Duration = Duration::from_secs(10);

/// Whether fewer than a quorum of the voters are here: then nobody can say what the others have confirmed. `is_one`: a
/// single server was asked for, and the others may be fine elsewhere.
pub(super) fn too_few(nodes: &[Node], is_one: bool) -> Option<Finding> {
    let at = ahead(nodes).and_then(members)?;
    let (here, voters) = (usable(nodes, &at.configuration), at.configuration.voters().count());
    let quorum = at.configuration.quorum();
    if here.len() >= quorum || voters == 0 {
        return None;
    }
    let names = if here.is_empty() { String::new() } else { format!(" ({})", here.join(", ")) };
    let message = format!(
        "{} of the {voters} voters of entry {} {} here and readable{names}, and a quorum is {quorum}: the others may have confirmed more, and without them no server can lead",
        here.len(),
        at.index,
        if here.len() == 1 { "is" } else { "are" },
    );
    let severity = if is_one || !nodes.iter().any(Node::has_run) { Severity::Note } else { Severity::Warning };
    Some(Finding::new("CLUSTER-013", severity, message))
}

/// The voters that are here and can start, with what they know.
pub(super) fn usable<'a>(nodes: &'a [Node], configuration: &Configuration) -> Vec<&'a str> {
    let is_voter = |node: &&Node| configuration.voters().any(|voter| voter.id == node.id);
    let works =
        |node: &&Node| node.start_failure().is_none() && node.known_log().is_some() && node.known_stable().is_some();
    nodes.iter().filter(is_voter).filter(works).map(|node| node.id.as_str()).collect()
}

/// All servers with what their logs say.
pub(super) struct Quorums<'a> {
    nodes: &'a [Node],
    histories: &'a [History],
}

impl<'a> Quorums<'a> {
    pub(super) fn new(nodes: &'a [Node], histories: &'a [History]) -> Quorums<'a> {
        Quorums { nodes, histories }
    }

    /// Reports what a majority must have had and hasn't.
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let Some(at) = ahead(self.nodes).and_then(members) else { return };
        if !self.nodes.iter().any(Node::has_run) {
            return;
        }
        let found = self.terms().or_else(|| self.snapshots()).or_else(|| self.configurations());
        let is_set_back = found.is_some();
        findings.extend(found);
        if !is_set_back && usable(self.nodes, &at.configuration).len() >= at.configuration.quorum() {
            findings.extend(self.end_of_log(&at));
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&'a Node, &'a History)> {
        self.nodes.iter().zip(self.histories)
    }

    /// A leader appends entries of term T only after a majority stored term T. (hashicorp/raft raft.go runCandidate,
    /// requestVote)
    fn terms(&self) -> Option<Finding> {
        let elected = |(node, history): (&'a Node, &'a History)| {
            let (index, term) = node.known_log().and(history.last_elected())?;
            Some((term, index, node, history))
        };
        let (term, index, holder, history) = self.pairs().filter_map(elected).max_by_key(|(term, ..)| *term)?;
        // The members of that election: the last before the first entry of the term that is known.
        let before = history.configurations().iter().rev().find(|at| at.index < index);
        let configuration = match before {
            Some(at) => &at.configuration,
            None => &holder.snapshots.listed.first()?.configuration,
        };
        let forgot = |node: &&Node| node.known_stable().is_some_and(|stable| stable.term() < term);
        let behind = self.voters_that(configuration, |node, _| forgot(&node));
        let message = format!(
            "{} has entries of term {term}, so a majority had stored this term, but {} at an earlier one",
            holder.id,
            list(&behind, "is", "are")
        );
        self.set_back(&[configuration], &behind, &message)
    }

    /// A snapshot ends with a committed entry.
    fn snapshots(&self) -> Option<Finding> {
        let newest = |(node, history): (&'a Node, &'a History)| Some((node.snapshots.listed.first()?, node, history));
        let (meta, holder, history) =
            self.pairs().filter_map(newest).max_by_key(|(meta, ..)| (meta.term, meta.index))?;
        // The entry was committed by these members, or by the next ones.
        let next = history.configurations().iter().find(|at| at.index > meta.index).map(|at| at.configuration.as_ref());
        let configurations: Vec<&Configuration> = [&meta.configuration].into_iter().chain(next).collect();
        let behind = self.without_entry(&meta.configuration, meta.index, meta.term);
        let message = format!(
            "the snapshot of {} ends with entry {} of term {}, so a majority had it, but {} not",
            holder.id,
            meta.index,
            meta.term,
            have(&behind)
        );
        self.set_back(&configurations, &behind, &message)
    }

    /// A leader appends a configuration only after the one before is committed. (hashicorp/raft raft.go
    /// configurationChangeChIfStable)
    fn configurations(&self) -> Option<Finding> {
        let changed = |(node, history): (&'a Node, &'a History)| {
            let [.., committed, last] = history.configurations() else { return None };
            // Those of plans were not appended by a leader.
            let is_elected = history.last_elected().is_some_and(|(index, _)| index <= last.index);
            (is_elected && node.known_log().is_some()).then_some((committed, last, node))
        };
        let (committed, last, holder) = self.pairs().filter_map(changed).max_by_key(|(_, last, _)| last.term)?;
        let behind = self.without_entry(&committed.configuration, committed.index, committed.term);
        let message = format!(
            "{} has the members of entry {}, so a majority had entry {} of term {}, but {} not",
            holder.id,
            last.index,
            committed.index,
            committed.term,
            have(&behind)
        );
        self.set_back(&[&committed.configuration], &behind, &message)
    }

    /// What only the newest log has. Entries that a leader was about to confirm when it stopped look the same as those
    /// that others have lost, except for the time that went into them.
    fn end_of_log(&self, at: &ConfigurationAt) -> Option<Finding> {
        let holder = ahead(self.nodes).filter(|node| node.known_log().is_some())?;
        let position = self.nodes.iter().position(|node| node.id == holder.id)?;
        let history = &self.histories[position];
        let (last, _) = holder.last();
        let matched = |id: &str| {
            let (node, other) = self.pairs().find(|(node, _)| node.id == id)?;
            node.known_log()?;
            Some(if node.id == holder.id { last } else { history.matched(holder, other, node) })
        };
        let ids: Vec<&str> = at.configuration.voters().map(|voter| voter.id.as_str()).collect();
        let matched: Vec<Option<Index>> = ids.iter().map(|id| matched(id)).collect();
        let mut found: Vec<Index> = matched.iter().map(|index| index.unwrap_or_default()).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let on_quorum = *found.get(at.configuration.quorum() - 1)?;
        if on_quorum >= last {
            return None;
        }
        let first = Index(on_quorum.0 + 1);
        let seconds = appended_over(holder, first)?;
        let behind = ids.iter().zip(&matched).filter(|(_, matched)| matched.is_some_and(|index| index < last));
        let lacking: Vec<&str> = behind.map(|(id, _)| *id).collect();
        let range = if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") };
        let long = seconds > LONGEST_LEASE.as_secs();
        if long && lacking.len() > ids.len() - at.configuration.quorum() {
            let message = format!(
                "{range} of {} were appended over {seconds} s, and a leader without a quorum steps down sooner: a majority had most of them, but {} not",
                holder.id,
                have(&lacking)
            );
            return self.set_back(&[&at.configuration], &lacking, &message);
        }
        let message = format!(
            "{range} of {}: fewer than a quorum of the voters here have {}. If {} confirmed, a new leader among the others would lose {}",
            holder.id,
            if first == last { "it" } else { "them" },
            if first == last { "it was" } else { "they were" },
            if first == last { "it" } else { "them" },
        );
        let mut finding = Finding::new("CLUSTER-015", Severity::Warning, message).in_node(&holder.id).at_index(first.0);
        finding.place.last_index = Some(last.0);
        Some(finding)
    }

    /// Voters of `configuration` that are here and lack the entry.
    fn without_entry(&self, configuration: &Configuration, index: Index, term: Term) -> Vec<&'a str> {
        self.voters_that(configuration, |node, history| {
            node.known_log().is_some() && !has_entry(node, history, index, term)
        })
    }

    fn voters_that(&self, configuration: &Configuration, test: impl Fn(&Node, &History) -> bool) -> Vec<&'a str> {
        let voters: BTreeSet<&str> = configuration.voters().map(|voter| voter.id.as_str()).collect();
        let is_one =
            |(node, history): &(&'a Node, &'a History)| voters.contains(node.id.as_str()) && test(node, history);
        self.pairs().filter(is_one).map(|(node, _)| node.id.as_str()).collect()
    }

    /// The finding, when by each of the configurations too many servers are `behind` for a majority of the others.
    fn set_back(&self, configurations: &[&Configuration], behind: &[&str], message: &str) -> Option<Finding> {
        let contradicts = |configuration: &&Configuration| {
            let voters = configuration.voters().count();
            let behind = configuration.voters().filter(|voter| behind.contains(&voter.id.as_str())).count();
            behind > voters - configuration.quorum().min(voters)
        };
        let message = format!(
            "{message}: they were set back, or their disks were exchanged. Entries that were confirmed can be lost, and a server that was set back can vote twice in one term"
        );
        configurations.iter().all(contradicts).then(|| Finding::new("CLUSTER-014", Severity::Error, message))
    }
}

/// Seconds between the times at which a leader appended the entry `first` and the last one; none for entries that no
/// leader appended.
fn appended_over(node: &Node, first: Index) -> Option<u64> {
    let mut entries = Entries::open(&node.path, first).ok()?;
    let time = |log: crate::raft::Log<'_>| log.appended_at.timestamp();
    let began = entries.next_log().ok()??;
    let began = time(began)?;
    let mut ended = began;
    while let Some(log) = entries.next_log().ok()? {
        ended = time(log).unwrap_or(ended);
    }
    Some(ended.duration_since(began).as_secs().try_into().unwrap_or_default())
}

/// The servers, and what they do: `one` of a single server, `several` of others.
fn list(ids: &[&str], one: &str, several: &str) -> String {
    match ids {
        [] => format!("none {several}"),
        [only] => format!("{only} {one}"),
        [others @ .., last] => format!("{} and {last} {several}", others.join(", ")),
    }
}

fn have(ids: &[&str]) -> String {
    list(ids, "has", "have")
}
