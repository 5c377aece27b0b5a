//! Where each server of a backup goes.

use std::path::{Path, PathBuf};

use super::Error;
use crate::backup::{Layout, Manifest};
use crate::cluster::CLUSTER_FILE;
use crate::durable::IoError;
use crate::durable::Root;
use crate::raft::{META_FILE, STATE_FILE};
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE, parent_and_name};
use crate::state::{LOST_FOUND, Servers, StateDir, has_state};

/// Where the servers of one call go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The directory whose entries are replaced.
    pub(super) root: PathBuf,
    /// The directory above the only server's, when that is `root`.
    pub(super) above: Option<PathBuf>,
    /// The entries are not servers' directories, but the files of the only server.
    pub(super) inside: bool,
    /// Whether `root` is what the user named, and so holds the cluster.
    pub(super) is_state_dir: bool,
    /// Whether cluster.json is restored too.
    pub(super) has_cluster_file: bool,
    /// For each server its id in the backup, and the name of its directory.
    pub(super) nodes: Vec<(String, String)>,
}

impl Place {
    /// `ids` are those in the backup, with the ids that they will have; `only` is the server that was asked for.
    pub(super) fn find(
        state_dir: &Path,
        only: Option<&str>,
        manifest: &Manifest,
        ids: &[(String, String)],
    ) -> Result<Place, Error> {
        let looking = |source| Error::Io(IoError { doing: "looking at", path: state_dir.to_owned(), source });
        let all = || Place {
            root: state_dir.to_owned(),
            above: None,
            inside: false,
            is_state_dir: true,
            has_cluster_file: only.is_none(),
            nodes: ids.to_vec(),
        };
        let has_state = has_state(state_dir)?;
        let [(old_id, new_id)] = ids else {
            return if has_state { Err(Error::OneDirectory { path: state_dir.to_owned() }) } else { Ok(all()) };
        };
        let (above, name) = parent_and_name(state_dir).map_err(looking)?;
        let is_named = name == new_id.as_str();
        let holds_nodes = match Servers::find_any(state_dir) {
            Ok(servers) => !servers.dirs().is_empty() || state_dir.join(CLUSTER_FILE).exists(),
            Err(_) if !state_dir.exists() => false,
            Err(error) => return Err(error.into()),
        };
        // The state directory is what it was at the backup, if it isn't plain what it is now.
        if !has_state && (holds_nodes || !(is_named || manifest.layout == Layout::Node)) {
            return Ok(all());
        }
        let invalid = || looking(std::io::ErrorKind::InvalidInput.into());
        let name = name.into_string().ok().filter(|name| !name.is_empty()).ok_or_else(invalid)?;
        let nodes = vec![(old_id.clone(), name)];
        let dir = StateDir::new(state_dir);
        // A link stays one, and what it leads to is changed from within.
        let inside = state_dir.is_dir() && (state_dir.is_symlink() || !dir.can_be_replaced().map_err(looking)?);
        let (root, above) = if inside { (state_dir.to_owned(), Some(above)) } else { (above, None) };
        Ok(Place { root, above, inside, is_state_dir: false, has_cluster_file: false, nodes })
    }

    /// The directory of the server `name`.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        if self.inside { self.root.clone() } else { self.root.join(name) }
    }

    /// Where that directory is now which will be there when what was interrupted is settled.
    pub(super) fn directory_after(&self, root: &Root, name: &str) -> PathBuf {
        if self.inside { self.root.clone() } else { root.path_after(name) }
    }

    /// The directories of all servers.
    pub(super) fn dirs(&self) -> Vec<StateDir> {
        self.nodes.iter().map(|(_, name)| StateDir::new(self.directory(name))).collect()
    }

    /// Where a file of the backup goes, relative to the root; none when it isn't asked for, or isn't raft's.
    pub(super) fn file_target(&self, path: &str) -> Option<PathBuf> {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            [CLUSTER_FILE] => self.has_cluster_file.then(|| PathBuf::from(CLUSTER_FILE)),
            [_, LOG_FILE | STABLE_FILE] | [_, SNAPSHOTS_DIR, _, META_FILE | STATE_FILE] => self.target(path),
            _ => None,
        }
    }

    /// The same for a directory.
    pub(super) fn directory_target(&self, path: &str) -> Option<PathBuf> {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            [_, SNAPSHOTS_DIR, LOST_FOUND] => None,
            [_] | [_, SNAPSHOTS_DIR] | [_, SNAPSHOTS_DIR, _] => self.target(path),
            _ => None,
        }
    }

    fn target(&self, path: &str) -> Option<PathBuf> {
        let (id, rest) = path.split_once('/').unwrap_or((path, ""));
        let (_, name) = self.nodes.iter().find(|(old, _)| old == id)?;
        match (self.inside, rest) {
            (true, "") => None,
            (true, rest) => Some(PathBuf::from(rest)),
            (false, "") => Some(PathBuf::from(name)),
            (false, rest) => Some(Path::new(name).join(rest)),
        }
    }
}
