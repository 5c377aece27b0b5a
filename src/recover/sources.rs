//! What the paths of a call mean: directories of servers, backups, and files with collected facts.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use tempfile::TempDir;

use super::Error;
use super::collect::CollectedFile;
use super::input::Input;
use crate::backup::{self, Backup, Form};
use crate::durable::{IoError, open_file, read_file, temp_dir};
use crate::state::{self, Servers, StateDir};

/// A file with facts isn't read further: it has a head for each server, of a few MiB.
const MAX_COLLECTED_LEN: u64 = 1 << 30;

/// The inputs of a plan. Backups that are archives are unpacked as long as this lives.
#[derive(Debug)]
pub struct Inputs {
    /// Each server's state.
    pub list: Vec<Input>,
    _unpacked: Vec<TempDir>,
}

/// Reads everything that `paths` mean. Nothing is changed.
pub fn read_inputs(paths: &[impl AsRef<Path>]) -> Result<Inputs, Error> {
    let mut inputs = Inputs { list: Vec::new(), _unpacked: Vec::new() };
    for path in paths.iter().map(AsRef::as_ref) {
        if is_json(path)? {
            inputs.list.extend(collected(path)?);
            continue;
        }
        match Backup::open(path) {
            Ok(backup) => inputs.add_backup(&backup)?,
            Err(error) if path.is_dir() => inputs.add_directory(path, error)?,
            Err(backup::Error::NoBackup { .. }) => return Err(Error::Unknown { path: path.to_owned() }),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(inputs)
}

impl Inputs {
    /// `error` is why the directory isn't a backup.
    fn add_directory(&mut self, path: &Path, error: backup::Error) -> Result<(), Error> {
        let servers = match Servers::find(path) {
            Err(state::Error::NoState { .. }) if matches!(error, backup::Error::Parent { .. }) => {
                return Err(error.into());
            }
            servers => servers?,
        };
        for dir in servers.dirs() {
            self.list.push(Input::read(dir)?);
        }
        Ok(())
    }

    fn add_backup(&mut self, backup: &Backup) -> Result<(), Error> {
        let unpacked = temp_dir("recover")?;
        let unpacks = backup.form() == Form::Archive || backup.by_ancestor();
        if unpacks {
            unpack(backup, unpacked.path())?;
        }
        let root = if unpacks { unpacked.path() } else { backup.path() };
        for node in &backup.manifest().nodes {
            let dir = StateDir::new(root.join(&node.id));
            self.list.push(Input::read_backup(&dir, &node.id, backup.path())?);
        }
        self._unpacked.push(unpacked);
        Ok(())
    }
}

fn unpack(backup: &Backup, to: &Path) -> Result<(), Error> {
    let is_plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    let mut write = |name: &str, bytes: &mut dyn Read| {
        let path = to.join(name);
        let fail = |source| backup::Error::from(IoError::when("unpacking to", &path)(source));
        if !is_plain(Path::new(name)) {
            return Err(fail(io::ErrorKind::InvalidInput.into()));
        }
        fs::create_dir_all(path.parent().unwrap_or(to)).map_err(fail)?;
        let mut file = File::create_new(&path).map_err(fail)?;
        io::copy(bytes, &mut file).map(drop).map_err(fail)
    };
    Ok(backup.each_file(&mut write, &())?)
}

fn collected(path: &Path) -> Result<Vec<Input>, Error> {
    let bytes = read_file(path, MAX_COLLECTED_LEN)?;
    let file = CollectedFile::decode(&bytes).map_err(|reason| Error::Format { path: path.to_owned(), reason })?;
    file.inputs(path)
}

/// Whether a path is a file that begins as JSON does: an archive begins otherwise.
fn is_json(path: &Path) -> Result<bool, Error> {
    let fail = IoError::when("reading", path);
    if path.metadata().map_err(&fail)?.is_dir() {
        return Ok(false);
    }
    let mut first = [0];
    let read = open_file(path).and_then(|mut file| file.read(&mut first)).map_err(fail)?;
    Ok(read == 1 && first[0] == b'{')
}
