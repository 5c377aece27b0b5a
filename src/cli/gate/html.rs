//! The gate's answer as one page: a timeline for each server, and the checks.
//!
//! The page is self-contained: styles inline, pictures as SVG, no scripts. It is light or dark as its reader prefers,
//! prints, and says in words and shapes what it says in colours.

use std::fmt::Write;

use op_conductor_init::gate::{Check, Staged, Status, TargetReport};

use super::picture::{escape, timeline};
use super::text::verdict;

const STYLE: &str = include_str!("page.css");

pub(super) fn page(staged: &Staged, reports: &[TargetReport]) -> String {
    let mut html = String::new();
    let title = format!("op-conductor-init gate: {}", verdict(reports));
    _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    );
    _ = writeln!(html, "<header>\n<h1>{}</h1>", escape(&title));
    state(&mut html, staged);
    overview(&mut html, reports);
    html += "</header>\n<main>\n";
    for (number, report) in reports.iter().enumerate() {
        target(&mut html, number, report);
    }
    html += "</main>\n<footer>op-conductor-init ";
    html += env!("CARGO_PKG_VERSION");
    html + "</footer>\n</body>\n</html>\n"
}

fn state(html: &mut String, staged: &Staged) {
    let servers: Vec<String> =
        staged.members.servers.iter().map(|server| format!("{} ({})", server.id, server.suffrage)).collect();
    let leader = match staged.candidates.as_slice() {
        [] => "nobody can win".to_owned(),
        [only] => format!("only {only} can win"),
        several => format!("any of {}", several.join(", ")),
    };
    let head = staged
        .head
        .as_ref()
        .map_or_else(|| "none".to_owned(), |(head, _)| format!("block {} {}", head.number, head.hash));
    _ = writeln!(
        html,
        "<dl>\n<dt>Servers</dt><dd>{}</dd>\n<dt>First leader</dt><dd>{}</dd>\n<dt>Unsafe head</dt><dd>{}</dd>\n</dl>",
        escape(&servers.join(", ")),
        escape(&leader),
        escape(&head)
    );
}

fn overview(html: &mut String, reports: &[TargetReport]) {
    if reports.len() < 2 {
        return;
    }
    *html += "<table>\n<tr><th>Target</th><th>Outcome</th><th>Seconds</th></tr>\n";
    for (number, report) in reports.iter().enumerate() {
        _ = writeln!(
            html,
            "<tr><td><a href=\"#target-{number}\">{}</a></td><td>{}</td><td>{:.1}</td></tr>",
            escape(&report.target),
            badge(report.outcome),
            report.seconds
        );
    }
    *html += "</table>\n";
}

fn target(html: &mut String, number: usize, report: &TargetReport) {
    _ = writeln!(
        html,
        "<section id=\"target-{number}\">\n<h2>{} {} <small>{:.1} s</small></h2>",
        badge(report.outcome),
        escape(&report.target),
        report.seconds
    );
    for image in &report.images {
        let version = image.version.as_ref().map(|version| format!(", which says it is {version}")).unwrap_or_default();
        _ = writeln!(html, "<p>Image {}{}</p>", escape(&image.name), escape(&version));
    }
    for note in report.built_with.as_deref().into_iter().chain(report.known_limit) {
        _ = writeln!(html, "<p>Note: {}</p>", escape(note));
    }
    timeline(html, &report.timeline);
    checks(html, &report.checks);
    if let Some(logs) = &report.logs {
        _ = writeln!(
            html,
            "<details><summary>What the containers printed</summary>\n<pre>{}</pre></details>",
            escape(logs)
        );
    }
    *html += "</section>\n";
}

fn checks(html: &mut String, checks: &[Check]) {
    *html +=
        "<table class=\"checks\">\n<tr><th>Check</th><th>Outcome</th><th>Seconds</th><th>What was seen</th></tr>\n";
    for check in checks {
        _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td></tr>",
            escape(&check.name),
            badge(check.outcome),
            check.seconds,
            escape(&check.detail)
        );
    }
    *html += "</table>\n";
}

/// A word with a sign, so that it needs no colour.
fn badge(status: Status) -> String {
    let sign = match status {
        Status::Passed => "\u{2713}",
        Status::Failed => "\u{2717}",
        Status::Skipped => "\u{2013}",
        _ => "?",
    };
    format!("<span class=\"badge {0}\">{sign} {0}</span>", status.word())
}
