//! A file that is written once.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use op_conductor_init::durable::parent;

use super::super::failure::Failure;

/// Writes a new file: all of it, or nothing. The same bytes that are there already are fine, other ones are refused.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fail = || format!("--output: writing {}", path.display());
    match write(path, bytes) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::read(path) {
            Ok(there) if there == bytes => Ok(()),
            _ => Err(Failure::refused(anyhow!("--output: {} is there already, and is another file", path.display()))
                .with_hint(Some("name a new file: servers may have been recovered by the existing one"))),
        },
        written => written.with_context(fail).map_err(Failure::unable),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = parent(path);
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()
}
