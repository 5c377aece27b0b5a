//! `snapshot`: the snapshots of one server.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use op_conductor_init::raft::SnapshotMeta;
use op_conductor_init::report::{Finding, Severity};
use op_conductor_init::state::dir::SNAPSHOTS_DIR;
use op_conductor_init::state::snapshots::{self, Snapshots, StateFile};

use super::answer::snapshot::{Check, Ignored, List, Snapshot};
use super::args::FormatOption;
use super::failure::{Failure, Verdict};
use super::output::{print, print_json};
use super::text::{bytes, count, table, wrapped};
use super::values::Format;

const HELP: &str = "\
Examples:
  op-conductor-init snapshot --state-dir ./raft-state/sequencer-1
  op-conductor-init snapshot check --state-dir ./raft-state/sequencer-1

op-conductor keeps one snapshot: when the newest can't be loaded, it does not
start.

Exit status:
  0  shown
  1  check: the newest can't be loaded
  2  inconclusive: unknown directory or snapshot, or an I/O error";

/// Show and check the snapshots of a server
#[derive(Debug, Args)]
#[command(after_help = HELP, mut_arg("format", |arg| arg.global(true)))]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// A server's directory: <storage dir>/<server id>
    #[arg(long, value_name = "DIR", global = true)]
    state_dir: Option<PathBuf>,

    #[command(flatten)]
    format: FormatOption,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All snapshots, the newest first (the default)
    List,
    /// One snapshot: members, block, checksum
    Show {
        /// Its name [default: the newest]
        id: Option<String>,
    },
    /// Whether raft and op-conductor can load them
    Check,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let state_dir = self.state_dir.as_deref().ok_or_else(|| Failure::unable(anyhow!("--state-dir is missing")))?;
        if !state_dir.is_dir() {
            return Err(Failure::unable(anyhow!("--state-dir: {} is not a directory", state_dir.display())));
        }
        let directory = state_dir.join(SNAPSHOTS_DIR);
        let listed = snapshots::list(&directory).with_context(|| directory.display().to_string());
        let snapshots = listed.map_err(Failure::unable)?;
        match &self.verb {
            None | Some(Verb::List) => self.list(&directory, &snapshots),
            Some(Verb::Show { id }) => self.show(&directory, &snapshots, id.as_deref()),
            Some(Verb::Check) => self.check(&directory, &snapshots),
        }
    }

    fn list(&self, directory: &Path, snapshots: &Snapshots) -> Result<Verdict, Failure> {
        let read = |meta: &SnapshotMeta| StateFile::read(&directory.join(&meta.directory)).ok();
        match self.format.get() {
            Format::Json => {
                let list = snapshots.listed.iter().map(|meta| Snapshot::new(meta, read(meta)));
                let ignored = snapshots.ignored.iter().map(|(name, why)| Ignored { name, reason: why.to_string() });
                print_json(&List { snapshots: list.collect(), ignored: ignored.collect() })?;
            }
            Format::Text => {
                let row = |meta: &SnapshotMeta| {
                    let state = read(meta);
                    let block = state.and_then(|state| state.head.ok());
                    let sound = state.is_some_and(|state| meta.crc == state.crc.to_be_bytes());
                    vec![
                        meta.id.clone(),
                        meta.index.to_string(),
                        meta.term.to_string(),
                        bytes(meta.size),
                        block.map_or_else(|| "-".to_owned(), |head| head.number.to_string()),
                        meta.configuration.servers.len().to_string(),
                        if sound { "right" } else { "WRONG" }.to_owned(),
                    ]
                };
                let header = ["ID", "INDEX", "TERM", "SIZE", "BLOCK", "MEMBERS", "CHECKSUM"];
                let mut text = match snapshots.listed.as_slice() {
                    [] => "No snapshots.\n".to_owned(),
                    listed => table(&header, listed.iter().map(row)),
                };
                for (name, reason) in &snapshots.ignored {
                    _ = writeln!(text, "  {name}: raft ignores it: {reason}");
                }
                print(&text)?;
            }
        }
        Ok(Verdict::Fine)
    }

    fn show(&self, directory: &Path, snapshots: &Snapshots, id: Option<&str>) -> Result<Verdict, Failure> {
        let found = match id {
            Some(id) => snapshots.listed.iter().find(|meta| meta.directory == id || meta.id == id),
            None => snapshots.listed.first(),
        };
        let Some(meta) = found else {
            let names: Vec<&str> = snapshots.listed.iter().map(|meta| meta.directory.as_str()).collect();
            let error = anyhow!("{}: no snapshot {}", directory.display(), id.unwrap_or("at all"));
            let hint = (!names.is_empty()).then(|| format!("there are {}", names.join(", ")));
            return Err(Failure::unable(error).with_hint(hint));
        };
        let state = StateFile::read(&directory.join(&meta.directory)).ok();
        match self.format.get() {
            Format::Json => print_json(&Snapshot::new(meta, state))?,
            Format::Text => print(&text(meta, state))?,
        }
        Ok(Verdict::Fine)
    }

    fn check(&self, directory: &Path, snapshots: &Snapshots) -> Result<Verdict, Failure> {
        let newest_first = snapshots.listed.iter().enumerate();
        let findings: Vec<Finding> =
            newest_first.flat_map(|(place, meta)| snapshots::check(directory, meta, place == 0)).collect();
        let is_bad = findings.iter().any(|finding| finding.severity == Severity::Error);
        let verdict = if is_bad { Verdict::Bad } else { Verdict::Fine };
        match self.format.get() {
            Format::Json => {
                print_json(&Check { verdict, snapshot_count: snapshots.listed.len(), findings: &findings })?;
            }
            Format::Text => {
                let mut text = String::new();
                for finding in &findings {
                    text += &format!(
                        "{}  {}  {}\n{}",
                        finding.severity,
                        finding.id,
                        finding.place,
                        wrapped(&finding.message)
                    );
                    text += &finding.hint.as_ref().map_or_else(String::new, |hint| wrapped(&format!("hint: {hint}")));
                }
                let word = if is_bad { "NOT fine" } else { "fine" };
                let looked = count(snapshots.listed.len() as u64, "snapshot", "snapshots");
                let found = count(findings.len() as u64, "finding", "findings");
                print(&(text + &format!("Verdict: {word}: {looked}, {found}.\n")))?;
            }
        }
        Ok(verdict)
    }
}

fn text(meta: &SnapshotMeta, state: Option<StateFile>) -> String {
    let mut text = format!("Snapshot {}\n\n", meta.id);
    let found = match state {
        None => "state.bin can't be read".to_owned(),
        Some(state) if meta.crc == state.crc.to_be_bytes() => format!("{}, right", const_hex::encode(&meta.crc)),
        Some(state) => format!("{}, but state.bin has {:016x}", const_hex::encode(&meta.crc), state.crc),
    };
    let block = match state.map(|state| state.head) {
        None => "unknown".to_owned(),
        Some(Ok(head)) => head.to_string(),
        Some(Err(error)) => error.to_string(),
    };
    for (name, value) in [
        ("Index", meta.index.to_string()),
        ("Term", meta.term.to_string()),
        ("Size", bytes(meta.size)),
        ("Checksum", found),
        ("Block", block),
    ] {
        _ = writeln!(text, "  {name:<9} {value}");
    }
    _ = writeln!(text, "\nMembers, of entry {}:", meta.configuration_index);
    let row = |server: &op_conductor_init::raft::Server| {
        vec![server.id.clone(), server.suffrage.to_string(), server.address.clone()]
    };
    text + &table(&["ID", "SUFFRAGE", "ADDRESS"], meta.configuration.servers.iter().map(row))
}
