//! The checker: it looks at every page once, and goes on after what it finds.
//!
//! It finds all that `bbolt check` 1.4 finds (tx_check.go), and what that check misses: element bounds, the order inside
//! inline buckets, the meta that is not in use, a truncated file. Time is linear in the file; memory is about two bits
//! per page and one page per level.

mod deliver;
mod format;
mod problem;
mod tree;

use self::deliver::Delivery;
use self::format::guess_format;
pub use self::problem::{Problem, ProblemKind};
use self::tree::TreeCheck;
use super::error::{Error, MetaError};
use super::freelist::FreelistPage;
use super::geometry::Geometry;
use super::layout::{PageId, TxId};
use super::metas::Metas;
use super::page::{PAGE_HEADER_LEN, PageHeader, PageKind};
use super::page_set::PageSet;
use super::read::Reader;
use super::storage::ReadAt;
use super::tree::Walk;

/// A transaction id above this one leaves too few for the transactions to come.
const MAX_TXID: TxId = TxId(u64::MAX - (1 << 32));
/// How many problems are kept; the rest are only counted.
const MAX_PROBLEMS: usize = 200;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// In the order of the walk: metas, freelist, trees, leaks.
    pub problems: Vec<Problem>,
    /// Number of problems that were not kept because there were too many.
    pub omitted: u64,
    /// What the file consists of; all zero if it is not a bolt file.
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
/// Only if the file can't be read; what is wrong with its content is in [`Check::problems`].
pub fn check<R: ReadAt>(source: R) -> Result<Check, Error> {
    let mut head = [0; 512];
    let head_len = source.read_full_at(&mut head, 0).map_err(Error::io("reading the first page"))?;
    let fatal = match Reader::open(source) {
        Ok(reader) => return reader.check(),
        Err(Error::Empty) => ProblemKind::Empty,
        Err(Error::NoMeta { first, second }) => {
            ProblemKind::NoMeta { first, second, format: guess_format(&head[..head_len]) }
        }
        Err(error) => return Err(error),
    };
    let mut check = Check::default();
    check.add(Problem { kind: fatal, page: None, path: Vec::new(), offset: None });
    Ok(check)
}

impl<R: ReadAt> Reader<R> {
    /// Checks the state that this reader reads, as [`check()`] does.
    ///
    /// # Errors
    /// Only if the file can't be read.
    pub fn check(&self) -> Result<Check, Error> {
        check_file(self, &mut Delivery::none())
    }

    /// Checks, and on the way calls `each` for the pairs of the bucket `name` of the top level, nested buckets included:
    /// the file is read once. Also returns whether there is such a bucket.
    ///
    /// In a sound file keys come in their order. In one that isn't, the pairs of pages that can't be reached or read are
    /// left out.
    ///
    /// # Errors
    /// Only if the file can't be read.
    pub(crate) fn check_each(&self, name: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(Check, bool), Error> {
        let mut delivery = Delivery::of(name, each);
        let check = check_file(self, &mut delivery)?;
        Ok((check, delivery.is_found()))
    }
}

fn check_file<R: ReadAt>(reader: &Reader<R>, delivery: &mut Delivery<'_>) -> Result<Check, Error> {
    let (source, geometry) = (reader.source(), reader.geometry());
    let mut check = Check::default();
    (check.pages.page_size, check.pages.total) = (geometry.page_size, geometry.high_water.0);
    let mut walk = Walk::new(source, geometry);
    check_metas(reader, &mut check, walk.reached())?;
    let free = check_freelist(reader, &mut check, walk.reached())?;
    let no_pages = PageSet::new(geometry);
    let mut trees = TreeCheck::new((source, geometry), &mut check, free.as_ref().unwrap_or(&no_pages), delivery);
    walk.tree(reader.meta().root.root, &mut trees)?;
    let is_complete = trees.is_complete();
    if let Some(free) = free
        && is_complete
    {
        check_leaks(geometry, &mut check, walk.reached(), &free);
    }
    Ok(check)
}

impl Check {
    fn add(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds a problem of a page; `path` leads to it from the root.
    fn add_to(&mut self, geometry: &Geometry, page: PageId, path: &[PageId], kind: ProblemKind) {
        let offset = Some(geometry.offset(page)).filter(|offset| *offset < geometry.file_len);
        self.add(Problem { kind, page: Some(page), path: path.to_vec(), offset });
    }
}

/// Checks both metas with their page headers, and that the file has all pages.
fn check_metas<R: ReadAt>(reader: &Reader<R>, check: &mut Check, reached: &mut PageSet) -> Result<(), Error> {
    let (metas, geometry) = (reader.metas(), reader.geometry());
    for slot in 0..2 {
        let page = PageId(slot as u64);
        reached.insert(page);
        if let Err(error) = metas.slots[slot] {
            check.add_to(geometry, page, &[], meta_problem(metas, slot, error));
        }
        let mut head = [0; PAGE_HEADER_LEN];
        let offset = geometry.offset(page);
        reader.source().read_full_at(&mut head, offset).map_err(Error::io("reading a meta page"))?;
        let header = PageHeader::decode(&head).expect("16 bytes hold a header");
        if header.id != page || header.kind() != Some(PageKind::Meta) {
            let kind = ProblemKind::MetaHeader { slot, id: header.id, flags: header.flags };
            check.add_to(geometry, page, &[], kind);
        }
    }
    let txid = metas.live().txid;
    if txid > MAX_TXID {
        check.add_to(geometry, PageId(metas.live as u64), &[], ProblemKind::LastTxId { txid });
    }
    let (needed, file_len) = (geometry.offset(geometry.high_water), geometry.file_len);
    if needed > file_len {
        let kind = ProblemKind::Truncated { needed, file_len };
        check.add(Problem { kind, page: None, path: Vec::new(), offset: Some(file_len) });
    }
    Ok(())
}

fn meta_problem(metas: &Metas, slot: usize, error: MetaError) -> ProblemKind {
    let live = metas.live().txid;
    // Then it surely is the meta that the live one followed.
    let is_older = metas.raw_txids[slot].is_some_and(|txid| txid == TxId(live.0.wrapping_sub(1)));
    match error {
        MetaError::PageSize { found } if slot == 0 => ProblemKind::MetaPageSize { found },
        error if is_older => ProblemKind::OlderMeta { slot, error },
        error => ProblemKind::NewerMeta { slot, error, live },
    }
}

/// The pages that are free; `None` if that is not known.
fn check_freelist<R: ReadAt>(
    reader: &Reader<R>,
    check: &mut Check,
    reached: &mut PageSet,
) -> Result<Option<PageSet>, Error> {
    let (source, geometry) = (reader.source(), reader.geometry());
    // If the freelist is not on disk, bbolt takes for free what no tree reaches: nothing can leak.
    let Some(page) = reader.meta().freelist else {
        return Ok(None);
    };
    let freelist = match FreelistPage::open(source, geometry, page) {
        Ok(freelist) => freelist,
        Err(Error::Page { error, .. }) => {
            check.add_to(geometry, page, &[], ProblemKind::Freelist(error));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    freelist.page_ids().for_each(|id| _ = reached.insert(id));
    let mut free = PageSet::new(geometry);
    let mut previous = PageId(0);
    freelist.each_id(source, |id| {
        let high_water = geometry.high_water;
        if id.0 < 2 || id >= high_water {
            check.add_to(geometry, page, &[], ProblemKind::FreelistBounds { id, high_water });
        } else if !free.insert(id) {
            check.add_to(geometry, id, &[], ProblemKind::AlreadyFreed);
        } else if id < previous {
            check.add_to(geometry, page, &[], ProblemKind::FreelistOrder { previous, next: id });
        } else if reached.contains(id) {
            check.add_to(geometry, id, &[], ProblemKind::ReachableFreed);
        }
        previous = id;
    })?;
    (check.pages.freelist, check.pages.free) = (u64::from(freelist.overflow()) + 1, free.count());
    Ok(Some(free))
}

/// Finds the ranges of pages that are neither reached nor free.
fn check_leaks(geometry: &Geometry, check: &mut Check, reached: &PageSet, free: &PageSet) {
    let mut known = reached.clone();
    known.merge(free);
    let end = PageId(geometry.page_count());
    let mut first = PageId(2);
    for page in known.iter().chain([end]) {
        if page > first {
            let kind = ProblemKind::UnreachableUnfreed { first, count: page.0 - first.0 };
            check.add_to(geometry, first, &[], kind);
        }
        first = first.max(PageId(page.0 + 1));
    }
}
