//! What the gate found: a list of checks for each target.

use std::borrow::Cow;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::nodes::Program;
use super::timeline::Moment;

/// How a check, or a target, came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// Not done, because a check before it failed.
    Skipped,
    /// Inconclusive: Docker or an image is missing, or failed.
    Unknown,
}

impl Status {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
            Status::Unknown => "unknown",
        }
    }
}

/// One check of one target.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Stable name, such as `first-leader`.
    pub name: Cow<'static, str>,
    /// How it came out.
    pub outcome: Status,
    /// What was seen, in one sentence.
    pub detail: String,
    /// How long it took.
    pub seconds: f64,
}

/// An image that was booted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BootedImage {
    /// Its name on the daemon.
    pub name: String,
    /// What it says that it is, such as `v0.9.4`; raft alone says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl BootedImage {
    pub(super) fn of(program: &Program) -> BootedImage {
        BootedImage { name: program.image().name.clone(), version: program.version() }
    }
}

/// What was seen of one target.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TargetReport {
    /// The target, by its usual name.
    pub target: String,
    /// The images that were booted: one, or two of an upgrade.
    pub images: Vec<BootedImage>,
    /// What differs from the release that was asked for, in what was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built_with: Option<String>,
    /// What raft itself can't do while both sides of an upgrade run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_limit: Option<&'static str>,
    /// How it came out.
    pub outcome: Status,
    /// Why it is inconclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took in all.
    pub seconds: f64,
    /// The checks, in their order.
    pub checks: Vec<Check>,
    /// What happened to each server, in the order of time.
    pub timeline: Vec<Moment>,
    /// What the containers printed, when something failed.
    #[serde(skip)]
    pub logs: Option<String>,
    /// Name of the network and the label's value, when they were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

impl TargetReport {
    /// A report of this target in which nothing was checked.
    pub(super) fn new(target: String) -> TargetReport {
        TargetReport {
            target,
            images: Vec::new(),
            built_with: None,
            known_limit: None,
            outcome: Status::Unknown,
            reason: None,
            seconds: 0.0,
            checks: Vec::new(),
            timeline: Vec::new(),
            logs: None,
            kept: None,
        }
    }

    /// The same as a suite of JUnit's. Names of cases are those of the checks, the same in each run; what could not be
    /// checked because of an error is an error itself.
    pub fn to_junit(&self) -> TestSuite {
        let mut suite = TestSuite::new(self.target.as_str());
        suite.set_time(Duration::from_secs_f64(self.seconds));
        for check in &self.checks {
            suite.add_test_case(self.case(check));
        }
        if let Some(logs) = &self.logs {
            suite.set_system_err(logs.as_str());
        }
        suite
    }

    fn case(&self, check: &Check) -> TestCase {
        let mut status = match check.outcome {
            Status::Passed => TestCaseStatus::success(),
            Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Status::Skipped => TestCaseStatus::skipped(),
            Status::Unknown => TestCaseStatus::non_success(NonSuccessKind::Error),
        };
        if check.outcome != Status::Passed {
            status.set_message(check.detail.as_str());
        }
        let mut case = TestCase::new(&*check.name, status);
        case.set_classname(self.target.as_str()).set_time(Duration::from_secs_f64(check.seconds));
        if check.outcome == Status::Passed {
            case.set_system_out(check.detail.as_str());
        }
        case
    }
}
