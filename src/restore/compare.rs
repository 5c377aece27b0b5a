//! What is there now against what would be there, and the guards that look at both.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::place::Place;
use super::stage::Staged;
use super::{Error, FileChange, NodeChange, Options, Plan, guard};
use crate::backup::{Backup, NodeInfo};
use crate::durable::IoError;
use crate::raft::{META_FILE, STATE_FILE};
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};
use crate::state::{Depth, Node, Servers, StateDir, has_state};

pub(super) struct Comparison<'a> {
    pub(super) backup: &'a Backup,
    pub(super) place: &'a Place,
    pub(super) staged: &'a Staged,
    pub(super) options: &'a Options<'a>,
}

/// What a server has now.
#[derive(Default)]
struct Now {
    node: Option<Node>,
    unreadable: Option<String>,
}

impl Comparison<'_> {
    /// Adds the servers, the files and all findings to the plan.
    pub(super) fn add_to(&self, plan: &mut Plan) -> Result<(), Error> {
        self.servers(plan)?;
        plan.files = self.files();
        plan.left_out = self.left_out();
        let (found, report) = (&self.staged.found, &self.staged.report);
        plan.findings.extend(guard::verification(&[&found[..], &report.findings].concat()));
        plan.findings.extend(guard::gap(&report.findings));
        plan.findings.extend(found.iter().chain(&report.findings).cloned());
        Ok(())
    }

    fn servers(&self, plan: &mut Plan) -> Result<(), Error> {
        let report = &self.staged.report;
        let peers = self.peers()?;
        let mut has_run = peers.iter().any(Node::has_run);
        let mut is_older = false;
        for (id, name) in &self.place.nodes {
            let staged = report.nodes.iter().find(|node| node.id == *name);
            let after = staged.map(NodeInfo::from);
            let directory = self.place.directory(name);
            let now = self.now(name)?;
            has_run |= staged.is_some_and(Node::has_run) || now.node.as_ref().is_some_and(Node::has_run);
            let mut info = now.node.as_ref().map(NodeInfo::from);
            is_older |= info.is_none() || info != after;
            if let Some(reason) = &now.unreadable {
                plan.findings.push(guard::unreadable(name, reason));
            }
            if let Some(after) = &after {
                let renamed = info.clone().map(|info| self.options.rename.info(info));
                let guards = renamed.iter().flat_map(|now| guard::against_itself(name, now, after));
                plan.findings.extend(guards);
                plan.findings.extend(peers.iter().flat_map(|peer| guard::against_peer(name, peer, after)));
            }
            plan.findings.extend(guard::names(name, &self.options.rename.id(id), staged));
            if now.unreadable.is_some() {
                // Numbers of which some are made up are not shown.
                info = None;
            }
            plan.nodes.push(NodeChange { id: id.clone(), directory, now: info, now_unreadable: now.unreadable, after });
        }
        let ids: Vec<String> = self.place.nodes.iter().map(|(id, _)| self.options.rename.id(id)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let missing = guard::missing_voters(report.nodes.iter(), &ids);
        let has_run = has_run || self.backup.manifest().nodes.iter().any(|node| !node.info.snapshots.is_empty());
        if !missing.is_empty() && has_run && is_older {
            plan.findings.push(guard::alone(&missing, &ids));
        }
        Ok(())
    }

    /// What the server `name` has, or will have when what was interrupted is settled.
    fn now(&self, name: &str) -> Result<Now, Error> {
        let root = self.staged.staging.root();
        if self.place.inside && root.is_interrupted() {
            // Some of its files are still in a stage: a directory of links shows them together.
            let fail =
                |source| Error::Io(IoError { doing: "making a directory in", path: std::env::temp_dir(), source });
            let together = tempfile::Builder::new().prefix("op-conductor-init-").tempdir().map_err(fail)?;
            for file in [LOG_FILE, STABLE_FILE, SNAPSHOTS_DIR] {
                let target = std::path::absolute(root.path_after(file)).map_err(fail)?;
                symlink(target, together.path().join(file)).map_err(fail)?;
            }
            return read_now(together.path());
        }
        read_now(&self.place.directory_after(root, name))
    }

    /// Other servers of the cluster, as far as the user named them or they are in the same directory.
    fn peers(&self) -> Result<Vec<Node>, Error> {
        let is_named = |id: &str| self.place.nodes.iter().any(|(_, name)| name == id);
        let mut dirs = Vec::new();
        for directory in self.options.peer_states {
            dirs.extend_from_slice(Servers::find(directory)?.dirs());
        }
        if self.place.is_state_dir
            && let Ok(beside) = Servers::find(&self.place.root)
        {
            dirs.extend(beside.dirs().iter().filter(|dir| !is_named(dir.id())).cloned());
        }
        dirs.iter().map(|dir| Ok(Node::read(dir, Depth::Content, &mut |_| {})?)).collect()
    }

    /// Each file that would be written, and each of raft's that would be gone.
    fn files(&self) -> Vec<FileChange> {
        let place = self.place;
        let size =
            |path: &Path| place.root.join(path).metadata().ok().filter(std::fs::Metadata::is_file).map(|it| it.len());
        let mut changes = Vec::new();
        for file in &self.backup.manifest().files {
            if let Some(path) = place.file_target(&file.path) {
                changes.push(FileChange { now: size(&path), after: Some(file.size), path });
            }
        }
        for dir in place.dirs() {
            let mut there = vec![dir.log_path(), dir.stable_path()];
            for snapshot in std::fs::read_dir(dir.path().join(SNAPSHOTS_DIR)).into_iter().flatten().flatten() {
                there.extend([META_FILE, STATE_FILE].map(|file| snapshot.path().join(file)));
            }
            for path in there {
                let Ok(path) = path.strip_prefix(&place.root).map(Path::to_owned) else { continue };
                if size(&path).is_some() && !changes.iter().any(|change| change.path == path) {
                    changes.push(FileChange { now: size(&path), after: None, path });
                }
            }
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        changes
    }

    /// Files of the servers in question that are not raft's.
    fn left_out(&self) -> Vec<String> {
        let is_asked_for = |path: &str| {
            let id = path.split('/').next().unwrap_or_default();
            self.place.nodes.iter().any(|(known, _)| known == id)
        };
        let files = self.backup.manifest().files.iter().map(|file| &file.path);
        files.filter(|path| is_asked_for(path) && self.place.file_target(path).is_none()).cloned().collect()
    }
}

fn read_now(directory: &Path) -> Result<Now, Error> {
    if !has_state(directory)? {
        return Ok(Now::default());
    }
    Ok(match Node::read(&StateDir::new(directory), Depth::Content, &mut |_| {}) {
        Err(error) => Now { node: None, unreadable: Some(error.to_string()) },
        Ok(node) if node.is_readable() => Now { node: Some(node), unreadable: None },
        Ok(node) => {
            let missing = [&node.log_store, &node.stable_store].iter().any(|store| store.file_len.is_none());
            let reason = if missing { "a database is missing" } else { "a database can't be read to its end" };
            Now { node: Some(node), unreadable: Some(reason.to_owned()) }
        }
    })
}
