//! The backup, staged: copied, compared with its manifest, given other names, and verified.

use std::cell::RefCell;

use super::place::Place;
use super::{Error, Options};
use crate::backup::check::{compare, compare_nodes};
use crate::backup::{Backup, FileEntry};
use crate::durable::{Owner, Staging, Syncer};
use crate::report::Progress;
use crate::report::{Finding, Severity};
use crate::state::Depth;
use crate::state::dir::{DIR_MODE, SNAPSHOTS_DIR};
use crate::verify::{Report, verify_to};

/// Permissions that a backup may ask for: no program of it runs as its owner.
const MOST_MODE: u32 = 0o777;

/// What is to be restored, in its stage.
pub(super) struct Staged {
    pub(super) staging: Staging,
    /// Where the backup is not what its manifest says.
    pub(super) found: Vec<Finding>,
    /// What the staged servers are.
    pub(super) report: Report,
}

impl Staged {
    pub(super) fn new(
        staging: Staging,
        backup: &Backup,
        place: &Place,
        options: &Options<'_>,
        progress: &dyn Progress,
    ) -> Result<Staged, Error> {
        let nothing = Report { nodes: Vec::new(), findings: Vec::new(), winners: None, release: None };
        let mut staged = Staged { staging, found: Vec::new(), report: nothing };
        staged.create_directories(backup, place)?;
        staged.copy_files(backup, place, progress)?;
        if !staged.is_damaged() || options.rename.is_empty() {
            staged.rename(place, options)?;
            staged.verify(backup, place, options)?;
        }
        staged.set_attributes(backup, place)?;
        Ok(staged)
    }

    fn is_damaged(&self) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error)
    }

    fn create_directories(&mut self, backup: &Backup, place: &Place) -> Result<(), Error> {
        let directories = &backup.manifest().directories;
        for path in directories.iter().filter_map(|directory| place.directory_target(&directory.path)) {
            // With its own mode we could perhaps not write to it.
            self.staging.create_dir(path, 0o700)?;
        }
        if place.inside && !directories.iter().any(|it| it.path.ends_with(SNAPSHOTS_DIR)) {
            // The snapshots that are there belong to another log.
            self.staging.create_dir(SNAPSHOTS_DIR, DIR_MODE)?;
        }
        Ok(())
    }

    /// Copies the files, and compares all of the backup with its manifest, in one pass.
    fn copy_files(&mut self, backup: &Backup, place: &Place, progress: &dyn Progress) -> Result<(), Error> {
        let syncer = Syncer::start();
        let shared = RefCell::new(&mut self.staging);
        let mut make = |file: &FileEntry| match place.file_target(&file.path) {
            Some(path) => {
                let mut staging = shared.borrow_mut();
                Ok(Some((staging.create_file(&path)?, staging.staged(path))))
            }
            None => Ok(None),
        };
        let mut made = |file: &FileEntry, to| {
            if let Some(path) = place.file_target(&file.path) {
                syncer.sync(to, &shared.borrow().staged(path));
            }
            Ok(())
        };
        let found = compare(backup, &mut make, &mut made, Some(&syncer), progress);
        // The error that came first is the one to report.
        let synced = syncer.finish();
        self.found = found?;
        Ok(synced?)
    }

    /// Changes ids and addresses in what is staged.
    fn rename(&mut self, place: &Place, options: &Options<'_>) -> Result<(), Error> {
        if options.rename.is_empty() {
            return Ok(());
        }
        for (_, name) in &place.nodes {
            options.rename.node(&self.staging.held(if place.inside { "" } else { name }))?;
        }
        if place.has_cluster_file {
            options.rename.cluster_file(&self.staging.held(""))?;
        }
        Ok(())
    }

    /// Reads what is staged as raft would, and compares it with the manifest.
    fn verify(&mut self, backup: &Backup, place: &Place, options: &Options<'_>) -> Result<(), Error> {
        let is_damaged = self.is_damaged();
        let mut report = match verify_to(&self.staging.staged(""), Depth::Pages, None, &()) {
            // What is damaged need not be readable.
            Err(_) if is_damaged => return Ok(()),
            report => report?,
        };
        // Within a server's directory the stage stands for it.
        if let (true, [(_, name)]) = (place.inside, place.nodes.as_slice()) {
            report.nodes.iter_mut().for_each(|node| node.id.clone_from(name));
            report.findings.iter_mut().filter_map(|it| it.place.node.as_mut()).for_each(|node| node.clone_from(name));
        }
        // A guard says it with the directory's own name, and one server of several isn't missed here.
        report.findings.retain(|finding| !["NODE-002", "CLUSTER-004"].contains(&finding.id));
        if options.rename.is_empty() && !is_damaged && !backup.by_ancestor() {
            let mut manifest = backup.manifest().clone();
            manifest.nodes.retain_mut(|node| {
                let name = place.nodes.iter().find(|(id, _)| *id == node.id).map(|(_, name)| name.clone());
                name.map(|name| node.id = name).is_some()
            });
            let found = compare_nodes(&manifest, &report);
            report.add(found);
        }
        self.report = report;
        Ok(())
    }

    /// Sets the mode and the owner of all that is staged, inner ones first.
    fn set_attributes(&mut self, backup: &Backup, place: &Place) -> Result<(), Error> {
        let is_root = rustix::process::geteuid().is_root();
        // As tar does: only root can, and is expected to.
        let owner = |uid, gid| is_root.then_some(Owner { uid, gid });
        for file in &backup.manifest().files {
            let path = place.file_target(&file.path).filter(|path| self.staging.staged(path).exists());
            if let Some(path) = path {
                self.staging.set_attributes(path, file.mode & MOST_MODE, owner(file.uid, file.gid))?;
            }
        }
        let mut directories: Vec<_> = backup.manifest().directories.iter().collect();
        directories.sort_by_key(|directory| std::cmp::Reverse(directory.path.len()));
        for directory in directories {
            if let Some(path) = place.directory_target(&directory.path) {
                self.staging.set_attributes(path, directory.mode & MOST_MODE, owner(directory.uid, directory.gid))?;
            }
        }
        Ok(())
    }
}
