//! Which pages a tree reaches.

use super::element::{BUCKET_FLAG, Extent as ElementExtent};
use super::error::Error;
use super::layout::{BUCKET_HEADER_LEN, MAX_DEPTH, PageId};
use super::meta::BucketHeader;
use super::page::PageKind;
use super::run::{Extent, Geometry, Run};
use super::source::ReadAt;

/// A set of the pages of one file: a bit a page.
#[derive(Debug, Clone)]
pub(crate) struct PageSet {
    words: Vec<u64>,
    len: u64,
}

impl PageSet {
    /// An empty set for the pages that the file really has.
    pub(crate) fn new(geometry: &Geometry) -> PageSet {
        let len = geometry.page_count();
        let words = usize::try_from(len.div_ceil(64)).expect("an eighth of a byte a page that exists");
        PageSet { words: vec![0; words], len }
    }

    /// Adds a page; false when it was there. Pages that the file doesn't have are never there.
    pub(crate) fn insert(&mut self, page: PageId) -> bool {
        let Some((word, bit)) = self.position(page) else {
            return true;
        };
        let added = self.words[word] & bit == 0;
        self.words[word] |= bit;
        added
    }

    pub(crate) fn contains(&self, page: PageId) -> bool {
        self.position(page).is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }

    /// How many pages are in it.
    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    fn position(&self, page: PageId) -> Option<(usize, u64)> {
        let word = usize::try_from(page.0 / 64).ok().filter(|_| page.0 < self.len)?;
        Some((word, 1 << (page.0 % 64)))
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
