//! Copying and hashing in one pass.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc;

use sha2::{Digest, Sha256};

use crate::report::Progress;

/// Bytes that are read, hashed and written at a time: few enough to stay in a core's cache. With 1 MiB a backup takes half
/// as long again.
const CHUNK_LEN: usize = 256 << 10;
/// Chunks between the copying and the hashing thread.
const CHUNKS: usize = 8;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Bytes.
    pub(crate) len: u64,
    /// Of all bytes, 64 digits.
    pub(crate) sha256: String,
}

/// On which side copying failed.
#[derive(Debug)]
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// The SHA-256 of `bytes`, 64 digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    const_hex::encode(Sha256::digest(bytes))
}

/// Copies all of `source`, and hashes what was read. What is longer than a chunk is hashed by a second thread.
pub(crate) fn copy(source: &mut dyn Read, to: &mut dyn Write, progress: &dyn Progress) -> Result<Copied, CopyError> {
    let mut chunk = vec![0; CHUNK_LEN];
    let first = fill(source, &mut chunk)?;
    to.write_all(&chunk[..first]).map_err(CopyError::Write)?;
    progress.advance(first as u64);
    if first < CHUNK_LEN {
        return Ok(Copied { len: first as u64, sha256: sha256(&chunk[..first]) });
    }
    let (full, to_hash) = mpsc::sync_channel::<(Vec<u8>, usize)>(CHUNKS);
    let (back, empty) = mpsc::channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            let mut hasher = Sha256::new();
            for (chunk, len) in to_hash {
                hasher.update(&chunk[..len]);
                // The other side has all it needs when it listens no more.
                let _ = back.send(chunk);
            }
            const_hex::encode(hasher.finalize())
        });
        let mut len = first as u64;
        let mut made = 1;
        let mut read = first;
        let copied = loop {
            if full.send((chunk, read)).is_err() {
                break Err(CopyError::Read(io::Error::other("the hashing thread ended")));
            }
            if read < CHUNK_LEN {
                break Ok(len);
            }
            chunk = match empty.try_recv() {
                Ok(chunk) => chunk,
                Err(_) if made < CHUNKS => {
                    made += 1;
                    vec![0; CHUNK_LEN]
                }
                Err(_) => match empty.recv() {
                    Ok(chunk) => chunk,
                    Err(_) => break Err(CopyError::Read(io::Error::other("the hashing thread ended"))),
                },
            };
            match fill(source, &mut chunk).and_then(|got| {
                to.write_all(&chunk[..got]).map_err(CopyError::Write)?;
                Ok(got)
            }) {
                Ok(got) => read = got,
                Err(error) => break Err(error),
            }
            len += read as u64;
            progress.advance(read as u64);
        };
        drop(full);
        let hashed = hashing.join();
        let len = copied?;
        let sha256 = hashed.map_err(|_| CopyError::Read(io::Error::other("the hashing thread failed")))?;
        Ok(Copied { len, sha256 })
    })
}

/// Hashes a file without copying it.
pub(crate) fn hash(file: &mut File, progress: &dyn Progress) -> io::Result<Copied> {
    copy(file, &mut io::sink(), progress).map_err(|error| match error {
        CopyError::Read(error) | CopyError::Write(error) => error,
    })
}

fn fill(source: &mut dyn Read, chunk: &mut [u8]) -> Result<usize, CopyError> {
    let mut done = 0;
    while done < chunk.len() {
        match source.read(&mut chunk[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_bytes_and_the_hash_of_its_source_in_every_length() {
        for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 9 * CHUNK_LEN, 9 * CHUNK_LEN + 5] {
            let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
            let mut to = Vec::new();
            let copied = copy(&mut bytes.as_slice(), &mut to, &()).unwrap();
            assert!(to == bytes, "{len}");
            assert_eq!(copied, Copied { len: len as u64, sha256: sha256(&bytes) }, "{len}");
        }
        // sha256sum of "abc", FIPS 180-2.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_side_that_fails_is_told_and_nothing_hangs() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = vec![7; 8 * CHUNK_LEN];
        for room in [0, 3 * CHUNK_LEN, 8 * CHUNK_LEN - 1] {
            let error = copy(&mut bytes.as_slice(), &mut Full(room), &()).unwrap_err();
            assert!(matches!(error, CopyError::Write(error) if error.kind() == io::ErrorKind::StorageFull), "{room}");
        }
    }
}
