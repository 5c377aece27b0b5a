//! A backup that is there: a directory or an archive, of this tool or of its ancestor.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::NAME;
use super::archive::{self, EXTENSION, Go};
use super::copy::sha256;
use super::error::Error;
use super::manifest::{Layout, MANIFEST_FILE, MAX_LEN, Manifest, SUMS_FILE, same_sums};
use crate::durable::open_file;
use crate::report::Progress;
use crate::report::{Finding, Severity};

/// What the ancestor's `backup` leaves in each of its backups.
pub const ANCESTORS_FILE: &str = "backup-metadata.txt";

/// A backup that is there.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    form: Form,
    manifest: Manifest,
    /// What is wrong with the manifest or the sums.
    findings: Vec<Finding>,
    /// Whether the ancestor made it: then the manifest is made up of what is there, and has no hashes to compare.
    by_ancestor: bool,
}

/// How a backup lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A directory.
    Directory,
    /// One file.
    Archive,
}

/// Gives each file of a backup in turn: its path, and its bytes.
pub type EachFile<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> Result<(), Error>;

impl Backup {
    /// Opens a backup by its manifest.
    ///
    /// # Errors
    /// [`Error::Parent`] for a directory that holds backups, [`Error::NoBackup`] for what is none, or has a manifest that
    /// can't be read.
    pub fn open(path: &Path) -> Result<Backup, Error> {
        let metadata =
            path.metadata().map_err(|source| Error::Io { doing: "opening", path: path.to_owned(), source })?;
        if metadata.is_file() {
            return Backup::open_archive(path);
        }
        let text = match read_file(&path.join(MANIFEST_FILE)) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            text => Some(text?),
        };
        let Some(bytes) = text else {
            if path.join(ANCESTORS_FILE).exists() {
                return super::ancestor::open(path);
            }
            let names = names_in(path)?;
            return Err(match names.is_empty() {
                true => Error::NoBackup { path: path.to_owned(), reason: format!("it has no {MANIFEST_FILE}") },
                false => Error::Parent { path: path.to_owned(), names },
            });
        };
        let sums = match read_file(&path.join(SUMS_FILE)) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            text => Some(text?),
        };
        Backup::new(path, Form::Directory, &bytes, sums.as_deref())
    }

    fn open_archive(path: &Path) -> Result<Backup, Error> {
        let no_backup = |reason: &str| Error::NoBackup { path: path.to_owned(), reason: reason.to_owned() };
        let (mut manifest, mut sums) = (None, None);
        let read = archive::unpack(
            path,
            &mut |name, bytes| {
                let fail = |source| Error::Archive { path: path.to_owned(), source };
                let slot = match name {
                    MANIFEST_FILE => &mut manifest,
                    SUMS_FILE => &mut sums,
                    _ => return Ok(Go::Enough),
                };
                let mut text = Vec::new();
                bytes.take(MAX_LEN).read_to_end(&mut text).map_err(fail)?;
                *slot = Some(text);
                Ok(if manifest.is_some() && sums.is_some() { Go::Enough } else { Go::On })
            },
            &(),
        );
        read?;
        let bytes = manifest.ok_or_else(|| no_backup("the archive doesn't begin with a manifest"))?;
        Backup::new(path, Form::Archive, &bytes, sums.as_deref())
    }

    fn new(path: &Path, form: Form, bytes: &[u8], sums: Option<&[u8]>) -> Result<Backup, Error> {
        let no_backup = |reason| Error::NoBackup { path: path.to_owned(), reason };
        let manifest = Manifest::decode(bytes).map_err(|reason| no_backup(format!("{MANIFEST_FILE}: {reason}")))?;
        let mut findings = Vec::new();
        match sums {
            None => findings.push(
                Finding::new(
                    "BACKUP-004",
                    Severity::Warning,
                    format!("{SUMS_FILE} is missing: whether the manifest is the one that was written can't be told"),
                )
                .in_file(SUMS_FILE),
            ),
            Some(sums) if same_sums(&manifest, &sha256(bytes), &String::from_utf8_lossy(sums)) => {}
            Some(_) => findings.push(
                Finding::new(
                    "BACKUP-004",
                    Severity::Error,
                    format!("{MANIFEST_FILE} and {SUMS_FILE} don't agree: one of them was changed"),
                )
                .in_file(SUMS_FILE)
                .hint(
                    "sha256sum -c SHA256SUMS tells which files are as they were; take another backup if there is one",
                ),
            ),
        }
        Ok(Backup { path: path.to_owned(), form, manifest, findings, by_ancestor: false })
    }

    /// A backup of the ancestor's.
    pub(super) fn of_ancestor(path: &Path, manifest: Manifest, findings: Vec<Finding>) -> Backup {
        Backup { path: path.to_owned(), form: Form::Directory, manifest, findings, by_ancestor: true }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it lies on the disk.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the ancestor made it, without hashes.
    pub fn by_ancestor(&self) -> bool {
        self.by_ancestor
    }

    /// What is wrong with the manifest itself.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Gives each file that is there, in the manifest or not, but for the manifest and the sums. A file of the manifest
    /// that isn't there isn't given.
    pub fn each_file(&self, each: EachFile<'_>, progress: &dyn Progress) -> Result<(), Error> {
        match self.form {
            Form::Archive => archive::unpack(
                &self.path,
                &mut |name, bytes| match name {
                    MANIFEST_FILE | SUMS_FILE => Ok(Go::On),
                    name => each(name, bytes).map(|()| Go::On),
                },
                progress,
            ),
            Form::Directory => {
                for path in self.files_there()? {
                    let from = self.path.join(&path);
                    let path = self.path_of(path);
                    let opened = open_file(&from).map_err(|source| Error::Io { doing: "opening", path: from, source });
                    each(&path, &mut Counted { file: opened?, progress })?;
                }
                Ok(())
            }
        }
    }

    /// The path by which the manifest knows a file. The ancestor's backup of one server has no directory for that.
    fn path_of(&self, path: String) -> String {
        match self.manifest.nodes.as_slice() {
            [only] if self.by_ancestor && self.manifest.layout == Layout::Node => format!("{}/{path}", only.id),
            _ => path,
        }
    }

    /// Paths of the files in a directory, but for the manifest and the sums.
    fn files_there(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        walk(&self.path, "", &mut found)?;
        found.retain(|path| ![MANIFEST_FILE, SUMS_FILE].contains(&path.as_str()));
        if self.by_ancestor {
            found.retain(|path| path != ANCESTORS_FILE);
        }
        Ok(found)
    }
}

struct Counted<'a> {
    file: File,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}

fn walk(directory: &Path, inside: &str, found: &mut Vec<String>) -> Result<(), Error> {
    for (name, entry) in super::draft::listing(directory)? {
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        let looking = |source| Error::Io { doing: "looking at", path: entry.path(), source };
        let kind = entry.file_type().map_err(looking)?;
        if kind.is_dir() {
            walk(&entry.path(), &path, found)?;
        } else if kind.is_file() {
            found.push(path);
        } else {
            return Err(Error::Unusual { path: entry.path() });
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |source| Error::Io { doing: "reading", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    open_file(path).and_then(|file| file.take(MAX_LEN).read_to_end(&mut bytes)).map_err(fail)?;
    Ok(bytes)
}

/// Names of the backups in a directory, oldest first.
pub fn names_in(directory: &Path) -> Result<Vec<String>, Error> {
    let fail = |source| Error::Io { doing: "reading", path: directory.to_owned(), source };
    let mut names = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(rest) = name.strip_prefix(NAME) else { continue };
        let is_dir = entry.path().is_dir();
        if !is_dir && !name.ends_with(EXTENSION) {
            continue;
        }
        names.insert(order(rest.strip_suffix(EXTENSION).unwrap_or(rest), &name), name);
    }
    Ok(names.into_values().collect())
}

/// The time in a name, and the number behind it.
fn order(rest: &str, name: &str) -> (String, u64, String) {
    let mut parts = rest.splitn(3, '-');
    let time = format!("{}-{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let number = parts.next().and_then(|number| number.parse().ok()).unwrap_or(1);
    (time, number, name.to_owned())
}
