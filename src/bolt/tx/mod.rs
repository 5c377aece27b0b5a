//! The put transaction: writes what bbolt 1.3.6 would write, page for page.
//!
//! A file that is made by the same calls, opened and reopened at the same points, has the same bytes as bbolt's:
//! allocation from the freelist, spill and split, inline buckets, the alternating metas, stale pages and the growth
//! of the file are all reproduced. Buckets are those of the top level; there is no delete.

mod db;
mod dirty;
mod node;
mod tree;

use std::collections::BTreeMap;

pub use self::db::Db;
use self::db::map_len;
use self::dirty::Dirty;
use self::tree::Tree;
use super::bucket::{BUCKET_HEADER_LEN, BucketHeader, split_bucket};
use super::element::{BUCKET_FLAG, LeafElement, check_key};
use super::error::Error;
use super::geometry::Geometry;
use super::layout::{MAX_VALUE_LEN, PageId, TxId};
use super::meta::Meta;
use super::storage::Storage;

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

impl<S: Storage> Db<S> {
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
