//! `recover`: a cluster that lost its quorum, its addresses or its head starts again.

mod apply;
mod collect;
mod output;
mod plan;
mod text;

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;
use op_conductor_init::durable::ReadError;
use op_conductor_init::read_file;
use op_conductor_init::recover::Error;

use super::failure::{Failure, Verdict};

const HELP: &str = "\
When a quorum is lost:
  1. Stop every op-conductor, and keep it stopped. Stop sequencing.
  2. Bring the directories of all servers that are left to one place, and plan:
       op-conductor-init recover plan ./left --output plan.json
     Where a directory can't be brought, `recover collect` on its machine writes
     a small file that can, and `recover plan` takes that too.
  3. Read what it says: what can be lost, who leads first, which block is the
     head. Execution clients must be at that block or its parent:
       --execution-rpc URL   takes the head of an execution client instead
  4. On each machine, with the same plan.json:
       op-conductor-init recover apply plan.json --state-dir DIR --only ID
  5. Check, then start every op-conductor with --raft.bootstrap=false:
       op-conductor-init verify --state-dir DIR --expect plan.json

The same verbs change addresses (--set), members (--add, --remove) and the head
(--unsafe-head, --execution-rpc), and start a cluster from a backup:
  op-conductor-init recover plan BACKUP --execution-rpc URL --output plan.json

Each refusal has an id, such as RECOVER-001: `explain RECOVER-001` says what it
means and what to do.";

/// Start a cluster again that lost its quorum, its addresses or its head
///
/// One plan for all servers, made once from what is left of them, then applied on each machine: the same plan gives the same
/// bytes everywhere. Before anything is changed, it says whether a committed entry can be lost.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: RecoverVerb,
}

#[derive(Debug, Subcommand)]
enum RecoverVerb {
    Plan(Box<plan::Options>),
    Apply(apply::Options),
    Collect(collect::Options),
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        match &self.verb {
            RecoverVerb::Plan(options) => options.run(),
            RecoverVerb::Apply(options) => options.run(),
            RecoverVerb::Collect(options) => options.run(),
        }
    }
}

/// All bytes of a file of at most `limit`; `place` says what it is and where.
fn read(path: &Path, limit: u64, place: impl FnOnce() -> String) -> Result<Vec<u8>, Failure> {
    let read = read_file(path, limit).map_err(|error| match error {
        // The place has the path already.
        ReadError::Io(error) => error.source.into(),
        error => anyhow::Error::new(error),
    });
    read.with_context(place).map_err(Failure::unable)
}

/// An error with the flags that help.
fn failure(error: Error) -> Failure {
    let hint = match &error {
        Error::NoHead => {
            Some("give the head of an execution client with --execution-rpc, or a file with --unsafe-head")
        }
        Error::UnclearHead { .. } => Some(
            "--head highest is what op-conductor takes, --head last what it takes with reorg recovery; or give the execution client's with --execution-rpc",
        ),
        Error::NoLeader { .. } => Some("--initial-leader ID"),
        Error::NoConfiguration => Some("name all members with --members, or with --server-ids and --nodes"),
        Error::RanAgain { .. } => {
            Some("plan again with this directory as it is now, and apply that plan to all servers")
        }
        Error::Unseen { .. } => Some(
            "it may have more than the plan knows: plan again with this directory, or move it away if it must not count",
        ),
        Error::Existing { .. } => Some("name a new directory, or --state-dir to replace what the plan was made from"),
        Error::OneDirectory { .. } => Some("--only ID says which of them it is"),
        Error::State(op_conductor_init::state::dir::Error::Durable(error)) | Error::Durable(error) => error.hint(),
        _ => None,
    };
    let refused = error.is_refusal();
    Failure::refused_if(refused, error).with_hint(hint)
}
