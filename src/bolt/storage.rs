//! Where the bytes of a file come from and go to: a file, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread::{self, JoinHandle};

/// Bytes that can be read at an offset without moving a shared cursor.
pub trait ReadAt {
    /// Reads up to `buf.len()` bytes at `offset` (bytes from the start); 0 at or past the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Length in bytes.
    fn byte_len(&self) -> io::Result<u64>;

    /// A second handle to the same bytes, for a thread that reads ahead. `None` if that would not be faster.
    fn second_reader(&self) -> Option<Box<dyn ReadAt + Send>> {
        None
    }

    /// Fills `buf` from `offset` as far as bytes go; returns how many were read.
    fn read_full_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

/// Bytes that can also be written at an offset, extended and made durable.
pub trait Storage: ReadAt {
    /// Writes all of `bytes` at `offset`, extending with zeros where there is a hole.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Sets the length in bytes; added bytes are zero.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes what was written durable (fdatasync).
    fn sync(&mut self) -> io::Result<()>;

    /// A second handle to the same bytes, for a thread that writes. `None` if that would not be faster.
    fn second_writer(&self) -> Option<Box<dyn Storage + Send>> {
        None
    }

    /// Starts to make durable what was written so far while more is written, so that less is left to do at the end.
    /// Joining the handle returns the outcome. `None` if this storage doesn't support it.
    fn sync_ahead(&self) -> Option<JoinHandle<io::Result<()>>> {
        None
    }
}

/// Whether a second thread has a processor of its own.
pub(crate) fn is_parallel() -> bool {
    thread::available_parallelism().is_ok_and(|threads| threads.get() > 1)
}

impl ReadAt for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn second_reader(&self) -> Option<Box<dyn ReadAt + Send>> {
        let file = self.try_clone().ok()?;
        Some(Box::new(file))
    }
}

impl Storage for File {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn second_writer(&self) -> Option<Box<dyn Storage + Send>> {
        let file = self.try_clone().ok()?;
        Some(Box::new(file))
    }

    fn sync_ahead(&self) -> Option<JoinHandle<io::Result<()>>> {
        let file = self.try_clone().ok()?;
        thread::Builder::new().spawn(move || file.sync_data()).ok()
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(rest) = usize::try_from(offset).ok().and_then(|at| self.get(at..)) else {
            return Ok(0);
        };
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buf, offset)
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl Storage for Vec<u8> {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + bytes.len();
        if end > self.len() {
            self.resize(end, 0);
        }
        self[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }

    fn byte_len(&self) -> io::Result<u64> {
        (**self).byte_len()
    }

    fn second_reader(&self) -> Option<Box<dyn ReadAt + Send>> {
        (**self).second_reader()
    }
}
