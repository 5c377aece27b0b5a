//! Files that an answer is written to besides standard output.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use op_conductor_init::cluster::CLUSTER_FILE;
use op_conductor_init::durable::parent;
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use tempfile::NamedTempFile;

/// Writes a file beside its place, and puts it there when it is complete: what was there stays whole until then, and a
/// symbolic link is replaced, not followed.
pub(super) fn write_file(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    write(path, text).with_context(|| path.display().to_string())
}

fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().context("expected the name of a file")?;
    if [LOG_FILE, STABLE_FILE, CLUSTER_FILE].iter().any(|taken| name == *taken) || name == "-" {
        bail!("expected the name of a file that is not a server's state");
    }
    if path.symlink_metadata().is_ok_and(|there| !there.is_file() && !there.is_symlink()) {
        bail!("expected a regular file, or none");
    }
    let mut file = NamedTempFile::new_in(parent(path))?;
    file.write_all(text)?;
    publish(file, path)
}

/// Puts a complete file in its place.
pub(super) fn publish(file: NamedTempFile, path: &Path) -> anyhow::Result<()> {
    // A temporary file is its owner's alone; a report is for all who may read there.
    fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
