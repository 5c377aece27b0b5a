//! Reads ahead: small reads that move forward through a file become few large ones.

use std::cell::RefCell;
use std::io;

use super::layout::to_usize;
use super::storage::ReadAt;

/// First and largest read ahead, in bytes. After a jump nothing is read ahead before a read that moves forward.
const SMALL: usize = 16 << 10;
const LARGE: usize = 256 << 10;

/// A source behind one buffer of at most 256 KiB, and no more than the source has.
#[derive(Debug)]
pub(crate) struct Window<R> {
    source: R,
    source_len: u64,
    buffer: RefCell<Buffer>,
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    start: u64,
    len: usize,
    ahead: usize,
}

impl<R: ReadAt> Window<R> {
    /// `source_len` is in bytes; bytes after that are read, but not ahead.
    pub(crate) fn new(source: R, source_len: u64) -> Window<R> {
        Window { source, source_len, buffer: RefCell::new(Buffer { bytes: Vec::new(), start: 0, len: 0, ahead: 0 }) }
    }

    pub(crate) fn inner(&self) -> &R {
        &self.source
    }
}

impl<R: ReadAt> ReadAt for Window<R> {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        if out.len() >= LARGE {
            return self.source.read_at(out, offset);
        }
        let mut buffer = self.buffer.borrow_mut();
        if let Some(read) = buffer.copy(out, offset) {
            return Ok(read);
        }
        let left = to_usize(self.source_len.saturating_sub(offset));
        buffer.fill(&self.source, offset, out.len(), left)?;
        Ok(buffer.copy(out, offset).unwrap_or(0))
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.source.byte_len()
    }
}

impl Buffer {
    /// Copies what the buffer has from `offset` on; `None` if it has nothing there.
    fn copy(&self, out: &mut [u8], offset: u64) -> Option<usize> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let have = self.bytes[..self.len].get(at..).filter(|have| !have.is_empty())?;
        let read = have.len().min(out.len());
        out[..read].copy_from_slice(&have[..read]);
        Some(read)
    }

    /// Reads `wanted` bytes, and more ahead as long as the source has them: `left` bytes from `offset` on.
    fn fill<R: ReadAt>(&mut self, source: &R, offset: u64, wanted: usize, left: usize) -> io::Result<()> {
        let end = self.start + self.len as u64;
        let forward = offset >= end && offset - end <= self.ahead.max(SMALL) as u64;
        self.ahead = if forward { (self.ahead * 2).clamp(SMALL, LARGE) } else { 0 };
        let len = wanted.max(self.ahead.min(left));
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        self.len = 0;
        self.start = offset;
        self.len = source.read_full_at(&mut self.bytes[..len], offset)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
