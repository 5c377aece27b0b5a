//! The answers for programs: a type for each verb. docs/schema has a schema for each; `output` adds `format_version`.
//!
//! Keys are only ever added. A path that isn't UTF-8 is shown as people see it, with U+FFFD for what isn't text.

pub(super) mod backups;
pub(super) mod generate;
pub(super) mod log;
pub(super) mod pages;
#[cfg(feature = "payload")]
pub(super) mod recover;
pub(super) mod snapshot;
pub(super) mod state;

use std::path::Path;

/// A path as a string, whatever bytes it has.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
