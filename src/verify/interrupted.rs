//! What an interrupted call of this tool left behind.

use std::path::Path;

use crate::durable::{self, Decided};
use crate::report::{Finding, Severity};

/// Whether `path` has a staging directory.
pub(super) fn is_pending(path: &Path) -> bool {
    durable::pending(path).is_ok_and(|pending| !pending.is_empty())
}

/// Reports replacements that were begun and neither finished nor undone; the next command that writes settles them.
pub(super) fn check(path: &Path, findings: &mut Vec<Finding>) {
    let hint = "run the command that was interrupted again: a command that writes settles this first";
    let found = match durable::pending(path) {
        Ok(pending) => pending,
        Err(error) => {
            findings.push(Finding::new(
                "NODE-005",
                Severity::Warning,
                format!("what an interrupted call left behind can't be read: {error}"),
            ));
            return;
        }
    };
    for pending in found {
        let stage = pending.stage.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let finding = match &pending.decided {
            Decided::Unknown => {
                let message = format!(
                    "a call by another user ({}) is at work or was interrupted, and its stage can't be read",
                    pending.uid
                );
                Finding::new("NODE-005", Severity::Warning, message)
            }
            Decided::Entries(journal) => {
                let entries: Vec<&str> = journal.entries.iter().map(|entry| entry.name.as_str()).collect();
                let message = format!(
                    "a replacement was interrupted half-way: some of {} may be old and some new",
                    entries.join(", ")
                );
                Finding::new("NODE-004", Severity::Error, message)
            }
            Decided::Nothing => Finding::new(
                "NODE-005",
                Severity::Warning,
                "a call was interrupted before it changed anything, or is still running",
            ),
        };
        findings.push(finding.in_file(&stage).hint(hint));
    }
}
