//! What speaks against a recovery. Each is a finding that can be allowed, one by one.

use super::base::Base;
use super::coverage::{Coverage, reason_of};
use super::facts::History;
use super::head::Client;
use super::input::{Input, Origin};
use crate::cluster::ClusterSpec;
use crate::payload::{EnvelopeError, Head, Release};
use crate::report::{Finding, Severity};

/// What speaks against a plan, and can be allowed.
pub const GUARDS: [&str; 8] = [
    "RECOVER-001",
    "RECOVER-002",
    "RECOVER-003",
    "RECOVER-004",
    "RECOVER-005",
    "RECOVER-006",
    "RECOVER-007",
    "RECOVER-008",
];

fn guard(id: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Error, message).hint(hint)
}

/// Committed entries may be lost.
pub(super) fn coverage(coverage: &Coverage, base: &Base<'_>) -> Option<Finding> {
    let never_ran = base.input.facts.history == History::Generated;
    let hint = if never_ran { "no server here has run: `generate` makes a cluster that never ran" } else { MISSING };
    (!coverage.covered).then(|| guard("RECOVER-001", coverage.sentence.clone(), hint))
}

const MISSING: &str = "find the missing servers' directories, or `recover collect` there, and plan with them too; without them compare the head with the execution clients, and give theirs where it differs";

/// Servers that are not here know an address of the recovered cluster, and could still reach it.
pub(super) fn reachable(coverage: &Coverage, base: &Base<'_>, inputs: &[Input], spec: &ClusterSpec) -> Option<Finding> {
    if coverage.covered {
        return None;
    }
    let before = base.input.facts.members().unwrap_or_default();
    let is_lost = |id: &str| !inputs.iter().any(|input| input.facts.id == id && input.origin != Origin::Backup);
    let lost: Vec<&str> = before.servers.iter().map(|server| server.id.as_str()).filter(|id| is_lost(id)).collect();
    let kept = spec
        .configuration()
        .servers
        .iter()
        .filter(|server| before.servers.iter().any(|it| it.address == server.address));
    let kept: Vec<&str> = kept.map(|server| server.address.as_str()).collect();
    if lost.is_empty() || kept.is_empty() {
        return None;
    }
    let message = format!(
        "{} may still run with old state, and {} {} known to them: raft doesn't check who sends entries, so they can overwrite what the recovered cluster has acknowledged, or lead beside it",
        lost.join(", "),
        kept.join(", "),
        if kept.len() == 1 { "is" } else { "are" },
    );
    let hint = "destroy the lost servers' state, or give every member a new address that they can't reach, with --set ID=HOST:PORT";
    Some(guard("RECOVER-002", message, hint))
}

/// The clients would have to be rolled back.
pub(super) fn lower_head(base: &Base<'_>, head: &Head) -> Option<Finding> {
    let stored = base.input.facts.head.as_ref()?;
    let hint = "every execution client must be rolled back to this block or its parent first; to keep the base's head, plan without another one";
    if head.number < stored.number {
        let message = format!("the head would go back from block {} to {}", stored.number, head.number);
        return Some(guard("RECOVER-003", message, hint));
    }
    let is_other = head.number == stored.number && head.hash.to_string() != stored.hash;
    let message = || format!("block {} would be {}, and the base has {}", head.number, head.hash, stored.hash);
    is_other.then(|| Finding::new("RECOVER-003", Severity::Warning, message()).hint(hint))
}

/// Servers that have forgotten what they had.
pub(super) fn forgetful(inputs: &[Input]) -> Vec<Finding> {
    let has_run = |input: &&Input| matches!(input.facts.history, History::Ran | History::Recovered);
    let Some(ran) = inputs.iter().find(has_run) else { return Vec::new() };
    let finding = |input: &Input| {
        let reason = reason_of(input, inputs).filter(|_| input.origin != Origin::Backup)?;
        let forgets = input.facts.history == History::Generated || reason.starts_with("restored");
        let message =
            format!("{reason}, and {} has run: it doesn't count as a witness of what was committed", ran.facts.id);
        let hint = "plan with the state that it had before (.replaced-<time>), or without it";
        forgets.then(|| guard("RECOVER-004", message, hint).in_node(&input.facts.id))
    };
    inputs.iter().filter_map(finding).collect()
}

/// What is wrong with the base, and with others.
pub(super) fn damage(base: &Base<'_>, inputs: &[Input]) -> Vec<Finding> {
    let finding = |input: &Input| {
        let first = input.facts.damage.first()?;
        let is_base = std::ptr::eq(input, base.input);
        let (severity, what) = match is_base {
            true => (Severity::Error, "the base is damaged, and may have had more, or another head"),
            false => (Severity::Warning, "damaged: it may have had a higher index, term or entry than was read"),
        };
        let hint = match is_base {
            true => "plan without this directory if the others cover it, or give the execution client's head",
            false => "its damage does no harm if the others are covered without it",
        };
        let message = format!("{what}: {} ({})", first.message, first.id);
        Some(Finding::new("RECOVER-005", severity, message).in_node(&input.facts.id).hint(hint))
    };
    inputs.iter().filter_map(finding).collect()
}

/// A head whose content isn't the block that it claims to be.
pub(super) fn wrong_hash(base: &Base<'_>, error: &EnvelopeError) -> Finding {
    let hint = "give the head of an execution client";
    guard("RECOVER-005", format!("the base's head: {error}"), hint).in_node(&base.input.facts.id)
}

/// op-conductor would stop at its start.
pub(super) fn unreadable(head: &Head, release: Option<Release>) -> Option<Finding> {
    let hint = format!("releases that read {}: {}", head.version, Release::that_read(head.version));
    let message = match release {
        Some(release) if !release.can_read(head.version) => {
            format!(
                "op-conductor {} can't decode a block of form {}, and stops at its start",
                release.name, head.version
            )
        }
        None if Release::first_that_reads(head.version).is_none() => {
            format!("no known release decodes a block of form {}", head.version)
        }
        _ => return None,
    };
    Some(guard("RECOVER-006", message, hint))
}

/// op-conductor would lead and never sequence.
pub(super) fn client(head: &Head, client: Client) -> Option<Finding> {
    let latest = client.head;
    let is_parent = latest.number.checked_add(1) == Some(head.number) && head.parent_hash == latest.hash;
    if latest.hash == head.hash || is_parent {
        return None;
    }
    let message = format!(
        "the execution client is at block {} ({}), and the head is block {} ({}): op-conductor sequences only on a client that is at its head or at the parent",
        latest.number, latest.hash, head.number, head.hash
    );
    let hint = "stop sequencing and take the client's head (--execution-rpc alone), or roll every client back first";
    Some(guard("RECOVER-007", message, hint))
}

/// Servers that go on.
pub(super) fn running(inputs: &[Input]) -> Vec<Finding> {
    let finding = |input: &Input| {
        let hint = "stop every op-conductor, and keep it stopped until its new directory is in place";
        guard("RECOVER-008", "it runs: it goes on after it was read", hint).in_node(&input.facts.id)
    };
    inputs.iter().filter(|input| input.facts.running).map(finding).collect()
}

/// Sets which guards refuse; those that are allowed become warnings. The worst come first.
pub(super) fn judge(findings: &mut [Finding], allow: &[String]) -> Vec<&'static str> {
    let mut refused: Vec<&'static str> = Vec::new();
    for finding in findings.iter_mut().filter(|finding| finding.severity == Severity::Error) {
        if allow.iter().any(|id| id.eq_ignore_ascii_case(finding.id)) {
            finding.severity = Severity::Warning;
        } else if !refused.contains(&finding.id) {
            refused.push(finding.id);
        }
    }
    findings.sort_by(|a, b| (b.severity, a.id, &a.place).cmp(&(a.severity, b.id, &b.place)));
    refused.sort_unstable();
    refused
}
