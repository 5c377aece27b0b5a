//! A backup as one file: a tar archive, compressed with zstd.
//!
//! The manifest is the first entry, so that `list` needn't read further.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use tar::{Archive, Builder, Entry, EntryType, Header, PaxExtensions};
use zstd::{Decoder, Encoder};

use super::error::{Error, NoBackup};
use super::manifest::{MANIFEST_FILE, Manifest, SUMS_FILE};
use crate::durable::IoError;
use crate::durable::open_file;
use crate::report::Progress;

/// What the name of an archive ends with.
pub const EXTENSION: &str = ".tar.zst";
/// Payloads are compressed already: more effort brings little.
const LEVEL: i32 = 3;
const BUFFER_LEN: usize = 1 << 20;
/// A window of more bytes isn't made for an archive that asks for it: zstd's own limit for strangers' files.
const WINDOW_LOG: u32 = 27;
/// Longest name of an entry, and most bytes of what else an entry says of the next. Ours have at most an id, `snapshots`,
/// the id of a snapshot and the name of a file.
const MAX_NAME_LEN: u64 = 64 << 10;
/// Bytes of an entry besides its content: header, padding, and both again for a long name.
const ENTRY_OVERHEAD: u64 = 2 * (512 + 512) + 1024;
/// Bytes of files that the manifest doesn't have: somebody may have added a note.
const SLACK: u64 = 16 << 20;

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

/// Bytes that an archive may have at most when unpacked, given those of the files that it should hold and their number.
pub(super) fn most_bytes(size: u64, entries: u64) -> u64 {
    size.saturating_add(entries.saturating_mul(ENTRY_OVERHEAD)).saturating_add(SLACK)
}

/// Reads an archive from its beginning, at most `most` bytes of what it unpacks to. What is neither a file nor a directory
/// is not from this tool.
pub(super) fn unpack(path: &Path, most: u64, each: EachFile<'_>, progress: &dyn Progress) -> Result<(), Error> {
    let opening = |source| Error::Io(IoError { doing: "opening", path: path.to_owned(), source });
    let damaged = |source| Error::Archive { path: path.to_owned(), source };
    let mut file = open_file(path).map_err(opening)?;
    if let Some(reason) = other_format(&mut file).map_err(opening)? {
        return Err(Error::NoBackup { path: path.to_owned(), reason });
    }
    let mut decoder = Decoder::new(Counted { file, progress }).map_err(damaged)?;
    decoder.window_log_max(WINDOW_LOG).map_err(damaged)?;
    let mut archive = Archive::new(Bounded { from: decoder, left: most });
    let mut names = Names::default();
    // Raw, because the library reads a long name into memory whatever its length.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let Some((name, kind)) = names.next(&mut entry).map_err(damaged)? else { continue };
        match kind {
            EntryType::Directory => {}
            EntryType::Regular if each(&name, &mut entry)? == Go::Enough => return Ok(()),
            EntryType::Regular => {}
            EntryType::GNUSparse => {
                let reason = NoBackup::Sparse;
                return Err(Error::NoBackup { path: path.to_owned(), reason });
            }
            other => {
                let message = format!("{name:?}: expected a file or a directory, found {other:?}");
                return Err(damaged(io::Error::other(message)));
            }
        }
    }
    // What follows the last entry counts too: the checksum is at the very end.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(damaged)?;
    Ok(())
}

/// What a file is that isn't compressed with zstd, by its first bytes.
fn other_format(file: &mut File) -> io::Result<Option<NoBackup>> {
    // POSIX.1-2017 pax, ustar Header Block: magic "ustar" at 257.
    const USTAR: std::ops::Range<usize> = 257..262;
    let mut start = [0; USTAR.end];
    let mut len = 0;
    while let read @ 1.. = file.read(&mut start[len..])? {
        len += read;
    }
    file.rewind()?;
    Ok(match &start[..len] {
        // RFC 1952 2.3.1.
        [0x1f, 0x8b, ..] => Some(NoBackup::Gzip),
        start if start.get(USTAR) == Some(b"ustar") => Some(NoBackup::PlainTar),
        // RFC 8878 3.1.1.
        [0x28, 0xb5, 0x2f, 0xfd, ..] => None,
        _ => Some(NoBackup::OtherFile),
    })
}

/// The names of entries, which may stand in an entry before their own.
#[derive(Default)]
struct Names {
    /// Name of the directory that all entries are in.
    top: Option<String>,
    /// The name of the next entry, when that is too long for its own header.
    long: Option<Vec<u8>>,
}

impl Names {
    /// The path of an entry relative to the backup, and its kind; none for one that is only about the next.
    fn next(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<Option<(String, EntryType)>> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let mut name = short(entry)?;
                while name.last() == Some(&0) {
                    name.pop();
                }
                self.long = Some(name);
                return Ok(None);
            }
            EntryType::XHeader => {
                let bytes = short(entry)?;
                for record in PaxExtensions::new(&bytes) {
                    let record = record?;
                    match record.key_bytes() {
                        b"path" => self.long = Some(record.value_bytes().to_vec()),
                        b"size" => return Err(io::Error::other("a file of 8 GiB or more, packed by another tool")),
                        _ => {}
                    }
                }
                return Ok(None);
            }
            EntryType::XGlobalHeader => return short(entry).map(|_| None),
            _ => {}
        }
        let name = self.long.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let name = String::from_utf8(name).map_err(|_| io::Error::other("a name that isn't UTF-8"))?;
        // tar -C backup . has "./" in front of all names.
        let (first, rest) = name.split_once('/').unwrap_or((&name, ""));
        if *self.top.get_or_insert_with(|| first.to_owned()) != first {
            return Err(io::Error::other(format!("{name:?} is outside of the backup")));
        }
        Ok(Some((rest.to_owned(), kind)))
    }
}

/// The bytes of an entry that is about the next one.
fn short(entry: &mut Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    if entry.size() > MAX_NAME_LEN {
        return Err(io::Error::other(format!("a name of {} bytes, expected at most {MAX_NAME_LEN}", entry.size())));
    }
    let mut bytes = Vec::new();
    entry.take(MAX_NAME_LEN).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reports how far reading is.
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

/// Fails after a number of bytes: a few may unpack to more than any disk holds.
struct Bounded<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("it unpacks to more than its manifest says")),
        }
        Ok(read)
    }
}
