//! A backup that is there: a directory or an archive, of this tool or of its ancestor.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::NAME;
use super::archive::{self, EXTENSION, Go};
use super::copy::sha256;
use super::error::{Error, NoBackup};
use super::legacy::{self, ANCESTORS_FILE};
use super::manifest::{Layout, MANIFEST_FILE, MAX_LEN, Manifest, SUMS_FILE, same_sums};
use crate::durable::IoError;
use crate::durable::open_file;
use crate::report::Progress;
use crate::report::{Finding, Severity};

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

/// The form of a backup on the disk.
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
    /// [`Error::Parent`] for a directory that holds backups, [`Error::NoBackup`] for what isn't a backup, or has a manifest that
    /// can't be read.
    pub fn open(path: &Path) -> Result<Backup, Error> {
        let metadata =
            path.metadata().map_err(|source| Error::Io(IoError { doing: "opening", path: path.to_owned(), source }))?;
        if metadata.is_file() {
            return Backup::open_archive(path);
        }
        let text = match read_file(&path.join(MANIFEST_FILE)) {
            Err(Error::Io(IoError { source, .. })) if source.kind() == io::ErrorKind::NotFound => None,
            text => Some(text?),
        };
        let Some(bytes) = text else {
            if path.join(ANCESTORS_FILE).exists() {
                let (manifest, findings) = legacy::describe(path)?;
                return Ok(Backup {
                    path: path.to_owned(),
                    form: Form::Directory,
                    manifest,
                    findings,
                    by_ancestor: true,
                });
            }
            let names = names_in(path)?;
            return Err(match names.is_empty() {
                true => Error::NoBackup { path: path.to_owned(), reason: NoBackup::NoManifest },
                false => Error::Parent { path: path.to_owned(), names },
            });
        };
        let sums = match read_file(&path.join(SUMS_FILE)) {
            Err(Error::Io(IoError { source, .. })) if source.kind() == io::ErrorKind::NotFound => None,
            text => Some(text?),
        };
        Backup::new(path, Form::Directory, &bytes, sums.as_deref())
    }

    fn open_archive(path: &Path) -> Result<Backup, Error> {
        let (mut manifest, mut sums) = (None, None);
        archive::unpack(
            path,
            archive::most_bytes(2 * MAX_LEN, 3),
            &mut |name, bytes| {
                let slot = match name {
                    MANIFEST_FILE => &mut manifest,
                    SUMS_FILE => &mut sums,
                    _ => return Ok(Go::Enough),
                };
                let damaged = |source| Error::Archive { path: path.to_owned(), source };
                *slot = Some(bounded(bytes, Path::new(name)).map_err(damaged)?);
                Ok(if manifest.is_some() && sums.is_some() { Go::Enough } else { Go::On })
            },
            &(),
        )?;
        let not_first = || Error::NoBackup { path: path.to_owned(), reason: NoBackup::ManifestNotFirst };
        let bytes = manifest.ok_or_else(not_first)?;
        Backup::new(path, Form::Archive, &bytes, sums.as_deref())
    }

    fn new(path: &Path, form: Form, bytes: &[u8], sums: Option<&[u8]>) -> Result<Backup, Error> {
        let no_backup = |reason| Error::NoBackup { path: path.to_owned(), reason: NoBackup::Manifest(reason) };
        let manifest = Manifest::decode(bytes).map_err(no_backup)?;
        let mut findings = Vec::new();
        match sums {
            None => findings.push(
                Finding::new(
                    "BACKUP-004",
                    Severity::Warning,
                    format!("{SUMS_FILE} is missing: whether the manifest was changed is unknown"),
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
                    "sha256sum -c SHA256SUMS reports which files are as they were; take another backup if there is one",
                ),
            ),
        }
        Ok(Backup { path: path.to_owned(), form, manifest, findings, by_ancestor: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its form on the disk.
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
                self.most_bytes(),
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
                    let opened =
                        open_file(&from).map_err(|source| Error::Io(IoError { doing: "opening", path: from, source }));
                    each(&path, &mut Counted { file: opened?, progress })?;
                }
                Ok(())
            }
        }
    }

    /// Bytes that an archive of this manifest may unpack to.
    fn most_bytes(&self) -> u64 {
        let Manifest { directories, files, .. } = &self.manifest;
        // The manifest and the sums, and the directory itself.
        let entries = (directories.len() + files.len() + 3) as u64;
        archive::most_bytes(self.manifest.total_size().saturating_add(2 * MAX_LEN), entries)
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
        let looking = |source| Error::Io(IoError { doing: "looking at", path: entry.path(), source });
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
    let fail = |source| Error::Io(IoError { doing: "reading", path: path.to_owned(), source });
    bounded(&mut open_file(path).map_err(fail)?, path).map_err(fail)
}

/// Reads a manifest or sums. What is longer than either is an error, and not cut.
fn bounded(bytes: &mut dyn Read, name: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match bytes.take(MAX_LEN + 1).read_to_end(&mut text)? as u64 {
        0..=MAX_LEN => Ok(text),
        _ => Err(io::Error::other(format!("{}: expected at most {MAX_LEN} bytes", name.display()))),
    }
}

/// Names of the backups in a directory, in the order of their names' times. What only leads to one is not a backup: a symbolic link,
/// or an entry that is neither a directory nor an archive.
pub fn names_in(directory: &Path) -> Result<Vec<String>, Error> {
    let fail = |source| Error::Io(IoError { doing: "reading", path: directory.to_owned(), source });
    let mut names = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().map_err(fail)?;
        if name.starts_with(NAME) && (kind.is_dir() || kind.is_file() && name.ends_with(EXTENSION)) {
            names.insert(order(&name), name);
        }
    }
    Ok(names.into_values().collect())
}

/// The time in a name, the number after it, and the name.
fn order(name: &str) -> (String, u64, String) {
    let mut parts = stem(name).splitn(3, '-');
    let time = format!("{}-{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let number = parts.next().and_then(|number| number.parse().ok()).unwrap_or(1);
    (time, number, name.to_owned())
}

/// When a backup was made, by its name.
pub(super) fn time_in_name(name: &str) -> Option<Timestamp> {
    let time = stem(name).get(..15)?;
    jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", time).ok()?.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp())
}

fn stem(name: &str) -> &str {
    let name = name.strip_prefix(NAME).unwrap_or(name);
    name.strip_suffix(EXTENSION).unwrap_or(name)
}
