//! What servers a path means: itself one server's directory, or a directory of them.
//!
//! Resolved once, here: no other file takes an id from a path.

use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE, StateDir, parent_and_name};

/// What no server's directory is called: fsck puts it on each volume, and only root may look into it.
pub(crate) const LOST_FOUND: &str = "lost+found";

/// The servers that a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    root: PathBuf,
    is_one: bool,
    dirs: Vec<StateDir>,
}

impl Servers {
    /// The server whose directory is `path`, or those whose directories are in it.
    ///
    /// # Errors
    /// [`Error::NoState`] when there are none, and [`Error::Io`] when a directory that could be a server's can't be
    /// looked into.
    pub fn find(path: &Path) -> Result<Servers, Error> {
        let servers = Servers::find_any(path)?;
        if servers.dirs.is_empty() { Err(Error::NoState { path: path.to_owned() }) } else { Ok(servers) }
    }

    /// As [`Servers::find`], but there may be none in `path`.
    pub fn find_any(path: &Path) -> Result<Servers, Error> {
        let fail = |source| Error::Io { path: path.to_owned(), source };
        if has_state(path)? {
            let (root, _) = parent_and_name(path).map_err(fail)?;
            return Ok(Servers { root, is_one: true, dirs: vec![StateDir::resolve(path).map_err(fail)?] });
        }
        let mut dirs = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let is_other = name.as_encoded_bytes().starts_with(b".") || name == LOST_FOUND;
            if !is_other && has_state(&entry.path())? {
                dirs.push(StateDir::resolve(&entry.path()).map_err(fail)?);
            }
        }
        dirs.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(Servers { root: path.to_owned(), is_one: false, dirs })
    }

    /// The directory that holds the servers' directories, by the path that was asked for: of one server, the directory
    /// in which its id is found.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the path itself is one server's directory.
    pub fn is_one(&self) -> bool {
        self.is_one
    }

    /// The servers' directories, by name.
    pub fn dirs(&self) -> &[StateDir] {
        &self.dirs
    }
}

/// Whether a server's state is there. A directory that we may not look into could be a server's: that is an error.
pub(crate) fn has_state(path: &Path) -> Result<bool, Error> {
    for path in [LOG_FILE, STABLE_FILE, SNAPSHOTS_DIR].map(|name| path.join(name)) {
        match path.metadata() {
            Ok(_) => return Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(Error::Io { path, source }),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with the servers `a` and `b`, and other things.
    fn cluster() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".hidden", LOST_FOUND] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join(STABLE_FILE), "").unwrap();
        }
        fs::create_dir(dir.path().join("other")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        dir
    }

    fn ids(servers: &Servers) -> Vec<&str> {
        servers.dirs().iter().map(StateDir::id).collect()
    }

    #[test]
    fn a_directory_of_servers_means_all_of_them_by_name() {
        let dir = cluster();
        let servers = Servers::find(dir.path()).unwrap();
        assert_eq!((ids(&servers), servers.is_one()), (vec!["a", "b"], false));
        assert_eq!(servers.root(), dir.path());
        assert_eq!(servers.dirs()[1].path(), dir.path().join("b"));
    }

    #[test]
    fn a_server_is_found_by_its_name_through_any_path() {
        let dir = cluster();
        fs::create_dir(dir.path().join("a").join(SNAPSHOTS_DIR)).unwrap();
        let real = dir.path().canonicalize().unwrap();
        for path in ["a", "a/", "a/.", "b/../a", "a/snapshots/.."] {
            let servers = Servers::find(&dir.path().join(path)).unwrap();
            assert_eq!((ids(&servers), servers.is_one()), (vec!["a"], true), "{path}");
            assert_eq!(servers.root().canonicalize().unwrap(), real, "{path}");
            assert_eq!(servers.dirs()[0].path(), dir.path().join(path), "{path}");
        }
    }

    #[test]
    fn a_symbolic_link_keeps_its_name_and_remembers_its_target() {
        let (dir, disk) = (cluster(), tempfile::tempdir().unwrap());
        let target = disk.path().canonicalize().unwrap().join("data");
        fs::rename(dir.path().join("a"), &target).unwrap();
        symlink(&target, dir.path().join("a")).unwrap();
        let all = Servers::find(dir.path()).unwrap();
        assert_eq!(ids(&all), ["a", "b"]);
        assert_eq!((all.dirs()[0].target(), all.dirs()[1].target()), (Some(target.as_path()), None));
        let one = Servers::find(&dir.path().join("a")).unwrap();
        assert_eq!((ids(&one), one.root()), (vec!["a"], dir.path()));
        assert_eq!(one.dirs()[0].real(), target);
    }

    #[test]
    fn a_directory_without_servers_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = Servers::find(dir.path()).unwrap_err();
        assert!(matches!(&error, Error::NoState { path } if path == dir.path()), "{error}");
        assert_eq!(ids(&Servers::find_any(dir.path()).unwrap()), [""; 0]);
        assert!(matches!(Servers::find(&dir.path().join("absent")), Err(Error::Io { .. })));
    }
}
