//! Answers of `backup`, `backups`, `restore` and `compact`.

use std::path::Path;

use op_conductor_init::backup::{self, Listed, Manifest, Pruned, Verified};
use op_conductor_init::compact::Compacted;
use op_conductor_init::report::Finding;
use op_conductor_init::restore::Plan;
use op_conductor_init::verify::Counts;
use serde::Serialize;

use super::shown;
use crate::cli::Verdict;

/// `backup`.
#[derive(Serialize)]
pub(in crate::cli) struct Backup<'a> {
    backup: String,
    manifest: &'a Manifest,
    /// What was found in the source already.
    findings: &'a [Finding],
    left_out: Vec<String>,
}

impl Backup<'_> {
    pub(in crate::cli) fn new(made: &backup::Outcome) -> Backup<'_> {
        Backup {
            backup: shown(&made.path),
            manifest: &made.manifest,
            findings: &made.findings,
            left_out: made.left_out.iter().map(|path| shown(path)).collect(),
        }
    }
}

/// `backups list`.
#[derive(Serialize)]
pub(in crate::cli) struct List<'a> {
    backup_dir: String,
    backups: &'a [Listed],
}

impl List<'_> {
    pub(in crate::cli) fn new<'a>(backup_dir: &Path, backups: &'a [Listed]) -> List<'a> {
        List { backup_dir: shown(backup_dir), backups }
    }
}

/// `backups verify`.
#[derive(Serialize)]
pub(in crate::cli) struct Verification<'a> {
    backup: String,
    verdict: Verdict,
    counts: Counts,
    /// Whether the Go tool made it, without hashes.
    by_ancestor: bool,
    manifest: &'a Manifest,
    findings: &'a [Finding],
}

impl Verification<'_> {
    pub(in crate::cli) fn new<'a>(backup: &Path, verified: &'a Verified, verdict: Verdict) -> Verification<'a> {
        Verification {
            backup: shown(backup),
            verdict,
            counts: verified.report.counts(),
            by_ancestor: verified.backup.by_ancestor(),
            manifest: verified.backup.manifest(),
            findings: &verified.report.findings,
        }
    }
}

/// `backups prune`.
#[derive(Serialize)]
pub(in crate::cli) struct Pruning<'a> {
    pub(in crate::cli) dry_run: bool,
    pub(in crate::cli) pruned: &'a Pruned,
}

/// `restore`.
#[derive(Serialize)]
pub(in crate::cli) struct Restore<'a> {
    pub(in crate::cli) status: RestoreStatus,
    pub(in crate::cli) plan: &'a Plan,
    /// Where the state from before is.
    pub(in crate::cli) replaced: Option<String>,
}

/// What became of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum RestoreStatus {
    /// It could be done.
    Planned,
    Restored,
    /// A guard refuses it.
    Refused,
    /// The answer to the question was not yes.
    Declined,
}

/// `compact`.
#[derive(Serialize)]
pub(in crate::cli) struct Compaction<'a> {
    files: &'a [Compacted],
    /// Where the state from before is.
    replaced: Option<String>,
}

impl Compaction<'_> {
    pub(in crate::cli) fn new<'a>(files: &'a [Compacted], replaced: Option<&Path>) -> Compaction<'a> {
        Compaction { files, replaced: replaced.map(shown) }
    }
}
