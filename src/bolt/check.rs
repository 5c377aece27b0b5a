//! The checker: every page is looked at once, and it goes on after what it finds.
//!
//! Finds all that `bbolt check` 1.4 finds (tx_check.go), and what that misses: element bounds, the order inside
//! inline buckets, the meta that isn't used, a file that was cut off. Time is linear in the file, memory is about
//! a bit a page and a page a level.

use super::element::{BUCKET_FLAG, Extent as ElementExtent, Leaf};
use super::error::{Error, MetaError, PageError};
use super::freelist::{decode_ids, ids_extent};
use super::layout::{BUCKET_HEADER_LEN, MAX_DEPTH, MAX_KEY_LEN, PAGE_HEADER_LEN, PageId, TxId, to_usize};
use super::page::{PageHeader, PageKind};
use super::problem::{Problem, ProblemKind, guess_format};
use super::reach::PageSet;
use super::read::{Metas, Reader, split_bucket};
use super::run::{Extent, Run};
use super::source::ReadAt;

/// A number above this one leaves no room for the transactions to come.
const LAST_TXID: u64 = u64::MAX - (1 << 32);
/// So many problems are kept; more are only counted.
const MOST: usize = 200;

/// What a check saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// In the order of the walk: metas, freelist, trees, leaks.
    pub problems: Vec<Problem>,
    /// Problems that were not kept because there were too many.
    pub omitted: u64,
    /// What the file consists of; all zero when it is no bolt file.
    pub pages: PageCounts,
}

/// How many pages of each kind a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCounts {
    /// Bytes of a page.
    pub page_size: usize,
    /// Pages ever used (the high-water mark).
    pub total: u64,
    /// Branch pages, without their overflow.
    pub branch: u64,
    /// Leaf pages, without their overflow.
    pub leaf: u64,
    /// Overflow pages of branches and leaves.
    pub overflow: u64,
    /// Pages in the freelist.
    pub free: u64,
    /// Pages of the freelist itself.
    pub freelist: u64,
}

/// Checks a whole file.
///
/// # Errors
/// Only when the file can't be read; what is wrong with its content is in [`Check::problems`].
pub fn check<R: ReadAt>(source: R) -> Result<Check, Error> {
    let mut head = [0; 512];
    let head_len = source.read_full_at(&mut head, 0).map_err(Error::io("reading the first page"))?;
    let mut check = Check::default();
    let fatal = match Reader::open(source) {
        Ok(reader) => {
            return reader.check();
        }
        Err(Error::Empty) => ProblemKind::Empty,
        Err(Error::NoMeta { first, second }) => {
            ProblemKind::NoMeta { first, second, format: guess_format(&head[..head_len]) }
        }
        Err(error) => return Err(error),
    };
    check.add(Problem { kind: fatal, page: None, path: Vec::new(), offset: None });
    Ok(check)
}

impl<R: ReadAt> Reader<R> {
    /// Checks the state that this reader reads, as [`check()`] does.
    ///
    /// # Errors
    /// Only when the file can't be read.
    pub fn check(&self) -> Result<Check, Error> {
        let mut check = Check::default();
        check_file(self, &mut check, None)?;
        Ok(check)
    }

    /// Checks, and on the way calls `each` for the pairs of the bucket `name` of the top level, nested buckets included:
    /// the file is read once. Says too whether there is such a bucket.
    ///
    /// In a sound file keys come in their order. In one that isn't, the pairs of pages that can't be reached or read are
    /// left out.
    ///
    /// # Errors
    /// Only when the file can't be read.
    pub fn check_each(&self, name: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(Check, bool), Error> {
        let mut check = Check::default();
        let wanted = Wanted { bucket: name, each, found: false, is_here: false };
        let found = check_file(self, &mut check, Some(wanted))?;
        Ok((check, found))
    }
}

/// A bucket whose pairs are asked for.
struct Wanted<'a> {
    bucket: &'a [u8],
    each: &'a mut dyn FnMut(&[u8], &[u8]),
    found: bool,
    /// The walk is in it, and not in a bucket within.
    is_here: bool,
}

/// Says whether the bucket that is asked for was found.
fn check_file<R: ReadAt>(reader: &Reader<R>, check: &mut Check, wanted: Option<Wanted<'_>>) -> Result<bool, Error> {
    let geometry = *reader.geometry();
    check.pages.page_size = geometry.page_size;
    check.pages.total = geometry.high_water.0;
    let mut walk = Walk {
        reader,
        check,
        reached: PageSet::new(&geometry),
        free: PageSet::new(&geometry),
        path: Vec::new(),
        scratch: Vec::new(),
        spare: Vec::new(),
        complete: true,
        wanted,
        nesting: 0,
    };
    walk.metas()?;
    let free_known = walk.freelist()?;
    walk.tree(reader.meta().root.root, Bounds::default())?;
    if free_known && walk.complete {
        walk.leaks();
    }
    Ok(walk.wanted.is_some_and(|wanted| wanted.found))
}

impl Check {
    fn add(&mut self, problem: Problem) {
        if self.problems.len() < MOST {
            self.problems.push(problem);
        } else {
            self.omitted += 1;
        }
    }
}

/// Keys of a page must not be below `least`, and must be below `above`.
#[derive(Debug, Default, Clone, Copy)]
struct Bounds<'a> {
    least: Option<&'a [u8]>,
    above: Option<&'a [u8]>,
}

struct Walk<'a, 'w, R> {
    reader: &'a Reader<R>,
    check: &'a mut Check,
    reached: PageSet,
    free: PageSet,
    path: Vec<PageId>,
    scratch: Vec<u8>,
    /// Runs whose buffers are free.
    spare: Vec<Run>,
    wanted: Option<Wanted<'w>>,
    /// Buckets that the walk is in.
    nesting: usize,
    /// Whether every page of the tree could be walked: only then is an unreachable page a leak.
    complete: bool,
}

impl<R: ReadAt> Walk<'_, '_, R> {
    fn add(&mut self, page: PageId, kind: ProblemKind) {
        let geometry = self.reader.geometry();
        let offset = Some(geometry.offset(page)).filter(|offset| *offset < geometry.file_len);
        self.check.add(Problem { kind, page: Some(page), path: self.path.clone(), offset });
    }

    fn metas(&mut self) -> Result<(), Error> {
        let metas = *self.reader.metas();
        for slot in 0..2 {
            let page = PageId(slot as u64);
            self.reached.insert(page);
            if let (Err(MetaError::PageSize { found }), 0) = (metas.slots[slot], slot) {
                self.add(page, ProblemKind::MetaPageSize { found });
            } else if let Err(error) = metas.slots[slot] {
                let kind = if is_older(&metas, slot) {
                    ProblemKind::OlderMeta { slot, error }
                } else {
                    ProblemKind::NewerMeta { slot, error, live: metas.live().txid }
                };
                self.add(page, kind);
            }
            let mut head = [0; PAGE_HEADER_LEN];
            let offset = self.reader.geometry().offset(page);
            self.reader.source().read_full_at(&mut head, offset).map_err(Error::io("reading a meta page"))?;
            let header = PageHeader::decode(&head).expect("16 bytes hold a header");
            if header.id != page || header.kind() != Some(PageKind::Meta) {
                self.add(page, ProblemKind::MetaHeader { slot, id: header.id, flags: header.flags });
            }
        }
        let txid = metas.live().txid;
        if txid.0 > LAST_TXID {
            self.add(PageId(metas.live as u64), ProblemKind::LastTxId { txid });
        }
        let geometry = self.reader.geometry();
        let (needed, file_len) = (geometry.offset(geometry.high_water), geometry.file_len);
        if needed > file_len {
            let kind = ProblemKind::Truncated { needed, file_len };
            self.check.add(Problem { kind, page: None, path: Vec::new(), offset: Some(file_len) });
        }
        Ok(())
    }

    /// Reads the freelist into `free`; says whether it is known which pages are free.
    fn freelist(&mut self) -> Result<bool, Error> {
        // Without a synced freelist bbolt takes for free what no tree reaches: nothing can leak.
        let Some(page) = self.reader.meta().freelist else {
            return Ok(false);
        };
        match self.freelist_pages(page) {
            Ok(()) => Ok(true),
            Err(Error::Page { error, .. }) => {
                self.add(page, ProblemKind::Freelist(error));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn freelist_pages(&mut self, page: PageId) -> Result<(), Error> {
        let (geometry, source) = (*self.reader.geometry(), self.reader.source());
        let fail = |error| geometry.error(page, error);
        geometry.check_start(page).map_err(fail)?;
        let offset = geometry.offset(page);
        let mut head = [0; PAGE_HEADER_LEN + 8];
        source.read_full_at(&mut head, offset).map_err(Error::io("reading the freelist"))?;
        let header = PageHeader::decode(&head).expect("24 bytes hold a header");
        let run_len = geometry.check_header(page, &header).map_err(fail)?;
        if header.kind() != Some(PageKind::Freelist) {
            return Err(fail(PageError::Kind { found: header.flags }));
        }
        let (start, count) = ids_extent(&header, &head, run_len).map_err(fail)?;
        for id in page.0..=page.0 + u64::from(header.overflow) {
            self.reached.insert(PageId(id));
        }
        self.check.pages.freelist = u64::from(header.overflow) + 1;

        let (mut at, end) = (offset + start as u64, offset + start as u64 + 8 * count);
        let mut previous = PageId(0);
        let mut chunk = [0; 4096];
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(chunk.len());
            source.read_full_at(&mut chunk[..len], at).map_err(Error::io("reading the freelist"))?;
            for id in decode_ids(&chunk[..len]) {
                self.free_page(page, id, previous);
                previous = id;
            }
            at += len as u64;
        }
        self.check.pages.free = self.free.count();
        Ok(())
    }

    fn free_page(&mut self, list: PageId, id: PageId, previous: PageId) {
        let high_water = self.reader.geometry().high_water;
        if id.0 < 2 || id >= high_water {
            self.add(list, ProblemKind::FreelistBounds { id, high_water });
        } else if !self.free.insert(id) {
            self.add(id, ProblemKind::AlreadyFreed);
        } else if id < previous {
            self.add(list, ProblemKind::FreelistOrder { previous, next: id });
        } else if self.reached.contains(id) {
            self.add(id, ProblemKind::ReachableFreed);
        }
    }

    /// Walks a tree: its pages, their keys, and the buckets in it.
    fn tree(&mut self, page: PageId, bounds: Bounds<'_>) -> Result<(), Error> {
        let cycle = self.path.contains(&page);
        self.path.push(page);
        let walked = if cycle {
            self.stop(page, ProblemKind::Cycle)
        } else if self.path.len() > MAX_DEPTH {
            self.stop(page, ProblemKind::TooDeep)
        } else {
            self.page(page, bounds)
        };
        self.path.pop();
        walked
    }

    fn stop(&mut self, page: PageId, kind: ProblemKind) -> Result<(), Error> {
        self.complete = false;
        self.add(page, kind);
        Ok(())
    }

    fn page(&mut self, page: PageId, bounds: Bounds<'_>) -> Result<(), Error> {
        let (source, geometry) = (self.reader.source(), self.reader.geometry());
        // Asked first: a branch can name one bad page 65535 times.
        if geometry.check_start(page).is_ok() && self.reached.contains(page) {
            self.add(page, ProblemKind::MultipleReferences);
            return Ok(());
        }
        let mut run = self.spare.pop().unwrap_or_default();
        match run.load_head(source, geometry, page) {
            Ok(()) => {}
            Err(Error::Page { error, .. }) => {
                self.reached.insert(page);
                return self.stop(page, ProblemKind::Page(error));
            }
            Err(error) => return Err(error),
        }
        if !self.claim(&run) {
            return Ok(());
        }
        let gives = self.wanted.as_ref().is_some_and(|wanted| wanted.is_here) && run.kind == PageKind::Leaf;
        let extent = if gives { Extent::Whole } else { Extent::Table };
        match run.load_body(source, geometry, extent) {
            Ok(()) => {}
            Err(Error::Page { error, .. }) => return self.stop(page, ProblemKind::Page(error)),
            Err(error) => return Err(error),
        }
        match run.kind {
            PageKind::Branch => self.check.pages.branch += 1,
            _ => self.check.pages.leaf += 1,
        }
        self.check.pages.overflow += u64::from(run.header.overflow);
        let walked = self.elements(&run, bounds);
        self.spare.push(run);
        walked
    }

    /// Marks the pages of a run as reached; false when one of them was reached before. Then the run isn't walked: no
    /// byte is looked at twice, whatever lies over what.
    fn claim(&mut self, run: &Run) -> bool {
        for id in run.id.0..=run.id.0 + u64::from(run.header.overflow) {
            let id = PageId(id);
            if !self.reached.insert(id) {
                self.complete = false;
                self.add(id, ProblemKind::MultipleReferences);
                return false;
            }
            if self.free.contains(id) {
                self.add(id, ProblemKind::ReachableFreed);
            }
        }
        true
    }

    fn elements(&mut self, run: &Run, bounds: Bounds<'_>) -> Result<(), Error> {
        match run.kind {
            PageKind::Branch => self.children(run, bounds),
            _ => {
                // Taken, so that keys can be borrowed from it while the walk goes on.
                let mut scratch = std::mem::take(&mut self.scratch);
                let walked = self.pairs(run, bounds, &mut scratch);
                self.scratch = scratch;
                walked
            }
        }
    }

    fn children(&mut self, run: &Run, bounds: Bounds<'_>) -> Result<(), Error> {
        let mut previous: Option<Vec<u8>> = None;
        let mut key = self.key(run, 0)?;
        for index in 0..run.count() {
            let next = self.key(run, index + 1)?;
            if let Some(key) = &key {
                self.key_order(run.id, index, key, previous.as_deref(), bounds);
            }
            let extent = ElementExtent::decode(run.bytes(), run.kind, index);
            let below = Bounds { least: key.as_deref(), above: next.as_deref().or(bounds.above) };
            self.tree(extent.child, below)?;
            previous = key;
            key = next;
        }
        Ok(())
    }

    fn pairs(&mut self, run: &Run, bounds: Bounds<'_>, scratch: &mut Vec<u8>) -> Result<(), Error> {
        let (mut previous, mut has_previous) = (Vec::new(), false);
        for index in 0..run.count() {
            let extent = ElementExtent::decode(run.bytes(), run.kind, index);
            let len = extent.value_start - extent.key_start;
            if len > MAX_KEY_LEN as u64 {
                self.add(run.id, ProblemKind::KeyTooLong { index, len });
                has_previous = false;
                continue;
            }
            let range = (extent.key_start, extent.value_start);
            let key = run.range(self.reader.source(), self.reader.geometry(), range, scratch)?;
            self.key_order(run.id, index, key, has_previous.then_some(&previous), bounds);
            self.give(run, &extent, key);
            if extent.flags > BUCKET_FLAG {
                self.add(run.id, ProblemKind::ElementFlags { index, flags: extent.flags });
            } else if extent.flags == BUCKET_FLAG {
                self.bucket(run, index, &extent, key)?;
            }
            previous.clear();
            previous.extend_from_slice(key);
            has_previous = true;
        }
        Ok(())
    }

    /// Gives a pair of the bucket that is asked for.
    fn give(&mut self, run: &Run, extent: &ElementExtent, key: &[u8]) {
        let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.is_here) else { return };
        let value = (to_usize(extent.value_start), to_usize(extent.end));
        if let Some(value) = run.bytes().get(value.0..value.1) {
            (wanted.each)(key, value);
        }
    }

    /// The key of element `index`; none behind the last, and for one too long to be a key.
    fn key(&mut self, run: &Run, index: usize) -> Result<Option<Vec<u8>>, Error> {
        if index >= run.count() {
            return Ok(None);
        }
        let extent = ElementExtent::decode(run.bytes(), run.kind, index);
        let len = extent.value_start - extent.key_start;
        if len > MAX_KEY_LEN as u64 {
            self.add(run.id, ProblemKind::KeyTooLong { index, len });
            return Ok(None);
        }
        let range = (extent.key_start, extent.value_start);
        Ok(Some(run.range(self.reader.source(), self.reader.geometry(), range, &mut self.scratch)?.to_vec()))
    }

    fn key_order(&mut self, page: PageId, index: usize, key: &[u8], previous: Option<&[u8]>, bounds: Bounds<'_>) {
        if let Some(kind) = key_problem(index, key, previous) {
            self.add(page, kind);
        } else if index == 0 && bounds.least.is_some_and(|least| key < least) {
            self.add(page, ProblemKind::KeyBelowParent { index });
        }
        if bounds.above.is_some_and(|above| key >= above) {
            self.add(page, ProblemKind::KeyAboveNext { index });
        }
    }

    fn bucket(&mut self, run: &Run, index: usize, extent: &ElementExtent, name: &[u8]) -> Result<(), Error> {
        let geometry = *self.reader.geometry();
        let len = extent.end - extent.value_start;
        // An inline bucket has at most a quarter of a page. (bbolt bucket.go maxInlineBucketSize)
        if len > (BUCKET_HEADER_LEN + geometry.page_size) as u64 {
            let error = PageError::BucketValue { len };
            return self.stop(run.id, ProblemKind::Bucket { index, error });
        }
        let range = (extent.value_start, extent.end);
        let value = run.range(self.reader.source(), &geometry, range, &mut self.scratch)?.to_vec();
        let around = self.enter(name);
        let walked = match split_bucket(&value) {
            Ok((header, None)) => self.tree(header.root, Bounds::default()),
            Ok((_, Some(page))) => {
                self.inline(run.id, index, page);
                Ok(())
            }
            Err(error) => self.stop(run.id, ProblemKind::Bucket { index, error }),
        };
        self.leave(around);
        walked
    }

    /// Goes into a bucket; says whether its pairs or those around it are asked for.
    fn enter(&mut self, name: &[u8]) -> bool {
        self.nesting += 1;
        let nesting = self.nesting;
        let Some(wanted) = &mut self.wanted else { return false };
        let is_it = nesting == 1 && wanted.bucket == name;
        wanted.found |= is_it;
        std::mem::replace(&mut wanted.is_here, is_it)
    }

    fn leave(&mut self, around: bool) {
        self.nesting -= 1;
        if let Some(wanted) = &mut self.wanted {
            wanted.is_here = around;
        }
    }

    fn inline(&mut self, page: PageId, index: usize, bytes: &[u8]) {
        let leaf = match Leaf::decode(bytes) {
            Ok(leaf) => leaf,
            Err(error) => return self.add(page, ProblemKind::Bucket { index, error }),
        };
        let mut previous = None;
        for (at, element) in leaf.iter().enumerate() {
            let flags = element.flags;
            if let Some(inner) = key_problem(at, element.key, previous) {
                self.add(page, ProblemKind::Inline { index, inner: Box::new(inner) });
            }
            if flags == BUCKET_FLAG {
                self.add(page, ProblemKind::InlineBucketInside { index });
            } else if flags != 0 {
                let inner = Box::new(ProblemKind::ElementFlags { index: at, flags });
                self.add(page, ProblemKind::Inline { index, inner });
            }
            previous = Some(element.key);
            if let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.is_here) {
                (wanted.each)(element.key, element.value);
            }
        }
    }

    /// What lies between the pages that are known.
    fn leaks(&mut self) {
        let mut known = self.reached.clone();
        known.merge(&self.free);
        let end = PageId(self.reader.geometry().page_count());
        let mut first = PageId(2);
        for page in known.iter().chain([end]) {
            if page > first {
                self.add(first, ProblemKind::UnreachableUnfreed { first, count: page.0 - first.0 });
            }
            first = first.max(PageId(page.0 + 1));
        }
    }
}

/// Whether the meta that isn't valid surely is the one that the live one replaced.
fn is_older(metas: &Metas, slot: usize) -> bool {
    let live = metas.live().txid;
    metas.raw_txids[slot].is_some_and(|txid| txid == TxId(live.0.wrapping_sub(1)))
}

fn key_problem(index: usize, key: &[u8], previous: Option<&[u8]>) -> Option<ProblemKind> {
    if key.is_empty() {
        return Some(ProblemKind::EmptyKey { index });
    }
    previous.is_some_and(|previous| key <= previous).then_some(ProblemKind::KeyOrder { index })
}
