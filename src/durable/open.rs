//! Opening and reading what somebody else may have put there, without ever waiting, and within bounds.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::io_error::IoError;
use rustix::fs::{Mode, OFlags};

/// Opens a file for reading.
///
/// Opening a pipe waits until somebody writes to it, so nothing but a regular file is opened for good.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for what is not a regular file; what the system says otherwise.
pub fn open_file(path: &Path) -> io::Result<File> {
    open(path, OFlags::empty())
}

/// Opens a file for reading, but not through a symbolic link of that name: it could lead to a file that only this user may
/// read.
///
/// # Errors
/// As [`open_file`], and `ELOOP` for a symbolic link.
pub fn open_file_itself(path: &Path) -> io::Result<File> {
    open(path, OFlags::NOFOLLOW)
}

fn open(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | more;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a regular file")),
    }
}

/// Why a whole file can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file system said no.
    #[error(transparent)]
    Io(#[from] IoError),
    /// It is longer than anything that belongs there.
    #[error("{} is too large: expected at most {limit} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
}

impl ReadError {
    /// Whether the file doesn't exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, ReadError::Io(error) if error.is_not_found())
    }
}

/// All bytes of a regular file that has at most `limit`.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let fail = IoError::when("reading", path);
    let mut bytes = Vec::new();
    let file = open_file(path).map_err(&fail)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        return Err(ReadError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let kind = |name: &str| open_file(&path(name)).map(drop).map_err(|error| error.kind());
        assert_eq!([kind("file"), kind("link")], [Ok(()), Ok(())]);
        assert_eq!([kind("pipe"), kind("")], [Err(io::ErrorKind::InvalidInput), Err(io::ErrorKind::InvalidInput)]);
        assert!(open_file_itself(&path("file")).is_ok() && open_file_itself(&path("link")).is_err());
        assert_eq!(kind("absent"), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_file_longer_than_its_limit_is_refused_with_both() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(&path, 5).unwrap(), b"12345");
        let error = read_file(&path, 4).unwrap_err().to_string();
        assert_eq!(error, format!("{} is too large: expected at most 4 bytes", path.display()));
        assert!(read_file(&directory.path().join("absent"), 5).unwrap_err().is_not_found());
    }
}
