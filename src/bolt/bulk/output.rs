//! Bytes that go to the file in large writes, one after the other.

use std::thread::JoinHandle;
use std::{io, mem};

use super::super::error::Error;
use super::super::storage::{Storage, is_parallel};
use super::write_behind::WriteBehind;

/// Bytes of a write.
const WRITE_LEN: usize = 256 << 10;
/// A file of more bytes is written by a thread of its own.
const LONG_LEN: u64 = 4 << 20;
/// Bytes that are made durable at a time, while more are written.
const SYNC_LEN: u64 = 16 << 20;
const WRITING: &str = "writing pages";

/// Gathers bytes, and writes them from an offset on.
#[derive(Debug)]
pub(super) struct Output<S> {
    storage: S,
    buffer: Vec<u8>,
    /// Where the buffer goes, in bytes from the start of the file.
    offset: u64,
    /// The thread that writes a long file; `None` if there is no second processor.
    behind: Option<WriteBehind>,
    is_long: bool,
    /// What is being made durable, and where it ends.
    syncing: Option<JoinHandle<io::Result<()>>>,
    synced: u64,
}

impl<S: Storage> Output<S> {
    pub(super) fn new(storage: S, offset: u64) -> Output<S> {
        Output {
            storage,
            buffer: Vec::with_capacity(2 * WRITE_LEN),
            offset,
            behind: None,
            is_long: false,
            syncing: None,
            synced: 0,
        }
    }

    /// Appends `len` zero bytes, to be changed before anything else is appended.
    pub(super) fn zeros(&mut self, len: usize) -> &mut [u8] {
        let start = self.buffer.len();
        self.buffer.resize(start + len, 0);
        &mut self.buffer[start..]
    }

    /// Appends bytes. A long slice goes to the file without being copied.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() < WRITE_LEN {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        self.storage.write_all_at(bytes, self.offset).map_err(Error::io(WRITING))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes what was appended, if it is enough for a write.
    pub(super) fn flush_if_long(&mut self) -> Result<(), Error> {
        if self.buffer.len() >= WRITE_LEN { self.flush() } else { Ok(()) }
    }

    /// Writes what was appended.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if !self.buffer.is_empty() {
            let len = self.buffer.len() as u64;
            self.write_buffer()?;
            self.offset += len;
        }
        let is_idle = self.syncing.as_ref().is_none_or(JoinHandle::is_finished);
        if is_idle && self.offset - self.synced >= SYNC_LEN {
            self.join_sync()?;
            self.synced = self.offset;
            self.syncing = self.storage.sync_ahead();
        }
        Ok(())
    }

    /// Writes the buffer, or lets the thread write it, and leaves an empty one.
    fn write_buffer(&mut self) -> Result<(), Error> {
        if self.offset > LONG_LEN && !self.is_long {
            self.is_long = true;
            self.behind = self.storage.second_writer().filter(|_| is_parallel()).and_then(WriteBehind::start);
        }
        if let Some(behind) = &mut self.behind {
            match behind.write(mem::take(&mut self.buffer), self.offset) {
                Ok(empty) => {
                    self.buffer = empty;
                    return Ok(());
                }
                Err(buffer) => self.buffer = buffer,
            }
            self.join_behind()?;
        }
        self.storage.write_all_at(&self.buffer, self.offset).map_err(Error::io(WRITING))?;
        self.buffer.clear();
        Ok(())
    }

    /// Waits for the thread that writes.
    fn join_behind(&mut self) -> Result<(), Error> {
        self.behind.take().map_or(Ok(()), |mut behind| behind.finish()).map_err(Error::io(WRITING))
    }

    /// Writes the rest, then `head` at the start of the file, and makes everything durable.
    pub(super) fn finish(mut self, head: &[u8]) -> Result<S, Error> {
        self.flush()?;
        self.join_behind()?;
        self.storage.write_all_at(head, 0).map_err(Error::io("writing the metas"))?;
        self.join_sync()?;
        self.storage.sync().map_err(Error::io("syncing the file"))?;
        Ok(self.storage)
    }

    /// Waits for what is being made durable. The system reports a failure only once, so it must not be missed.
    fn join_sync(&mut self) -> Result<(), Error> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        let synced = syncing.join().unwrap_or_else(|_| Err(io::Error::other("the thread that synced panicked")));
        synced.map_err(Error::io("syncing the file"))
    }
}
