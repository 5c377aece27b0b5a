//! Puts in order what arrives in any order and doesn't fit in memory: the only file that names jammdb.
//!
//! jammdb began as a port of bolt, but its files have another format: it can neither read nor write raft's. It does what
//! it is sound at: puts in batches, from one thread, into a file of its own that lives as long as the value, and is
//! checked before it is read. Nothing is ever deleted in it, and no file that another program wrote is opened.

use std::path::PathBuf;

use jammdb::{DB, OpenOptions};
use tempfile::TempDir;

use crate::durable::{IoError, temp_dir};

/// Puts of a transaction: more take memory, fewer take time.
const BATCH: usize = 10_000;
/// Bytes of a transaction, for large values.
const BATCH_LEN: usize = 32 << 20;
const BUCKET: &str = "entries";
/// jammdb panics on sizes that aren't a multiple of 8, and its default is the machine's own.
const PAGE_SIZE: u64 = 4096;

/// An ordered store on disk, private to this run.
pub struct Scratch {
    directory: TempDir,
    db: DB,
    batch: Vec<([u8; 8], Vec<u8>)>,
    batch_len: usize,
}

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no directory for it.
    #[error("the scratch store (TMPDIR names another directory)")]
    Directory(#[from] IoError),
    /// It can't be written or read: no room, or no right to write.
    #[error("the scratch store in {} (TMPDIR names another directory)", path.display())]
    Store {
        /// Its directory.
        path: PathBuf,
        /// What the store says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Scratch {
    /// Makes one in the temporary directory.
    pub fn create() -> Result<Scratch, Error> {
        let directory = temp_dir("scratch")?;
        let db = OpenOptions::new().pagesize(PAGE_SIZE).open(directory.path().join("scratch.jammdb"));
        let db = db.map_err(|error| failed(&directory, error))?;
        Ok(Scratch { directory, db, batch: Vec::new(), batch_len: 0 })
    }

    /// Adds a pair; the last one of a key counts.
    pub fn put(&mut self, key: u64, value: Vec<u8>) -> Result<(), Error> {
        self.batch_len += value.len();
        self.batch.push((key.to_be_bytes(), value));
        if self.batch.len() >= BATCH || self.batch_len >= BATCH_LEN {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_len = 0;
        let written = (|| {
            let tx = self.db.tx(true)?;
            let bucket = tx.get_or_create_bucket(BUCKET)?;
            for (key, value) in batch {
                bucket.put(key, value)?;
            }
            tx.commit()
        })();
        written.map_err(|error: jammdb::Error| failed(&self.directory, error))
    }

    /// Calls `each` for all pairs in the order of their keys, until it fails.
    pub fn each<E: From<Error>>(&mut self, mut each: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.write()?;
        self.db.check().map_err(|error| failed(&self.directory, error))?;
        let tx = self.db.tx(false).map_err(|error| failed(&self.directory, error))?;
        let bucket = tx.get_bucket(BUCKET).map_err(|error| failed(&self.directory, error))?;
        for pair in bucket.kv_pairs() {
            // Only this type puts keys into it.
            let Ok(key) = <[u8; 8]>::try_from(pair.key()) else { continue };
            each(u64::from_be_bytes(key), pair.value())?;
        }
        Ok(())
    }
}

fn failed(directory: &TempDir, error: jammdb::Error) -> Error {
    Error::Store { path: directory.path().to_owned(), source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_any_order_comes_out_in_order() {
        let mut scratch = Scratch::create().unwrap();
        let count = 25_000_u64;
        for number in 0..count {
            // 7919 is prime to the count: each key once, far from its neighbours.
            let key = number * 7919 % count;
            scratch.put(key, key.to_le_bytes().repeat(3)).unwrap();
        }
        let mut next = 0_u64;
        let directory = scratch.directory.path().to_owned();
        scratch
            .each(|key, value| {
                assert_eq!((key, value), (next, &next.to_le_bytes().repeat(3)[..]));
                next += 1;
                Ok::<(), Error>(())
            })
            .unwrap();
        assert_eq!(next, count);
        drop(scratch);
        assert!(!directory.exists());
    }

    #[test]
    fn an_empty_one_gives_nothing() {
        Scratch::create().unwrap().each(|key, _| -> Result<(), Error> { panic!("{key}") }).unwrap();
    }
}
