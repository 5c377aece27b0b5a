//! Whether servers have the planned state, or have gone on from it.

use super::Error;
use super::file::PlanFile;
use crate::plan::{NodePlan, Plan, Snapshot};
use crate::raft::{Index, Log};
use crate::report::{Finding, Severity};
use crate::state::Node;
use crate::state::entries::Entries;

/// Where a server is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppliedState {
    /// It has exactly the planned state.
    Planned,
    /// It started from the planned state, or was brought to it by the leader, and has gone on.
    GoneOn,
    /// It has other state: what was expected, then what was found.
    Other(String),
}

/// Compares each server's state with a plan: RECOVER-009 for other state, RECOVER-010 for what has gone on from it.
pub fn compare(plan: &PlanFile, nodes: &[Node]) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for node in nodes {
        let finding = match applied_state(plan, node)? {
            AppliedState::Planned => continue,
            AppliedState::GoneOn => {
                Finding::new("RECOVER-010", Severity::Note, "it has gone on from the planned state")
            }
            AppliedState::Other(reason) => Finding::new("RECOVER-009", Severity::Error, reason)
                .hint("stop the server and apply the plan to it; if it ran again after it was planned, plan anew"),
        };
        found.push(finding.in_node(&node.id));
    }
    Ok(found)
}

/// Compares one server's state with a plan.
pub fn applied_state(plan: &PlanFile, node: &Node) -> Result<AppliedState, Error> {
    let (spec, head) = (plan.cluster()?, plan.head.bytes()?);
    let made = Plan::recovered(&spec, plan.index, &head)?;
    let Some(planned) = made.nodes().find(|planned| planned.server.id == node.id) else {
        return Ok(AppliedState::Other(format!("{:?} is not a server of the plan", node.id)));
    };
    let snapshot = made.snapshot().expect("a recovery plan has a snapshot");
    if let Some(reason) = other_snapshot(&snapshot, node) {
        return Ok(AppliedState::Other(reason));
    }
    if node.stable == planned.stable_state() && has_exactly(&planned, node)? {
        return Ok(AppliedState::Planned);
    }
    if node.stable.term() < made.final_term() {
        let (term, planned) = (node.stable.term(), made.final_term());
        return Ok(AppliedState::Other(format!("expected a term of at least {planned}, found {term}")));
    }
    Ok(match other_log(&made, &planned, node)? {
        Some(reason) => AppliedState::Other(reason),
        None => AppliedState::GoneOn,
    })
}

/// Why the newest snapshot is neither the planned one nor a later one.
fn other_snapshot(planned: &Snapshot<'_>, node: &Node) -> Option<String> {
    let Some(newest) = node.snapshots.listed.first() else {
        return Some(format!("expected the snapshot {}, found none", planned.meta.id));
    };
    let meta = &planned.meta;
    // A leader sends its snapshot under another name.
    let is_same = (newest.index, newest.term, &newest.crc) == (meta.index, meta.term, &meta.crc)
        && newest.configuration == meta.configuration;
    let is_later = newest.index > meta.index && newest.term >= meta.term;
    (!is_same && !is_later).then(|| format!("expected the snapshot {} or a later one, found {}", meta.id, newest.id))
}

fn has_exactly(planned: &NodePlan<'_>, node: &Node) -> Result<bool, Error> {
    if node.log.count != planned.entries.len() as u64 {
        return Ok(false);
    }
    let mut entries = Entries::open(&node.path, Index(0))?;
    for expected in &planned.entries {
        if entries.next_log()?.as_ref() != Some(expected) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Why a log is not one that went on from the plan's first entry.
fn other_log(plan: &Plan<'_>, planned: &NodePlan<'_>, node: &Node) -> Result<Option<String>, Error> {
    let Some(first) = planned.entries.first() else { return Ok(None) };
    let base = first.index.0.saturating_sub(1);
    let is_cut = node.snapshots.listed.first().is_some_and(|newest| newest.index.0 > base);
    let at_first = entry_at(node, first.index)?;
    let is_first = at_first.as_ref().is_some_and(|found| is_same_entry(found, first));
    if is_first || (at_first.is_none() && is_cut) {
        return Ok(None);
    }
    // A member that was empty, or behind, has the snapshot from its leader, and perhaps nothing after it yet.
    if at_first.is_none() && node.log.last.is_none_or(|(last, _)| last.0 <= base) {
        return Ok(None);
    }
    let term = plan.spec().initial_term();
    Ok(Some(format!("expected the members at index {} in term {term}, found another entry there", first.index)))
}

fn entry_at(node: &Node, index: Index) -> Result<Option<Log<'static>>, Error> {
    if node.log.count == 0 {
        return Ok(None);
    }
    let mut entries = Entries::open(&node.path, index)?;
    let Some(log) = entries.next_log()?.filter(|log| log.index == index) else { return Ok(None) };
    let owned = |bytes: Option<std::borrow::Cow<'_, [u8]>>| bytes.map(|bytes| bytes.into_owned().into());
    Ok(Some(Log {
        index: log.index,
        term: log.term,
        kind: log.kind,
        data: owned(log.data),
        extensions: owned(log.extensions),
        appended_at: log.appended_at,
    }))
}

/// Without AppendedAt: raft compares neither.
fn is_same_entry(found: &Log<'_>, expected: &Log<'_>) -> bool {
    (found.term, found.kind, &found.data) == (expected.term, expected.kind, &expected.data)
}
