//! Moving through a bucket in key order.

use super::element::LeafElement;
use super::error::Error;
use super::layout::{MAX_DEPTH, PageId};
use super::page::PageKind;
use super::page_buf::{Load, PageBuf};
use super::read::Bucket;
use super::storage::ReadAt;

impl<R: ReadAt> Bucket<'_, R> {
    /// A cursor before the first key.
    pub fn cursor(&self) -> Cursor<'_, R> {
        Cursor { bucket: self, levels: Vec::new(), depth: 0, loads: 0 }
    }
}

/// Moves through a bucket in key order. Entries are borrowed from the cursor until it moves.
///
/// Work is bounded by the file: a tree that leads to more pages than the file has, or back to itself, is an error.
#[derive(Debug)]
pub struct Cursor<'b, R> {
    bucket: &'b Bucket<'b, R>,
    /// Pages from the root to the leaf; those from `depth` on are kept for their buffers.
    levels: Vec<Level>,
    depth: usize,
    /// Pages loaded since the root, overflow included. A sound tree reaches each once, so a cursor neither reads nor
    /// keeps more bytes than the file has.
    loads: u64,
}

#[derive(Debug, Default)]
struct Level {
    page: PageBuf,
    index: usize,
}

impl<'b, R: ReadAt> Cursor<'b, R> {
    /// Moves to the first key.
    pub fn first(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        self.restart()?;
        self.descend(|_| 0)?;
        self.settle()
    }

    /// Moves to the last key. If the last leaf is empty there is no entry, as in bbolt.
    pub fn last(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        self.restart()?;
        self.descend(|page| page.count().saturating_sub(1))?;
        Ok(self.entry())
    }

    /// Moves to the first key that is not less than `key`.
    pub fn seek(&mut self, key: &[u8]) -> Result<Option<LeafElement<'_>>, Error> {
        self.restart()?;
        self.descend(|page| match page.kind {
            PageKind::Branch => page.branch().search(key),
            _ => page.leaf().search(key),
        })?;
        self.settle()
    }

    /// Moves to the next key; a new cursor moves to the first.
    #[expect(clippy::should_implement_trait, reason = "entries borrow from the cursor: no Iterator can do that")]
    pub fn next(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        match self.top() {
            None => self.first(),
            Some(level) => {
                level.index = level.index.saturating_add(1);
                self.settle()
            }
        }
    }

    fn top(&mut self) -> Option<&mut Level> {
        self.depth.checked_sub(1).map(|top| &mut self.levels[top])
    }

    fn entry(&self) -> Option<LeafElement<'_>> {
        let level = &self.levels[self.depth.checked_sub(1)?];
        level.page.leaf().get(level.index)
    }

    /// Puts the root page on the empty stack.
    fn restart(&mut self) -> Result<(), Error> {
        (self.depth, self.loads) = (0, 0);
        match &self.bucket.inline {
            None => self.push(self.bucket.header.root),
            Some(page) => {
                let geometry = self.bucket.reader.geometry();
                let page = PageBuf::inline(page).map_err(|error| geometry.error(PageId(0), error))?;
                self.levels.clear();
                self.levels.push(Level { page, index: 0 });
                self.depth = 1;
                Ok(())
            }
        }
    }

    /// Goes down to a leaf, choosing an index on every page.
    fn descend(&mut self, choose: impl Fn(&PageBuf) -> usize) -> Result<(), Error> {
        loop {
            let level = self.top().expect("descend starts with the root on the stack");
            level.index = choose(&level.page);
            if level.page.kind == PageKind::Leaf {
                return Ok(());
            }
            let Some((_, child)) = level.page.branch().get(level.index) else {
                return Ok(());
            };
            self.push(child)?;
        }
    }

    /// If the index is after the last element of its leaf, moves on to the next element.
    fn settle(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        while let Some(level) = self.top() {
            if level.index < level.page.count() {
                if level.page.kind == PageKind::Leaf {
                    break;
                }
                let (_, child) = level.page.branch().get(level.index).expect("the index is below the count");
                self.push(child)?;
                self.descend(|_| 0)?;
            } else if self.depth == 1 {
                break;
            } else {
                self.depth -= 1;
                if let Some(parent) = self.top() {
                    parent.index += 1;
                }
            }
        }
        Ok(self.entry())
    }

    fn push(&mut self, page: PageId) -> Result<(), Error> {
        let reader = self.bucket.reader;
        if self.levels[..self.depth].iter().any(|level| level.page.id == page) {
            return Err(Error::Cycle { page });
        }
        if self.depth >= MAX_DEPTH {
            return Err(Error::TooDeep { page });
        }
        if self.levels.len() == self.depth {
            self.levels.push(Level::default());
        }
        let level = &mut self.levels[self.depth];
        level.page.load_head(reader.source(), reader.geometry(), page)?;
        self.loads += level.page.header.span();
        if self.loads > reader.geometry().page_count() {
            return Err(Error::TooManyPages { page });
        }
        level.page.load_body(reader.source(), reader.geometry(), Load::Whole)?;
        level.index = 0;
        self.depth += 1;
        Ok(())
    }
}
