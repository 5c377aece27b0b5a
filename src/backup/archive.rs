//! A backup as one file: a tar archive, compressed with zstd.
//!
//! The manifest is the first entry, so that `list` needn't read further.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};
use zstd::{Decoder, Encoder};

use super::error::Error;
use super::manifest::{MANIFEST_FILE, Manifest, SUMS_FILE};
use crate::durable::open_file;
use crate::report::Progress;

/// What the name of an archive ends with.
pub const EXTENSION: &str = ".tar.zst";
/// Payloads are compressed already: more effort brings little.
const LEVEL: i32 = 3;
const BUFFER_LEN: usize = 1 << 20;
/// A window of more bytes isn't made for an archive that asks for it: zstd's own limit for strangers' files.
const WINDOW_LOG: u32 = 27;

/// Writes the backup in `directory` to `to`, all paths below `name`.
pub(super) fn pack(directory: &Path, name: &str, manifest: &Manifest, to: File) -> io::Result<File> {
    let mut encoder = Encoder::new(BufWriter::with_capacity(BUFFER_LEN, to), LEVEL)?;
    // Damage is found without the manifest too.
    encoder.include_checksum(true)?;
    let mut builder = Builder::new(encoder);
    let time = u64::try_from(manifest.created.as_second()).unwrap_or(0);
    let put_file = |builder: &mut Builder<_>, path: &str, mode, uid, gid| -> io::Result<()> {
        let file = open_file(&directory.join(path))?;
        let mut header = header(EntryType::Regular, mode, uid, gid, time);
        header.set_size(file.metadata()?.len());
        builder.append_data(&mut header, format!("{name}/{path}"), BufReader::with_capacity(BUFFER_LEN, file))
    };
    let mut top = header(EntryType::Directory, 0o700, 0, 0, time);
    builder.append_data(&mut top, format!("{name}/"), io::empty())?;
    for path in [MANIFEST_FILE, SUMS_FILE] {
        put_file(&mut builder, path, 0o600, 0, 0)?;
    }
    for it in &manifest.directories {
        let mut header = header(EntryType::Directory, it.mode, it.uid, it.gid, time);
        builder.append_data(&mut header, format!("{name}/{}/", it.path), io::empty())?;
    }
    for it in &manifest.files {
        put_file(&mut builder, &it.path, it.mode, it.uid, it.gid)?;
    }
    let mut file = builder.into_inner()?.finish()?;
    file.flush()?;
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

fn header(kind: EntryType, mode: u32, uid: u32, gid: u32, time: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(u64::from(uid));
    header.set_gid(u64::from(gid));
    header.set_mtime(time);
    header.set_size(0);
    header
}

/// Gives each file of an archive, its path relative to the backup, in turn.
pub(super) type EachFile<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> Result<Go, Error>;

/// Whether there is more to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    On,
    Enough,
}

/// Reads an archive from its beginning. What is neither a file nor a directory is none that we wrote.
pub(super) fn unpack(path: &Path, each: EachFile<'_>, progress: &dyn Progress) -> Result<(), Error> {
    let opening = |source| Error::Io { doing: "opening", path: path.to_owned(), source };
    let damaged = |source| Error::Archive { path: path.to_owned(), source };
    let file = open_file(path).map_err(opening)?;
    let counted = Counted { file, progress };
    let mut decoder = Decoder::new(counted).map_err(damaged)?;
    decoder.window_log_max(WINDOW_LOG).map_err(damaged)?;
    let mut archive = Archive::new(decoder);
    let mut top: Option<String> = None;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| damaged(io::Error::other("a name that isn't UTF-8")))?;
        let (first, rest) = name.split_once('/').unwrap_or((&name, ""));
        if *top.get_or_insert_with(|| first.to_owned()) != first {
            return Err(damaged(io::Error::other(format!("{name:?} lies outside of the backup"))));
        }
        match entry.header().entry_type() {
            EntryType::Directory => {}
            EntryType::Regular => {
                if each(rest, &mut entry)? == Go::Enough {
                    return Ok(());
                }
            }
            other => {
                return Err(damaged(io::Error::other(format!("{name:?} is no file and no directory: {other:?}"))));
            }
        }
    }
    // What follows the last entry counts too: the checksum is at the very end.
    let mut decoder = archive.into_inner();
    io::copy(&mut decoder, &mut io::sink()).map_err(damaged)?;
    Ok(())
}

/// Tells how far reading is.
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
