//! `restore`: a backup in the place of servers' directories.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use op_conductor_init::backup::Backup;
use op_conductor_init::restore::{self, Error, FileChange, GUARDS, NodeChange, Plan, Rename};

use super::answer::backups::{Restore as Answer, RestoreStatus};
use super::answer::shown;
use super::args::{FormatOption, LockTimeoutOption, OwnerOption, StateDirOption};
use super::failure::{Failure, Verdict, directory_hint, server_hint};
use super::generate::report_recovery;
use super::output::{notice, print, print_before_question, print_json};
use super::progress::Bar;
use super::prompt::confirmed;
use super::text::{bytes, count, table};
use super::values::Format;
use super::verify::finding_text;

/// How many files are shown to people.
const MOST_FILES: usize = 40;

const HELP: &str = "\
Examples:
  Show what a restore would do:
    op-conductor-init restore --dry-run \\
      --backup-dir /backups/raft-backup-20260131-235959 --state-dir ./raft-state

  Restore one server without a prompt:
    op-conductor-init restore --node sequencer-1 --force \\
      --backup-dir /backups/raft-backup-20260131-235959.tar.zst \\
      --state-dir /data/raft

  Restore all servers with new addresses:
    op-conductor-init restore --backup-dir BACKUP --state-dir ./raft-state \\
      --rename-address seq1.old:50050=seq1.new:50050 \\
      --rename-address seq2.old:50050=seq2.new:50050

A restore that would make things worse is refused. Each reason has an id that
--allow takes, and explain ID says more. --force only skips the prompt.

Exit status:
  0  restored; with --dry-run: would be restored
  1  refused or declined; nothing was changed
  2  failed: wrong usage, or an I/O error; nothing was changed";

/// Replace the state of one server, or of all servers, by a backup
///
/// The backup is staged inside the state directory, compared with its manifest and verified before the prompt. Then either
/// all servers are swapped in or none. The old state is kept in .replaced-<time>.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    /// The backup: a directory or an archive, not the directory that has several
    #[arg(long, value_name = "BACKUP")]
    backup_dir: PathBuf,

    #[command(flatten)]
    state_dir: StateDirOption,

    /// Restore only this server of the backup
    #[arg(long, value_name = "ID")]
    node: Option<String>,

    /// Skip the confirmation; guards still apply
    #[arg(long)]
    force: bool,

    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Override this guard. Repeatable
    #[arg(long, value_name = "ID", value_parser = PossibleValuesParser::new(GUARDS), ignore_case = true)]
    allow: Vec<String>,

    /// State of other servers of the cluster, to check that the backup is not older than theirs. Repeatable
    #[arg(long, value_name = "DIR")]
    peer_state: Vec<PathBuf>,

    /// New id for a server, in all nodes of the backup. Repeatable
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    rename_server: Vec<(String, String)>,

    /// New address for a server, in all nodes of the backup. Repeatable
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    rename_address: Vec<(String, String)>,

    #[command(flatten)]
    owner: OwnerOption,

    /// Remove the old state once the backup is in place
    #[arg(long)]
    discard_replaced: bool,

    #[command(flatten)]
    lock_timeout: LockTimeoutOption,

    #[cfg(feature = "payload")]
    #[command(flatten)]
    client: super::head::ClientOptions,

    #[command(flatten)]
    format: FormatOption,
}

/// `old=new`, both not empty.
fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(old, new)| !old.is_empty() && !new.is_empty());
    parts.map(|(old, new)| (old.to_owned(), new.to_owned())).ok_or_else(|| "expected OLD=NEW".to_owned())
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        // What is not a backup is reported before the prompt.
        Backup::open(&self.backup_dir).map_err(|error| failure(error.into()))?;
        if !(self.force || self.dry_run || io::stdin().is_terminal()) {
            let error = anyhow::anyhow!("standard input is not a terminal: pass --force to skip the prompt");
            return Err(Failure::refused(error).with_hint(Some("--dry-run shows what would be done")));
        }
        let rename = Rename { servers: self.rename_server.clone(), addresses: self.rename_address.clone() };
        let options = restore::Options {
            backup: &self.backup_dir,
            state_dir: self.state_dir.path(),
            node: self.node.as_deref(),
            owner: self.owner.get(),
            allow: &self.allow,
            peer_states: &self.peer_state,
            rename: &rename,
            lock_timeout: self.lock_timeout.get(),
        };
        let prepared = restore::prepare(&options, &Bar::bytes("restore")).map_err(failure)?;
        if !prepared.plan.left_out.is_empty() {
            notice(format_args!("note: not a file of raft's, and not restored: {}", prepared.plan.left_out.join(", ")));
        }
        #[cfg(feature = "payload")]
        super::restored_head::check(&prepared.plan, &self.backup_dir, self.client.latest()?)?;
        let refused = !prepared.plan.refused_by.is_empty();
        if self.dry_run || refused {
            let status = if refused { RestoreStatus::Refused } else { RestoreStatus::Planned };
            self.answer(&prepared.plan, status, None)?;
            return if refused { Err(refusal(&prepared.plan)) } else { Ok(Verdict::Fine) };
        }
        if self.discard_replaced
            && let Some(node) = prepared.plan.nodes.iter().find(|node| node.now_unreadable.is_some())
        {
            let error =
                anyhow::anyhow!("what {} has can't be read, so it is not discarded: nothing was changed", node.id);
            return Err(Failure::refused(error).with_hint(Some("restore without --discard-replaced")));
        }
        if self.format.get() == Format::Text {
            let text = text(&prepared.plan);
            if self.force { print(&text) } else { print_before_question(&text) }?;
        }
        if !self.force && !confirmed("Continue with the restore?")? {
            notice("declined: nothing was changed");
            if self.format.get() == Format::Json {
                self.answer(&prepared.plan, RestoreStatus::Declined, None)?;
            }
            return Ok(Verdict::Bad);
        }
        let (plan, committed) = prepared.commit();
        let committed = committed.map_err(failure)?;
        committed.iter().flat_map(|committed| &committed.recovered).for_each(report_recovery);
        let replaced = match committed.and_then(|committed| committed.replaced) {
            Some(replaced) if self.discard_replaced => super::compact::discard(replaced, "restored")?,
            replaced => replaced,
        };
        match self.format.get() {
            Format::Json => {
                self.answer(&plan, RestoreStatus::Restored, replaced.as_deref()).map_err(|it| it.after("restored"))?;
            }
            Format::Text => {
                let kept = replaced.map(|path| format!(" The old state is in {}.", path.display()));
                let servers = count(plan.nodes.len() as u64, "server", "servers");
                print(&format!("Restored {servers}.{}\n", kept.unwrap_or_default()))
                    .map_err(|it| it.after("restored"))?;
            }
        }
        Ok(Verdict::Fine)
    }

    fn answer(&self, plan: &Plan, status: RestoreStatus, replaced: Option<&Path>) -> Result<(), Failure> {
        match self.format.get() {
            Format::Text => print(&text(plan)),
            Format::Json => print_json(&Answer { status, plan, replaced: replaced.map(shown) }),
        }
    }
}

fn refusal(plan: &Plan) -> Failure {
    let flags: Vec<String> = plan.refused_by.iter().map(|id| format!("--allow {id}")).collect();
    let error = anyhow::anyhow!("refused by {}: nothing was changed", plan.refused_by.join(", "));
    let hint = format!("explain ID says more about each; to restore anyway: {}", flags.join(" "));
    Failure::refused(error).with_hint(Some(hint)).after_answer()
}

fn text(plan: &Plan) -> String {
    let mut text = format!("{} to {}\n\n", plan.backup.display(), plan.root.display());
    if !plan.nodes.is_empty() {
        text += &table(&["SERVER", "", "TERM", "LAST", "OF TERM", "BLOCK"], plan.nodes.iter().flat_map(node_rows));
        text.push('\n');
    }
    #[cfg(feature = "payload")]
    {
        text += &super::restored_head::text(plan);
    }
    if !plan.files.is_empty() {
        text += &table(&["FILE", "NOW", "AFTER"], plan.files.iter().take(MOST_FILES).map(file_row));
        if let Some(more @ 1..) = plan.files.len().checked_sub(MOST_FILES) {
            text += &format!("  and {more} more\n");
        }
        text.push('\n');
    }
    text.extend(plan.findings.iter().map(finding_text));
    text
}

fn node_rows(node: &NodeChange) -> [Vec<String>; 2] {
    let row = |id: &str, when: &str, info: Option<&op_conductor_init::backup::NodeInfo>, none: &str| {
        let Some(info) = info else {
            return vec![id.to_owned(), when.to_owned(), none.to_owned()];
        };
        let last = info.snapshots.iter().map(|snapshot| snapshot.index).chain(info.last_index).max();
        vec![
            id.to_owned(),
            when.to_owned(),
            info.current_term.to_string(),
            last.map_or_else(|| "-".to_owned(), |last| last.to_string()),
            info.last_term.to_string(),
            info.unsafe_head.as_ref().map_or_else(|| "-".to_owned(), |head| head.number.to_string()),
        ]
    };
    let none = if node.now_unreadable.is_some() { "unreadable" } else { "nothing" };
    [row(&node.id, "now", node.now.as_ref(), none), row("", "after", node.after.as_ref(), "unreadable")]
}

fn file_row(file: &FileChange) -> Vec<String> {
    let size = |size: Option<u64>, none: &str| size.map_or_else(|| none.to_owned(), bytes);
    vec![file.path.display().to_string(), size(file.now, "-"), size(file.after, "gone")]
}

fn failure(error: Error) -> Failure {
    if let Error::Backup(error) = error {
        return super::backup::failure(error);
    }
    let hint = match &error {
        Error::OneDirectory { .. } => Some("--node restores one of them"),
        Error::Durable(error) => directory_hint(error),
        Error::State(error) => server_hint(error),
        error => error.hint(),
    };
    let is_refusal = error.is_refusal();
    let error = match error {
        Error::UnknownNode { .. } => anyhow::Error::new(error).context("--node"),
        error => anyhow::Error::new(error),
    };
    Failure::refused_if(is_refusal, error).with_hint(hint)
}
