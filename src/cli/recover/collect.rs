//! `recover collect`: what a plan needs of a machine whose directory can't be brought.

use std::path::PathBuf;

use op_conductor_init::recover;

use super::super::answer::recover::RecoverCollect;
use super::super::args::FormatOption;
use super::super::failure::{Failure, Verdict};
use super::super::output::{notice, print, print_json};
use super::super::text::count;
use super::super::values::Format;
use super::{failure, output};

const HELP: &str = "\
Examples:
  On the machine whose directory is too large to copy:
    op-conductor-init recover collect /data/raft/sequencer-2 \\
      --output sequencer-2.json

  Then, where the plan is made:
    op-conductor-init recover plan ./left sequencer-2.json --output plan.json

Exit status:
  0  written
  1  refused: another file exists there
  2  failed: no state, wrong usage, or an I/O error";

/// Write the facts that a plan needs of servers whose directories can't be brought
///
/// Terms, vote, last entry, members and head of each server, and a hash of it all; no log. Reads only. The server must stay
/// stopped until the plan is applied to it.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Options {
    /// A server's directory, or a directory of such directories
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The file to write; it must be new
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let collected = recover::collect(&self.directory).map_err(failure)?;
        for server in collected.servers.iter().filter(|server| server.facts.running) {
            notice(format_args!("warning: {} runs: stop it, and collect again", server.facts.id));
        }
        output::write_new(&self.output, &collected.encode())?;
        let servers = count(collected.servers.len() as u64, "server", "servers");
        match self.format.get() {
            Format::Text => print(&format!("Collected the facts about {servers} in {}\n", self.output.display()))?,
            Format::Json => print_json(&RecoverCollect::new(&collected, &self.output))?,
        }
        Ok(Verdict::Fine)
    }
}
