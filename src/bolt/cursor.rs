//! Moving through a bucket in key order.

use super::element::LeafElement;
use super::error::Error;
use super::geometry::Geometry;
use super::layout::PageId;
use super::page::PageKind;
use super::page_buf::PageBuf;
use super::path::Path;
use super::read::Bucket;
use super::storage::ReadAt;
use super::window::Window;

/// Moves through a bucket in key order. Entries are borrowed from the cursor until it moves.
///
/// Work is bounded by the file: a tree that leads to more pages than the file has, or back to itself, is an error.
#[derive(Debug)]
pub struct Cursor<'b, R> {
    bucket: &'b Bucket<'b, R>,
    path: Path,
}

impl<R: ReadAt> Bucket<'_, R> {
    /// A cursor before the first key.
    pub fn cursor(&self) -> Cursor<'_, R> {
        Cursor { bucket: self, path: Path::default() }
    }

    /// The value of `key`; `None` if the key does not exist or is a bucket.
    ///
    /// The pages on the way are kept for the next call.
    ///
    /// # Errors
    /// Those of reading, and [`Error::Page`] for a page on the way that can't be used.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut cursor = Cursor { bucket: self, path: self.last_path.take() };
        let found = cursor.seek(key)?.filter(|entry| entry.key == key && !entry.is_bucket());
        let value = found.map(|entry| entry.value.to_vec());
        self.last_path.replace(cursor.path);
        Ok(value)
    }
}

impl<'b, R: ReadAt> Cursor<'b, R> {
    /// Moves to the first key.
    pub fn first(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        self.descend(|_| 0)?;
        self.settle()
    }

    /// Moves to the last key. If the last leaf is empty there is no entry, as in bbolt.
    pub fn last(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        self.descend(|page| page.count().saturating_sub(1))?;
        Ok(self.path.element())
    }

    /// Moves to the first key that is not less than `key`.
    pub fn seek(&mut self, key: &[u8]) -> Result<Option<LeafElement<'_>>, Error> {
        self.descend(|page| match page.kind {
            PageKind::Branch => page.branch().search(key),
            _ => page.leaf().search(key),
        })?;
        self.settle()
    }

    /// Moves to the next key; a new cursor moves to the first.
    #[expect(clippy::should_implement_trait, reason = "entries borrow from the cursor: no Iterator can do that")]
    pub fn next(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        if self.path.is_empty() {
            return self.first();
        }
        self.path.advance();
        self.settle()
    }

    /// Goes from the root down to a leaf, choosing an index on every page.
    fn descend(&mut self, choose: impl Fn(&PageBuf) -> usize) -> Result<(), Error> {
        let (source, geometry) = self.file();
        match &self.bucket.inline {
            None => self.path.start(source, geometry, self.bucket.header.root)?,
            Some(page) => {
                let page = PageBuf::inline(page).map_err(|error| geometry.error(PageId(0), error))?;
                self.path.start_inline(page);
            }
        }
        self.path.descend(source, geometry, choose)
    }

    fn settle(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        let (source, geometry) = self.file();
        self.path.settle(source, geometry)?;
        Ok(self.path.element())
    }

    fn file(&self) -> (&'b Window<R>, &'b Geometry) {
        let reader = self.bucket.reader;
        (reader.source(), reader.geometry())
    }
}
