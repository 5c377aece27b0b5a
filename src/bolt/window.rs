//! Reading ahead: small reads that move forward through a file become few large ones, and in a long file those of a
//! second thread.

use std::cell::RefCell;
use std::io;

use super::layout::to_usize;
use super::read_ahead::ReadAhead;
use super::storage::{ReadAt, is_parallel};

/// First and largest read ahead, in bytes. After a jump nothing is read ahead before a read that moves forward.
const SMALL: usize = 16 << 10;
const LARGE: usize = 256 << 10;

/// Bytes that are read forward before a thread reads ahead, and bytes that a jump takes from them: a walk through a tree jumps
/// to its branches.
const STEADY_LEN: u64 = 4 << 20;
const JUMP_LEN: u64 = 64 << 10;

/// A source behind one buffer of at most 256 KiB, and no more than the source has. A source that is read forward for long
/// is read ahead by a thread.
#[derive(Debug)]
pub(crate) struct Window<R> {
    source: R,
    source_len: u64,
    buffer: RefCell<Buffer>,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: u64,
    len: usize,
    ahead: usize,
    /// Where the last read ended.
    end: u64,
    /// Bytes that were read forward, less those of jumps.
    steady_len: u64,
    read_ahead: Option<ReadAhead>,
}

impl<R: ReadAt> Window<R> {
    /// `source_len` is in bytes; bytes after that are read, but not ahead.
    pub(crate) fn new(source: R, source_len: u64) -> Window<R> {
        Window { source, source_len, buffer: RefCell::default() }
    }

    pub(crate) fn inner(&self) -> &R {
        &self.source
    }
}

impl<R: ReadAt> ReadAt for Window<R> {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut buffer = self.buffer.borrow_mut();
        if let Some(read) = buffer.copy(out, offset) {
            return Ok(read);
        }
        if out.len() >= LARGE {
            let read = self.source.read_at(out, offset)?;
            buffer.moved(offset, read);
            buffer.start_ahead(&self.source, self.source_len);
            return Ok(read);
        }
        let left = to_usize(self.source_len.saturating_sub(offset));
        buffer.fill(&self.source, offset, out.len(), left)?;
        buffer.start_ahead(&self.source, self.source_len);
        Ok(buffer.copy(out, offset).unwrap_or(0))
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.source.byte_len()
    }
}

impl Buffer {
    /// Copies what was read from `offset` on; `None` if nothing was.
    fn copy(&mut self, out: &mut [u8], offset: u64) -> Option<usize> {
        let from_buffer = |at: u64| self.bytes[..self.len].get(to_usize(at)..).filter(|have| !have.is_empty());
        if let Some(have) = offset.checked_sub(self.start).and_then(from_buffer) {
            let read = have.len().min(out.len());
            out[..read].copy_from_slice(&have[..read]);
            return Some(read);
        }
        self.read_ahead.as_mut()?.copy(out, offset)
    }

    /// Reads `wanted` bytes, and more ahead as long as the source has them: `left` bytes from `offset` on.
    fn fill<R: ReadAt>(&mut self, source: &R, offset: u64, wanted: usize, left: usize) -> io::Result<()> {
        let is_forward = self.is_forward(offset);
        self.ahead = if is_forward { (self.ahead * 2).clamp(SMALL, LARGE) } else { 0 };
        let len = wanted.max(self.ahead.min(left));
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        self.len = 0;
        self.start = offset;
        self.len = source.read_full_at(&mut self.bytes[..len], offset)?;
        self.moved(offset, self.len);
        Ok(())
    }

    fn is_forward(&self, offset: u64) -> bool {
        offset >= self.end && offset - self.end <= self.ahead.max(SMALL) as u64
    }

    /// Takes note of a read.
    fn moved(&mut self, offset: u64, len: usize) {
        let steady_len = self.steady_len.saturating_sub(if self.is_forward(offset) { 0 } else { JUMP_LEN });
        self.steady_len = steady_len + len as u64;
        self.end = offset + len as u64;
    }

    /// Starts a thread that reads ahead, if enough was read forward and enough is left.
    fn start_ahead<R: ReadAt>(&mut self, source: &R, source_len: u64) {
        if self.steady_len < STEADY_LEN || source_len.saturating_sub(self.end) < STEADY_LEN {
            return;
        }
        self.steady_len = 0;
        let second = source.second_reader().filter(|_| is_parallel());
        self.read_ahead = second.and_then(|source| ReadAhead::start(source, self.end, source_len));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Can be read by two threads.
    struct Shared(Arc<Vec<u8>>);

    impl ReadAt for Shared {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0.read_at(buf, offset)
        }

        fn byte_len(&self) -> io::Result<u64> {
            self.0.byte_len()
        }

        fn second_reader(&self) -> Option<Box<dyn ReadAt + Send>> {
            Some(Box::new(Shared(Arc::clone(&self.0))))
        }
    }

    #[test]
    fn a_long_walk_with_jumps_reads_what_the_source_has() {
        let bytes: Arc<Vec<u8>> = Arc::new((0..20_000_000_u32).map(|i| (i % 251) as u8).collect());
        let window = Window::new(Shared(Arc::clone(&bytes)), bytes.len() as u64);
        let mut out = vec![0; 300_000];
        for step in 0..6_000_usize {
            // Forward, a little back, and now and then to a page far away; sometimes more than a chunk at once.
            let (offset, len) = match step % 100 {
                50 => (19_990_000, 4_096),
                99 => (step * 3_200, 300_000),
                _ => (step * 3_300 - step.min(20_000) % 7 * 500, 4_096),
            };
            let read = window.read_full_at(&mut out[..len], offset as u64).unwrap();
            let expected = &bytes[offset.min(bytes.len())..(offset + len).min(bytes.len())];
            assert!(out[..read] == *expected, "step {step}, offset {offset}");
        }
    }

    #[test]
    fn reads_are_those_of_the_source_in_any_order() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let window = Window::new(bytes.as_slice(), 2_900_000);
        let mut state = 1_u64;
        for _ in 0..2_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let offset = (state >> 33) % 3_100_000;
            let mut out = vec![0; (state % 9_000) as usize];
            let read = window.read_full_at(&mut out, offset).unwrap();
            let at = (offset as usize).min(bytes.len());
            let expected = &bytes[at..(at + out.len()).min(bytes.len())];
            assert_eq!(&out[..read], expected, "offset {offset}");
        }
    }
}
