//! The file as a whole: pages in order, then the top level, the freelist and the metas.

use std::collections::BTreeMap;

use super::super::bucket::BucketHeader;
use super::super::element::{BUCKET_FLAG, table_len};
use super::super::error::Error;
use super::super::layout::{PageId, TxId, is_page_size};
use super::super::meta::Meta;
use super::super::page::{PageHeader, PageKind};
use super::super::storage::Storage;
use super::open_page::{NewElement, OpenPage, encode_elements};
use super::output::Output;

/// The first page after the metas.
const FIRST_PAGE: PageId = PageId(2);

/// Writes a file from sorted pairs.
#[derive(Debug)]
pub struct BulkWriter<S> {
    output: Output<S>,
    page_size: usize,
    next_page: PageId,
    /// Values of the top level: a bucket's header, and its page if it is inline.
    buckets: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<S: Storage> BulkWriter<S> {
    /// Begins a file in an empty `storage`.
    ///
    /// # Errors
    /// [`Error::PageSize`].
    pub fn new(storage: S, page_size: usize) -> Result<BulkWriter<S>, Error> {
        if !is_page_size(page_size) {
            return Err(Error::PageSize { found: page_size });
        }
        let output = Output::new(storage, FIRST_PAGE.0 * page_size as u64);
        Ok(BulkWriter { output, page_size, next_page: FIRST_PAGE, buckets: BTreeMap::new() })
    }

    /// Writes the top level, the freelist and both metas, and makes everything durable.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> Result<S, Error> {
        let mut root = OpenPage::default();
        for (name, value) in std::mem::take(&mut self.buckets) {
            root.push_pair(BUCKET_FLAG, &name, &value);
        }
        let root = self.put(PageKind::Leaf, &root)?;
        let freelist = self.put(PageKind::Freelist, &OpenPage::default())?;
        let meta = |slot| Meta {
            page_size: u32::try_from(self.page_size).expect("a page size is at most 65536"),
            root: BucketHeader { root, sequence: 0 },
            freelist: Some(freelist),
            high_water: self.next_page,
            txid: TxId(slot),
        };
        let metas = [0, 1].map(|slot| meta(slot).encode(PageId(slot))).concat();
        self.output.finish(&metas)
    }

    pub(super) fn page_size(&self) -> usize {
        self.page_size
    }

    /// Whether the top level has a bucket `name`.
    pub(super) fn has_bucket(&self, name: &[u8]) -> bool {
        self.buckets.contains_key(name)
    }

    /// Puts the value of a finished bucket into the top level.
    pub(super) fn add_bucket(&mut self, name: Vec<u8>, value: Vec<u8>) {
        self.buckets.insert(name, value);
    }

    /// Writes a page and its overflow; returns its id.
    pub(super) fn put(&mut self, kind: PageKind, page: &OpenPage) -> Result<PageId, Error> {
        self.put_parts(kind, &page.elements, &[&page.data])
    }

    /// Like `put`, with the data in several slices.
    pub(super) fn put_parts(
        &mut self,
        kind: PageKind,
        elements: &[NewElement],
        data: &[&[u8]],
    ) -> Result<PageId, Error> {
        let id = self.next_page;
        let count = u16::try_from(elements.len()).expect("pages are closed before they have 65535 elements");
        let len = table_len(count) + data.iter().map(|part| part.len()).sum::<usize>();
        let pages = len.div_ceil(self.page_size);
        let overflow = u32::try_from(pages - 1).expect("a value has at most 2 GiB");
        let table = self.output.zeros(table_len(count));
        PageHeader { id, flags: kind.flags(), count, overflow }.encode(table);
        encode_elements(elements, kind, table);
        for part in data {
            self.output.append(part)?;
        }
        self.output.zeros(pages * self.page_size - len);
        self.output.flush_if_long()?;
        self.next_page = PageId(id.0 + pages as u64);
        Ok(id)
    }
}
