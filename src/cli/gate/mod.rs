//! `gate`: boots the state on real releases, in containers.

mod text;

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use futures_util::{StreamExt, stream};
use op_conductor_init::cluster::{ClusterSpec, Election, SpecText};
use op_conductor_init::gate::{self, Options, Outcome as Seen, SAMPLE_HEAD, StageError, Staged, Target, TargetReport};
use op_conductor_init::generate::{self, WriteOptions};
use op_conductor_init::plan::Plan;
use op_conductor_init::state::dir;
use quick_junit::Report;
use serde_json::json;
use tempfile::{NamedTempFile, TempDir};
use tokio::signal::unix::{SignalKind, signal};

use super::args::FormatOption;
use super::failure::Failure;
use super::values::{self, Format};
use super::{Outcome, answer, talk};

const HELP: &str = "\
Examples:
  Does the newest known release accept what generate wrote? For CI:
    op-conductor-init gate --state-dir ./raft-state --junit gate.xml

  Does a new release start on the state of a sample cluster?
    op-conductor-init gate --image example.org/op-conductor:v1.20.0

  Two releases, and raft alone, side by side:
    op-conductor-init gate --state-dir ./raft-state --parallel 2 \\
      --target op-conductor:v1.13.7,op-conductor:v1.19.0,raft:1.8.0

Each target gets a copy of the state, a network of its own, and a stub in place
of op-node and execution client. Looked at are, one after the other:
  boot          every server runs
  first-leader  who led first, and whether only it could by the state
  members       all servers see the members that the state has
  sequencing    it was started on the leader alone, on the unsafe head
  next-block    the leader commits a block on top of it
  restart       all are stopped and started again; one leads and sequences
  state-left    verify finds no error; the next block is in every log

Images of known releases are built on first use, with Go or by Docker.

Exit status:
  0    every target passed
  1    a target failed
  2    could not tell: no Docker, no image, wrong usage, or an I/O error
  130  interrupted by Ctrl-C; what was started is removed
  143  interrupted by SIGTERM; what was started is removed";

/// Boot a cluster's state on real op-conductor or raft, in containers
///
/// Says whether a release accepts the state: whether the named leader leads first, starts sequencing, and what it leaves
/// is sound. The state is copied and never touched. Without --state-dir and --nodes, it is that of three sample servers
/// with a sample block. Needs Docker.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Gate {
    /// Directory with a directory for each server, such as generate's output
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// What to boot: op-conductor:<release> or raft:<version>. Repeatable [default: op-conductor:v1.19.0]
    #[arg(long, value_name = "TARGET", value_delimiter = ',')]
    target: Vec<Target>,

    /// Any image of op-conductor, on the daemon or to be pulled. Repeatable
    #[arg(long, value_name = "IMAGE", value_delimiter = ',')]
    image: Vec<String>,

    /// Write a JUnit report here too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    #[command(flatten)]
    format: FormatOption,

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

/// generate's flags, to try a cluster that isn't written yet.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster, instead of --state-dir: as generate would write it")]
struct ClusterOptions {
    /// Addresses of all servers
    #[arg(long, value_name = "LIST", requires_all = ["server_ids", "initial_leader"], conflicts_with = "state_dir")]
    nodes: Option<String>,

    /// Their ids, in the same order
    #[arg(long, value_name = "LIST", requires = "nodes")]
    server_ids: Option<String>,

    /// Id of the server that shall lead first
    #[arg(long, value_name = "ID", requires = "nodes")]
    initial_leader: Option<String>,

    /// Ids of those that never vote
    #[arg(long, value_name = "LIST", requires = "nodes")]
    nonvoters: Option<String>,

    /// Who may win the first election
    #[arg(long, value_name = "WHO", requires = "nodes", value_parser = PossibleValuesParser::new(["named", "open"]).map(|text| super::generate::election(&text)))]
    election: Option<Election>,

    /// Term of the first entry
    #[arg(long, value_name = "TERM", requires = "nodes")]
    initial_term: Option<u64>,
}

/// generate's flags of the unsafe head, as they are here: only for state that is made.
pub(super) fn adapt(arg: clap::Arg) -> clap::Arg {
    match arg.get_id().as_str() {
        "unsafe_head" | "execution_rpc" | "block" | "rpc_header" => arg.conflicts_with("state_dir"),
        _ => arg,
    }
}

/// What is tried when nothing is named.
const SAMPLE: SpecText<'_> = SpecText {
    nodes: "sequencer-1:50050,sequencer-2:50050,sequencer-3:50050",
    server_ids: "sequencer-1,sequencer-2,sequencer-3",
    nonvoters: "",
    initial_leader: "sequencer-2",
    initial_term: 1,
    network: None,
    election: Election::Named,
};
/// The release that is booted when none is named.
const DEFAULT_TARGET: Target = Target::Conductor("v1.19.0");

impl ClusterOptions {
    fn spec_text(&self) -> SpecText<'_> {
        let Some(nodes) = &self.nodes else { return SAMPLE };
        SpecText {
            nodes,
            server_ids: self.server_ids.as_deref().unwrap_or_default(),
            nonvoters: self.nonvoters.as_deref().unwrap_or_default(),
            initial_leader: self.initial_leader.as_deref().unwrap_or_default(),
            initial_term: self.initial_term.unwrap_or(1),
            network: None,
            election: self.election.unwrap_or(Election::Named),
        }
    }
}

impl Gate {
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        let junit = self.junit.as_deref().map(JunitFile::open).transpose()?;
        let staged = self.stage()?;
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::unable)?;
        let reports = runtime.block_on(async {
            tokio::select! {
                reports = self.run_targets(&staged) => reports,
                signal = interrupted() => Err(signal?),
            }
        })?;
        if let Some(junit) = junit {
            junit.write(&reports)?;
        }
        answer(&match self.format.get() {
            Format::Text => text::answer(&staged, &reports),
            Format::Json => self.json(&staged, &reports),
        })?;
        let any = |outcome| reports.iter().find(|report| report.outcome == outcome);
        match (any(Seen::Failed), any(Seen::Unknown)) {
            (Some(_), _) => Ok(Outcome::Bad),
            (None, Some(unknown)) => {
                let reason = unknown.reason.clone().unwrap_or_default();
                Err(Failure::unable(anyhow!(reason).context(unknown.target.clone())))
            }
            (None, None) => Ok(Outcome::Fine),
        }
    }

    /// A copy of the state that is asked for.
    fn stage(&self) -> Result<Staged, Failure> {
        let made = match &self.state_dir {
            Some(_) => None,
            None => Some(self.generate()?),
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
            talk(format_args!("warning: before anything is started, verify finds {error}"));
        }
        Ok(staged)
    }

    /// The state that generate would write, in a temporary directory.
    fn generate(&self) -> Result<TempDir, Failure> {
        let text = self.cluster.spec_text();
        let spec = ClusterSpec::parse(&text).map_err(|errors| super::generate::spec_failure(&errors))?;
        let head = self.head.load()?.map(|head| head.bytes);
        let head = head.as_deref().or(self.cluster.nodes.is_none().then_some(SAMPLE_HEAD));
        let plan = match head {
            Some(head) => Plan::new(&spec).with_payload(head),
            None => Plan::new(&spec),
        };
        let directory = tempfile::Builder::new().prefix("op-conductor-init-gate-").tempdir();
        let directory = directory.context("making a temporary directory").map_err(Failure::unable)?;
        let (root, _) = dir::open_root(directory.path(), None, Duration::ZERO).map_err(Failure::unable)?;
        let options = WriteOptions { only: None, force: false, page_size: 4096, lock_timeout: Duration::ZERO };
        generate::write(&plan, root, &options).map_err(Failure::unable)?;
        Ok(directory)
    }

    async fn run_targets(&self, staged: &Staged) -> Result<Vec<TargetReport>, Failure> {
        gate::docker_answers().await.map_err(|reason| Failure::unable(anyhow!(reason)))?;
        let images = self.image.iter().cloned().map(Target::Image);
        let mut targets: Vec<Target> = self.target.iter().cloned().chain(images).collect();
        if targets.is_empty() {
            targets.push(DEFAULT_TARGET);
        }
        let options = Options { timeout: self.timeout, keep: self.keep };
        let run = |target: Target| async move { gate::run(staged, &target, options, &|line| talk(line)).await };
        Ok(stream::iter(targets).map(run).buffered(self.parallel.get()).collect().await)
    }

    fn json(&self, staged: &Staged, reports: &[TargetReport]) -> String {
        let value = json!({
            "state_dir": self.state_dir,
            "servers": staged.members.servers,
            "started": staged.nodes,
            "first_leaders": staged.candidates,
            "unsafe_head": staged.head.as_ref().map(|(head, _)| head),
            "moved": staged.moved,
            "verdict": text::verdict(reports),
            "targets": reports,
        });
        format!("{value:#}\n")
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> Result<Failure, Failure> {
    let listen = |kind| signal(kind).map_err(Failure::unable);
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(tokio::select! {
        _ = interrupt.recv() => Failure::interrupted("Ctrl-C", SignalKind::interrupt().as_raw_value()),
        _ = terminate.recv() => Failure::interrupted("SIGTERM", SignalKind::terminate().as_raw_value()),
    })
}

/// The JUnit report on its way: made where it will be, so that what can't be written is known before anything runs.
struct JunitFile<'a> {
    path: &'a Path,
    file: NamedTempFile,
}

impl JunitFile<'_> {
    fn open(path: &Path) -> Result<JunitFile<'_>, Failure> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(directory).with_context(|| format!("--junit {}", path.display()));
        Ok(JunitFile { path, file: file.map_err(Failure::unable)? })
    }

    fn write(mut self, reports: &[TargetReport]) -> Result<(), Failure> {
        let fail = |error: anyhow::Error| Failure::unable(error.context(format!("--junit {}", self.path.display())));
        let mut report = Report::new("op-conductor-init gate");
        report.add_test_suites(reports.iter().map(TargetReport::to_junit));
        let text = report.to_string().map_err(|error| fail(error.into()))?;
        self.file.write_all(text.as_bytes()).map_err(|error| fail(error.into()))?;
        // A temporary file is its owner's alone; a report is for all who may read there.
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.file.path(), fs::Permissions::from_mode(0o644)).map_err(|error| fail(error.into()))?;
        let path = self.path;
        self.file
            .persist(path)
            .map(drop)
            .map_err(|error| Failure::unable(anyhow::Error::new(error).context(format!("--junit {}", path.display()))))
    }
}
