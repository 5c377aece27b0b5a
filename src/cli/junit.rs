//! Findings as JUnit's XML, for CI.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use op_conductor_init::report::{Finding, Severity};
use op_conductor_init::verify::Report as Verified;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::output_file::write_file;

/// A suite with a case for each finding, and one for each node without any. Findings below `fails_from` pass, and are
/// reported on the case's standard output.
pub(super) fn suite(report: &Verified, fails_from: Severity) -> TestSuite {
    let mut suite = TestSuite::new("verify");
    // A name stays the same from run to run: what is at an index today is at another one tomorrow.
    let mut seen = BTreeMap::<(Option<&str>, String), u64>::new();
    for finding in &report.findings {
        let file = finding.place.file.as_deref().unwrap_or_default();
        let name = format!("{} {file}", finding.id).trim_end().to_owned();
        let number = seen.entry((finding.place.node.as_deref(), name.clone())).or_default();
        *number += 1;
        let name = if *number == 1 { name } else { format!("{name} ({number})") };
        suite.add_test_case(case(finding, &name, fails_from));
    }
    let found = |id: &str| report.findings.iter().any(|finding| finding.place.node.as_deref() == Some(id));
    for node in report.nodes.iter().filter(|node| !found(&node.id)) {
        let mut case = TestCase::new("nothing found", TestCaseStatus::success());
        case.set_classname(node.id.as_str());
        suite.add_test_case(case);
    }
    suite
}

fn case(finding: &Finding, name: &str, fails_from: Severity) -> TestCase {
    let place = finding.place.to_string();
    let place = if place.is_empty() { place } else { format!("{place}: ") };
    let mut words = format!("{}: {place}{}", finding.severity, finding.message);
    if let Some(hint) = &finding.hint {
        words += &format!("\nhint: {hint}");
    }
    let mut status = TestCaseStatus::success();
    if finding.severity >= fails_from {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(finding.id).set_message(finding.message.as_str()).set_description(words.as_str());
    }
    let mut case = TestCase::new(name, status);
    case.set_classname(finding.place.node.as_deref().unwrap_or("cluster")).set_system_out(words.as_str());
    case
}

/// Writes a report of one suite.
pub(super) fn write(file: &Path, suite: TestSuite) -> anyhow::Result<()> {
    let mut report = Report::new("op-conductor-init");
    report.add_test_suite(suite);
    let text = report.to_string().context("--junit")?;
    write_file(file, text.as_bytes()).context("--junit")
}
