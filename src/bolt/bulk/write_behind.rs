//! Writes on a second thread, so that the kernel copies while the next pages are packed.

use std::io;
use std::sync::mpsc::{Receiver, SendError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::super::storage::Storage;

/// Buffers that wait to be written. With the one being written and the one being filled, they are all the memory that
/// is taken.
const BUFFERS_BEHIND: usize = 2;

/// A thread that writes buffers, each at its offset.
#[derive(Debug)]
pub(super) struct WriteBehind {
    /// `None` when the thread must end.
    buffers: Option<SyncSender<Job>>,
    /// Buffers that were written.
    spent: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// A buffer, and where it goes in bytes from the start of the file.
type Job = (Vec<u8>, u64);

impl WriteBehind {
    /// Starts a thread that writes to `storage`; `None` if it can't be started.
    pub(super) fn start(storage: Box<dyn Storage + Send>) -> Option<WriteBehind> {
        let (buffers, receive) = sync_channel(BUFFERS_BEHIND);
        let (reuse, spent) = channel();
        let thread = thread::Builder::new().name("write behind".to_owned());
        let thread = thread.spawn(move || write_buffers(storage, &receive, &reuse)).ok()?;
        Some(WriteBehind { buffers: Some(buffers), spent, thread: Some(thread) })
    }

    /// Hands over a buffer; returns an empty one. If the thread has ended, because a write failed, returns the buffer.
    pub(super) fn write(&mut self, buffer: Vec<u8>, offset: u64) -> Result<Vec<u8>, Vec<u8>> {
        let Some(buffers) = &self.buffers else { return Err(buffer) };
        buffers.send((buffer, offset)).map_err(|SendError((buffer, _))| buffer)?;
        let mut empty = self.spent.try_recv().unwrap_or_default();
        empty.clear();
        Ok(empty)
    }

    /// Waits until all buffers are written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.buffers = None;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that wrote panicked")))
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        // A file that is dropped before it is finished is not used.
        _ = self.finish();
    }
}

/// Writes until there are no more buffers, or until a write fails.
fn write_buffers(
    mut storage: Box<dyn Storage + Send>,
    buffers: &Receiver<Job>,
    reuse: &Sender<Vec<u8>>,
) -> io::Result<()> {
    for (buffer, offset) in buffers {
        storage.write_all_at(&buffer, offset)?;
        // Fails if no more buffers are needed.
        _ = reuse.send(buffer);
    }
    Ok(())
}
