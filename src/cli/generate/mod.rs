//! `generate`: writes the state of a cluster that has never run.

mod text;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use op_conductor_init::cluster::{ClusterSpec, Election, SpecErrors, SpecField, SpecText};
use op_conductor_init::durable::{Recovery, Root};
use op_conductor_init::generate::{self, Change, Error, HasRun, Outcome, WriteOptions};
use op_conductor_init::plan::Plan;

use super::answer::generate::Answer;
use super::args::{FormatOption, LockTimeoutOption, OwnerOption};
use super::failure::{Failure, directory_hint, server_hint};
use super::output::{notice, print, print_json};
use super::values::{self, Format};

const HELP: &str = "\
Examples:
  Three servers; sequencer-1 will be the first leader:
    op-conductor-init generate \\
      --server-ids sequencer-1,sequencer-2,sequencer-3 \\
      --nodes seq1.example:50050,seq2.example:50050,seq3.example:50050 \\
      --initial-leader sequencer-1

  In the init container of each pod, only for its own server:
    op-conductor-init generate --only \"$POD_NAME\" --output-dir /data \\
      --owner 1000:1000 ...and the same other flags in every pod...

If the named leader never starts, no server leads and nothing is lost: start
it, or generate again with another leader, for all servers including that one.

Exit status:
  0  written, or the same state already existed
  1  refused: other state exists (see --force), or a node is running
  2  failed: wrong usage, or an I/O error; nothing was changed";

/// Write the state of a new cluster: a directory for each server
///
/// Writes <output-dir>/<server id>/raft-log.db and raft-stable.db for each server, and cluster.json next to the directories.
/// op-conductor starts on them with --raft.storage.dir=<output-dir> and --raft.bootstrap=false, and the named leader
/// wins the first election. The same flags always give the same files. Either all files are written
/// or none.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Options {
    /// Addresses of all servers: host:port, separated by commas. The other servers must be able to dial them
    #[arg(long, value_name = "LIST")]
    nodes: String,

    /// Ids of all servers (op-conductor's --raft.server.id), separated by commas, in the order of --nodes
    #[arg(long, value_name = "LIST")]
    server_ids: String,

    /// Server that must win the first election
    #[arg(long, value_name = "ID")]
    initial_leader: String,

    /// Ids of the servers that receive the log but never vote
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    nonvoters: String,

    /// Who can win the first election: only the named leader, or any voter
    #[arg(long, value_name = "WHO", default_value = "named", value_parser = PossibleValuesParser::new(["named", "open"]).map(|text| election(&text)))]
    election: Election,

    /// Term of the first entry
    #[arg(long, value_name = "TERM", default_value_t = 1)]
    initial_term: u64,

    /// A label for cluster.json, such as the name of the chain
    #[arg(long, value_name = "NAME")]
    network: Option<String>,

    /// Parent of the servers' directories (op-conductor's --raft.storage.dir)
    #[arg(long, value_name = "DIR", default_value = "./raft-state")]
    output_dir: PathBuf,

    /// Write only the directory of this server
    #[arg(long, value_name = "ID")]
    only: Option<String>,

    /// Replace existing state. The old state is kept in <output-dir>/.replaced-<time>
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    owner: OwnerOption,

    /// Page size of the files in bytes: a power of two from 1024 to 65536
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = values::page_size)]
    page_size: usize,

    /// Show what each server would start with, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    lock_timeout: LockTimeoutOption,

    #[cfg(feature = "payload")]
    #[command(flatten)]
    head: super::head::HeadOptions,
}

impl Options {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let spec = ClusterSpec::parse(&self.spec_text()).map_err(|errors| spec_failure(&errors))?;
        for warning in spec.warnings() {
            notice(format_args!("warning: {warning}"));
        }
        let payload = self.payload()?;
        let plan = match &payload {
            Some(payload) => Plan::new(&spec).with_payload(payload),
            None => Plan::new(&spec),
        };
        generate::check_only(&plan, self.only.as_deref()).map_err(failure)?;
        let outcome = if self.dry_run { self.look(&plan).map(|()| None)? } else { Some(self.write(&plan)?) };
        let printed = match self.format.get() {
            Format::Text => print(&text::answer(&plan, self, outcome.as_ref())),
            Format::Json => print_json(&Answer::new(&plan, &self.output_dir, self.page_size, outcome.as_ref())),
        };
        printed.map_err(|failure| if self.dry_run { failure } else { failure.after("written") })
    }

    /// The unsafe head, when one is asked for.
    #[cfg(feature = "payload")]
    fn payload(&self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.head.load()?.map(|head| head.bytes))
    }

    #[cfg(not(feature = "payload"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "this build has no payloads")]
    fn payload(&self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    fn spec_text(&self) -> SpecText<'_> {
        SpecText {
            nodes: &self.nodes,
            server_ids: &self.server_ids,
            nonvoters: &self.nonvoters,
            initial_leader: &self.initial_leader,
            initial_term: self.initial_term,
            network: self.network.as_deref(),
            election: self.election,
        }
    }

    /// Refuses what the call itself would refuse. A directory that isn't there is not made for that.
    fn look(&self, plan: &Plan<'_>) -> Result<(), Failure> {
        if !self.output_dir.exists() {
            return Ok(());
        }
        let root =
            Root::open(&self.output_dir, None, self.lock_timeout.get()).map_err(|error| failure(error.into()))?;
        generate::look(plan, &root, &self.write_options()).map_err(failure)
    }

    fn write(&self, plan: &Plan<'_>) -> Result<Outcome, Failure> {
        let root = Root::open(&self.output_dir, self.owner.get(), self.lock_timeout.get());
        let root = root.map_err(|error| failure(error.into()))?;
        let outcome = generate::write(plan, root, &self.write_options()).map_err(failure)?;
        outcome.recovered.iter().for_each(report_recovery);
        for server in &outcome.run {
            notice(format_args!("note: replaced {}", has_run(server)));
        }
        if !outcome.foreign.is_empty() {
            notice(format_args!("note: left unchanged: {}", outcome.foreign.join(", ")));
        }
        if let Some(replaced) = &outcome.replaced {
            notice(format_args!("note: the old state is in {}", replaced.display()));
        }
        Ok(outcome)
    }

    fn write_options(&self) -> WriteOptions<'_> {
        WriteOptions {
            only: self.only.as_deref(),
            force: self.force,
            page_size: self.page_size,
            lock_timeout: self.lock_timeout.get(),
        }
    }
}

/// What a server's state is that has run.
fn has_run(server: &HasRun) -> String {
    let Some(term) = server.term else { return format!("{}: its state can't be read", server.id) };
    let last = server.last_index.map_or_else(String::new, |last| format!(", entry {last}"));
    let block = server.block.map_or_else(String::new, |block| format!(", block {block}"));
    format!("{}, which has run (term {term}{last}{block})", server.id)
}

pub(super) fn election(text: &str) -> Election {
    if text == "open" { Election::Open } else { Election::Named }
}

pub(super) fn report_recovery(recovery: &Recovery) {
    let entries = recovery.entries.join(", ");
    match &recovery.undone {
        None => notice(format_args!("note: finished a replacement that had been interrupted: {entries}")),
        Some(cause) => notice(format_args!("note: undid a replacement that had been interrupted: {entries} ({cause})")),
    }
}

/// One line an error, each with the flag that it is about.
pub(super) fn spec_failure(errors: &SpecErrors) -> Failure {
    let lines: Vec<String> = errors.0.iter().map(|error| format!("{}: {error}", flag(error.field()))).collect();
    Failure::unable(anyhow!(lines.join("\nerror: ")))
}

/// The flag that has this part of the cluster.
pub(super) fn flag(field: SpecField) -> &'static str {
    match field {
        SpecField::Nodes => "--nodes",
        SpecField::ServerIds => "--server-ids",
        SpecField::Nonvoters => "--nonvoters",
        SpecField::InitialLeader => "--initial-leader",
        SpecField::InitialTerm => "--initial-term",
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Existing { ref files, ref run } => {
            let list: String = files.iter().map(|file| format!("\n  {}", file.display())).collect();
            let run_list: String = run.iter().map(|server| format!("\n  {}", has_run(server))).collect();
            if run.is_empty() {
                let hint = "--force replaces them, and keeps them in .replaced-<time>";
                return Failure::refused(anyhow!("{error}:{list}")).with_hint(Some(hint));
            }
            let hint = "a new cluster would not know its blocks: name another --output-dir, or copy the old one before you replace it";
            Failure::refused(anyhow!("{error}:{run_list}{list}")).with_hint(Some(hint))
        }
        Error::UnknownServer { ref id } => Failure::unable(anyhow!("--only: {id:?} is not in --server-ids")),
        Error::Durable(ref inner) => {
            let (hint, refused) = (directory_hint(inner), inner.is_refusal());
            Failure::refused_if(refused, error).with_hint(hint)
        }
        Error::State(ref inner) => {
            let (hint, refused) = (server_hint(inner), inner.is_refusal());
            Failure::refused_if(refused, error).with_hint(hint)
        }
        _ => Failure::unable(error),
    }
}

/// The words for what became of an entry.
fn change_word(change: Change) -> &'static str {
    match change {
        Change::Written => "written",
        Change::Unchanged => "unchanged: the file already had these bytes",
        Change::Skipped => "skipped (--only)",
    }
}
