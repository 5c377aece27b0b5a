//! `recover apply`: a plan on disk.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use op_conductor_init::recover::{self, Applied, ApplyOptions, Change, PlanFile, Target};

use super::super::answer::recover::RecoverApply;
use super::super::args::{FormatOption, LockTimeoutOption, OwnerOption};
use super::super::failure::{Failure, Verdict};
use super::super::generate::report_recovery;
use super::super::output::{print, print_json};
use super::super::text::table;
use super::super::values::Format;
use super::{failure, read};

/// A plan isn't read further: its head has a few MiB, twice as long in hexadecimal.
const MAX_PLAN_LEN: u64 = 1 << 30;

const HELP: &str = "\
Examples:
  On each machine, its own server:
    op-conductor-init recover apply plan.json --state-dir /data/raft \\
      --only sequencer-1

  All servers in a new directory, to be copied to the machines:
    op-conductor-init recover apply plan.json --output-dir ./recovered

The old state is kept in .replaced-<time>. A server whose state is not what the
plan was made from is refused: it ran again, and its new entries may count.
Applying a plan twice is fine.

Exit status:
  0  written, or the planned state already existed
  1  refused; nothing was changed
  2  failed: wrong usage, or an I/O error; nothing was changed";

/// Write the state of a plan's servers
///
/// Everything needed is in the plan, and the same plan gives the same bytes on any machine. Either all servers that are
/// asked for are written or none.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Options {
    /// The plan, which `recover plan --output` wrote
    #[arg(value_name = "PLAN")]
    plan: PathBuf,

    /// Write to a new directory, without other state
    #[arg(long, value_name = "DIR", conflicts_with = "state_dir", required_unless_present = "state_dir")]
    output_dir: Option<PathBuf>,

    /// Replace state in place: the parent of the servers' directories, or with --only that server's own directory
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Write only the state of this server
    #[arg(long, value_name = "ID")]
    only: Option<String>,

    #[command(flatten)]
    owner: OwnerOption,

    #[command(flatten)]
    lock_timeout: LockTimeoutOption,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let plan = read_plan(&self.plan)?;
        let (target, directory) = match (&self.output_dir, &self.state_dir) {
            (Some(path), _) => (Target::New(path), path),
            (None, Some(path)) => (Target::InPlace(path), path),
            (None, None) => return Err(Failure::unable(anyhow!("expected --state-dir or --output-dir"))),
        };
        let mut options = ApplyOptions::default();
        options.only = self.only.as_deref();
        options.owner = self.owner.get();
        options.lock_timeout = self.lock_timeout.get();
        let applied = recover::apply(&plan, target, &options).map_err(failure)?;
        applied.recovered.iter().for_each(report_recovery);
        match self.format.get() {
            Format::Text => print(&self.text(&plan, &applied, directory))?,
            Format::Json => print_json(&RecoverApply::new(&plan, &applied, directory))?,
        }
        Ok(Verdict::Fine)
    }

    fn text(&self, plan: &PlanFile, applied: &Applied, directory: &Path) -> String {
        let row = |(id, change): &(String, Change)| {
            let words = match change {
                Change::Written => "written",
                Change::Unchanged => "unchanged: it already had the planned state",
                Change::GoneOn => "left unchanged: it has run since, from the planned state",
            };
            vec![id.clone(), words.to_owned()]
        };
        let mut text = table(&["SERVER", "STATE"], applied.servers.iter().map(row));
        if let Some(replaced) = &applied.replaced {
            text += &format!("\nWhat was there is in {}. Never start it again.\n", replaced.display());
        }
        text += &format!(
            "\nNext:\n  op-conductor-init verify --state-dir {} --expect {}\n\
         When every member has its new directory, start every op-conductor with\n\
         --raft.bootstrap=false. {} leads first: without it nobody does.\n",
            directory.display(),
            self.plan.display(),
            plan.leader
        );
        text
    }
}

/// Reads a plan from a file.
pub(crate) fn read_plan(path: &Path) -> Result<PlanFile, Failure> {
    let bytes = read(path, MAX_PLAN_LEN, || format!("reading the plan {}", path.display()))?;
    PlanFile::decode(&bytes).map_err(|reason| {
        let error = anyhow!("{} is not a plan: {reason}", path.display());
        Failure::unable(error).with_hint(Some("`recover plan --output FILE` writes one"))
    })
}
