//! A directory that is held open: what is done in it is done in this one, wherever its path leads by then.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
/// Enough to go on from a directory, even one that may not be read.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PASS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PASS: OFlags = READ;

/// A directory, and the path by which it was found, which is for messages and for reading only.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory. This follows symbolic links: call it once, with what the user named.
    pub(crate) fn open(path: &Path) -> io::Result<Directory> {
        let fd = rustix::fs::open(path, READ | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Directory { fd, path: path.to_owned() })
    }

    /// Opens the directory `name` in this one, not through a symbolic link.
    pub(crate) fn child(&self, name: impl AsRef<OsStr>) -> io::Result<Directory> {
        let name = name.as_ref();
        let fd = openat(&self.fd, name, READ | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Directory { fd, path: self.path.join(name) })
    }

    /// Opens what a part of a path means from here: `..` is the directory above, and a symbolic link is followed.
    pub(super) fn step(&self, part: Component<'_>) -> io::Result<Directory> {
        let fd = openat(&self.fd, part.as_os_str(), READ | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Directory { fd, path: self.path.join(part) })
    }

    /// As [`Directory::open`], of a directory that only leads to others and need not be readable.
    pub(super) fn open_to_pass(path: &Path) -> io::Result<Directory> {
        let fd = rustix::fs::open(path, PASS | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Directory { fd, path: path.to_owned() })
    }

    /// As [`Directory::step`], to a directory that only leads to others.
    pub(super) fn pass(&self, part: Component<'_>) -> io::Result<Directory> {
        let fd = openat(&self.fd, part.as_os_str(), PASS | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Directory { fd, path: self.path.join(part) })
    }

    /// The directory that holds the last part of `path`, which has nothing but names, and that part.
    pub(super) fn parent_of<'a>(&self, path: &'a Path) -> io::Result<(Directory, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parents = path.parent().into_iter().flat_map(Path::components);
        let mut parent = self.try_clone()?;
        for part in parents {
            parent = parent.child(part)?;
        }
        Ok((parent, name))
    }

    /// Another handle on the same directory.
    pub(super) fn try_clone(&self) -> io::Result<Directory> {
        Ok(Directory { fd: self.fd.try_clone()?, path: self.path.clone() })
    }

    /// The path by which it was found.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn metadata(&self) -> io::Result<Stat> {
        Ok(fstat(&self.fd)?)
    }

    /// What is called `name` in here, if there is something; a symbolic link is itself.
    pub(super) fn look_at(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
        match statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            stat => Ok(Some(stat?)),
        }
    }

    /// The inode of what is called `name` in here.
    pub(super) fn inode(&self, name: impl AsRef<OsStr>) -> io::Result<Option<u64>> {
        Ok(self.look_at(name)?.map(|stat| stat.st_ino))
    }

    /// Opens a regular file in here for reading, not through a symbolic link and without waiting.
    pub(super) fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let file = File::from(openat(&self.fd, name.as_ref(), READ | OFlags::NOFOLLOW, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a regular file")),
        }
    }

    /// What is in here, sorted by name.
    pub(crate) fn entries(&self) -> io::Result<Vec<(OsString, FileType)>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems don't say it here.
                FileType::Unknown => match self.look_at(name)? {
                    Some(stat) => FileType::from_raw_mode(stat.st_mode),
                    None => continue,
                },
                kind => kind,
            };
            entries.push((name.to_owned(), kind));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// Removes a file of a replacement that is over.
    pub(crate) fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }

    /// Removes a directory if it is empty.
    pub(crate) fn remove_dir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR)?)
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.entries()?.is_empty())
    }

    /// Whether this user has it, and nobody else may enter it.
    pub(super) fn is_private(&self) -> io::Result<bool> {
        let stat = self.metadata()?;
        Ok(stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o7777 == 0o700)
    }

    /// Whether `name` is where another file system, or another part of this one, is mounted.
    pub(crate) fn is_mount_point(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let name = name.as_ref();
        let Some(stat) = self.look_at(name)? else { return Ok(false) };
        Ok(stat.st_dev != self.metadata()?.st_dev || is_mount_root(self.fd.as_fd(), name))
    }

    /// Whether this directory is one of `others`, which are named by device and inode, or is in one of them.
    pub(crate) fn is_within(&self, others: &[(u64, u64)]) -> io::Result<bool> {
        let mut at = self.try_clone()?;
        let mut last = None;
        loop {
            let id = at.id()?;
            if others.contains(&id) {
                return Ok(true);
            }
            // The directory above the root is the root.
            if last == Some(id) {
                return Ok(false);
            }
            last = Some(id);
            at = at.pass(Component::ParentDir)?;
        }
    }

    /// Device and inode: the same for the same directory, by whatever path or mount.
    #[allow(clippy::unnecessary_cast, reason = "their types differ between systems")]
    pub(crate) fn id(&self) -> io::Result<(u64, u64)> {
        let stat = self.metadata()?;
        Ok((stat.st_dev as u64, stat.st_ino as u64))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A bind mount is on the same device; what the kernel says of it needs Linux 5.8.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_mount_root(directory: BorrowedFd<'_>, name: &OsStr) -> bool {
    use rustix::fs::{StatxAttributes, StatxFlags, statx};
    statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
        .is_ok_and(|statx| statx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_mount_root(_directory: BorrowedFd<'_>, _name: &OsStr) -> bool {
    false
}
