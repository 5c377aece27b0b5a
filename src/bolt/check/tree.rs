//! The check of the trees: keys, their order, the ranges that parents promise, and buckets.

use std::mem;

use super::super::bucket::{BUCKET_HEADER_LEN, split_bucket};
use super::super::element::{BUCKET_FLAG, Element, Leaf};
use super::super::error::{Error, PageError};
use super::super::geometry::Geometry;
use super::super::layout::{MAX_KEY_LEN, PageId};
use super::super::page::PageKind;
use super::super::page_buf::{Load, PageBuf};
use super::super::page_set::PageSet;
use super::super::storage::ReadAt;
use super::super::tree::{Stop, Visitor};
use super::deliver::Delivery;
use super::{Check, ProblemKind};

/// Checks the pages that a walk comes to.
pub(super) struct TreeCheck<'a, 'd, R> {
    source: &'a R,
    geometry: &'a Geometry,
    check: &'a mut Check,
    free: &'a PageSet,
    delivery: &'a mut Delivery<'d>,
    /// The pages that were entered and not left.
    levels: Vec<Level>,
    /// Where the next page to be entered is.
    next: Position,
    scratch: Vec<u8>,
    is_complete: bool,
}

/// Where a page is in the trees. Its bounds are keys that levels above it hold, by the number of the level.
#[derive(Debug, Default, Clone, Copy)]
struct Position {
    /// The first key must not be below [`Level::key`] of this level.
    least: Option<usize>,
    /// All keys must be below [`Level::next_key`] of this level.
    above: Option<usize>,
    /// Number of buckets that the page is in, below the top level.
    bucket_depth: usize,
    /// Whether the pairs of the bucket that it belongs to are wanted.
    is_wanted: bool,
}

/// A page that was entered, and how far the walk is on it.
#[derive(Debug, Default)]
struct Level {
    position: Position,
    /// The key of the element before, unless that was too long to be a key.
    previous: Vec<u8>,
    has_previous: bool,
    /// On a branch, the key of the child that the walk is in.
    key: Option<Vec<u8>>,
    /// On a branch, the key after that.
    next_key: Option<Vec<u8>>,
}

impl<'a, 'd, R: ReadAt> TreeCheck<'a, 'd, R> {
    pub(super) fn new(
        (source, geometry): (&'a R, &'a Geometry),
        check: &'a mut Check,
        free: &'a PageSet,
        delivery: &'a mut Delivery<'d>,
    ) -> TreeCheck<'a, 'd, R> {
        let (levels, next, scratch) = (Vec::new(), Position::default(), Vec::new());
        TreeCheck { source, geometry, check, free, delivery, levels, next, scratch, is_complete: true }
    }

    /// Whether every page of the trees could be walked: only then is an unreachable page a leak.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn add(&mut self, path: &[PageId], page: PageId, kind: ProblemKind) {
        self.check.add_to(self.geometry, page, path, kind);
    }

    /// Adds a problem because of which pages are not walked.
    fn add_incomplete(&mut self, path: &[PageId], page: PageId, kind: ProblemKind) {
        self.is_complete = false;
        self.add(path, page, kind);
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("elements are visited after their page was entered")
    }

    /// An element of a branch: its key must be in order, and bounds the keys of the child.
    fn child(&mut self, path: &[PageId], page: &PageBuf, index: usize) -> Result<PageId, Error> {
        let key = match index {
            0 => self.branch_key(path, page, 0)?,
            _ => self.level().next_key.take(),
        };
        let next_key = self.branch_key(path, page, index + 1)?;
        let level = self.level();
        let previous = level.key.take();
        level.has_previous = previous.is_some();
        level.previous = previous.unwrap_or_default();
        if let Some(key) = &key {
            self.check_key(path, page.id, index, key);
        }
        let number = self.levels.len() - 1;
        let level = self.level();
        self.next = Position {
            least: key.is_some().then_some(number),
            above: if next_key.is_some() { Some(number) } else { level.position.above },
            ..level.position
        };
        (self.level().key, self.level().next_key) = (key, next_key);
        Ok(page.element(index).child)
    }

    /// The key of element `index` of a branch; `None` after the last, and for one too long to be a key.
    fn branch_key(&mut self, path: &[PageId], page: &PageBuf, index: usize) -> Result<Option<Vec<u8>>, Error> {
        if index >= page.count() {
            return Ok(None);
        }
        let element = page.element(index);
        if self.is_too_long(path, page.id, index, &element) {
            return Ok(None);
        }
        Ok(Some(page.key(self.source, self.geometry, &element, &mut self.scratch)?.to_vec()))
    }

    /// Elements of a leaf, up to a bucket that has pages: returns its index and its root.
    fn pairs(&mut self, path: &[PageId], page: &PageBuf, from: usize) -> Result<Option<(usize, PageId)>, Error> {
        // Taken, so that keys can be borrowed from it.
        let mut scratch = mem::take(&mut self.scratch);
        let mut below = None;
        for index in from..page.count() {
            below = self.pair(path, page, index, &mut scratch)?.map(|root| (index, root));
            if below.is_some() {
                break;
            }
        }
        self.scratch = scratch;
        Ok(below)
    }

    /// An element of a leaf: its key must be in order, and its value may be a bucket, of which it returns the root.
    fn pair(
        &mut self,
        path: &[PageId],
        page: &PageBuf,
        index: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<PageId>, Error> {
        let element = page.element(index);
        if self.is_too_long(path, page.id, index, &element) {
            self.level().has_previous = false;
            return Ok(None);
        }
        let key = page.key(self.source, self.geometry, &element, scratch)?;
        self.check_key(path, page.id, index, key);
        if self.level().position.is_wanted {
            self.delivery.element(page, &element, key);
        }
        let below = match element.flags {
            0 => None,
            BUCKET_FLAG => self.bucket(path, page, index, key)?,
            flags => {
                self.add(path, page.id, ProblemKind::ElementFlags { index, flags });
                None
            }
        };
        let level = self.level();
        level.previous.clear();
        level.previous.extend_from_slice(key);
        level.has_previous = true;
        Ok(below)
    }

    fn is_too_long(&mut self, path: &[PageId], page: PageId, index: usize, element: &Element) -> bool {
        let len = element.key_len();
        let is_too_long = len > MAX_KEY_LEN as u64;
        if is_too_long {
            self.add(path, page, ProblemKind::KeyTooLong { index, len });
        }
        is_too_long
    }

    /// Checks a key against the one before it, and against the bounds of its page.
    fn check_key(&mut self, path: &[PageId], page: PageId, index: usize, key: &[u8]) {
        let level = self.level();
        let position = level.position;
        let order = key_problem(index, key, level.has_previous.then_some(level.previous.as_slice()));
        let bound = |level: Option<usize>, key: fn(&Level) -> &Option<Vec<u8>>| key(&self.levels[level?]).as_deref();
        let is_below = index == 0 && bound(position.least, |level| &level.key).is_some_and(|least| key < least);
        let is_above = bound(position.above, |level| &level.next_key).is_some_and(|above| key >= above);
        if let Some(kind) = order {
            self.add(path, page, kind);
        } else if is_below {
            self.add(path, page, ProblemKind::KeyBelowParent { index });
        }
        if is_above {
            self.add(path, page, ProblemKind::KeyAboveNext { index });
        }
    }

    /// Checks a bucket's value; returns its root, unless it is inline.
    fn bucket(&mut self, path: &[PageId], page: &PageBuf, index: usize, name: &[u8]) -> Result<Option<PageId>, Error> {
        let element = page.element(index);
        let len = element.value_len();
        // An inline bucket has at most a quarter of a page. (bbolt bucket.go maxInlineBucketSize)
        if len > (BUCKET_HEADER_LEN + self.geometry.page_size) as u64 {
            let error = PageError::BucketValue { len };
            self.add_incomplete(path, page.id, ProblemKind::Bucket { index, error });
            return Ok(None);
        }
        let mut scratch = mem::take(&mut self.scratch);
        let value = page.range(self.source, self.geometry, (element.value_start, element.end), &mut scratch)?;
        let bucket_depth = self.level().position.bucket_depth + 1;
        let is_wanted = bucket_depth == 1 && self.delivery.finds(name);
        let root = match split_bucket(value) {
            Ok((header, None)) => {
                self.next = Position { bucket_depth, is_wanted, ..Position::default() };
                Some(header.root)
            }
            Ok((_, Some(inline))) => {
                self.inline_page(path, page.id, index, inline, is_wanted);
                None
            }
            Err(error) => {
                self.add_incomplete(path, page.id, ProblemKind::Bucket { index, error });
                None
            }
        };
        self.scratch = scratch;
        Ok(root)
    }

    /// Checks the page of an inline bucket, the value of element `index`.
    fn inline_page(&mut self, path: &[PageId], page: PageId, index: usize, inline: &[u8], is_wanted: bool) {
        let leaf = match Leaf::decode(inline) {
            Ok(leaf) => leaf,
            Err(error) => return self.add(path, page, ProblemKind::Bucket { index, error }),
        };
        let mut previous = None;
        for (at, element) in leaf.iter().enumerate() {
            if let Some(inner) = key_problem(at, element.key, previous) {
                self.add(path, page, ProblemKind::Inline { index, inner: Box::new(inner) });
            }
            match element.flags {
                0 => {}
                BUCKET_FLAG => self.add(path, page, ProblemKind::InlineBucketInside { index }),
                flags => {
                    let inner = Box::new(ProblemKind::ElementFlags { index: at, flags });
                    self.add(path, page, ProblemKind::Inline { index, inner });
                }
            }
            previous = Some(element.key);
            if is_wanted {
                self.delivery.pair(element.key, element.value);
            }
        }
    }
}

impl<R: ReadAt> Visitor for TreeCheck<'_, '_, R> {
    type Error = Error;

    fn load(&self, page: &PageBuf) -> Load {
        if self.next.is_wanted && page.kind == PageKind::Leaf { Load::Whole } else { Load::Table }
    }

    fn reach(&mut self, path: &[PageId], page: PageId) {
        if self.free.contains(page) {
            self.add(path, page, ProblemKind::ReachableFreed);
        }
    }

    fn enter(&mut self, _: &[PageId], page: &PageBuf) -> Result<(), Error> {
        let pages = &mut self.check.pages;
        match page.kind {
            PageKind::Branch => pages.branch += 1,
            _ => pages.leaf += 1,
        }
        pages.overflow += u64::from(page.header.overflow);
        self.levels.push(Level { position: self.next, ..Level::default() });
        Ok(())
    }

    fn elements(&mut self, path: &[PageId], page: &PageBuf, from: usize) -> Result<Option<(usize, PageId)>, Error> {
        match page.kind {
            PageKind::Branch if from == page.count() => Ok(None),
            PageKind::Branch => self.child(path, page, from).map(|child| Some((from, child))),
            _ => self.pairs(path, page, from),
        }
    }

    fn leave(&mut self) {
        self.levels.pop();
    }

    fn stop(&mut self, path: &[PageId], page: PageId, why: Stop) -> Result<(), Error> {
        match why {
            Stop::Cycle => self.add_incomplete(path, page, ProblemKind::Cycle),
            Stop::TooDeep => self.add_incomplete(path, page, ProblemKind::TooDeep),
            Stop::Reached => self.add(path, page, ProblemKind::MultipleReferences),
            Stop::Overlap(page) => self.add_incomplete(path, page, ProblemKind::MultipleReferences),
            Stop::Page(error) => self.add_incomplete(path, page, ProblemKind::Page(error)),
        }
        Ok(())
    }
}

fn key_problem(index: usize, key: &[u8], previous: Option<&[u8]>) -> Option<ProblemKind> {
    if key.is_empty() {
        return Some(ProblemKind::EmptyKey { index });
    }
    previous.is_some_and(|previous| key <= previous).then_some(ProblemKind::KeyOrder { index })
}
