//! One target on one state: boots it, does the checks one after the other, and reports.

use std::time::Duration;

use tokio::time::Instant;

use super::checks::{CheckName, Seen, Trial, chain};
use super::nodes::{Nodes, Program};
use super::report::{Check, Status, TargetReport};
use super::site::Site;
use super::staged::Staged;
use super::target::Target;
use super::{Error, Progress};
use crate::payload::Tried;

/// How a target is run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Options {
    /// How long to wait for each thing that should happen.
    pub timeout: Duration,
    /// Leave the containers and their network as they are.
    pub keep: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(60), keep: false }
    }
}

/// Boots `target` on a copy of the state and reports. Containers and network are removed, unless they are to be kept.
pub async fn run(staged: &Staged, target: &Target, options: Options, progress: Progress<'_>) -> TargetReport {
    let mut record = Record::new(target, progress);
    if let Err(error) = record.fill(staged, target, options).await {
        record.report.reason = Some(chain(&error));
    }
    record.finish()
}

/// The report of a target that was not run, for this reason.
pub(super) fn not_run(target: &Target, reason: &dyn std::error::Error) -> TargetReport {
    let mut record = Record::new(target, &|_| ());
    record.report.reason = Some(chain(reason));
    record.finish()
}

/// Fills a report, check by check.
struct Record<'a> {
    report: TargetReport,
    planned: Vec<CheckName>,
    progress: Progress<'a>,
    started: Instant,
    /// When the check that is being done began.
    since: Instant,
}

impl Record<'_> {
    fn new<'a>(target: &Target, progress: Progress<'a>) -> Record<'a> {
        let report = TargetReport::new(target.to_string());
        let now = Instant::now();
        Record { report, planned: CheckName::of(target), progress, started: now, since: now }
    }

    async fn fill(&mut self, staged: &Staged, target: &Target, options: Options) -> Result<(), Error> {
        if let Some(Tried::Built { with, .. }) = target.release().map(|release| release.tried) {
            self.report.built_with = with;
        }
        let site = Site::create().await?;
        let program = Program::of(target, &site, self.progress).await?;
        self.report.image = Some(program.image().name.clone());
        self.report.version = program.version();
        (self.progress)(&format!("{target}: starting {} servers", staged.nodes.len()));
        let nodes = Nodes::boot(staged, &program, site, &[], self.progress).await?;
        self.since = Instant::now();
        let mut trial = Trial { staged, target, options, nodes, leader: None, tip: None };
        let done = self.do_checks(&mut trial).await;
        self.end(trial.nodes, options.keep, done).await
    }

    /// Does one check after the other, until one fails.
    async fn do_checks(&mut self, trial: &mut Trial<'_>) -> Result<(), Error> {
        for name in self.planned.clone() {
            let seen = trial.check(name).await?;
            self.add(name, seen);
            if self.has_failed() {
                break;
            }
        }
        Ok(())
    }

    /// Removes what was started, unless it is to be kept.
    async fn end(&mut self, nodes: Nodes, keep: bool, done: Result<(), Error>) -> Result<(), Error> {
        if done.is_err() || self.has_failed() {
            self.report.logs = Some(nodes.logs().await);
        }
        if keep {
            self.report.kept = Some(nodes.fleet().site().name().to_owned());
            nodes.keep();
            return done;
        }
        let ended = nodes.end().await;
        done.and(ended)
    }

    fn add(&mut self, name: CheckName, seen: Seen) {
        let (outcome, detail) = match seen {
            Seen::Good(detail) => (Status::Passed, detail),
            Seen::Bad(detail) => (Status::Failed, detail),
        };
        (self.progress)(&format!("{}: {}: {}: {detail}", self.report.target, name.word(), outcome.word()));
        let seconds = tenths(self.since.elapsed());
        self.since = Instant::now();
        self.report.checks.push(Check { name: name.word().into(), outcome, detail, seconds });
    }

    fn has_failed(&self) -> bool {
        self.report.checks.iter().any(|check| check.outcome == Status::Failed)
    }

    fn finish(mut self) -> TargetReport {
        self.report.outcome = match (&self.report.reason, self.has_failed()) {
            (_, true) => Status::Failed,
            (Some(_), false) => Status::Unknown,
            (None, false) => Status::Passed,
        };
        self.add_not_done();
        self.report.seconds = tenths(self.started.elapsed());
        self.report
    }

    /// The checks that were not done, so that a report always has the same ones: the first is an error when one was the
    /// reason, and the rest are skipped.
    fn add_not_done(&mut self) {
        let done = self.report.checks.len();
        let mut error = self.report.reason.clone().filter(|_| !self.has_failed());
        for name in self.planned.iter().skip(done) {
            let (outcome, detail) = match error.take() {
                Some(reason) => (Status::Unknown, reason),
                None => (Status::Skipped, "not done: a check before it did not pass".to_owned()),
            };
            self.report.checks.push(Check { name: name.word().into(), outcome, detail, seconds: 0.0 });
        }
    }
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
