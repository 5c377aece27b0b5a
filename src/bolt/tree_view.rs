//! The tree page by page, for people who look at pages.

use super::bucket::BucketHeader;
use super::element::Element;
use super::error::{Error, PageError};
use super::geometry::Geometry;
use super::layout::{MAX_KEY_LEN, PageId};
use super::page::{PAGE_HEADER_LEN, PageKind};
use super::page_buf::PageBuf;
use super::read::Reader;
use super::storage::ReadAt;
use super::tree::{Stop, Visitor, Walk, bucket_header};

/// What [`Reader::walk_tree`] comes to, from the top and from left to right.
#[derive(Debug)]
pub enum TreeItem<'a> {
    /// A page.
    Page(&'a TreePage),
    /// A bucket inside its parent's page: the number of levels above it, its name, its header.
    Inline(usize, &'a [u8], BucketHeader),
    /// A page that can't be used: the number of levels above it, the page, why.
    Damaged(usize, PageId, &'a PageError),
}

/// A branch or leaf page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreePage {
    /// The page.
    pub id: PageId,
    /// Levels above it, those of other buckets included.
    pub depth: usize,
    /// Branch or leaf.
    pub kind: PageKind,
    /// Number of elements.
    pub count: usize,
    /// Pages that follow and belong to it.
    pub overflow: u32,
    /// Bytes that header, element table, keys and values take.
    pub used: u64,
    /// Bytes of the page and its overflow.
    pub len: u64,
    /// Its first and its last key.
    pub keys: Option<(Vec<u8>, Vec<u8>)>,
    /// The bucket whose root it is; the name of the top level is empty.
    pub bucket: Option<(Vec<u8>, BucketHeader)>,
}

impl<R: ReadAt> Reader<R> {
    /// Walks the tree and the buckets in it, until `visit` returns false.
    ///
    /// # Errors
    /// Only if the file can't be read.
    pub fn walk_tree(&self, visit: &mut dyn FnMut(TreeItem<'_>) -> bool) -> Result<(), Error> {
        let (source, geometry, root) = (self.source(), self.geometry(), self.meta().root);
        let bucket = Some((Vec::new(), root));
        let mut view = View { source, geometry, visit, bucket, scratch: Vec::new() };
        match Walk::new(source, geometry).tree(root.root, &mut view) {
            Ok(()) | Err(End::Enough) => Ok(()),
            Err(End::Error(error)) => Err(error),
        }
    }
}

struct View<'a, R> {
    source: &'a R,
    geometry: &'a Geometry,
    visit: &'a mut dyn FnMut(TreeItem<'_>) -> bool,
    /// The bucket whose root comes next.
    bucket: Option<(Vec<u8>, BucketHeader)>,
    scratch: Vec<u8>,
}

/// Why a walk ends early.
enum End {
    /// The caller has seen enough.
    Enough,
    Error(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Error(error)
    }
}

impl<R: ReadAt> View<'_, R> {
    fn visit(&mut self, item: TreeItem<'_>) -> Result<(), End> {
        if (self.visit)(item) { Ok(()) } else { Err(End::Enough) }
    }

    /// The key of an element, or its beginning: bolt refuses longer ones, and a check reports them.
    fn key(&mut self, page: &PageBuf, element: &Element) -> Result<Vec<u8>, Error> {
        let end = element.value_start.min(element.key_start + MAX_KEY_LEN as u64);
        let key = page.range(self.source, self.geometry, (element.key_start, end), &mut self.scratch)?;
        Ok(key.to_vec())
    }

    fn tree_page(&mut self, depth: usize, page: &PageBuf) -> Result<TreePage, Error> {
        let ends = page.count().checked_sub(1).map(|last| (page.element(0), page.element(last)));
        let keys = match &ends {
            Some((first, last)) => Some((self.key(page, first)?, self.key(page, last)?)),
            None => None,
        };
        Ok(TreePage {
            id: page.id,
            depth,
            kind: page.kind,
            count: page.count(),
            overflow: page.header.overflow,
            used: ends.map_or(PAGE_HEADER_LEN as u64, |(_, last)| last.end),
            len: page.run_len,
            keys,
            bucket: self.bucket.take(),
        })
    }

    fn bucket(&mut self, page: &PageBuf, element: &Element) -> Result<Option<(Vec<u8>, BucketHeader)>, Error> {
        match bucket_header(self.source, self.geometry, page, element, &mut self.scratch)? {
            Some(header) => Ok(Some((self.key(page, element)?, header))),
            None => Ok(None),
        }
    }
}

impl<R: ReadAt> Visitor for View<'_, R> {
    type Error = End;

    fn enter(&mut self, path: &[PageId], page: &PageBuf) -> Result<(), End> {
        let depth = path.len() - 1;
        let tree_page = self.tree_page(depth, page)?;
        self.visit(TreeItem::Page(&tree_page))?;
        // They are on this page: the caller sees them before any page below.
        for index in 0..page.count() {
            if let Some((name, header)) = self.bucket(page, &page.element(index))?
                && header.root == PageId(0)
            {
                self.visit(TreeItem::Inline(depth + 1, &name, header))?;
            }
        }
        Ok(())
    }

    fn elements(&mut self, _: &[PageId], page: &PageBuf, from: usize) -> Result<Option<(usize, PageId)>, End> {
        for index in from..page.count() {
            let element = page.element(index);
            if page.kind == PageKind::Branch {
                self.bucket = None;
                return Ok(Some((index, element.child)));
            }
            self.bucket = self.bucket(page, &element)?.filter(|(_, header)| header.root != PageId(0));
            if let Some((_, header)) = &self.bucket {
                return Ok(Some((index, header.root)));
            }
        }
        Ok(None)
    }

    fn stop(&mut self, path: &[PageId], page: PageId, why: Stop) -> Result<(), End> {
        let error = match why {
            Stop::Page(error) => error,
            Stop::Cycle | Stop::TooDeep | Stop::Reached | Stop::Overlap(_) => PageError::Repeated,
        };
        self.visit(TreeItem::Damaged(path.len() - 1, page, &error))
    }
}
