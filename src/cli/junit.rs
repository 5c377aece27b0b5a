//! Findings as JUnit's XML, for CI.

use std::path::Path;

use anyhow::Context;
use op_conductor_init::report::{Finding, Severity};
use op_conductor_init::verify::Report as Verified;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::output::write_file;

/// A suite with a case for each finding, and one for each node without any. Findings below `fails_from` pass, and are
/// told on the case's standard output.
pub(super) fn suite(report: &Verified, fails_from: Severity) -> TestSuite {
    let mut suite = TestSuite::new("verify");
    for finding in &report.findings {
        suite.add_test_case(case(finding, fails_from));
    }
    let found = |id: &str| report.findings.iter().any(|finding| finding.place.node.as_deref() == Some(id));
    for node in report.nodes.iter().filter(|node| !found(&node.id)) {
        let mut case = TestCase::new("nothing found", TestCaseStatus::success());
        case.set_classname(node.id.as_str());
        suite.add_test_case(case);
    }
    suite
}

fn case(finding: &Finding, fails_from: Severity) -> TestCase {
    let mut words = format!("{}: {}", finding.severity, finding.message);
    if let Some(hint) = &finding.hint {
        words += &format!("\nhint: {hint}");
    }
    let mut status = TestCaseStatus::success();
    if finding.severity >= fails_from {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(finding.id).set_message(finding.message.as_str()).set_description(words.as_str());
    }
    let place = finding.place.to_string();
    let name = if place.is_empty() { finding.id.to_owned() } else { format!("{} {place}", finding.id) };
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
