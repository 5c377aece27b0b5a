//! The pages that a commit has encoded and not yet written.

use std::io;
use std::ops::Range;

use super::super::layout::PageId;
use super::super::storage::Storage;

/// Bytes that are gathered before they are written: few calls, and the buffer stays in the processor's cache.
const ENOUGH_LEN: usize = 1 << 20;

/// Runs of pages in one buffer. Most are allocated in ascending order: then the buffer has the order of the file, and
/// one write is enough.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    bytes: Vec<u8>,
    runs: Vec<DirtyRun>,
}

#[derive(Debug)]
struct DirtyRun {
    page: PageId,
    range: Range<usize>,
}

impl Dirty {
    /// Adds whole pages of `len` zero bytes, which will be written from `page` on. A page must be added only once.
    pub(super) fn add(&mut self, page: PageId, len: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        self.runs.push(DirtyRun { page, range: start..start + len });
        &mut self.bytes[start..]
    }

    /// Whether enough bytes were gathered.
    pub(super) fn is_enough(&self) -> bool {
        self.bytes.len() >= ENOUGH_LEN
    }

    /// Writes all runs in the order of their page ids, neighbours in one write, and removes them.
    pub(super) fn write<S: Storage>(&mut self, storage: &mut S, page_size: usize) -> io::Result<()> {
        self.runs.sort_unstable_by_key(|run| run.page);
        let follows = |a: &DirtyRun, b: &DirtyRun| {
            let pages = ((a.range.end - a.range.start) / page_size) as u64;
            a.range.end == b.range.start && a.page.0 + pages == b.page.0
        };
        for neighbours in self.runs.chunk_by(follows) {
            if let [first, ..] = neighbours
                && let [.., last] = neighbours
            {
                let bytes = &self.bytes[first.range.start..last.range.end];
                storage.write_all_at(bytes, first.page.0 * page_size as u64)?;
            }
        }
        self.runs.clear();
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::storage::ReadAt;
    use super::*;

    /// Records the writes.
    #[derive(Default)]
    struct Recorder(Vec<(u64, Vec<u8>)>);

    impl ReadAt for Recorder {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }

        fn byte_len(&self) -> io::Result<u64> {
            Ok(0)
        }
    }

    impl Storage for Recorder {
        fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.0.push((offset, bytes.to_vec()));
            Ok(())
        }

        fn set_len(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn neighbours_are_written_in_one_write_and_others_apart() {
        let mut dirty = Dirty::default();
        // (page, pages): 7 is added before 6, so their bytes are not in the order of the file.
        for (page, pages) in [(3_u8, 1), (4, 2), (7, 1), (6, 1), (9, 1)] {
            dirty.add(PageId(page.into()), pages * 10).fill(page);
        }
        let mut recorder = Recorder::default();
        dirty.write(&mut recorder, 10).unwrap();
        let three_to_five = [[3; 10], [4; 10], [4; 10]].concat();
        let expected = [(30, three_to_five), (60, vec![6; 10]), (70, vec![7; 10]), (90, vec![9; 10])];
        assert_eq!(recorder.0, expected);
    }
}
