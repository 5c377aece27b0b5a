//! One target on one state: boots it, does the checks one after the other, and reports.

use std::time::Duration;

use tokio::time::Instant;

use super::checks::{CheckName, SNAPSHOT_FLAGS, Seen, Trial, chain};
use super::nodes::{Nodes, Program};
use super::options::Options;
use super::report::{BootedImage, Check, Status, TargetReport};
use super::site::Site;
use super::staged::Staged;
use super::target::{Job, Target};
use super::{Error, Progress};
use crate::payload::Tried;

/// Does a job on a copy of the state and reports. Containers and network are removed, unless they are to be kept.
pub async fn run(staged: &Staged, job: &Job, options: Options, progress: Progress<'_>) -> TargetReport {
    let mut record = Record::new(job, staged.nodes.len(), progress);
    if let Err(error) = record.fill(staged, job, options).await {
        record.report.reason = Some(chain(&error));
    }
    record.finish()
}

/// The report of a job on this number of servers that was not done, for this reason: its first check is an error.
pub fn not_done(job: &Job, servers: usize, reason: &dyn std::error::Error) -> TargetReport {
    let mut record = Record::new(job, servers, &|_| ());
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
    fn new<'a>(job: &Job, servers: usize, progress: Progress<'a>) -> Record<'a> {
        let mut report = TargetReport::new(job.to_string());
        report.known_limit = job.known_limit();
        report.built_with = job.targets().into_iter().find_map(built_with);
        let now = Instant::now();
        Record { report, planned: CheckName::of(job, servers), progress, started: now, since: now }
    }

    async fn fill(&mut self, staged: &Staged, job: &Job, options: Options) -> Result<(), Error> {
        let site = Site::create().await?;
        let mut programs = Vec::new();
        for target in job.targets() {
            programs.push(Program::of(target, &site, self.progress).await?);
        }
        self.report.images = programs.iter().map(BootedImage::of).collect();
        (self.progress)(&format!("{job}: starting {} servers", staged.nodes.len()));
        let flags: &[&str] = if let Job::Upgrade(_) = job { &SNAPSHOT_FLAGS } else { &[] };
        let Some(first) = programs.first() else { return Ok(()) };
        let nodes = Nodes::boot(staged, first, site, flags, self.progress).await?;
        self.since = Instant::now();
        let mut trial = Trial::new(staged, job, options, &programs, nodes);
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
        // Without it the page lacks a picture, and no more.
        self.report.timeline = nodes.timeline().await.unwrap_or_default();
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
        self.report.checks.push(Check { name: name.word(), outcome, detail, seconds });
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
            self.report.checks.push(Check { name: name.word(), outcome, detail, seconds: 0.0 });
        }
    }
}

/// What differs from the release, in what is built of it.
fn built_with(target: &Target) -> Option<String> {
    match target.release()?.tried {
        Tried::Built { with, .. } => with.map(|with| format!("{target} is built with {with}")),
        Tried::Like { .. } => None,
    }
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(job: &str) -> Vec<(String, Status)> {
        let job = Job::Boot(job.parse().unwrap());
        let error = Error::NoDocker { reason: "nobody is there".to_owned() };
        let report = not_done(&job, 3, &error);
        report.checks.into_iter().map(|check| (check.name.into_owned(), check.outcome)).collect()
    }

    #[test]
    fn what_was_not_done_has_the_same_checks_and_one_error() {
        let expected = ["boot", "first-leader", "members", "next-block", "restart", "state-left"];
        let mut expected: Vec<_> = expected.map(|name| (name.to_owned(), Status::Skipped)).into();
        expected[0].1 = Status::Unknown;
        assert_eq!(statuses("raft:1.7.3"), expected);
        assert_eq!(statuses("v0.9.4").len(), expected.len() + 1, "sequencing too");
    }
}
