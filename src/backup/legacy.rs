//! Backups of the Go tool of this name: databases without a manifest, sums or snapshots.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::{Error, NoBackup};
use super::manifest::{DirectoryEntry, FileEntry, Layout, Manifest, NodeEntry, NodeInfo};
use crate::durable::IoError;
use crate::report::{Finding, Severity};
use crate::state::dir::{DIR_MODE, LOG_FILE, STABLE_FILE};

/// What that tool leaves in each of its backups.
pub const ANCESTORS_FILE: &str = "backup-metadata.txt";

/// Describes what is there by a manifest, and what is wrong with that. The tool copied each `*.db` with its path in the
/// state directory.
pub(super) fn describe(path: &Path) -> Result<(Manifest, Vec<Finding>), Error> {
    let metadata = std::fs::read_to_string(path.join(ANCESTORS_FILE)).unwrap_or_default();
    let source = metadata.lines().find_map(|line| line.strip_prefix("Source directory:")).unwrap_or_default().trim();
    let mut manifest = Manifest::new(Path::new(source), Layout::Nodes);
    let modified = path.join(ANCESTORS_FILE).metadata().and_then(|metadata| metadata.modified());
    if let Some(time) = modified.ok().and_then(|time| jiff::Timestamp::try_from(time).ok()) {
        manifest.created = time;
    }
    if path.join(LOG_FILE).is_file() || path.join(STABLE_FILE).is_file() {
        manifest.layout = Layout::Node;
        // The backup doesn't say whose it is, but where it was.
        let id = Path::new(source).file_name().and_then(|name| name.to_str()).unwrap_or("server").to_owned();
        add(&mut manifest, path, &id)?;
    } else {
        for (name, entry) in super::draft::listing(path)? {
            let directory = entry.path();
            if directory.join(LOG_FILE).is_file() || directory.join(STABLE_FILE).is_file() {
                add(&mut manifest, &directory, &name)?;
            }
        }
    }
    if manifest.nodes.is_empty() {
        return Err(Error::NoBackup { path: path.to_owned(), reason: NoBackup::NoDatabase });
    }
    let message = "a backup of the tool before this one: it has no hashes and no snapshots, and may have been made while the node wrote";
    let finding = Finding::new("BACKUP-006", Severity::Warning, message)
        .in_file(ANCESTORS_FILE)
        .hint("it is verified as far as it goes; make backups with this tool from now on");
    Ok((manifest, vec![finding]))
}

fn add(manifest: &mut Manifest, directory: &Path, id: &str) -> Result<(), Error> {
    let looking = |source| Error::Io(IoError { doing: "looking at", path: directory.to_owned(), source });
    let own = directory.metadata().map_err(looking)?;
    let (uid, gid) = (own.uid(), own.gid());
    manifest.directories.push(DirectoryEntry { path: id.to_owned(), mode: DIR_MODE, uid, gid });
    for name in [LOG_FILE, STABLE_FILE] {
        let Ok(metadata) = directory.join(name).metadata() else { continue };
        manifest.files.push(FileEntry {
            path: format!("{id}/{name}"),
            size: metadata.len(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            // Nobody noted it.
            sha256: String::new(),
        });
    }
    let (running, rewritten, info) = (false, Vec::new(), NodeInfo::default());
    manifest.nodes.push(NodeEntry { id: id.to_owned(), running, rewritten, info });
    Ok(())
}
