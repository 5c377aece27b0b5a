//! The gate's answer, for people.

use std::fmt::Write;

use op_conductor_init::gate::{Check, Moved, Staged, Status, TargetReport};
use op_conductor_init::raft::Server;

use crate::cli::text::{count, table};

/// Columns before what was seen.
const INDENT: usize = 25;

pub(super) fn answer(staged: &Staged, reports: &[TargetReport]) -> String {
    let mut text = state(staged);
    for report in reports {
        text.push('\n');
        text += &target(report);
    }
    _ = writeln!(text, "\nVerdict: {}.", verdict(reports));
    text
}

fn state(staged: &Staged) -> String {
    let mut text = format!("State: {}\n", count(staged.members.servers.len() as u64, "server", "servers"));
    text += &table(&["ID", "SUFFRAGE", "ADDRESS"], staged.members.servers.iter().map(|server| member(staged, server)));
    if !staged.moved.is_empty() {
        text += "These addresses don't work on a network of containers; the copy uses these instead:\n";
        let row = |moved: &Moved| vec![moved.from.clone(), moved.reason.to_owned(), moved.to.clone()];
        text += &table(&["ADDRESS", "IS", "IN THE COPY"], staged.moved.iter().map(row));
    }
    _ = match staged.candidates.as_slice() {
        [] => writeln!(text, "First leader: nobody can win"),
        [only] => writeln!(text, "First leader: only {only} can win"),
        several => writeln!(text, "First leader: any of {}", several.join(", ")),
    };
    _ = match &staged.head {
        Some((head, _)) => writeln!(text, "Unsafe head: block {} {}", head.number, head.hash),
        None => writeln!(text, "Unsafe head: none"),
    };
    text
}

fn member(staged: &Staged, server: &Server) -> Vec<String> {
    let moved = staged.moved.iter().find(|moved| moved.id == server.id);
    let address = moved.map_or(&server.address, |moved| &moved.from);
    let started = if staged.nodes.contains(&server.id) { "" } else { " (not started: it has no directory)" };
    vec![server.id.clone(), server.suffrage.to_string(), format!("{address}{started}")]
}

fn target(report: &TargetReport) -> String {
    let mut text = format!("{}  {}  ({:.1} s)\n", report.target, report.outcome.word(), report.seconds);
    for image in &report.images {
        let version = image.version.as_ref().map(|version| format!(", which says it is {version}")).unwrap_or_default();
        text += &wrapped("  image                  ", &format!("{}{version}", image.name));
    }
    for note in report.built_with.as_deref().into_iter().chain(report.known_limit) {
        text += &wrapped("  note                   ", note);
    }
    report.checks.iter().for_each(|check| text += &row(check));
    if let Some(kept) = &report.kept {
        _ = writeln!(text, "  kept: docker ps --all --filter label=op-conductor-init.cluster={kept}");
    }
    text
}

fn row(check: &Check) -> String {
    wrapped(&format!("  {:<9}{:<14}", check.outcome.word(), check.name), &check.detail)
}

/// Lines of at most 80 columns behind `first`; words, which may be hashes, are not broken.
fn wrapped(first: &str, text: &str) -> String {
    let indent = " ".repeat(INDENT);
    let options = textwrap::Options::new(80)
        .initial_indent(first)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options) + "\n"
}

/// The whole in a few words.
pub(super) fn verdict(reports: &[TargetReport]) -> String {
    let with = |outcome| reports.iter().filter(|report| report.outcome == outcome).count();
    let (passed, failed, unknown) = (with(Status::Passed), with(Status::Failed), with(Status::Unknown));
    match (failed, unknown) {
        (0, 0) => format!("accepted by {}", count(passed as u64, "target", "targets")),
        (0, _) => format!("inconclusive for {unknown} of {}", count(reports.len() as u64, "target", "targets")),
        _ => format!("NOT accepted by {failed} of {}", count(reports.len() as u64, "target", "targets")),
    }
}
