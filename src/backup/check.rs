//! Whether a backup is what its manifest says, byte for byte, and whether raft could start from it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::check_space;
use super::copy::{CopyError, copy};
use super::error::Error;
use super::manifest::{FileEntry, Manifest, NodeInfo};
use super::open::{Backup, Form};
use crate::durable::IoError;
use crate::durable::{Paced, Syncer, free_space, temp_dir};
use crate::payload::Release;
use crate::report::Progress;
use crate::report::{Finding, Severity};
use crate::state::{self, Depth};
use crate::verify::{Report, verify_to};

/// Makes the file that a copy of one of the backup's goes to, and says where; none when it is only to be compared.
pub(crate) type MakeFile<'a> = &'a mut dyn FnMut(&FileEntry) -> Result<Option<(File, PathBuf)>, Error>;
/// Is handed the file that was made.
pub(crate) type FileMade<'a> = &'a mut dyn FnMut(&FileEntry, File) -> Result<(), Error>;

/// Compares each byte with the manifest, and copies it in the same pass.
pub(crate) fn compare(
    backup: &Backup,
    make: MakeFile<'_>,
    made: FileMade<'_>,
    syncer: Option<&Syncer>,
    progress: &dyn Progress,
) -> Result<Vec<Finding>, Error> {
    let mut findings = backup.findings().to_vec();
    let mut expected: BTreeMap<&str, &FileEntry> =
        backup.manifest().files.iter().map(|file| (file.path.as_str(), file)).collect();
    backup.each_file(
        &mut |path, bytes| {
            let Some(file) = expected.remove(path) else {
                let message = "the manifest doesn't have this file, and restore passes over it";
                findings.push(Finding::new("BACKUP-003", Severity::Warning, message).in_file(path));
                return Ok(());
            };
            let reading = |source| match backup.form() {
                Form::Archive => Error::Archive { path: backup.path().to_owned(), source },
                Form::Directory => Error::Io(IoError { doing: "reading", path: backup.path().join(path), source }),
            };
            let to = make(file)?;
            // One byte more than expected shows that it is longer: the rest needn't fill the disk.
            let bytes: &mut dyn Read = &mut bytes.take(file.size.saturating_add(1));
            let copied = match &to {
                Some((to, at)) => copy(bytes, &mut Paced::new(to, at, syncer), &()),
                None => copy(bytes, &mut std::io::sink(), &()),
            };
            let copied = copied.map_err(|error| match error {
                CopyError::Read(source) => reading(source),
                CopyError::Write(source) => {
                    Error::Io(IoError { doing: "writing a copy of", path: path.into(), source })
                }
            })?;
            if let Some((to, _)) = to {
                made(file, to)?;
            }
            let differs = if copied.len != file.size {
                Some(format!("{} bytes, the manifest says {}", at_least(copied.len, file.size), file.size))
            } else if !backup.by_ancestor() && copied.sha256 != file.sha256 {
                Some(format!("its SHA-256 is {}, the manifest says {}", copied.sha256, file.sha256))
            } else {
                None
            };
            findings.extend(differs.map(|message| damaged("BACKUP-002", path, message)));
            Ok(())
        },
        progress,
    )?;
    for path in expected.into_keys() {
        findings.push(damaged("BACKUP-001", path, "the file is missing".to_owned()));
    }
    Ok(findings)
}

/// A file isn't read further than one byte after its end.
fn at_least(len: u64, size: u64) -> String {
    if len > size { format!("at least {len}") } else { len.to_string() }
}

fn damaged(id: &'static str, path: &str, message: String) -> Finding {
    Finding::new(id, Severity::Error, message)
        .in_file(path)
        .hint("this backup is not what was written: take another one, and look after the disk that this one is on")
}

/// Whether the nodes are what the manifest says; for content that is as it was written.
pub(crate) fn compare_nodes(manifest: &Manifest, report: &Report) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in &manifest.nodes {
        let found = report.nodes.iter().find(|node| node.id == entry.id).map(NodeInfo::from);
        if found.as_ref() != Some(&entry.info) {
            let message = "what the manifest says of this node is not what its files say";
            findings.push(
                Finding::new("BACKUP-005", Severity::Error, message)
                    .in_node(&entry.id)
                    .hint("the manifest was changed, or another version of the tool reads the files in another way"),
            );
        }
    }
    findings
}

/// What verifying a backup gave.
#[derive(Debug)]
pub struct Verified {
    /// The backup.
    pub backup: Backup,
    /// All findings, those of the content included.
    pub report: Report,
}

/// Verifies a backup: every byte against its manifest, then what the files say. An archive is unpacked to the system's
/// directory for temporary files for that.
pub fn verify(path: &Path, release: Option<Release>, progress: &dyn Progress) -> Result<Verified, Error> {
    let backup = Backup::open(path)?;
    let manifest = backup.manifest();
    let in_place = backup.form() == Form::Directory && !backup.by_ancestor();
    progress.expect(manifest.total_size());
    let (found, report) = if in_place {
        let found = compare(&backup, &mut |_| Ok(None), &mut |_, _| Ok(()), None, progress)?;
        (found, content(path, release))
    } else {
        let unpacked = temp_dir("verify")?;
        let to = unpacked.path();
        check_space(to, manifest.total_size().min(free_space(to)?.saturating_add(1)))?;
        for directory in &manifest.directories {
            let path = to.join(&directory.path);
            fs::create_dir(&path).map_err(|source| Error::Io(IoError { doing: "creating", path, source }))?;
        }
        let mut make = |file: &FileEntry| {
            let path = to.join(&file.path);
            match File::create_new(&path) {
                Ok(made) => Ok(Some((made, path))),
                Err(source) => Err(Error::Io(IoError { doing: "creating", path, source })),
            }
        };
        let found = compare(&backup, &mut make, &mut |_, _| Ok(()), None, progress)?;
        (found, content(to, release))
    };
    let damaged = found.iter().any(|finding| ["BACKUP-001", "BACKUP-002"].contains(&finding.id));
    let mut report = match report {
        // What is damaged need not be readable.
        Err(_) if damaged => Report { nodes: Vec::new(), findings: Vec::new(), winners: None, release: None },
        report => report?,
    };
    if !damaged && !backup.by_ancestor() {
        report.add(compare_nodes(manifest, &report));
    }
    report.add(found);
    Ok(Verified { backup, report })
}

fn content(path: &Path, release: Option<Release>) -> Result<Report, state::Error> {
    verify_to(path, Depth::Structure, release, &())
}
