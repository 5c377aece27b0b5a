//! One bucket of a bulk file: how pairs are packed into leaves, and leaves into branches.

use super::super::bucket::{BucketHeader, encode_empty_bucket};
use super::super::element::{ELEMENT_LEN, check_key};
use super::super::error::Error;
use super::super::layout::{MAX_VALUE_LEN, PageId};
use super::super::page::PageKind;
use super::super::storage::Storage;
use super::open_page::{NewElement, OpenPage};
use super::writer::BulkWriter;

/// A leaf takes entries up to this many bytes, overflow included: then little is left over at its end.
const LEAF_LEN: usize = 32 << 10;
/// A leaf of larger entries takes more of them, up to this many bytes, until at most one byte in [`LEFT_OVER`] is left
/// over.
const MAX_LEAF_LEN: usize = 1 << 20;
const LEFT_OVER: usize = 32;
/// The count of a page has 16 bits, and bbolt keeps the highest value for the freelist.
const MAX_COUNT: usize = 0xFFFE;

/// A bucket that is being written. It is in the file only after [`BulkBucket::finish`].
#[derive(Debug)]
pub struct BulkBucket<'w, S> {
    writer: &'w mut BulkWriter<S>,
    name: Vec<u8>,
    sequence: u64,
    last_key: Vec<u8>,
    leaf: OpenPage,
    /// The open branch of each level, lowest first.
    branches: Vec<OpenPage>,
}

impl<S: Storage> BulkWriter<S> {
    /// Begins a bucket of the top level. Buckets may come in any order.
    ///
    /// # Errors
    /// [`Error::KeyOrder`] if the bucket exists, and the errors of names that bolt refuses.
    pub fn bucket(&mut self, name: &[u8], sequence: u64) -> Result<BulkBucket<'_, S>, Error> {
        check_key(name)?;
        if self.has_bucket(name) {
            return Err(Error::KeyOrder { key: name.to_vec() });
        }
        let (last_key, leaf, branches) = (Vec::new(), OpenPage::default(), Vec::new());
        Ok(BulkBucket { writer: self, name: name.to_vec(), sequence, last_key, leaf, branches })
    }
}

impl<S: Storage> BulkBucket<'_, S> {
    /// Adds a pair. Keys must come in ascending order.
    ///
    /// # Errors
    /// [`Error::KeyOrder`] if they don't, the errors of keys and values that bolt refuses, and those of writing.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        check_key(key)?;
        if value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len: value.len() });
        }
        if key <= self.last_key.as_slice() {
            return Err(Error::KeyOrder { key: key.to_vec() });
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        let more_len = ELEMENT_LEN + key.len() + value.len();
        if self.is_full(more_len) {
            self.close_leaf()?;
        }
        if more_len > MAX_LEAF_LEN {
            return self.push_long(key, value);
        }
        self.leaf.push_pair(0, key, value);
        Ok(())
    }

    /// Writes a leaf with one pair, whose value is not copied.
    fn push_long(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.close_leaf()?;
        let element = NewElement { key_len: key.len(), value_len: value.len(), flags: 0, child: PageId(0) };
        let page = self.writer.put_parts(PageKind::Leaf, &[element], &[key, value])?;
        self.add_child(0, key, page)
    }

    /// Whether the leaf should be closed before it takes `more_len` bytes.
    fn is_full(&self, more_len: usize) -> bool {
        let (len, page_size) = (self.leaf.len(), self.writer.page_size());
        if self.leaf.elements.is_empty() || len + more_len <= LEAF_LEN.max(page_size) {
            return false;
        }
        let left_over_len = len.next_multiple_of(page_size) - len;
        left_over_len * LEFT_OVER <= len || len + more_len > MAX_LEAF_LEN || self.leaf.elements.len() >= MAX_COUNT
    }

    fn close_leaf(&mut self) -> Result<(), Error> {
        if self.leaf.elements.is_empty() {
            return Ok(());
        }
        let page = self.writer.put(PageKind::Leaf, &self.leaf)?;
        let key = self.leaf.first_key();
        self.leaf.clear();
        self.add_child(0, &key, page)
    }

    /// Adds a page to the branch of a level; a full branch is written first.
    fn add_child(&mut self, level: usize, key: &[u8], page: PageId) -> Result<(), Error> {
        if self.branches.len() == level {
            self.branches.push(OpenPage::default());
        }
        let branch = &self.branches[level];
        let is_full = branch.len() + ELEMENT_LEN + key.len() > self.writer.page_size();
        // With one child per branch, the levels would never get fewer pages.
        if is_full && branch.elements.len() >= 2 {
            self.close_branch(level)?;
        }
        self.branches[level].push_child(key, page);
        Ok(())
    }

    fn close_branch(&mut self, level: usize) -> Result<(), Error> {
        let page = self.writer.put(PageKind::Branch, &self.branches[level])?;
        let key = self.branches[level].first_key();
        self.branches[level].clear();
        self.add_child(level + 1, &key, page)
    }

    /// Writes the open pages, and puts the bucket into the top level.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> Result<(), Error> {
        self.close_leaf()?;
        let mut level = 0;
        let root = loop {
            match self.branches.get(level) {
                None => break PageId(0),
                Some(branch) if level + 1 == self.branches.len() && branch.elements.len() == 1 => {
                    break branch.elements[0].child;
                }
                Some(_) => self.close_branch(level)?,
            }
            level += 1;
        };
        let value = match root {
            PageId(0) => encode_empty_bucket(self.sequence),
            root => BucketHeader { root, sequence: self.sequence }.encode().to_vec(),
        };
        self.writer.add_bucket(self.name, value);
        Ok(())
    }
}
