//! `backup`: a copy of servers' directories that can be trusted.

use std::path::PathBuf;

use clap::Args;
use op_conductor_init::backup::{self, Error, Form, NodeEntry};

use super::answer::backups::Backup as Answer;
use super::args::{FormatOption, LockTimeoutOption, StateDirOption};
use super::failure::{Failure, Verdict};
use super::output::{notice, print, print_json};
use super::progress::Bar;
use super::text::{bytes, count, table};
use super::values::Format;
use super::verify::finding_text;

const HELP: &str = "\
Examples:
  One server, or all that are in a directory:
    op-conductor-init backup --state-dir ./raft-state --backup-dir /backups

  Each night on the machine of a running node, as one file:
    op-conductor-init backup --state-dir /data/raft/sequencer-1 \\
      --backup-dir /backups --archive

Running nodes need not be stopped. Back up all nodes of a cluster together:
restore brings back all of them, and is stricter when it brings back one.

Exit status:
  0  made: <backup-dir>/raft-backup-<UTC time> is complete and verified
  1  refused: the state is damaged, or another command is working on it
  2  failed: wrong usage, no space, or an I/O error; nothing is left over";

/// Copy the state of a server, or of all in a directory, to a new directory, and verify the copy
///
/// A backup has both databases, the snapshots and cluster.json, with a manifest of sizes, owners and hashes. It appears
/// by one rename once it is complete, verified and on the disk. The state is only read.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    #[command(flatten)]
    state_dir: StateDirOption,

    /// Directory for the backups, outside of the state
    #[arg(long, value_name = "DIR")]
    backup_dir: PathBuf,

    /// Make one file, raft-backup-<UTC time>.tar.zst. Needs space for the directory too while it is made
    #[arg(long)]
    archive: bool,

    #[command(flatten)]
    lock_timeout: LockTimeoutOption,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let form = if self.archive { Form::Archive } else { Form::Directory };
        let made = backup::backup(
            self.state_dir.path(),
            &self.backup_dir,
            form,
            self.lock_timeout.get(),
            &Bar::bytes("backup"),
        );
        let made = made.map_err(failure)?;
        for path in &made.left_out {
            notice(format_args!("note: not part of raft's state, and not in the backup: {}", path.display()));
        }
        let done = format!("backed up to {}", made.path.display());
        match self.format.get() {
            Format::Text => print(&text(&made)).map_err(|it| it.after(&done))?,
            Format::Json => print_json(&Answer::new(&made)).map_err(|it| it.after(&done))?,
        }
        Ok(Verdict::Fine)
    }
}

fn text(made: &backup::Outcome) -> String {
    let mut text = format!("Backed up to {}\n\n", made.path.display());
    text += &table(&["ID", "TERM", "LOG", "BLOCK", "SNAPSHOTS", "COPIED"], made.manifest.nodes.iter().map(row));
    let files = count(made.manifest.files.len() as u64, "file", "files");
    text += &format!("{files}, {}; verified.\n", bytes(made.manifest.total_size()));
    if !made.findings.is_empty() {
        text += "\nFindings already present in the source:\n\n";
        text.extend(made.findings.iter().map(finding_text));
    }
    text
}

/// A server of a backup.
pub(super) fn row(node: &NodeEntry) -> Vec<String> {
    let info = &node.info;
    let log = info.first_index.zip(info.last_index).map(|(first, last)| format!("{first}..{last}"));
    let block = info.unsafe_head.as_ref().map(|head| head.number.to_string());
    let how = match (node.running, node.rewritten.is_empty()) {
        (false, _) => "while stopped",
        (true, true) => "while running",
        (true, false) => "while running, entry by entry",
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        node.id.clone(),
        info.current_term.to_string(),
        or_none(log),
        or_none(block),
        info.snapshots.len().to_string(),
        how.to_owned(),
    ]
}

/// Turns an error of backups into how the command ends.
pub(super) fn failure(error: Error) -> Failure {
    let hint = error.hint();
    let text = match &error {
        Error::NotSound { findings } => {
            let found: String =
                findings.iter().map(|finding| format!("\n\n{}", finding_text(finding).trim_end())).collect();
            Some(format!("{error}{found}"))
        }
        Error::Parent { names, .. } => {
            let list: String = names.iter().map(|name| format!("\n  {name}")).collect();
            Some(format!("{error}:{list}"))
        }
        _ => None,
    };
    let refused = error.is_refusal();
    let error = text.map_or_else(|| anyhow::Error::new(error), anyhow::Error::msg);
    Failure::refused_if(refused, error).with_hint(hint)
}
