//! Files on their way into and out of containers: a tar archive, spooled to a nameless temporary file, so that memory
//! doesn't grow with the state.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};

use super::Error;
use crate::state::dir::{DIR_MODE, FILE_MODE};

const CHUNK: usize = 1 << 16;

/// A tar archive on disk.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
}

/// Makes an [`Archive`].
pub(super) struct Packer {
    tar: tar::Builder<File>,
    owner: (u64, u64),
}

impl Packer {
    /// Files will belong to these user and group numbers.
    pub(super) fn new(owner: (u64, u64)) -> Result<Packer, Error> {
        Ok(Packer { tar: tar::Builder::new(tempfile::tempfile().map_err(spool)?), owner })
    }

    fn header(&self, kind: tar::EntryType, mode: u32, len: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_size(len);
        header
    }

    /// Adds bytes as a file that all may read and run.
    pub(super) fn bytes(mut self, path: &str, bytes: &[u8]) -> Result<Packer, Error> {
        let mut header = self.header(tar::EntryType::Regular, 0o755, bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes).map_err(spool)?;
        Ok(self)
    }

    /// Adds a directory and all regular files and directories in it.
    pub(super) fn directory(mut self, path: &str, from: &Path) -> Result<Packer, Error> {
        self.add_directory(path, from)?;
        Ok(self)
    }

    fn add_directory(&mut self, path: &str, from: &Path) -> Result<(), Error> {
        let mut header = self.header(tar::EntryType::Directory, DIR_MODE, 0);
        self.tar.append_data(&mut header, format!("{path}/"), io::empty()).map_err(spool)?;
        let fail = |source| Error::Io { path: from.to_owned(), source };
        for entry in std::fs::read_dir(from).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = format!("{path}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(fail)?;
            if kind.is_dir() {
                self.add_directory(&name, &entry.path())?;
            } else if kind.is_file() {
                self.add_file(&name, &entry.path())?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, name: &str, from: &Path) -> Result<(), Error> {
        let fail = |source| Error::Io { path: from.to_owned(), source };
        let file = File::open(from).map_err(fail)?;
        let len = file.metadata().map_err(fail)?.len();
        let mut header = self.header(tar::EntryType::Regular, FILE_MODE, len);
        self.tar.append_data(&mut header, name, file.take(len)).map_err(spool)
    }

    pub(super) fn finish(self) -> Result<Archive, Error> {
        Archive::rewound(self.tar.into_inner().map_err(spool)?)
    }
}

impl Archive {
    fn rewound(mut file: File) -> Result<Archive, Error> {
        file.rewind().map_err(spool)?;
        Ok(Archive { file })
    }

    /// What a daemon sends.
    pub(super) async fn from_stream<B: AsRef<[u8]>>(
        chunks: impl Stream<Item = Result<B, Error>>,
    ) -> Result<Archive, Error> {
        let mut file = tempfile::tempfile().map_err(spool)?;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.try_next().await? {
            file.write_all(chunk.as_ref()).map_err(spool)?;
        }
        Archive::rewound(file)
    }

    /// Its bytes, for the body of a request.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::unfold(self.file, |mut file| async {
            let mut chunk = vec![0; CHUNK];
            match file.read(&mut chunk) {
                Ok(0) => None,
                Ok(len) => {
                    chunk.truncate(len);
                    Some((Ok(chunk.into()), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        })
    }

    /// Unpacks it into `to`, without its outermost directory.
    pub(super) fn unpack(self, to: &Path) -> Result<(), Error> {
        let fail = |source| Error::Io { path: to.to_owned(), source };
        for entry in tar::Archive::new(self.file).entries().map_err(spool)? {
            let mut entry = entry.map_err(spool)?;
            let path = entry.path().map_err(spool)?.into_owned();
            let inner: std::path::PathBuf = path.components().skip(1).collect();
            let plain = inner.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if !plain {
                continue;
            }
            match entry.header().entry_type() {
                tar::EntryType::Directory => std::fs::create_dir_all(to.join(inner)).map_err(fail)?,
                tar::EntryType::Regular => {
                    let mut file = File::create(to.join(inner)).map_err(fail)?;
                    io::copy(&mut entry, &mut file).map_err(fail)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The spool is in the temporary directory.
fn spool(source: io::Error) -> Error {
    Error::Io { path: std::env::temp_dir(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_comes_back_as_it_went() {
        let from = tempfile::tempdir().unwrap();
        let snapshot = from.path().join("snapshots/2-5-1");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::write(from.path().join("raft-log.db"), vec![7; 3 * CHUNK]).unwrap();
        std::fs::write(snapshot.join("state.bin"), "state").unwrap();
        let long = "s".repeat(200);
        let packed = Packer::new((1, 2)).unwrap().directory(&long, from.path()).unwrap().finish().unwrap();
        let mut bytes = Vec::new();
        (&packed.file).read_to_end(&mut bytes).unwrap();
        let chunks = bytes.chunks(1000).map(|chunk| Ok(chunk.to_vec())).collect::<Vec<_>>();
        let to = tempfile::tempdir().unwrap();
        Archive::from_stream(stream::iter(chunks)).await.unwrap().unpack(to.path()).unwrap();
        assert_eq!(std::fs::read(to.path().join("raft-log.db")).unwrap(), vec![7; 3 * CHUNK]);
        assert_eq!(std::fs::read(to.path().join("snapshots/2-5-1/state.bin")).unwrap(), b"state");
    }
}
