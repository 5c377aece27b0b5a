//! The gate's answer for GitHub Actions.

use std::fmt::Write;

use op_conductor_init::gate::{Check, Status, TargetReport};

use super::text::verdict;
use crate::cli::github::{Level, annotation, table};

/// An annotation for each check that did not pass, and the verdict.
pub(super) fn annotations(reports: &[TargetReport]) -> String {
    let mut text = String::new();
    for report in reports {
        for check in &report.checks {
            text += &level(check).map_or_else(String::new, |level| {
                annotation(level, &format!("{} {}", report.target, check.name), &check.detail)
            });
        }
    }
    _ = writeln!(text, "Verdict: {}.", verdict(reports));
    text
}

/// What was skipped has its reason in the check before it.
fn level(check: &Check) -> Option<Level> {
    match check.outcome {
        Status::Failed => Some(Level::Error),
        Status::Unknown => Some(Level::Warning),
        _ => None,
    }
}

/// The summary of a job, in Markdown.
pub(super) fn summary(reports: &[TargetReport]) -> String {
    let mut text = format!("## gate: {}\n", verdict(reports));
    for report in reports {
        _ = write!(text, "\n### {}: {} ({:.1} s)\n\n", report.target, report.outcome.word(), report.seconds);
        let row = |check: &Check| {
            [
                check.outcome.word().to_owned(),
                check.name.to_string(),
                format!("{:.1}", check.seconds),
                check.detail.clone(),
            ]
        };
        text += &table(["Outcome", "Check", "Seconds", "What was seen"], report.checks.iter().map(row));
    }
    text
}
