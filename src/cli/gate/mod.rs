//! `gate`: boots the state on real releases, in containers.

mod cluster;
mod files;
mod github;
mod html;
mod json;
mod picture;
mod text;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::{StreamExt, stream};
use op_conductor_init::gate::{self, Job, Options, StageError, Staged, Status, Target, TargetReport, Upgrade};
use op_conductor_init::payload::Release;
use op_conductor_init::state::dir;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::cluster::ClusterOptions;
use self::files::OutputFile;
use super::failure::{Failure, Verdict};
use super::github::{CiFormat, CiFormatOption, add_summary};
use super::output::{notice, print, print_json};
use super::values;

const HELP: &str = "\
Examples:
  Does the newest release accept what generate wrote? For CI:
    op-conductor-init gate --state-dir ./raft-state --junit gate.xml

  Does a release that isn't known here start on the state of a sample cluster?
    op-conductor-init gate --image example.org/op-conductor:v1.20.0

  Two releases, and raft alone, side by side, and a page to look at:
    op-conductor-init gate --state-dir ./raft-state --parallel 2 \\
      --target v0.7.3,v0.9.4,raft:1.8.0 --html gate.html

  Can a cluster go from one release to another, server by server, and back?
    op-conductor-init gate --state-dir ./raft-state --upgrade v0.7.3..v0.9.4

Each target gets a copy of the state, a network of its own, and a stub in place
of op-node and execution client. Checks, in order:
  boot          every server runs
  first-leader  who led first, and whether only it could by the state
  members       all servers see the members that the state has
  sequencing    it was started on the leader alone, on the unsafe head
  next-block    the leader commits a block on top of it
  restart       all are stopped and started again; one leads and sequences
  state-left    verify finds no error; the last block is in every log
With --upgrade, instead of restart:
  snapshot      all servers take a snapshot
  upgrade-N     one server is replaced, the leader last, by a transfer of
                leadership; one leads and sequences and commits a block, all
                logs have it, and verify finds no error for either release
  new-snapshot, rollback-N  the same again, on the way back

Images of known releases are built on first use, with Go or by Docker.

Exit status:
  0    every target passed
  1    a target failed
  2    inconclusive: no Docker, no image, wrong usage, or an I/O error
  130  interrupted by Ctrl-C; what was started is removed
  143  interrupted by SIGTERM; what was started is removed";

/// Boot a cluster's state on real op-conductor or raft, in containers
///
/// Reports whether a release accepts the state: whether the named leader leads first, starts sequencing, and leaves
/// state that is sound. The state is copied and never touched. Without --state-dir and --nodes, it is that of three
/// sample servers with a sample block. Needs Docker.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Gate {
    /// Directory with a directory for each server, such as generate's output
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// What to boot: a release of op-conductor, such as v0.9.4, or raft:<version>. Repeatable [default: the newest
    /// release]
    #[arg(long, value_name = "TARGET", value_delimiter = ',')]
    target: Vec<Target>,

    /// Any image of op-conductor, on the daemon or to be pulled. Repeatable
    #[arg(long, value_name = "IMAGE", value_delimiter = ',')]
    image: Vec<String>,

    /// Replace the servers of one target or image by another, one after the other, and back. Repeatable
    #[arg(long, value_name = "FROM..TO", value_delimiter = ',')]
    upgrade: Vec<Upgrade>,

    /// Don't go back after an upgrade
    #[arg(long, requires = "upgrade")]
    no_rollback: bool,

    /// Write a JUnit report here too
    #[arg(long, value_name = "FILE", value_parser = values::other_file())]
    junit: Option<PathBuf>,

    /// Write a page to look at here too
    #[arg(long, value_name = "FILE", value_parser = values::other_file())]
    html: Option<PathBuf>,

    #[command(flatten)]
    format: CiFormatOption,

    /// How long to wait for each thing that should happen
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
    timeout: Duration,

    /// How many targets run at a time
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    parallel: NonZeroUsize,

    /// Leave the containers and their network, to look at them
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    head: super::head::HeadOptions,
}

/// generate's flags of the unsafe head, as they are here: only for state that is made.
pub(super) fn adapt(arg: clap::Arg) -> clap::Arg {
    match arg.get_id().as_str() {
        "unsafe_head" | "execution_rpc" | "block" | "rpc_header" => arg.conflicts_with("state_dir"),
        _ => arg,
    }
}

impl Gate {
    pub(crate) fn run(&self) -> Result<Verdict, Failure> {
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::unable)?;
        let _in_runtime = runtime.enter();
        // Before anything is made that must not be left behind.
        let mut signals = Signals::listen()?;
        let files = Files::begin(self)?;
        let staged = self.stage()?;
        let reports = runtime.block_on(async {
            tokio::select! {
                reports = self.do_jobs(&staged) => Ok(reports),
                signal = signals.wait() => Err(signal),
            }
        })?;
        files.write(&staged, &reports)?;
        self.answer(&staged, &reports)?;
        let any = |status| reports.iter().any(|report| report.outcome == status);
        Ok(if any(Status::Failed) {
            Verdict::Bad
        } else if any(Status::Unknown) {
            Verdict::Inconclusive
        } else {
            Verdict::Fine
        })
    }

    fn answer(&self, staged: &Staged, reports: &[TargetReport]) -> Result<(), Failure> {
        match self.format.get() {
            CiFormat::Text => print(&text::answer(staged, reports)),
            CiFormat::Json => print_json(&json::Answer::new(self.state_dir.as_deref(), staged, reports)),
            CiFormat::Github => {
                add_summary(&github::summary(reports))?;
                print(&github::annotations(reports))
            }
        }
    }

    /// A copy of the state that is asked for.
    fn stage(&self) -> Result<Staged, Failure> {
        let made = match &self.state_dir {
            Some(_) => None,
            None => Some(self.cluster.generate(&self.head)?),
        };
        let directory = made.as_ref().map(TempDir::path).or(self.state_dir.as_deref()).unwrap_or(Path::new("."));
        let fail = |error: StageError| match error {
            StageError::Locked(dir::Error::Locked { .. }) => {
                Failure::refused(error).with_hint(Some("gate reads a state at rest; a backup of it will do"))
            }
            error => Failure::unable(anyhow::Error::new(error).context("--state-dir")),
        };
        let staged = Staged::copy(directory).map_err(fail)?;
        for error in &staged.errors {
            notice(format_args!("warning: before anything is started, verify finds {error}"));
        }
        Ok(staged)
    }

    /// What is asked for, in the order of the answer.
    fn jobs(&self) -> Vec<Job> {
        let images = self.image.iter().cloned().map(Target::Image);
        let targets = self.target.iter().cloned().chain(images).map(Job::Boot);
        let rollback = !self.no_rollback;
        let upgrades = self.upgrade.iter().cloned().map(|upgrade| Job::Upgrade(Upgrade { rollback, ..upgrade }));
        let mut jobs: Vec<Job> = targets.chain(upgrades).collect();
        if jobs.is_empty() {
            jobs.push(Job::Boot(Target::Conductor(Release::newest())));
        }
        jobs
    }

    async fn do_jobs(&self, staged: &Staged) -> Vec<TargetReport> {
        let jobs = self.jobs();
        if let Err(error) = gate::docker_answers().await {
            return jobs.iter().map(|job| gate::not_done(job, staged.nodes.len(), &error)).collect();
        }
        let mut options = Options::default();
        (options.timeout, options.keep) = (self.timeout, self.keep);
        let run = |job: Job| async move { gate::run(staged, &job, options, &|line| notice(line)).await };
        stream::iter(jobs).map(run).buffered(self.parallel.get()).collect().await
    }
}

/// The files that are asked for besides the answer.
struct Files<'a> {
    junit: Option<OutputFile<'a>>,
    html: Option<OutputFile<'a>>,
}

impl Files<'_> {
    fn begin(gate: &Gate) -> Result<Files<'_>, Failure> {
        Ok(Files {
            junit: gate.junit.as_deref().map(|path| OutputFile::begin("--junit", path)).transpose()?,
            html: gate.html.as_deref().map(|path| OutputFile::begin("--html", path)).transpose()?,
        })
    }

    fn write(self, staged: &Staged, reports: &[TargetReport]) -> Result<(), Failure> {
        if let Some(junit) = self.junit {
            junit.write(&files::junit(reports)?)?;
        }
        if let Some(html) = self.html {
            html.write(&html::page(staged, reports))?;
        }
        Ok(())
    }
}

/// Ctrl-C and SIGTERM: from now on they don't end the process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Must be called in a runtime.
    fn listen() -> Result<Signals, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::unable);
        Ok(Signals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    async fn wait(&mut self) -> Failure {
        tokio::select! {
            _ = self.interrupt.recv() => Failure::interrupted("Ctrl-C", SignalKind::interrupt().as_raw_value()),
            _ = self.terminate.recv() => Failure::interrupted("SIGTERM", SignalKind::terminate().as_raw_value()),
        }
    }
}
