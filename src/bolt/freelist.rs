//! The free pages: on disk, and while a put transaction allocates from them.

use super::error::PageError;
use super::layout::{PAGE_HEADER_LEN, PageId, le_u64};
use super::page::{PageHeader, PageKind};

/// Count that means "the first id holds the count". (bbolt freelist.go write)
const COUNT_ESCAPE: u16 = 0xFFFF;
const ID_LEN: usize = 8;

/// Where the ids of a freelist page are: `(first byte from the start of the page, how many)`.
///
/// `head` holds at least the first 24 bytes of the page, or all of it.
pub(crate) fn ids_extent(header: &PageHeader, head: &[u8], run_len: u64) -> Result<(usize, u64), PageError> {
    let (start, count) = if header.count == COUNT_ESCAPE {
        if head.len() < PAGE_HEADER_LEN + ID_LEN {
            return Err(PageError::Short { len: head.len() as u64 });
        }
        (PAGE_HEADER_LEN + ID_LEN, le_u64(head, PAGE_HEADER_LEN))
    } else {
        (PAGE_HEADER_LEN, u64::from(header.count))
    };
    let room = run_len.saturating_sub(start as u64) / ID_LEN as u64;
    if count > room {
        return Err(PageError::FreelistCount { count, run_len });
    }
    Ok((start, count))
}

/// The ids in `bytes`, 8 bytes each.
pub(crate) fn decode_ids(bytes: &[u8]) -> impl Iterator<Item = PageId> {
    bytes.chunks_exact(ID_LEN).map(|id| PageId(le_u64(id, 0)))
}

/// Free pages as a put transaction sees them: bbolt's array freelist without readers, where all that earlier
/// transactions freed can be allocated. (bbolt freelist.go, db.go freePages)
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

    /// Makes what the last transaction freed available: the next one begins.
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

    /// Pages to allocate for the list itself; may be one more than it fills. (bbolt tx.go commitFreelist)
    pub(crate) fn page_count(&self, page_size: usize) -> usize {
        let count = self.len();
        let escape = usize::from(count >= usize::from(COUNT_ESCAPE));
        (PAGE_HEADER_LEN + ID_LEN * (count + escape)) / page_size + 1
    }

    /// Encodes the list into its `pages` pages, which are zero: free and pending ids, ascending, since all are free
    /// after this commit.
    pub(crate) fn encode(&self, id: PageId, pages: usize, bytes: &mut [u8]) {
        let mut ids: Vec<PageId> = self.free.iter().chain(&self.pending).copied().collect();
        ids.sort_unstable();
        let count = u16::try_from(ids.len()).unwrap_or(COUNT_ESCAPE);
        let overflow = u32::try_from(pages - 1).expect("a freelist of 2^32 pages would not fit in memory");
        PageHeader { id, flags: PageKind::Freelist.flags(), count, overflow }.encode(bytes);
        let mut at = PAGE_HEADER_LEN;
        let mut put = |value: u64| {
            bytes[at..at + ID_LEN].copy_from_slice(&value.to_le_bytes());
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

    fn decoded(bytes: &[u8]) -> Vec<PageId> {
        let header = PageHeader::decode(bytes).unwrap();
        let (start, count) = ids_extent(&header, bytes, bytes.len() as u64).unwrap();
        decode_ids(&bytes[start..]).take(usize::try_from(count).unwrap()).collect()
    }

    #[test]
    fn the_lowest_run_that_is_long_enough_is_taken() {
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
            assert_eq!(decoded(&bytes), free.free, "{count} ids");
        }
    }

    #[test]
    fn a_count_above_the_page_is_refused_before_it_is_used() {
        let mut page = vec![0; 4096];
        PageHeader { id: PageId(2), flags: 0x10, count: COUNT_ESCAPE, overflow: 0 }.encode(&mut page);
        page[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        let header = PageHeader::decode(&page).unwrap();
        assert_eq!(ids_extent(&header, &page, 4096), Err(PageError::FreelistCount { count: u64::MAX, run_len: 4096 }));
    }
}
