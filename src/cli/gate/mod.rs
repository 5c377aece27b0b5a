//! `gate`: boots the state on real releases, in containers.

mod text;

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use futures_util::{StreamExt, stream};
use op_conductor_init::cluster::{ClusterSpec, Election, SpecText};
use op_conductor_init::gate::{self, Job, Options, SAMPLE_HEAD, StageError, Staged, Status, Target, TargetReport};
use op_conductor_init::generate::{self, WriteOptions};
use op_conductor_init::payload::Release;
use op_conductor_init::plan::Plan;
use op_conductor_init::state::dir;
use quick_junit::Report;
use serde_json::json;
use tempfile::{NamedTempFile, TempDir};
use tokio::signal::unix::{SignalKind, signal};

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
      --target v0.7.3,v0.9.4,raft:1.8.0

Each target gets a copy of the state, a network of its own, and a stub in place
of op-node and execution client. Checks, in order:
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
  2    inconclusive: no Docker, no image, wrong usage, or an I/O error
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
    #[arg(long, value_name = "DIR", env = "OP_CONDUCTOR_INIT_GATE_STATE_DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,

    /// What to boot: a release of op-conductor, as v0.9.4, or raft:<version>. Repeatable [default: v0.9.4]
    #[arg(
        long,
        value_name = "TARGET",
        value_delimiter = ',',
        env = "OP_CONDUCTOR_INIT_GATE_TARGET",
        hide_env_values = true
    )]
    target: Vec<Target>,

    /// Any image of op-conductor, on the daemon or to be pulled. Repeatable
    #[arg(
        long,
        value_name = "IMAGE",
        value_delimiter = ',',
        env = "OP_CONDUCTOR_INIT_GATE_IMAGE",
        hide_env_values = true
    )]
    image: Vec<String>,

    /// Write a JUnit report here too
    #[arg(long, value_name = "FILE", env = "OP_CONDUCTOR_INIT_GATE_JUNIT", hide_env_values = true)]
    junit: Option<PathBuf>,

    /// How to write the answer
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t = Format::Text,
        env = "OP_CONDUCTOR_INIT_GATE_FORMAT",
        hide_env_values = true
    )]
    format: Format,

    /// How long to wait for each thing that should happen
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        env = "OP_CONDUCTOR_INIT_GATE_TIMEOUT",
        hide_env_values = true,
        value_parser = values::duration
    )]
    timeout: Duration,

    /// How many targets run at a time
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "1",
        env = "OP_CONDUCTOR_INIT_GATE_PARALLEL",
        hide_env_values = true
    )]
    parallel: NonZeroUsize,

    /// Leave the containers and their network, to look at them
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        env = "OP_CONDUCTOR_INIT_GATE_KEEP",
        hide_env_values = true,
        hide_possible_values = true,
        value_parser = BoolishValueParser::new()
    )]
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
    #[arg(
        long,
        value_name = "LIST",
        requires_all = ["server_ids", "initial_leader"],
        conflicts_with = "state_dir",
        env = "OP_CONDUCTOR_INIT_GATE_NODES",
        hide_env_values = true
    )]
    nodes: Option<String>,

    /// Their ids, in the same order
    #[arg(
        long,
        value_name = "LIST",
        requires = "nodes",
        env = "OP_CONDUCTOR_INIT_GATE_SERVER_IDS",
        hide_env_values = true
    )]
    server_ids: Option<String>,

    /// Id of the server that shall lead first
    #[arg(
        long,
        value_name = "ID",
        requires = "nodes",
        env = "OP_CONDUCTOR_INIT_GATE_INITIAL_LEADER",
        hide_env_values = true
    )]
    initial_leader: Option<String>,

    /// Ids of those that never vote
    #[arg(
        long,
        value_name = "LIST",
        requires = "nodes",
        env = "OP_CONDUCTOR_INIT_GATE_NONVOTERS",
        hide_env_values = true
    )]
    nonvoters: Option<String>,

    /// Who may win the first election
    #[arg(
        long,
        value_name = "WHO",
        requires = "nodes",
        env = "OP_CONDUCTOR_INIT_GATE_ELECTION",
        hide_env_values = true,
        value_parser = PossibleValuesParser::new(["named", "open"]).map(|text| super::generate::election(&text))
    )]
    election: Option<Election>,

    /// Term of the first entry
    #[arg(
        long,
        value_name = "TERM",
        requires = "nodes",
        env = "OP_CONDUCTOR_INIT_GATE_INITIAL_TERM",
        hide_env_values = true
    )]
    initial_term: Option<u64>,
}

/// generate's flags of the unsafe head, as they are here: with variables of their own, and only for state that is made.
pub(super) fn adapt(arg: clap::Arg) -> clap::Arg {
    let variable = match arg.get_id().as_str() {
        "unsafe_head" => "OP_CONDUCTOR_INIT_GATE_UNSAFE_HEAD",
        "execution_rpc" => "OP_CONDUCTOR_INIT_GATE_EXECUTION_RPC",
        "block" => "OP_CONDUCTOR_INIT_GATE_BLOCK",
        "rpc_header" => "OP_CONDUCTOR_INIT_GATE_RPC_HEADER",
        _ => return arg,
    };
    arg.env(variable).conflicts_with("state_dir")
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
        answer(&match self.format {
            Format::Text => text::answer(&staged, &reports),
            Format::Json => self.json(&staged, &reports),
        })?;
        let any = |outcome| reports.iter().find(|report| report.outcome == outcome);
        match (any(Status::Failed), any(Status::Unknown)) {
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
        gate::docker_answers().await.map_err(Failure::unable)?;
        let images = self.image.iter().cloned().map(Target::Image);
        let mut targets: Vec<Target> = self.target.iter().cloned().chain(images).collect();
        if targets.is_empty() {
            targets.push(Target::Conductor(Release::newest()));
        }
        let mut options = Options::default();
        (options.timeout, options.keep) = (self.timeout, self.keep);
        let run = |job: Job| async move { gate::run(staged, &job, options, &|line| talk(line)).await };
        Ok(stream::iter(targets.into_iter().map(Job::Boot)).map(run).buffered(self.parallel.get()).collect().await)
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
