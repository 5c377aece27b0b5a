//! Answers for GitHub Actions: annotations on standard output, and a summary of the job.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use op_conductor_init::report::{Finding, Severity};

use super::failure::Failure;

/// `--format` of verbs that CI runs.
#[derive(Debug, Args)]
pub(super) struct CiFormatOption {
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = CiFormat::Text)]
    format: CiFormat,
}

impl CiFormatOption {
    pub(super) fn get(&self) -> CiFormat {
        self.format
    }
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CiFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For GitHub Actions: annotations, and a summary of the job
    Github,
}

/// Variable with the path of the file that the summary is appended to. (docs.github.com, workflow commands)
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// How an annotation is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    const fn command(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        }
    }
}

/// An annotation for each finding.
pub(super) fn annotations(findings: &[Finding]) -> String {
    findings.iter().map(finding).collect()
}

fn finding(finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warning,
        Severity::Note => Level::Notice,
    };
    let hint = finding.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let title = format!("{} {}", finding.id, finding.place);
    annotation(level, title.trim_end(), &format!("{}{hint}", finding.message))
}

/// The findings of `verify` as the summary of a job, in Markdown.
pub(super) fn summary(findings: &[Finding], fails: bool) -> String {
    let verdict = if fails { "NOT fine" } else { "fine" };
    if findings.is_empty() {
        return format!("## verify: {verdict}, nothing found\n");
    }
    let row = |it: &Finding| [it.severity.to_string(), it.id.to_owned(), it.place.to_string(), it.message.clone()];
    let rows = table(["Severity", "Finding", "Where", "What"], findings.iter().map(row));
    format!("## verify: {verdict}\n\n{rows}")
}

/// A line that GitHub shows as an annotation.
pub(super) fn annotation(level: Level, title: &str, message: &str) -> String {
    format!("::{} title={}::{}\n", level.command(), property(title), data(message))
}

/// Escapes a message. (actions/toolkit core/src/command.ts escapeData)
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property. (actions/toolkit core/src/command.ts escapeProperty)
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A table in Markdown.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let row = |cells: [String; N]| format!("| {} |\n", cells.map(|cell| cell_text(&cell)).join(" | "));
    let mut text = row(head.map(str::to_owned));
    text += &row([const { "---" }; N].map(str::to_owned));
    text.extend(rows.into_iter().map(row));
    text
}

/// Text that stays in its cell, and is shown as it is.
fn cell_text(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('\\', "\\\\").replace('|', "\\|");
    escaped.replace(['\r', '\n'], " ")
}

/// Appends to the job's summary, where there is one.
pub(super) fn add_summary(markdown: &str) -> Result<(), Failure> {
    let Some(path) = std::env::var_os(SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(());
    };
    let appended = OpenOptions::new().append(true).create(true).open(&path).and_then(|mut file| {
        file.write_all(markdown.as_bytes())?;
        file.write_all(b"\n")
    });
    appended.with_context(|| format!("{SUMMARY}: {}", path.display())).map_err(Failure::unable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_one_line_whatever_is_in_it() {
        let line = annotation(Level::Error, "a: b, c", "100%\nof it\r");
        assert_eq!(line, "::error title=a%3A b%2C c::100%25%0Aof it%0D\n");
    }

    #[test]
    fn a_cell_keeps_its_row() {
        let text = table(["CHECK"], [["a|b\n<c>".to_owned()]]);
        assert_eq!(text, "| CHECK |\n| --- |\n| a\\|b &lt;c> |\n");
    }
}
