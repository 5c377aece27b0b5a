//! The report of `verify` for people. What to do comes last, so that it is on the screen.

use std::fmt::Write;
use std::path::Path;

use super::advice::WhatToDo;
use crate::cli::failure::Verdict;
use crate::cli::text::{count, index_range, known, table, wrapped};
use op_conductor_init::payload::{Release, Tried};
use op_conductor_init::raft::{Server, StableState};
use op_conductor_init::report::{Finding, Severity};
use op_conductor_init::state::Node;
use op_conductor_init::verify::Report;

/// How many servers are listed one by one; of more, the rest is counted.
const MOST_ROWS: usize = 100;

pub(super) fn text(path: &Path, report: &Report, ignored: usize, what_to_do: &WhatToDo, verdict: Verdict) -> String {
    let servers = count(report.nodes.len() as u64, "server", "servers");
    let mut text = format!("Looked at {servers} in {}\n\n", path.display());
    text += &servers_text(report);
    text.push('\n');
    for finding in &report.findings {
        text += &finding_text(finding);
    }
    if let Some(winners) = &report.winners {
        _ = match winners.as_slice() {
            [] => writeln!(text, "Next election: no server can win it."),
            [only] => writeln!(text, "Next election: only {only} can win it."),
            several => writeln!(text, "Next election: open to {}.", several.join(", ")),
        };
    }
    if let Some(release) = report.release {
        text += &wrapped(&format!("Checked for {}.", release_text(release))).trim_start().replace("\n  ", "\n");
    }
    text += &verdict_text(report, verdict);
    if ignored > 0 {
        text += &format!("Left out by --ignore: {}.\n", count(ignored as u64, "finding", "findings"));
    }
    if let Some(worst) = report.findings.first().filter(|finding| finding.severity > Severity::Note) {
        text += &format!("More about a finding: op-conductor-init explain {}\n", worst.id);
    }
    text + &what_to_do.text()
}

/// What a release was compared by, and whether it was ever tried itself.
pub(in crate::cli) fn release_text(release: Release) -> String {
    let reads: Vec<String> = release.reads.iter().map(ToString::to_string).collect();
    let tried = match release.tried {
        Tried::Like { release } => format!("like {release}, not tried itself"),
        _ => "tried on generated state".to_owned(),
    };
    format!("op-conductor {}, which reads payloads {} ({tried})", release.name, reads.join(" and "))
}

/// One row a server: those that were looked at, and the other members.
fn servers_text(report: &Report) -> String {
    let members = report.members();
    let listed = members.as_ref().map(|at| at.configuration.servers.as_slice()).unwrap_or_default();
    let member = |id: &str| listed.iter().find(|server| server.id == id);
    let looked_at = report.nodes.iter().map(|node| row(node, member(&node.id), listed));
    let is_absent = |server: &&Server| report.nodes.iter().all(|node| node.id != server.id);
    let absent = listed.iter().filter(is_absent).map(absent_row);
    let rows: Vec<Vec<String>> = looked_at.chain(absent).collect();
    let more = rows.len().saturating_sub(MOST_ROWS);
    let header = &["ID", "TERM", "VOTE", "LOG", "LAST TERM", "SNAPSHOT", "IS", "ADDRESS"];
    let mut text = table(header, rows.into_iter().take(MOST_ROWS));
    if more > 0 {
        _ = writeln!(text, "  and {more} more");
    }
    if let Some(at) = members {
        _ = writeln!(text, "  Members are those of entry {}, term {}.", at.index, at.term);
    }
    text
}

fn row(node: &Node, member: Option<&Server>, members: &[Server]) -> Vec<String> {
    let snapshot = node.snapshots.listed.first().map_or_else(|| "-".to_owned(), |meta| format!("to {}", meta.index));
    vec![
        node.id.clone(),
        known(node.known_stable().map(StableState::term)),
        known(node.known_stable().map(|stable| vote_text(stable, members))),
        known(node.known_log().map(index_range)),
        known(node.known_last().map(|(_, term)| term)),
        snapshot,
        member.map_or_else(|| "not a member".to_owned(), |server| server.suffrage.to_string()),
        member.map_or_else(|| "-".to_owned(), |server| server.address.clone()),
    ]
}

fn absent_row(server: &Server) -> Vec<String> {
    let mut row = vec![server.id.clone(), "not here".to_owned()];
    row.extend(["-"; 4].map(str::to_owned));
    row.extend([server.suffrage.to_string(), server.address.clone()]);
    row
}

/// Candidate and term of the recorded vote: the candidate's id, where a member has its address.
fn vote_text(stable: &StableState, members: &[Server]) -> String {
    let Some((term, address)) = stable.vote() else { return "-".to_owned() };
    let candidate = members.iter().find(|server| server.address == address).map_or(address, |server| server.id.clone());
    format!("{candidate} in {term}")
}

pub(in crate::cli) fn finding_text(finding: &Finding) -> String {
    let times = if finding.count > 1 { format!(" ({} times)", finding.count) } else { String::new() };
    let head = format!("{}  {}  {}{times}", finding.severity, finding.id, finding.place);
    let mut text = head.trim_end().to_owned() + "\n";
    text += &wrapped(&finding.message);
    if let Some(hint) = &finding.hint {
        text += &wrapped(&format!("hint: {hint}"));
    }
    text + "\n"
}

/// In words what the exit status says.
fn verdict_text(report: &Report, verdict: Verdict) -> String {
    let counts = report.counts();
    let word = match verdict {
        Verdict::Fine if report.findings.is_empty() => return "Verdict: fine, nothing found.\n".to_owned(),
        Verdict::Fine => "fine",
        _ => "NOT fine",
    };
    format!(
        "Verdict: {word}: {}, {}, {}.\n",
        count(counts.errors as u64, "error", "errors"),
        count(counts.warnings as u64, "warning", "warnings"),
        count(counts.notes as u64, "note", "notes")
    )
}
