//! Opening what somebody else may have put there, without ever waiting.

use std::fs::File;
use std::io;
use std::path::Path;

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
}
