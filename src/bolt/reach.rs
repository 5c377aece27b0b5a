//! Which pages a tree reaches.

use std::collections::BTreeMap;

use super::element::{BUCKET_FLAG, Extent as ElementExtent};
use super::error::Error;
use super::layout::{BUCKET_HEADER_LEN, MAX_DEPTH, PageId};
use super::meta::BucketHeader;
use super::page::PageKind;
use super::run::{Extent, Geometry, Run};
use super::source::ReadAt;

/// A set of the pages of one file: a bit a page. Only words with a page in them take memory, so that a sparse file of
/// any length costs what is in it.
#[derive(Debug, Clone)]
pub(crate) struct PageSet {
    words: BTreeMap<u64, u64>,
    len: u64,
}

impl PageSet {
    /// An empty set for the pages that the file really has.
    pub(crate) fn new(geometry: &Geometry) -> PageSet {
        PageSet { words: BTreeMap::new(), len: geometry.page_count() }
    }

    /// Adds a page; false when it was there. Pages that the file doesn't have are never there.
    pub(crate) fn insert(&mut self, page: PageId) -> bool {
        if page.0 >= self.len {
            return true;
        }
        let (word, bit) = (self.words.entry(page.0 / 64).or_default(), 1 << (page.0 % 64));
        let added = *word & bit == 0;
        *word |= bit;
        added
    }

    pub(crate) fn contains(&self, page: PageId) -> bool {
        self.words.get(&(page.0 / 64)).is_some_and(|word| word & (1 << (page.0 % 64)) != 0)
    }

    /// How many pages are in it.
    pub(crate) fn count(&self) -> u64 {
        self.words.values().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Adds the pages of `other`.
    pub(crate) fn merge(&mut self, other: &PageSet) {
        for (at, word) in &other.words {
            *self.words.entry(*at).or_default() |= word;
        }
    }

    /// The pages in it, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PageId> {
        let pages = |(at, word): (&u64, &u64)| {
            let (at, word) = (*at, *word);
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| PageId(64 * at + bit))
        };
        self.words.iter().flat_map(pages)
    }
}

/// All pages of the tree at `root` and of the buckets in it, overflow included. What `freepages` of bbolt's db.go
/// does for a file whose freelist is not synced.
///
/// # Errors
/// On any page that can't be used or is reached twice.
pub(crate) fn reachable_pages<R: ReadAt>(source: &R, geometry: &Geometry, root: PageId) -> Result<PageSet, Error> {
    let mut reached = PageSet::new(geometry);
    let mut run = Run::default();
    let mut scratch = Vec::new();
    let mut open = vec![(root, 0)];
    while let Some((page, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep { page });
        }
        run.load(source, geometry, page, Extent::Table)?;
        for id in page.0..=page.0 + u64::from(run.header.overflow) {
            if !reached.insert(PageId(id)) {
                return Err(Error::Cycle { page: PageId(id) });
            }
        }
        for index in 0..run.count() {
            let element = ElementExtent::decode(run.bytes(), run.kind, index);
            if run.kind == PageKind::Branch {
                open.push((element.child, depth + 1));
            } else if element.flags & BUCKET_FLAG != 0 && element.end - element.value_start >= BUCKET_HEADER_LEN as u64
            {
                let range = (element.value_start, element.value_start + BUCKET_HEADER_LEN as u64);
                let value = run.range(source, geometry, range, &mut scratch)?;
                let child = BucketHeader::decode(value).map_or(PageId(0), |header| header.root);
                if child != PageId(0) {
                    open.push((child, depth + 1));
                }
            }
        }
    }
    Ok(reached)
}
