//! The one walk through a tree of pages, buckets included, from the root and from left to right.
//!
//! What is done on the way is a [`Visitor`]'s: checking, surveying, or collecting the pages that are reached. Each page is
//! read once, however often it is referenced, so a walk ends and its time is linear in the file. A [`super::Cursor`]
//! moves in both directions within one bucket and remembers no pages, so it has its own way down.

use super::bucket::{BUCKET_HEADER_LEN, BucketHeader};
use super::element::Element;
use super::error::{Error, PageError};
use super::geometry::Geometry;
use super::layout::{MAX_DEPTH, PageId};
use super::page::PageKind;
use super::page_buf::{Load, PageBuf};
use super::page_set::PageSet;
use super::storage::ReadAt;

/// Why a walk doesn't go into a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The page is on the path that leads to it.
    Cycle,
    /// The page is below [`MAX_DEPTH`] others.
    TooDeep,
    /// The page was reached before. Everything below it was walked then.
    Reached,
    /// This page of its run was reached before, as a part of another run.
    Overlap(PageId),
    /// The page can't be used.
    Page(PageError),
}

/// What is done on a walk. `path` holds the pages from the root down to and including the one in question.
pub(crate) trait Visitor {
    /// What ends a walk early.
    type Error: From<Error>;

    /// How much of a page to read; its header is known.
    fn load(&self, _page: &PageBuf) -> Load {
        Load::Table
    }

    /// A page, or a page of its overflow, is reached for the first time.
    fn reach(&mut self, _path: &[PageId], _page: PageId) {}

    /// A page can be used; its elements come next.
    fn enter(&mut self, path: &[PageId], page: &PageBuf) -> Result<(), Self::Error>;

    /// Elements of the page that was entered last and not left, from index `from` up to one with a page below: returns
    /// its index and the page, where the walk goes on.
    fn elements(
        &mut self,
        path: &[PageId],
        page: &PageBuf,
        from: usize,
    ) -> Result<Option<(usize, PageId)>, Self::Error>;

    /// All elements of the page that was entered last were visited.
    fn leave(&mut self) {}

    /// The walk doesn't go into a page.
    fn stop(&mut self, path: &[PageId], page: PageId, why: Stop) -> Result<(), Self::Error>;
}

/// A walk through the pages of a file.
#[derive(Debug)]
pub(crate) struct Walk<'r, R> {
    source: &'r R,
    geometry: &'r Geometry,
    reached: PageSet,
    path: Vec<PageId>,
    /// Pages whose buffers are not in use.
    spare: Vec<PageBuf>,
}

impl<'r, R: ReadAt> Walk<'r, R> {
    pub(crate) fn new(source: &'r R, geometry: &'r Geometry) -> Walk<'r, R> {
        Walk { source, geometry, reached: PageSet::new(geometry), path: Vec::new(), spare: Vec::new() }
    }

    /// The pages that were reached. Those that a caller adds count as reached by another way.
    pub(crate) fn reached(&mut self) -> &mut PageSet {
        &mut self.reached
    }

    /// Walks the tree at `page`, and the buckets in it that the visitor leads to.
    pub(crate) fn tree<V: Visitor>(&mut self, page: PageId, visitor: &mut V) -> Result<(), V::Error> {
        let is_cycle = self.path.contains(&page);
        self.path.push(page);
        let walked = if is_cycle {
            visitor.stop(&self.path, page, Stop::Cycle)
        } else if self.path.len() > MAX_DEPTH {
            visitor.stop(&self.path, page, Stop::TooDeep)
        } else {
            self.page(page, visitor)
        };
        self.path.pop();
        walked
    }

    fn page<V: Visitor>(&mut self, page: PageId, visitor: &mut V) -> Result<(), V::Error> {
        // Before it is read: a branch can name one bad page 65535 times.
        if self.geometry.check_start(page).is_ok() && self.reached.contains(page) {
            return visitor.stop(&self.path, page, Stop::Reached);
        }
        let mut buf = self.spare.pop().unwrap_or_default();
        let walked = match self.load(page, &mut buf, visitor) {
            Ok(None) => self.elements(&buf, visitor),
            Ok(Some(why)) => visitor.stop(&self.path, page, why),
            Err(error) => Err(error.into()),
        };
        self.spare.push(buf);
        walked
    }

    /// Reads a page and marks its run as reached; returns why it can't be walked, if so.
    fn load<V: Visitor>(&mut self, page: PageId, buf: &mut PageBuf, visitor: &mut V) -> Result<Option<Stop>, Error> {
        if let Some(why) = unusable(buf.load_head(self.source, self.geometry, page))? {
            self.reached.insert(page);
            return Ok(Some(why));
        }
        // No byte is looked at twice, however runs overlap.
        for id in buf.page_ids() {
            if !self.reached.insert(id) {
                return Ok(Some(Stop::Overlap(id)));
            }
            visitor.reach(&self.path, id);
        }
        unusable(buf.load_body(self.source, self.geometry, visitor.load(buf)))
    }

    fn elements<V: Visitor>(&mut self, buf: &PageBuf, visitor: &mut V) -> Result<(), V::Error> {
        visitor.enter(&self.path, buf)?;
        let mut from = 0;
        while let Some((index, below)) = visitor.elements(&self.path, buf, from)? {
            self.tree(below, visitor)?;
            from = index + 1;
        }
        visitor.leave();
        Ok(())
    }
}

fn unusable(loaded: Result<(), Error>) -> Result<Option<Stop>, Error> {
    match loaded {
        Ok(()) => Ok(None),
        Err(Error::Page { error, .. }) => Ok(Some(Stop::Page(error))),
        Err(error) => Err(error),
    }
}

/// The header of the bucket that `element` of a leaf holds; `None` if the element holds no header.
pub(crate) fn bucket_header<R: ReadAt>(
    source: &R,
    geometry: &Geometry,
    page: &PageBuf,
    element: &Element,
    scratch: &mut Vec<u8>,
) -> Result<Option<BucketHeader>, Error> {
    if page.kind != PageKind::Leaf || !element.is_bucket() || element.value_len() < BUCKET_HEADER_LEN as u64 {
        return Ok(None);
    }
    let range = (element.value_start, element.value_start + BUCKET_HEADER_LEN as u64);
    Ok(BucketHeader::decode(page.range(source, geometry, range, scratch)?))
}

/// All pages of the tree at `root` and of the buckets in it, overflow included. bbolt does this for a file whose
/// freelist is not on disk. (db.go freepages)
///
/// # Errors
/// On any page that can't be used or is reached twice.
pub(crate) fn reachable_pages<R: ReadAt>(source: &R, geometry: &Geometry, root: PageId) -> Result<PageSet, Error> {
    let mut walk = Walk::new(source, geometry);
    walk.tree(root, &mut Reach { source, geometry, scratch: Vec::new() })?;
    Ok(walk.reached)
}

/// Goes everywhere, and stops at the first page that can't be used.
struct Reach<'r, R> {
    source: &'r R,
    geometry: &'r Geometry,
    scratch: Vec<u8>,
}

impl<R: ReadAt> Visitor for Reach<'_, R> {
    type Error = Error;

    fn enter(&mut self, _: &[PageId], _: &PageBuf) -> Result<(), Error> {
        Ok(())
    }

    fn elements(&mut self, _: &[PageId], page: &PageBuf, from: usize) -> Result<Option<(usize, PageId)>, Error> {
        for index in from..page.count() {
            let element = page.element(index);
            if page.kind == PageKind::Branch {
                return Ok(Some((index, element.child)));
            }
            let header = bucket_header(self.source, self.geometry, page, &element, &mut self.scratch)?;
            if let Some(header) = header.filter(|header| header.root != PageId(0)) {
                return Ok(Some((index, header.root)));
            }
        }
        Ok(None)
    }

    fn stop(&mut self, _: &[PageId], page: PageId, why: Stop) -> Result<(), Error> {
        Err(match why {
            Stop::Cycle | Stop::Reached => Error::Cycle { page },
            Stop::Overlap(page) => Error::Cycle { page },
            Stop::TooDeep => Error::TooDeep { page },
            Stop::Page(error) => self.geometry.error(page, error),
        })
    }
}
