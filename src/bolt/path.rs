//! The pages from the root of a bucket down to a leaf, and where in each of them a cursor is.

use super::element::LeafElement;
use super::error::Error;
use super::geometry::Geometry;
use super::layout::{MAX_DEPTH, PageId};
use super::page::PageKind;
use super::page_buf::{Load, PageBuf};
use super::storage::ReadAt;

/// A way down a tree. Pages of an earlier way are kept, and read again only if the new one leads to others: a search
/// near the last one reads one leaf at most.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// Pages from the root to the leaf; those from `depth` on are kept from an earlier way.
    levels: Vec<Level>,
    depth: usize,
    /// Pages on the way since the root, overflow included. A sound tree reaches each once, so the work is no more than
    /// the file has pages.
    loads: u64,
}

#[derive(Debug, Default)]
struct Level {
    page: PageBuf,
    index: usize,
}

impl Path {
    /// Begins at the root page of a tree.
    pub(crate) fn start<R: ReadAt>(&mut self, source: &R, geometry: &Geometry, root: PageId) -> Result<(), Error> {
        (self.depth, self.loads) = (0, 0);
        self.push(source, geometry, root)
    }

    /// Begins at the only page of an inline bucket.
    pub(crate) fn start_inline(&mut self, page: PageBuf) {
        self.levels.clear();
        self.levels.push(Level { page, index: 0 });
        (self.depth, self.loads) = (1, 0);
    }

    /// Whether it has not begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// The element that the path ends at, if any.
    pub(crate) fn element(&self) -> Option<LeafElement<'_>> {
        let level = &self.levels[self.depth.checked_sub(1)?];
        level.page.leaf().get(level.index)
    }

    /// Goes down to a leaf, choosing an index on every page.
    pub(crate) fn descend<R: ReadAt>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        choose: impl Fn(&PageBuf) -> usize,
    ) -> Result<(), Error> {
        while let Some(level) = self.end() {
            level.index = choose(&level.page);
            if level.page.kind == PageKind::Leaf {
                break;
            }
            let Some((_, child)) = level.page.branch().get(level.index) else { break };
            self.push(source, geometry, child)?;
        }
        Ok(())
    }

    /// Moves to the next index of the leaf, which may be after its last element.
    pub(crate) fn advance(&mut self) {
        if let Some(level) = self.end() {
            level.index = level.index.saturating_add(1);
        }
    }

    /// If the index is after the last element of its leaf, moves on to the next element.
    pub(crate) fn settle<R: ReadAt>(&mut self, source: &R, geometry: &Geometry) -> Result<(), Error> {
        while let Some(level) = self.end() {
            if level.index < level.page.count() {
                if level.page.kind == PageKind::Leaf {
                    break;
                }
                let (_, child) = level.page.branch().get(level.index).expect("the index is below the count");
                self.push(source, geometry, child)?;
                self.descend(source, geometry, |_| 0)?;
            } else if self.depth == 1 {
                break;
            } else {
                self.depth -= 1;
                self.advance();
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Option<&mut Level> {
        self.depth.checked_sub(1).map(|end| &mut self.levels[end])
    }

    fn push<R: ReadAt>(&mut self, source: &R, geometry: &Geometry, page: PageId) -> Result<(), Error> {
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
        let is_kept = level.page.holds(page);
        if !is_kept {
            level.page.load_head(source, geometry, page)?;
        }
        self.loads += level.page.header.span();
        if self.loads > geometry.page_count() {
            return Err(Error::TooManyPages { page });
        }
        if !is_kept {
            level.page.load_body(source, geometry, Load::Whole)?;
        }
        level.index = 0;
        self.depth += 1;
        Ok(())
    }
}
