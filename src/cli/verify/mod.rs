//! `verify`: does the state hold together?

mod advice;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

pub(super) use text::finding_text;

use super::args::StateDirOption;
use super::failure::Failure;
use super::github::{self, CiFormat, CiFormatOption};
use super::progress::Bar;
use super::{Outcome, answer, junit};
use op_conductor_init::cluster::{MembersError, MembersFile};
use op_conductor_init::payload::Release;
use op_conductor_init::raft::StableState;
use op_conductor_init::read_file;
use op_conductor_init::report::Severity;
use op_conductor_init::report::explain::Explanation;
use op_conductor_init::state::Node;
use op_conductor_init::verify::{Report, compare_members, verify};

/// A list of members of more bytes isn't read.
const MAX_EXPECTED_LEN: u64 = 4 << 20;

const AFTER_HELP: &str = "\
Examples:
  A whole cluster as it was generated or collected: each node, and the nodes
  against each other:
    op-conductor-init verify --state-dir ./raft-state

  One node, in CI, where a warning fails too:
    op-conductor-init verify --state-dir /data/raft/sequencer-1 \\
      --fail-on warning --ignore CLUSTER-006 --junit verify.xml

Works on running nodes: no lock is taken or waited for, nothing is changed.
An error means that raft or op-conductor would fail, or lose or fork data; a
warning, that it works but not as people would expect. explain ID says more.

Exit status:
  0  no error (with --fail-on warning: no warning either)
  1  findings
  2  could not tell: no state, wrong usage, or an I/O error";

/// Check the state of one server, or of all servers of a cluster against each other
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Options {
    #[command(flatten)]
    state_dir: StateDirOption,

    /// Who should be in the cluster: cluster.json, op-conductor-ops' config.toml, raft's peers.json, or what
    /// conductor_clusterMembership answers
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Release of op-conductor that will run on the state, such as v0.9.4
    #[arg(long = "for", value_name = "RELEASE")]
    release: Option<Release>,

    /// Leave out findings with this id. Repeatable
    #[arg(long, value_name = "ID", value_parser = super::explain::known, value_delimiter = ',')]
    ignore: Vec<&'static Explanation>,

    /// From which severity on the exit status is 1
    #[arg(long, value_enum, default_value = "error")]
    fail_on: FailOn,

    #[command(flatten)]
    format: CiFormatOption,

    /// Write the findings to this file too, as JUnit does
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Only errors.
    Error,
    /// Warnings too.
    Warning,
}

impl Options {
    pub(super) fn run(&self) -> Result<Outcome, Failure> {
        let expected = self.expected()?;
        let mut report = verify(self.state_dir.path(), self.release, &Bar::bytes("verify")).map_err(Failure::unable)?;
        if let Some((file, expected)) = &expected {
            report.add(compare_members(expected, &report.nodes).map_err(|error| unexpected(file, error))?);
        }
        let all = report.findings.len();
        report.findings.retain(|finding| !self.ignore.iter().any(|ignored| ignored.id == finding.id));
        let ignored = all - report.findings.len();
        let counts = report.counts();
        let fails = counts.errors > 0 || (self.fail_on == FailOn::Warning && counts.warnings > 0);
        if let Some(file) = &self.junit {
            let suite = junit::suite(&report, self.fails_from());
            junit::write(file, suite).map_err(Failure::unable)?;
        }
        answer(&match self.format.get() {
            CiFormat::Text => text::text(self.state_dir.path(), &report, ignored, &self.what_to_do(&report)),
            CiFormat::Json => self.json(&report, ignored, fails),
            CiFormat::Github => {
                github::add_summary(&github::summary(&report.findings, fails))?;
                github::annotations(&report.findings)
            }
        })?;
        Ok(if fails { Outcome::Bad } else { Outcome::Fine })
    }

    fn fails_from(&self) -> Severity {
        match self.fail_on {
            FailOn::Error => Severity::Error,
            FailOn::Warning => Severity::Warning,
        }
    }

    /// Who should be in the cluster, by the file that says so.
    fn expected(&self) -> Result<Option<(&Path, MembersFile)>, Failure> {
        let Some(file) = self.expect.as_deref() else { return Ok(None) };
        let bytes = read_file(file, MAX_EXPECTED_LEN).context("--expect").map_err(Failure::unable)?;
        let text = String::from_utf8(bytes);
        let text = text.with_context(|| format!("--expect: {}", file.display())).map_err(Failure::unable)?;
        Ok(Some((file, MembersFile::parse(&text).map_err(|error| unexpected(file, error))?)))
    }

    fn what_to_do(&self, report: &Report) -> advice::WhatToDo {
        advice::what_to_do(&report.advice(), &self.state_dir.path().display().to_string())
    }

    fn json(&self, report: &Report, ignored: usize, fails: bool) -> String {
        let node = |node: &Node| {
            let (log, stable) = (node.known_log(), node.known_stable());
            json!({
                "id": node.id,
                "path": node.path,
                "current_term": stable.map(StableState::term),
                "vote": stable.and_then(StableState::vote).map(|(term, candidate)| json!({"term": term, "candidate": candidate})),
                "first_index": log.and_then(|log| log.first).map(|first| first.0),
                "last_index": log.and_then(|log| log.last).map(|last| last.0),
                "entry_count": log.map(|log| log.count),
                "unsafe_head": node.head,
                "log_pages": pages(&node.log_store.pages),
                "stable_pages": pages(&node.stable_store.pages),
            })
        };
        let value = json!({
            "state_dir": self.state_dir.path(),
            "verdict": if fails { "bad" } else { "fine" },
            "counts": report.counts(),
            "ignored": ignored,
            "next_leaders": report.winners,
            "nodes": report.nodes.iter().map(node).collect::<Vec<_>>(),
            "findings": report.findings,
            "what_to_do": self.what_to_do(report),
        });
        format!("{value:#}\n")
    }
}

fn unexpected(file: &Path, error: MembersError) -> Failure {
    Failure::unable(anyhow!(error).context(format!("--expect: {}", file.display())))
}

fn pages(pages: &op_conductor_init::bolt::PageCounts) -> Value {
    json!({
        "page_size": pages.page_size,
        "total": pages.total,
        "branch": pages.branch,
        "leaf": pages.leaf,
        "overflow": pages.overflow,
        "free": pages.free,
        "freelist": pages.freelist,
    })
}
