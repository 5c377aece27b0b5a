//! `restore`: a backup in the place of servers' directories.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use op_conductor_init::backup::Backup;
use op_conductor_init::restore::{self, Error, FileChange, GUARDS, NodeChange, Plan, Rename};
use serde_json::json;

use super::args::{FormatOption, LockTimeoutOption, OwnerOption, StateDirOption};
use super::failure::{Failure, directory_hint, server_hint};
use super::generate::talk_about_recovery;
use super::progress::Bar;
use super::prompt::confirmed;
use super::text::{bytes, count, table};
use super::values::Format;
use super::verify::finding_text;
use super::{Outcome, answer, answer_after, talk};

/// So many files are shown to people.
const MOST_FILES: usize = 40;

const HELP: &str = "\
Examples:
  See what a restore would do:
    op-conductor-init restore --dry-run \\
      --backup-dir /backups/raft-backup-20260131-235959 --state-dir ./raft-state

  One server of it, asked nothing:
    op-conductor-init restore --node sequencer-1 --force \\
      --backup-dir /backups/raft-backup-20260131-235959.tar.zst \\
      --state-dir /data/raft

  All servers, under other addresses:
    op-conductor-init restore --backup-dir BACKUP --state-dir ./raft-state \\
      --rename-address seq1.old:50050=seq1.new:50050 \\
      --rename-address seq2.old:50050=seq2.new:50050

What would make things worse is refused: each reason has an id, which --allow
takes. explain ID says more about it. --force only spares the question.

Exit status:
  0  restored; with --dry-run, could be
  1  refused or declined; nothing was changed
  2  could not: wrong usage, or an I/O error; nothing was changed";

/// Put a backup in the place of a server's state, or of all servers'
///
/// The backup is staged inside the state directory, compared with its manifest and verified before anything is asked. Then
/// all servers are swapped in, or none. What was there is kept in .replaced-<time>.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    /// The backup: a directory or an archive, never the directory that holds several
    #[arg(long, value_name = "BACKUP")]
    backup_dir: PathBuf,

    #[command(flatten)]
    state_dir: StateDirOption,

    /// Restore this server of the backup alone
    #[arg(long, value_name = "ID")]
    node: Option<String>,

    /// Don't ask. No guard is overridden by that
    #[arg(long)]
    force: bool,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Let this guard not count: repeat for several
    #[arg(long, value_name = "ID", value_parser = PossibleValuesParser::new(GUARDS), ignore_case = true)]
    allow: Vec<String>,

    /// State of other servers of the cluster, to see that this one doesn't fall behind them: repeat for several
    #[arg(long, value_name = "DIR")]
    peer_state: Vec<PathBuf>,

    /// Another id for a server, in all nodes of the backup: repeat for several
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    rename_server: Vec<(String, String)>,

    /// Another address for a server, in all nodes of the backup: repeat for several
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    rename_address: Vec<(String, String)>,

    #[command(flatten)]
    owner: OwnerOption,

    /// Remove what was there, once the backup is in its place
    #[arg(long)]
    discard_replaced: bool,

    #[command(flatten)]
    lock_timeout: LockTimeoutOption,

    #[command(flatten)]
    format: FormatOption,
}

/// `old=new`, both not empty.
fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(old, new)| !old.is_empty() && !new.is_empty());
    parts.map(|(old, new)| (old.to_owned(), new.to_owned())).ok_or_else(|| "expected OLD=NEW".to_owned())
}

impl Options {
    pub(super) fn run(&self) -> Result<Outcome, Failure> {
        // What is no backup is told before there is talk of asking.
        Backup::open(&self.backup_dir).map_err(|error| failure(error.into()))?;
        if !(self.force || self.dry_run || io::stdin().is_terminal()) {
            let error = anyhow::anyhow!("there is no terminal to ask on, and no --force: nothing was changed");
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
            talk(format_args!("note: not a file of raft's, and not restored: {}", prepared.plan.left_out.join(", ")));
        }
        let refused = !prepared.plan.refused_by.is_empty();
        if self.dry_run || refused {
            self.answer(&prepared.plan, "planned", None)?;
            return if refused { Err(refusal(&prepared.plan)) } else { Ok(Outcome::Fine) };
        }
        if self.discard_replaced
            && let Some(node) = prepared.plan.nodes.iter().find(|node| node.now_unreadable.is_some())
        {
            let error =
                anyhow::anyhow!("what {} has can't be read, so it is not discarded: nothing was changed", node.id);
            return Err(Failure::refused(error).with_hint(Some("restore without --discard-replaced")));
        }
        if self.format.get() == Format::Text {
            answer(&text(&prepared.plan))?;
        }
        if !self.force && !confirmed("Continue with the restore?")? {
            talk("declined: nothing was changed");
            return Ok(Outcome::Bad);
        }
        let (plan, committed) = prepared.commit();
        let committed = committed.map_err(failure)?;
        committed.iter().flat_map(|committed| &committed.recovered).for_each(talk_about_recovery);
        let replaced = match committed.and_then(|committed| committed.replaced) {
            Some(replaced) if self.discard_replaced => super::compact::discard(replaced, "restored")?,
            replaced => replaced,
        };
        match self.format.get() {
            Format::Json => {
                self.answer(&plan, "restored", replaced.as_deref()).map_err(|failure| failure.after("restored"))?;
            }
            Format::Text => {
                let kept = replaced.map(|path| format!(" What was there is in {}.", path.display()));
                let servers = count(plan.nodes.len() as u64, "server", "servers");
                answer_after("restored", &format!("Restored {servers}.{}\n", kept.unwrap_or_default()))?;
            }
        }
        Ok(Outcome::Fine)
    }

    fn answer(&self, plan: &Plan, status: &str, replaced: Option<&std::path::Path>) -> Result<(), Failure> {
        answer(&match self.format.get() {
            Format::Text => text(plan),
            Format::Json => format!("{:#}\n", json!({"status": status, "plan": plan, "replaced": replaced})),
        })
    }
}

fn refusal(plan: &Plan) -> Failure {
    let flags: Vec<String> = plan.refused_by.iter().map(|id| format!("--allow {id}")).collect();
    let error = anyhow::anyhow!("refused by {}: nothing was changed", plan.refused_by.join(", "));
    let hint = format!("explain ID says more of each; to restore all the same: {}", flags.join(" "));
    Failure::refused(error).with_hint(Some(hint))
}

fn text(plan: &Plan) -> String {
    let mut text = format!("{} to {}\n\n", plan.backup.display(), plan.root.display());
    if !plan.nodes.is_empty() {
        text += &table(&["SERVER", "", "TERM", "LAST", "OF TERM", "BLOCK"], plan.nodes.iter().flat_map(node_rows));
        text.push('\n');
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
    if is_refusal { Failure::refused(error) } else { Failure::unable(error) }.with_hint(hint)
}
