//! Files and folders with a mode and an owner, on the disk when the call returns.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::str::FromStr;

/// Permission bits, whatever the umask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Mode {
    /// rwxr-xr-x, as op-conductor makes its folders.
    pub const FOLDER: Mode = Mode(0o755);
    /// rw-------, as raft-boltdb makes its files. (raft-boltdb v2/bolt_store.go dbFileMode)
    pub const PRIVATE_FILE: Mode = Mode(0o600);
    /// rw-r--r--, for what everybody may read.
    pub const FILE: Mode = Mode(0o644);
}

/// Numeric user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Owner, String> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
        let parsed = text.split_once(':').and_then(|(uid, gid)| Some(Owner { uid: number(uid)?, gid: number(gid)? }));
        parsed.ok_or_else(|| "expected numeric uid:gid, such as 1000:1000".to_owned())
    }
}

pub(super) fn make_folder(path: &Path, mode: Mode, owner: Option<Owner>) -> io::Result<()> {
    DirBuilder::new().mode(mode.0).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode.0))?;
    give(path, owner)
}

pub(super) fn write_file(path: &Path, bytes: &[u8], mode: Mode, owner: Option<Owner>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode.0).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode.0))?;
    give(path, owner)?;
    file.sync_all()
}

fn give(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    owner.map_or(Ok(()), |owner| chown(path, Some(owner.uid), Some(owner.gid)))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers() {
        assert_eq!("1000:0".parse(), Ok(Owner { uid: 1000, gid: 0 }));
        for text in ["", "1000", "op:op", "1000:", "-1:0", "4294967295:0"] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
    }
}
