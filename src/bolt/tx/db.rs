//! A file that is open for writing: its last committed state, and how it grows.

use super::super::bucket::BucketHeader;
use super::super::error::{Error, PageError};
use super::super::freelist::{Freelist, FreelistPage};
use super::super::geometry::Geometry;
use super::super::layout::{PageId, TxId, is_page_size};
use super::super::meta::Meta;
use super::super::metas::Metas;
use super::super::page::{PageHeader, PageKind};
use super::super::storage::{ReadAt, Storage};
use super::super::tree::reachable_pages;

/// Bytes that bbolt maps at least; the map doubles up to 1 GiB, then grows by 1 GiB. (db.go mmapSize)
const MIN_MAP_LEN: u64 = 32 << 10;
const MAP_STEP: u64 = 1 << 30;
/// From a map of this many bytes on, the file grows by as many bytes ahead. (db.go DefaultAllocSize)
const ALLOC_AHEAD: u64 = 16 << 20;

/// A bolt file open for writing.
#[derive(Debug)]
pub struct Db<S> {
    pub(super) storage: S,
    pub(super) page_size: usize,
    pub(super) meta: Meta,
    pub(super) freelist: Freelist,
    /// Of the freelist that `meta` leads to.
    pub(super) freelist_overflow: u32,
    /// Length of the memory map that bbolt would have, in bytes: it decides how the file grows.
    pub(super) map_len: u64,
    /// Length of the file as bbolt knows it, in bytes: 0 after opening. (db.go filesz, until 1.3.6)
    known_len: u64,
    /// Whether a commit failed midway: then memory is ahead of the file.
    pub(super) broken: bool,
}

impl<S: Storage> Db<S> {
    /// Creates a file in an empty `storage`: two metas, an empty freelist, an empty leaf. (bbolt db.go init)
    pub fn create(mut storage: S, page_size: usize) -> Result<Db<S>, Error> {
        if !is_page_size(page_size) {
            return Err(Error::PageSize { found: page_size });
        }
        let mut bytes = vec![0; 4 * page_size];
        for slot in 0..2 {
            let meta = Meta {
                page_size: u32::try_from(page_size).expect("a page size is at most 65536"),
                root: BucketHeader { root: PageId(3), sequence: 0 },
                freelist: Some(PageId(2)),
                high_water: PageId(4),
                txid: TxId(slot),
            };
            let at = usize::from(slot == 1) * page_size;
            bytes[at..at + page_size].copy_from_slice(&meta.encode(PageId(slot)));
        }
        for (id, kind) in [(2, PageKind::Freelist), (3, PageKind::Leaf)] {
            let header = PageHeader { id: PageId(id), flags: kind.flags(), count: 0, overflow: 0 };
            header.encode(&mut bytes[usize::try_from(id).expect("2 or 3") * page_size..]);
        }
        storage.write_all_at(&bytes, 0).map_err(Error::io("writing the first pages"))?;
        storage.sync().map_err(Error::io("syncing the first pages"))?;
        let mut db = Db::open(storage)?;
        db.known_len = bytes.len() as u64;
        Ok(db)
    }

    /// Opens an existing file at its last committed state.
    ///
    /// A file without a freelist on disk gets one at the next commit.
    pub fn open(storage: S) -> Result<Db<S>, Error> {
        let metas = Metas::read(&storage)?;
        let meta = metas.live();
        let file_len = storage.byte_len().map_err(Error::io("reading the length of the file"))?;
        let geometry = Geometry { page_size: metas.page_size, high_water: meta.high_water, file_len };
        // Every page below the mark was written once, and new pages are added at the mark: the file must reach it.
        let end = geometry.offset(meta.high_water);
        if end > file_len {
            return Err(geometry.error(meta.high_water, PageError::Truncated { end, file_len }));
        }
        let (free, freelist_overflow) = read_freelist(&storage, &geometry, &meta)?;
        Ok(Db {
            storage,
            page_size: metas.page_size,
            meta,
            freelist: Freelist::new(free),
            freelist_overflow,
            map_len: map_len(file_len, metas.page_size),
            known_len: 0,
            broken: false,
        })
    }

    /// The last committed state.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// Returns the file.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// Grows the file when the high-water mark rose while the freelist was written. (db.go grow, tx.go
    /// commitFreelist, both until 1.3.6)
    pub(super) fn grow(&mut self, high_water: PageId) -> Result<(), Error> {
        let wanted = (high_water.0 + 1) * self.page_size as u64;
        if wanted <= self.known_len {
            return Ok(());
        }
        let len = if self.map_len < ALLOC_AHEAD { self.map_len } else { wanted + ALLOC_AHEAD };
        self.storage.set_len(len).map_err(Error::io("growing the file"))?;
        self.known_len = len;
        Ok(())
    }
}

/// The free pages, and the overflow of the list's own page.
fn read_freelist<S: ReadAt>(storage: &S, geometry: &Geometry, meta: &Meta) -> Result<(Vec<PageId>, u32), Error> {
    let Some(page) = meta.freelist else {
        let reachable = reachable_pages(storage, geometry, meta.root.root)?;
        let free = (2..geometry.page_count()).map(PageId).filter(|page| !reachable.contains(*page));
        return Ok((free.collect(), 0));
    };
    let list = FreelistPage::open(storage, geometry, page)?;
    let mut free = Vec::new();
    list.each_id(storage, |id| {
        if id.0 > 1 && id < geometry.high_water {
            free.push(id);
        }
    })?;
    Ok((free, list.overflow()))
}

/// Length of the memory map that bbolt has of a file of `len` bytes. (db.go mmapSize)
pub(super) fn map_len(len: u64, page_size: usize) -> u64 {
    if len <= MAP_STEP {
        return len.next_power_of_two().max(MIN_MAP_LEN);
    }
    len.next_multiple_of(MAP_STEP).next_multiple_of(page_size as u64)
}
