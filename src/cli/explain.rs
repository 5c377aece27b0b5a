//! `explain`: what a finding means.

use op_conductor_init::report::explain::{Explanation, all, find};

use super::args::FormatOption;
use super::failure::{Failure, Verdict};
use super::output::{print, print_json};
use super::text::{table, wrapped};
use super::values::Format;

/// Explain a finding of verify by its id: meaning, consequence, cure
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  op-conductor-init explain BOLT-017
  op-conductor-init explain --format json

The same as a page: docs/FINDINGS.md.

Exit status: 0 explained; 2 the id is unknown.")]
pub(super) struct Options {
    /// Id of a finding, such as BOLT-017 [default: a list of all]
    #[arg(value_name = "ID", value_parser = known)]
    id: Option<&'static Explanation>,

    #[command(flatten)]
    format: FormatOption,
}

/// The finding of an id.
pub(super) fn known(id: &str) -> Result<&'static Explanation, String> {
    find(id).ok_or_else(|| "unknown id: explain without an id lists all of them".to_owned())
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        match (self.format.get(), self.id) {
            (Format::Text, Some(explanation)) => print(&text(explanation))?,
            (Format::Text, None) => print(&list(all()))?,
            (Format::Json, Some(explanation)) => print_json(explanation)?,
            (Format::Json, None) => print_json(&Explanations { findings: all() })?,
        }
        Ok(Verdict::Fine)
    }
}

/// The answer for programs when no finding is named.
#[derive(serde::Serialize)]
struct Explanations<'a> {
    findings: &'a [Explanation],
}

fn list(explanations: &[Explanation]) -> String {
    // What the severity depends on is for the whole explanation.
    let severity = |it: &Explanation| it.severity.split(',').next().unwrap_or_default().to_owned();
    let row = |it: &Explanation| vec![it.id.to_owned(), it.title.to_owned(), severity(it)];
    table(&["ID", "FINDING", "SEVERITY"], explanations.iter().map(row))
}

fn text(explanation: &Explanation) -> String {
    let Explanation { id, title, severity, meaning, example, consequence, cure } = explanation;
    // Markdown's marks are for the page.
    let plain = |text: &str| text.replace('`', "");
    let mut text = format!("{id}: {title}\n\n");
    text += &wrapped(&format!("Severity: {}", plain(severity)));
    text.push('\n');
    text += &wrapped(&plain(meaning));
    for (label, words) in [("Example", example), ("Consequence", consequence), ("Cure", cure)] {
        text += "\n";
        text += &wrapped(&format!("{label}: {}", plain(words)));
    }
    text
}
