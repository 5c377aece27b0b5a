//! A set of pages.

use std::collections::BTreeMap;

use super::geometry::Geometry;
use super::layout::PageId;

/// A set of the pages of one file, one bit each. Only words with a page in them take memory, so the set of a sparse
/// file of any length costs only what is in it.
#[derive(Debug, Clone)]
pub(crate) struct PageSet {
    words: BTreeMap<u64, u64>,
    len: u64,
}

impl PageSet {
    /// An empty set of pages that are in the file.
    pub(crate) fn new(geometry: &Geometry) -> PageSet {
        PageSet { words: BTreeMap::new(), len: geometry.page_count() }
    }

    /// Adds a page; false if it was in the set. Pages that are not in the file are not added, and true is returned.
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

    /// How many pages are in the set.
    pub(crate) fn count(&self) -> u64 {
        self.words.values().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Adds the pages of `other`.
    pub(crate) fn merge(&mut self, other: &PageSet) {
        for (at, word) in &other.words {
            *self.words.entry(*at).or_default() |= word;
        }
    }

    /// The pages in the set, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PageId> {
        let pages = |(at, word): (&u64, &u64)| {
            let (at, word) = (*at, *word);
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| PageId(64 * at + bit))
        };
        self.words.iter().flat_map(pages)
    }
}
