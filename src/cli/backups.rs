//! `backups`: what backups there are, whether they can be trusted, and removing old ones.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use op_conductor_init::backup::{self, Listed};
use op_conductor_init::report::Severity;

use super::answer::backups as answer;
use super::args::FormatOption;
use super::backup::{failure, row};
use super::failure::{Failure, Verdict};
use super::output::{notice, print, print_json};
use super::progress::Bar;
use super::text::{bytes, count, table};
use super::values::Format;
use super::verify::finding_text;

const HELP: &str = "\
Examples:
  op-conductor-init backups list /backups
  op-conductor-init backups verify /backups/raft-backup-20260131-235959
  op-conductor-init backups prune /backups --keep 14

Exit status:
  0  fine
  1  verify found an error, or it is not a backup
  2  inconclusive: wrong usage, or an I/O error";

/// List, verify or prune backups
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(ListOptions),
    Verify(VerifyOptions),
    Prune(PruneOptions),
}

/// List the backups in a directory, by their manifests
#[derive(Debug, Args)]
struct ListOptions {
    /// The directory (backup's --backup-dir)
    #[arg(value_name = "DIR")]
    backup_dir: PathBuf,

    #[command(flatten)]
    format: FormatOption,
}

/// Verify a backup: each byte against its manifest, then the state in it
///
/// An archive is unpacked to the directory for temporary files (TMPDIR) for that.
#[derive(Debug, Args)]
struct VerifyOptions {
    /// A backup: directory or archive
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,

    #[command(flatten)]
    format: FormatOption,
}

/// Remove old backups, but never the last one that verifies
///
/// Directories without a manifest of this tool are left alone, and so are symbolic links. When a backup can't be read because of an
/// I/O error, nothing is removed.
#[derive(Debug, Args)]
struct PruneOptions {
    /// The directory (backup's --backup-dir)
    #[arg(value_name = "DIR")]
    backup_dir: PathBuf,

    /// How many of the newest backups to keep, of each set of servers
    #[arg(long, value_name = "N")]
    keep: NonZeroUsize,

    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        match &self.verb {
            Verb::List(list) => list.run(),
            Verb::Verify(verify) => verify.run(),
            Verb::Prune(prune) => prune.run(),
        }
    }
}

impl ListOptions {
    fn run(&self) -> Result<Verdict, Failure> {
        let listed = backup::list(&self.backup_dir).map_err(failure)?;
        match self.format.get() {
            Format::Text => {
                let header = ["NAME", "CREATED", "SERVERS", "TERM", "LAST", "BLOCK", "SIZE"];
                let of = count(listed.len() as u64, "backup", "backups");
                let rows = listed.iter().map(list_row);
                print(&format!("{}{of} in {}.\n", table(&header, rows), self.backup_dir.display()))?;
            }
            Format::Json => print_json(&answer::List::new(&self.backup_dir, &listed))?,
        }
        Ok(Verdict::Fine)
    }
}

/// One row: the highest number over all nodes in each column.
pub(super) fn list_row(it: &Listed) -> Vec<String> {
    if let Some(problem) = &it.problem {
        return vec![it.name.clone(), format!("unreadable: {problem}")];
    }
    let highest = |of: &dyn Fn(&backup::NodeEntry) -> Option<u64>| {
        it.nodes.iter().filter_map(of).max().map_or_else(|| "-".to_owned(), |number| number.to_string())
    };
    let ids: Vec<&str> = it.nodes.iter().map(|node| node.id.as_str()).collect();
    vec![
        it.name.clone(),
        it.created.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        ids.join(", "),
        highest(&|node| (!it.by_ancestor).then_some(node.info.current_term)),
        highest(&|node| node.info.last_index),
        highest(&|node| node.info.unsafe_head.as_ref().map(|head| head.number)),
        it.size.map_or_else(String::new, bytes),
    ]
}

impl VerifyOptions {
    fn run(&self) -> Result<Verdict, Failure> {
        let verified = backup::verify(&self.backup, None, &Bar::bytes("verify")).map_err(failure)?;
        let (manifest, report) = (verified.backup.manifest(), &verified.report);
        let verdict = if report.counts().errors > 0 { Verdict::Bad } else { Verdict::Fine };
        match self.format.get() {
            Format::Text => {
                let mut text = format!("{}: {}\n\n", self.backup.display(), of(manifest));
                text += &table(&["ID", "TERM", "LOG", "BLOCK", "SNAPSHOTS", "COPIED"], manifest.nodes.iter().map(row));
                text.push('\n');
                text.extend(report.findings.iter().map(finding_text));
                let worst = report.findings.iter().map(|finding| finding.severity).max();
                text += match worst {
                    None => "Verdict: fine, nothing found.\n",
                    Some(Severity::Error) => "Verdict: NOT fine: do not restore it.\n",
                    Some(_) => "Verdict: fine.\n",
                };
                print(&text)?;
            }
            Format::Json => print_json(&answer::Verification::new(&self.backup, &verified, verdict))?,
        }
        Ok(verdict)
    }
}

fn of(manifest: &backup::Manifest) -> String {
    let servers = count(manifest.nodes.len() as u64, "server", "servers");
    let time = manifest.created.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("{servers}, {}, made {time} of {}", bytes(manifest.total_size()), manifest.source)
}

impl PruneOptions {
    fn run(&self) -> Result<Verdict, Failure> {
        let pruned = backup::prune(&self.backup_dir, self.keep.get(), self.dry_run).map_err(failure)?;
        for name in &pruned.last_sound {
            notice(format_args!("note: {name} is kept too: no newer backup of its servers verifies"));
        }
        if !pruned.none_sound.is_empty() {
            let names = pruned.none_sound.join(", ");
            notice(format_args!("note: kept, because no backup of their servers verifies: {names}"));
        }
        if !pruned.cleaned.is_empty() {
            let word = if self.dry_run { "would be removed" } else { "removed" };
            notice(format_args!("note: {word} too, left by calls that were killed: {}", pruned.cleaned.join(", ")));
        }
        if !pruned.left.is_empty() {
            notice(format_args!("note: left alone, without a manifest that can be read: {}", pruned.left.join(", ")));
        }
        match self.format.get() {
            Format::Text => {
                let word = if self.dry_run { "would remove" } else { "removed" };
                let lines: String = pruned.removed.iter().map(|name| format!("{word} {name}\n")).collect();
                let (gone, kept) = (pruned.removed.len() as u64, pruned.kept.len() as u64);
                print(&format!(
                    "{lines}{} {}, {kept} kept.\n",
                    count(gone, "backup", "backups"),
                    word.replace("would remove", "would be removed")
                ))
                .map_err(|it| it.after("pruned"))?;
            }
            Format::Json => print_json(&answer::Pruning { dry_run: self.dry_run, pruned: &pruned })
                .map_err(|it| it.after("pruned"))?,
        }
        Ok(Verdict::Fine)
    }
}
