//! Reads a file ahead on a second thread, so that the kernel copies while the caller looks at what it has.

use std::mem;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::layout::to_usize;
use super::storage::ReadAt;

/// Bytes of a chunk: few enough to stay in the processor's cache on the way from one thread to the other.
const CHUNK_LEN: usize = 256 << 10;
/// Chunks that wait. Memory holds these, the one being read, the one in use and the one before it.
const CHUNKS_AHEAD: usize = 2;

/// What a thread reads from an offset on.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    current: Chunk,
    /// The chunk before: where a writer reused free pages, neighbours in the tree are not neighbours in the file.
    previous: Chunk,
    /// What follows; `None` when the thread must end.
    chunks: Option<Receiver<Chunk>>,
    /// Buffers that the thread can use again.
    spent: Sender<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Where it is, in bytes from the start of the file.
    start: u64,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Copies what it has from `offset` on; `None` if that is nothing.
    fn copy(&self, out: &mut [u8], offset: u64) -> Option<usize> {
        let at = to_usize(offset.checked_sub(self.start)?);
        let have = self.bytes.get(at..).filter(|have| !have.is_empty())?;
        let read = have.len().min(out.len());
        out[..read].copy_from_slice(&have[..read]);
        Some(read)
    }
}

impl ReadAhead {
    /// Starts to read `source` from `start` to `end`; `None` if the thread can't be started.
    pub(crate) fn start(source: Box<dyn ReadAt + Send>, start: u64, end: u64) -> Option<ReadAhead> {
        let (send, chunks) = sync_channel(CHUNKS_AHEAD);
        let (spent, reuse) = channel();
        let thread = thread::Builder::new().name("read ahead".to_owned());
        let thread = thread.spawn(move || read_chunks(source.as_ref(), start, end, &send, &reuse)).ok()?;
        let [current, previous] = [(); 2].map(|()| Chunk { bytes: Vec::new(), start });
        Some(ReadAhead { current, previous, chunks: Some(chunks), spent, thread: Some(thread) })
    }

    /// Copies bytes at `offset`; `None` if they are more than a chunk before or after what is read now.
    pub(crate) fn copy(&mut self, out: &mut [u8], offset: u64) -> Option<usize> {
        while offset >= self.current.end() {
            if offset - self.current.end() > CHUNK_LEN as u64 {
                return None;
            }
            let next = self.chunks.as_ref()?.recv().ok()?;
            let previous = mem::replace(&mut self.current, next);
            let spent = mem::replace(&mut self.previous, previous);
            // Fails if the thread has read everything.
            _ = self.spent.send(spent.bytes);
        }
        self.current.copy(out, offset).or_else(|| self.previous.copy(out, offset))
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.chunks = None;
        if let Some(thread) = self.thread.take() {
            // Its errors are found again by whoever reads the same bytes.
            _ = thread.join();
        }
    }
}

/// Reads until the end, until a read fails, or until the receiver is dropped.
fn read_chunks(source: &dyn ReadAt, start: u64, end: u64, send: &SyncSender<Chunk>, reuse: &Receiver<Vec<u8>>) {
    let mut start = start;
    while start < end {
        let mut bytes = reuse.try_recv().unwrap_or_default();
        bytes.resize(CHUNK_LEN.min(to_usize(end - start)), 0);
        let Ok(read @ 1..) = source.read_full_at(&mut bytes, start) else { return };
        bytes.truncate(read);
        if send.send(Chunk { bytes, start }).is_err() {
            return;
        }
        start += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        (0..5_000_000_u32).map(|i| (i % 251) as u8).collect()
    }

    fn start(start: u64) -> ReadAhead {
        ReadAhead::start(Box::new(bytes()), start, 4_900_000).unwrap()
    }

    #[test]
    fn bytes_are_those_of_the_source_also_a_little_back_and_forth() {
        let (bytes, mut ahead) = (bytes(), start(10_000));
        let mut out = [0; 1000];
        for step in 0..4_800 {
            // Every third read goes back by 100,000 bytes, which is still there.
            let offset = 110_000 + step * 990 - if step % 3 == 0 { 100_000 } else { 0 };
            let read = ahead.copy(&mut out, offset).unwrap();
            assert_eq!(out[..read], bytes[to_usize(offset)..][..read], "offset {offset}");
        }
    }

    #[test]
    fn bytes_out_of_reach_are_left_to_others() {
        let mut ahead = start(1_000_000);
        let mut out = [0; 10];
        assert_eq!(ahead.copy(&mut out, 2_000_000), None);
        assert_eq!(ahead.copy(&mut out, 999_999), None);
        assert_eq!(ahead.copy(&mut out, 1_000_000), Some(10));
    }

    #[test]
    fn the_end_of_what_is_read_ahead_ends_the_thread() {
        let mut ahead = start(4_899_995);
        let mut out = [0; 10];
        assert_eq!(ahead.copy(&mut out, 4_899_995), Some(5));
        assert_eq!(ahead.copy(&mut out, 4_900_000), None);
    }
}
