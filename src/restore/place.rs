//! Where each server of a backup goes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Error;
use crate::backup::{Layout, Manifest};
use crate::cluster::CLUSTER_FILE;
use crate::state::dir::parent_and_name;
use crate::state::{Servers, has_state};

/// Where the servers of one call go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The directory whose entries are replaced.
    pub(super) root: PathBuf,
    /// The entries are not servers' directories, but the files of the only server.
    pub(super) inside: bool,
    /// Whether `root` is what the user named, and so holds the cluster.
    pub(super) is_state_dir: bool,
    /// For each server its id in the backup, and the name of its directory.
    pub(super) nodes: Vec<(String, String)>,
}

impl Place {
    /// `ids` are those in the backup, with the ids that they shall have.
    pub(super) fn find(state_dir: &Path, manifest: &Manifest, ids: &[(String, String)]) -> Result<Place, Error> {
        let looking = |source| Error::Io { doing: "looking at", path: state_dir.to_owned(), source };
        let has_state = has_state(state_dir)?;
        let [(old_id, new_id)] = ids else {
            if has_state {
                return Err(Error::OneDirectory { path: state_dir.to_owned() });
            }
            return Ok(Place::above(state_dir, ids));
        };
        let (parent, name) = parent_and_name(state_dir).map_err(looking)?;
        let is_named = name == new_id.as_str();
        let holds_nodes = match Servers::find_any(state_dir) {
            Ok(servers) => !servers.dirs().is_empty() || state_dir.join(CLUSTER_FILE).exists(),
            Err(_) if !state_dir.exists() => false,
            Err(error) => return Err(error.into()),
        };
        // The state directory is what it was at the backup, if it isn't plain what it is now.
        if !has_state && (holds_nodes || !(is_named || manifest.layout == Layout::Node)) {
            return Ok(Place::above(state_dir, ids));
        }
        let real = state_dir.canonicalize().unwrap_or_else(|_| parent.join(name));
        let name = real.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let (Some(above), Some(name)) = (real.parent(), name) else {
            return Err(looking(std::io::ErrorKind::InvalidInput.into()));
        };
        let inside = real.is_dir() && !can_be_replaced(&real, above);
        let root = if inside { real.clone() } else { above.to_owned() };
        Ok(Place { root, inside, is_state_dir: false, nodes: vec![(old_id.clone(), name)] })
    }

    fn above(state_dir: &Path, ids: &[(String, String)]) -> Place {
        Place { root: state_dir.to_owned(), inside: false, is_state_dir: true, nodes: ids.to_vec() }
    }

    /// The directory of the server `name`.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        if self.inside { self.root.clone() } else { self.root.join(name) }
    }

    /// Where a path of the backup goes, relative to the root; none for a server that isn't asked for.
    pub(super) fn path(&self, path: &str) -> Option<PathBuf> {
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

/// Whether a directory can be renamed: a mount point can't, nor one in a directory that we may not write to.
fn can_be_replaced(directory: &Path, above: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    device(directory) == device(above) && access(above, Access::WRITE_OK).is_ok()
}
