//! The put transaction: writes what bbolt 1.3.6 would write, page for page.
//!
//! A file that is made by the same calls, opened and reopened at the same points, has the same bytes as bbolt's:
//! allocation from the freelist, spill and split, inline buckets, the alternating metas, stale pages and the growth
//! of the file are all reproduced. Buckets are those of the top level; there is no delete.

mod dirty;
mod tree;

use std::collections::BTreeMap;

use self::dirty::Dirty;
use self::tree::Tree;
use super::bucket::{BUCKET_HEADER_LEN, BucketHeader, split_bucket};
use super::element::{BUCKET_FLAG, LeafElement, check_key};
use super::error::{Error, PageError};
use super::freelist::{Freelist, FreelistPage};
use super::geometry::Geometry;
use super::layout::{MAX_VALUE_LEN, PageId, TxId, is_page_size};
use super::meta::Meta;
use super::page::{PageHeader, PageKind};
use super::read::Metas;
use super::storage::{ReadAt, Storage};
use super::tree::reachable_pages;

/// Bytes that bbolt maps at least; the map doubles up to 1 GiB, then grows by 1 GiB. (db.go mmapSize)
const MIN_MAP_LEN: u64 = 32 << 10;
const MAP_STEP: u64 = 1 << 30;
/// From a map of this many bytes on, the file grows by as many bytes ahead. (db.go DefaultAllocSize)
const ALLOC_AHEAD: u64 = 16 << 20;

/// A bolt file open for writing.
#[derive(Debug)]
pub struct Db<S> {
    storage: S,
    page_size: usize,
    meta: Meta,
    freelist: Freelist,
    /// Of the freelist that `meta` leads to.
    freelist_overflow: u32,
    /// Length of the memory map that bbolt would have, in bytes: it decides how the file grows.
    map_len: u64,
    /// Length of the file as bbolt knows it, in bytes: 0 after opening. (db.go filesz, until 1.3.6)
    known_len: u64,
    broken: bool,
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

    /// Begins a transaction. If it is dropped without [`Tx::commit`], the file stays as it was.
    pub fn begin(&mut self) -> Result<Tx<'_, S>, Error> {
        if self.broken {
            return Err(Error::Broken);
        }
        self.freelist.release();
        let txid = TxId(self.meta.txid.0.checked_add(1).ok_or(Error::LastTxId)?);
        let meta = Meta { txid, ..self.meta };
        let file_len = self.storage.byte_len().map_err(Error::io("reading the length of the file"))?;
        let geometry = Geometry { page_size: self.page_size, high_water: meta.high_water, file_len };
        let root = Tree::on_page(meta.root);
        Ok(Tx { db: self, meta, geometry, root, buckets: BTreeMap::new(), dirty: Dirty::default() })
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
    fn grow(&mut self, high_water: PageId) -> Result<(), Error> {
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

fn map_len(size: u64, page_size: usize) -> u64 {
    if size <= MAP_STEP {
        return size.next_power_of_two().max(MIN_MAP_LEN);
    }
    size.next_multiple_of(MAP_STEP).next_multiple_of(page_size as u64)
}

/// A transaction that puts keys into buckets of the top level.
///
/// bbolt spills several changed buckets in the random order of a Go map; this transaction takes them by name. So it
/// writes the same bytes as bbolt only if at most one of the buckets that it changes is not inline.
#[derive(Debug)]
pub struct Tx<'db, S> {
    db: &'db mut Db<S>,
    meta: Meta,
    /// Bounds of the committed pages.
    geometry: Geometry,
    root: Tree,
    buckets: BTreeMap<Vec<u8>, Tree>,
    dirty: Dirty,
}

impl<S: Storage> Tx<'_, S> {
    /// Creates the bucket `name` unless it exists; returns whether it was created.
    pub fn create_bucket_if_not_exists(&mut self, name: &[u8]) -> Result<bool, Error> {
        check_key(name)?;
        if self.open_bucket(name)? {
            return Ok(false);
        }
        let tree = Tree::empty_leaf();
        let value = tree.encode_inline(self.db.page_size);
        self.root.put(&self.db.storage, &self.geometry, BUCKET_FLAG, name, &value)?;
        self.buckets.insert(name.to_vec(), Tree::inline(BucketHeader::default(), value[BUCKET_HEADER_LEN..].to_vec()));
        Ok(true)
    }

    /// Sets `key` in the bucket `bucket`, which must exist.
    pub fn put(&mut self, bucket: &[u8], key: &[u8], value: &[u8]) -> Result<(), Error> {
        check_key(key)?;
        if value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len: value.len() });
        }
        if !self.buckets.contains_key(bucket) && !self.open_bucket(bucket)? {
            return Err(Error::NoBucket { name: bucket.to_vec() });
        }
        let tree = self.buckets.get_mut(bucket).expect("open_bucket put it there");
        tree.put(&self.db.storage, &self.geometry, 0, key, value)
    }

    /// Writes the transaction: pages, sync, meta, sync. (bbolt tx.go Commit)
    pub fn commit(mut self) -> Result<(), Error> {
        self.db.broken = true;
        self.spill()?;
        if let Some(old) = self.db.meta.freelist {
            self.db.freelist.free(old, self.db.freelist_overflow);
        }
        self.write_freelist()?;
        self.write_dirty()?;
        self.db.storage.sync().map_err(Error::io("syncing pages"))?;
        let slot = PageId(self.meta.txid.0 % 2);
        let offset = slot.0 * self.db.page_size as u64;
        self.db.storage.write_all_at(&self.meta.encode(slot), offset).map_err(Error::io("writing the meta page"))?;
        self.db.storage.sync().map_err(Error::io("syncing the meta page"))?;
        self.db.meta = self.meta;
        self.db.broken = false;
        Ok(())
    }

    /// Loads the bucket `name`; returns whether it exists.
    fn open_bucket(&mut self, name: &[u8]) -> Result<bool, Error> {
        if self.buckets.contains_key(name) {
            return Ok(true);
        }
        let geometry = self.geometry;
        let found = self.root.get(&self.db.storage, &geometry, name, |element: LeafElement<'_>| {
            if !element.is_bucket() {
                return Err(Error::Incompatible { key: name.to_vec(), is_bucket: false });
            }
            let (header, inline) = split_bucket(element.value).map_err(|error| geometry.error(PageId(0), error))?;
            Ok(inline.map_or_else(|| Tree::on_page(header), |page| Tree::inline(header, page.to_vec())))
        })?;
        let Some(tree) = found else { return Ok(false) };
        self.buckets.insert(name.to_vec(), tree?);
        Ok(true)
    }

    /// Makes pages of changed nodes: buckets first, then the top level. (bbolt bucket.go spill)
    fn spill(&mut self) -> Result<(), Error> {
        for (name, mut tree) in std::mem::take(&mut self.buckets) {
            if !tree.is_changed() {
                continue;
            }
            let value = if tree.is_inlineable(self.db.page_size) {
                if let Some((page, overflow)) = tree.take_root_page() {
                    self.db.freelist.free(page, overflow);
                }
                tree.encode_inline(self.db.page_size)
            } else {
                tree.spill(self)?;
                tree.header().encode().to_vec()
            };
            self.root.put(&self.db.storage, &self.geometry, BUCKET_FLAG, &name, &value)?;
        }
        if self.root.is_changed() {
            let mut root = std::mem::replace(&mut self.root, Tree::on_page(self.meta.root));
            root.spill(self)?;
            self.meta.root = root.header();
        }
        Ok(())
    }

    /// Writes the pages encoded so far. No committed state uses them. The file still gets the length that bbolt gives
    /// it: they are below the high-water mark, on which [`Tx::allocate`] and [`Db::grow`] base the length.
    fn write_dirty(&mut self) -> Result<(), Error> {
        self.dirty.write(&mut self.db.storage, self.db.page_size).map_err(Error::io("writing pages"))
    }

    fn write_freelist(&mut self) -> Result<(), Error> {
        let before = self.meta.high_water;
        let pages = self.db.freelist.page_count(self.db.page_size);
        let page = self.allocate(pages)?;
        self.db.freelist.encode(page, pages, self.dirty.add(page, pages * self.db.page_size));
        self.meta.freelist = Some(page);
        self.db.freelist_overflow = u32::try_from(pages - 1).expect("a freelist of 2^32 pages would not fit in memory");
        if self.meta.high_water > before {
            self.db.grow(self.meta.high_water)?;
        }
        Ok(())
    }

    /// A run of `pages` pages: the lowest that is free, else at the high-water mark. (bbolt db.go allocate)
    fn allocate(&mut self, pages: usize) -> Result<PageId, Error> {
        if let Some(page) = self.db.freelist.allocate(pages) {
            return Ok(page);
        }
        let page = self.meta.high_water;
        let least = (page.0 + pages as u64 + 1) * self.db.page_size as u64;
        if least >= self.db.map_len {
            let file_len = self.db.storage.byte_len().map_err(Error::io("reading the length of the file"))?;
            self.db.map_len = map_len(least.max(file_len), self.db.page_size);
        }
        self.meta.high_water = PageId(page.0 + pages as u64);
        Ok(page)
    }
}
