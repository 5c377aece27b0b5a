//! What the gate found: a list of checks for each target.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

/// How a check, or a target, came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// Not looked at, because something before it failed.
    Skipped,
    /// It could not be told: Docker or an image is missing, or failed.
    Unknown,
}

impl Outcome {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
            Outcome::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Stable name, such as `first-leader`.
    pub name: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen, in one sentence.
    pub detail: String,
    /// How long it took.
    pub seconds: f64,
}

/// What was seen of one target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetReport {
    /// The target, as it was asked for.
    pub target: String,
    /// The image that was booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How it came out.
    pub outcome: Outcome,
    /// Why it could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took in all.
    pub seconds: f64,
    /// What was looked at, in this order.
    pub checks: Vec<Check>,
    /// What the containers printed, when something failed.
    #[serde(skip)]
    pub logs: Option<String>,
    /// Name of the network and the label's value, when they were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

impl TargetReport {
    /// The same as a suite of JUnit's.
    pub fn to_junit(&self) -> TestSuite {
        let mut suite = TestSuite::new(self.target.as_str());
        suite.set_time(Duration::from_secs_f64(self.seconds));
        for check in &self.checks {
            let mut status = match check.outcome {
                Outcome::Passed => TestCaseStatus::success(),
                Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Outcome::Skipped => TestCaseStatus::skipped(),
                Outcome::Unknown => TestCaseStatus::non_success(NonSuccessKind::Error),
            };
            if check.outcome != Outcome::Passed {
                status.set_message(check.detail.as_str());
            }
            let mut case = TestCase::new(check.name, status);
            case.set_classname(self.target.as_str()).set_time(Duration::from_secs_f64(check.seconds));
            case.set_system_out(check.detail.as_str());
            suite.add_test_case(case);
        }
        if let Some(reason) = &self.reason {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(reason.as_str());
            let mut case = TestCase::new("run", status);
            case.set_classname(self.target.as_str());
            suite.add_test_case(case);
        }
        if let Some(logs) = &self.logs {
            suite.set_system_err(logs.as_str());
        }
        suite
    }
}
