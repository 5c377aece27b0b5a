//! The free pages: on disk, and as a put transaction allocates from them.

use super::error::{Error, PageError};
use super::geometry::Geometry;
use super::layout::{PageId, le_u64, put_le_u64, to_usize};
use super::page::{PAGE_HEADER_LEN, PageHeader, PageKind};
use super::storage::ReadAt;

/// Count that means "the first id holds the count". (bbolt freelist.go write)
const COUNT_ESCAPE: u16 = 0xFFFF;
/// Bytes of an id.
const ID_LEN: usize = size_of::<u64>();
/// Bytes of the page header and the count that may follow it.
pub(crate) const FREELIST_HEAD_LEN: usize = PAGE_HEADER_LEN + ID_LEN;
const READING: &str = "reading the freelist";

/// A freelist page that was checked against the bounds of the file. Its ids are not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FreelistPage {
    id: PageId,
    overflow: u32,
    /// Where the first id is, in bytes from the start of the file.
    ids_offset: u64,
    id_count: u64,
}

impl FreelistPage {
    /// Reads and checks the header of the freelist at `page`.
    pub(crate) fn open<R: ReadAt + ?Sized>(
        source: &R,
        geometry: &Geometry,
        page: PageId,
    ) -> Result<FreelistPage, Error> {
        geometry.check_start(page).map_err(|error| geometry.error(page, error))?;
        let mut head = [0; FREELIST_HEAD_LEN];
        source.read_full_at(&mut head, geometry.offset(page)).map_err(Error::io(READING))?;
        FreelistPage::decode(&head, geometry, page)
    }

    /// Checks the header of the freelist at `page`, which must have a place in the file.
    pub(crate) fn decode(
        head: &[u8; FREELIST_HEAD_LEN],
        geometry: &Geometry,
        page: PageId,
    ) -> Result<FreelistPage, Error> {
        let fail = |error| geometry.error(page, error);
        let header = PageHeader::decode(head).expect("the head is longer than a page header");
        let run_len = geometry.check_header(page, &header).map_err(fail)?;
        if header.kind() != Some(PageKind::Freelist) {
            return Err(fail(PageError::Kind { found: header.flags }));
        }
        let (ids_at, id_count) = match header.count {
            COUNT_ESCAPE => (FREELIST_HEAD_LEN, le_u64(head, PAGE_HEADER_LEN)),
            count => (PAGE_HEADER_LEN, u64::from(count)),
        };
        if id_count > (run_len - ids_at as u64) / ID_LEN as u64 {
            return Err(fail(PageError::FreelistCount { count: id_count, run_len }));
        }
        let ids_offset = geometry.offset(page) + ids_at as u64;
        Ok(FreelistPage { id: page, overflow: header.overflow, ids_offset, id_count })
    }

    /// How many pages are free.
    pub(crate) fn id_count(&self) -> u64 {
        self.id_count
    }

    /// Pages after the first that the list itself has.
    pub(crate) fn overflow(&self) -> u32 {
        self.overflow
    }

    /// Pages of the list itself, its first included.
    pub(crate) fn page_ids(&self) -> impl Iterator<Item = PageId> + use<> {
        (self.id.0..=self.id.0 + u64::from(self.overflow)).map(PageId)
    }

    /// Calls `each` for the ids of the free pages, as they are in the file. Nothing is allocated by their number.
    pub(crate) fn each_id<R: ReadAt + ?Sized>(&self, source: &R, mut each: impl FnMut(PageId)) -> Result<(), Error> {
        let mut chunk = [0; 4096];
        let (mut offset, end) = (self.ids_offset, self.ids_offset + self.id_count * ID_LEN as u64);
        while offset < end {
            let len = to_usize(end - offset).min(chunk.len());
            source.read_full_at(&mut chunk[..len], offset).map_err(Error::io(READING))?;
            chunk[..len].chunks_exact(ID_LEN).for_each(|id| each(PageId(le_u64(id, 0))));
            offset += len as u64;
        }
        Ok(())
    }
}

/// Free pages as a put transaction sees them: bbolt's array freelist without readers, where every page that an earlier
/// transaction freed can be allocated. (bbolt freelist.go, db.go freePages)
#[derive(Debug, Default)]
pub(crate) struct Freelist {
    /// Can be allocated; ascending.
    free: Vec<PageId>,
    /// Freed by the running transaction; its predecessor still needs them.
    pending: Vec<PageId>,
}

impl Freelist {
    pub(crate) fn new(mut ids: Vec<PageId>) -> Freelist {
        ids.sort_unstable();
        ids.dedup();
        Freelist { free: ids, pending: Vec::new() }
    }

    /// Makes the pages that the last transaction freed available to the next one.
    pub(crate) fn release(&mut self) {
        if !self.pending.is_empty() {
            self.free.append(&mut self.pending);
            self.free.sort_unstable();
        }
    }

    /// Frees a page and its overflow at the end of this transaction.
    pub(crate) fn free(&mut self, page: PageId, overflow: u32) {
        self.pending.extend((page.0..=page.0 + u64::from(overflow)).map(PageId));
    }

    /// Takes the lowest run of `pages` contiguous free pages. (bbolt freelist.go arrayAllocate)
    pub(crate) fn allocate(&mut self, pages: usize) -> Option<PageId> {
        let mut run = 0;
        for at in 0..self.free.len() {
            let follows = at > 0 && self.free[at].0 - self.free[at - 1].0 == 1;
            run = if follows { run + 1 } else { 1 };
            if run == pages {
                let start = at + 1 - pages;
                let first = self.free[start];
                self.free.drain(start..=at);
                return Some(first);
            }
        }
        None
    }

    /// Pages to allocate for the list itself: at times one more than it fills. (bbolt tx.go commitFreelist)
    pub(crate) fn page_count(&self, page_size: usize) -> usize {
        let count = self.len();
        let escape = usize::from(count >= usize::from(COUNT_ESCAPE));
        (PAGE_HEADER_LEN + ID_LEN * (count + escape)) / page_size + 1
    }

    /// Encodes the list into its `pages` pages, which are zero: free and pending ids, ascending, since both are free
    /// after this commit.
    pub(crate) fn encode(&self, id: PageId, pages: usize, bytes: &mut [u8]) {
        let mut ids: Vec<PageId> = self.free.iter().chain(&self.pending).copied().collect();
        ids.sort_unstable();
        let count = u16::try_from(ids.len()).unwrap_or(COUNT_ESCAPE);
        let overflow = u32::try_from(pages - 1).expect("a freelist of 2^32 pages would not fit in memory");
        PageHeader { id, flags: PageKind::Freelist.flags(), count, overflow }.encode(bytes);
        let mut at = PAGE_HEADER_LEN;
        let mut put = |value: u64| {
            put_le_u64(bytes, at, value);
            at += ID_LEN;
        };
        if count == COUNT_ESCAPE {
            put(ids.len() as u64);
        }
        ids.iter().for_each(|id| put(id.0));
    }

    fn len(&self) -> usize {
        self.free.len() + self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: impl IntoIterator<Item = u64>) -> Freelist {
        Freelist::new(ids.into_iter().map(PageId).collect())
    }

    fn decoded(bytes: &[u8], page: PageId) -> Result<Vec<PageId>, Error> {
        let high_water = PageId(page.0 + bytes.len() as u64 / 4096);
        let file_len = high_water.0 * 4096;
        let geometry = Geometry { page_size: 4096, high_water, file_len };
        let (head, _) = bytes.split_first_chunk().unwrap();
        let mut freelist = FreelistPage::decode(head, &geometry, page)?;
        // The bytes are those of the page alone.
        freelist.ids_offset -= geometry.offset(page);
        let mut ids = Vec::new();
        freelist.each_id(bytes, |id| ids.push(id))?;
        Ok(ids)
    }

    #[test]
    fn the_lowest_run_that_is_long_enough_is_allocated() {
        let mut free = list([2, 4, 5, 7, 8, 9]);
        assert_eq!(free.allocate(2), Some(PageId(4)));
        assert_eq!(free.allocate(2), Some(PageId(7)));
        assert_eq!(free.allocate(2), None);
        assert_eq!(free.allocate(1), Some(PageId(2)));
        assert_eq!(free.free, [PageId(9)]);
    }

    #[test]
    fn pages_freed_now_wait_for_the_next_transaction() {
        let mut free = list([]);
        free.free(PageId(3), 1);
        assert_eq!(free.allocate(1), None);
        free.release();
        assert_eq!(free.allocate(2), Some(PageId(3)));
    }

    #[test]
    fn freelists_around_65535_ids_keep_their_last_id() {
        for count in [0_u64, 1, 65534, 65535, 65536] {
            let free = list(2..2 + count);
            let pages = free.page_count(4096);
            let mut bytes = vec![0; pages * 4096];
            free.encode(PageId(1_000_000), pages, &mut bytes);
            assert_eq!(decoded(&bytes, PageId(1_000_000)).unwrap(), free.free, "{count} ids");
        }
    }

    #[test]
    fn a_count_above_the_page_is_refused_before_it_is_used() {
        let mut page = vec![0; 4096];
        PageHeader { id: PageId(2), flags: 0x10, count: COUNT_ESCAPE, overflow: 0 }.encode(&mut page);
        page[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = decoded(&page, PageId(2)).unwrap_err();
        let expected = PageError::FreelistCount { count: u64::MAX, run_len: 4096 };
        assert!(matches!(error, Error::Page { error, .. } if error == expected), "{error}");
    }
}
