//! `verify`: does the state hold together?

mod advice;
mod text;

use std::path::PathBuf;

pub(super) use text::finding_text;

use super::answer::state::Verification;
use super::args::StateDirOption;
use super::expected::Expected;
use super::failure::{Failure, Verdict};
use super::github::{self, CiFormat, CiFormatOption};
use super::junit;
use super::output::{print, print_json};
use super::progress::Bar;
use super::values;
use op_conductor_init::payload::Release;
use op_conductor_init::report::Severity;
use op_conductor_init::report::explain::Explanation;
use op_conductor_init::verify::{Report, verify};

const HELP: &str = "\
Examples:
  A whole cluster: each node, and the nodes against each other:
    op-conductor-init verify --state-dir ./raft-state

  One node in CI, where warnings fail too:
    op-conductor-init verify --state-dir /data/raft/sequencer-1 \\
      --fail-on warning --ignore CLUSTER-006 --junit verify.xml

Works on running nodes: no lock is taken or waited for, nothing is changed.
An error means that raft or op-conductor would fail, or lose or fork data. A
warning means that it works, but not as people expect. explain ID says more.

Exit status:
  0  no error (with --fail-on warning: no warning either)
  1  findings
  2  inconclusive: no state, wrong usage, or an I/O error";

/// Check the state of one server, or of all servers of a cluster against each other
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    #[command(flatten)]
    state_dir: StateDirOption,

    /// File that lists who should be in the cluster: cluster.json, op-conductor-ops' config.toml, raft's peers.json, or
    /// what conductor_clusterMembership answers. Or a plan of `recover`: what state each server should have
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Release of op-conductor that will run on the state, such as v0.9.4
    #[arg(long = "for", value_name = "RELEASE")]
    release: Option<Release>,

    /// Ignore findings with this id. Repeatable
    #[arg(long, value_name = "ID", value_parser = super::explain::known, value_delimiter = ',')]
    ignore: Vec<&'static Explanation>,

    /// The lowest severity that makes the exit status 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value = "error")]
    fail_on: FailOn,

    #[command(flatten)]
    format: CiFormatOption,

    /// Also write the findings to this file, as JUnit XML
    #[arg(long, value_name = "FILE", value_parser = values::other_file())]
    junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Only errors
    Error,
    /// Errors and warnings
    Warning,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let expected = self.expect.as_deref().map(Expected::read).transpose()?;
        let mut report = verify(self.state_dir.path(), self.release, &Bar::bytes("verify")).map_err(Failure::unable)?;
        if let Some(expected) = &expected {
            report.add(expected.compare(&report)?);
        }
        let all = report.findings.len();
        report.findings.retain(|finding| !self.ignore.iter().any(|ignored| ignored.id == finding.id));
        let ignored = all - report.findings.len();
        let counts = report.counts();
        let fails = counts.errors > 0 || (self.fail_on == FailOn::Warning && counts.warnings > 0);
        let verdict = if fails { Verdict::Bad } else { Verdict::Fine };
        if let Some(file) = &self.junit {
            let suite = junit::suite(&report, self.fails_from());
            junit::write(file, suite).map_err(Failure::unable)?;
        }
        let (state_dir, what_to_do) = (self.state_dir.path(), self.what_to_do(&report));
        match self.format.get() {
            CiFormat::Text => print(&text::text(state_dir, &report, ignored, &what_to_do, verdict))?,
            CiFormat::Json => print_json(&Verification::new(state_dir, &report, ignored, &what_to_do, verdict))?,
            CiFormat::Github => {
                github::add_summary(&github::summary(&report.findings, fails))?;
                print(&github::annotations(&report.findings))?;
            }
        }
        Ok(verdict)
    }

    fn fails_from(&self) -> Severity {
        match self.fail_on {
            FailOn::Error => Severity::Error,
            FailOn::Warning => Severity::Warning,
        }
    }

    fn what_to_do(&self, report: &Report) -> advice::WhatToDo {
        advice::what_to_do(&report.advice(), &self.state_dir.path().display().to_string())
    }
}
