//! One server's directory, copied into a backup: byte for byte when its node is stopped, else as `live` does.

use super::draft::Draft;
use super::error::Error;
use super::live;
use crate::state::StateDir;
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::state::lock_shared;

/// How a server was copied.
#[derive(Debug, Default)]
pub(super) struct CopiedServer {
    /// Whether its node was running.
    pub(super) running: bool,
    /// Names of the databases whose copies have the same entries in other bytes.
    pub(super) rewritten: Vec<String>,
}

/// Copies the server in `dir`.
pub(super) fn copy_server(draft: &mut Draft<'_>, dir: &StateDir) -> Result<CopiedServer, Error> {
    // Held until all of it is copied.
    let Some(_not_running) = lock_shared(dir)? else {
        let rewritten = live::copy_server(draft, dir)?;
        return Ok(CopiedServer { running: true, rewritten });
    };
    let id = dir.id();
    draft.create_directory(dir.path(), id)?;
    draft.copy_database(&dir.log_path(), &format!("{id}/{LOG_FILE}"))?;
    draft.copy_database(&dir.stable_path(), &format!("{id}/{STABLE_FILE}"))?;
    let snapshots = dir.snapshots_path();
    if snapshots.is_dir() {
        draft.copy_tree(&snapshots, &format!("{id}/{SNAPSHOTS_DIR}"))?;
    }
    Ok(CopiedServer::default())
}
