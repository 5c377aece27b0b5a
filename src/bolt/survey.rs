//! What every page of a file is for, and what is on it: for people who look at pages.
//!
//! Damage doesn't stop a survey: a page that can't be used is told as such, and what is below it is not reached.

use super::element::{BUCKET_FLAG, Extent as ElementExtent};
use super::error::{Error, PageError};
use super::freelist::{decode_ids, ids_extent};
use super::layout::{BUCKET_HEADER_LEN, MAX_DEPTH, MAX_KEY_LEN, PAGE_HEADER_LEN, PageId, to_usize};
use super::meta::BucketHeader;
use super::page::{PageHeader, PageKind};
use super::reach::PageSet;
use super::read::Reader;
use super::run::{Extent, Geometry, Run};
use super::source::ReadAt;

/// What a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageUse {
    /// One of the two metas.
    Meta,
    /// The list of free pages, with its overflow.
    Freelist,
    /// Keys and child pages.
    Branch,
    /// Keys and values.
    Leaf,
    /// Goes on with the branch or leaf before it.
    Overflow,
    /// In the freelist, or reached by nothing in a file without one.
    Free,
    /// Reached by nothing, and not free: bbolt never uses it again.
    Lost,
    /// Something leads to it, but it can't be used.
    Damaged,
}

/// What all pages are for.
#[derive(Debug)]
pub struct Survey {
    geometry: Geometry,
    has_freelist: bool,
    sets: [(PageUse, PageSet); 6],
    /// Pages that can't be used, and why; the first hundred.
    pub damaged: Vec<(PageId, PageError)>,
}

/// A step of a walk through the tree, from the top and from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreePage {
    /// The page.
    pub id: PageId,
    /// Levels above it, buckets counted too.
    pub depth: usize,
    /// Branch or leaf.
    pub kind: PageKind,
    /// Elements on it.
    pub count: usize,
    /// Pages that follow and belong to it.
    pub overflow: u32,
    /// Bytes that header, table, keys and values take.
    pub used: u64,
    /// Bytes that page and overflow have.
    pub len: u64,
    /// Its first and its last key.
    pub keys: Option<(Vec<u8>, Vec<u8>)>,
    /// The bucket whose root it is; empty for the top level.
    pub bucket: Option<(Vec<u8>, BucketHeader)>,
}

/// What a walk comes to.
#[derive(Debug)]
pub enum Step<'a> {
    /// A page.
    Page(&'a TreePage),
    /// A bucket that lives inside its parent's page, so many levels down.
    Inline(usize, &'a [u8], BucketHeader),
    /// A page that can't be used, so many levels down.
    Damaged(usize, PageId, &'a PageError),
}

/// One page with its overflow, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageView {
    /// Its header.
    pub header: PageHeader,
    /// All its bytes, overflow included.
    pub bytes: Vec<u8>,
    /// Where keys and values are; of branch and leaf pages.
    pub elements: Vec<ElementView>,
    /// Ids of a freelist.
    pub free: Vec<PageId>,
}

/// An element of a page: ranges of the page's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementView {
    /// Whether the value is a bucket.
    pub is_bucket: bool,
    /// The key.
    pub key: std::ops::Range<usize>,
    /// The value; empty on a branch.
    pub value: std::ops::Range<usize>,
    /// The child page of a branch.
    pub child: Option<PageId>,
}

impl Survey {
    fn set(&mut self, wanted: PageUse) -> &mut PageSet {
        let found = self.sets.iter_mut().find(|(kind, _)| *kind == wanted);
        &mut found.expect("every use that is recorded has a set").1
    }

    /// What a page is for.
    pub fn use_of(&self, page: PageId) -> PageUse {
        if page.0 < 2 {
            return PageUse::Meta;
        }
        let found = self.sets.iter().find(|(_, set)| set.contains(page)).map(|(kind, _)| *kind);
        // Without a freelist, bbolt takes for free what no tree reaches. (db.go freepages)
        found.unwrap_or(if self.has_freelist { PageUse::Lost } else { PageUse::Free })
    }

    /// Pages that were ever used and are in the file.
    pub fn page_count(&self) -> u64 {
        self.geometry.page_count()
    }

    /// Neighbours of the same use, with their first page and how many they are. Branches and leaves stand alone.
    pub fn runs(&self) -> impl Iterator<Item = (PageUse, PageId, u64)> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = PageId(next);
            if next >= self.page_count() {
                return None;
            }
            let kind = self.use_of(first);
            next += 1;
            if !matches!(kind, PageUse::Branch | PageUse::Leaf | PageUse::Meta) {
                while next < self.page_count() && self.use_of(PageId(next)) == kind {
                    next += 1;
                }
            }
            Some((kind, first, next - first.0))
        })
    }
}

impl<R: ReadAt> Reader<R> {
    /// Finds out what every page is for.
    ///
    /// # Errors
    /// Only when the file can't be read.
    pub fn survey(&self) -> Result<Survey, Error> {
        let geometry = *self.geometry();
        // The order counts: what is damaged is nothing else.
        let sets =
            [PageUse::Damaged, PageUse::Freelist, PageUse::Branch, PageUse::Leaf, PageUse::Overflow, PageUse::Free];
        let sets = sets.map(|kind| (kind, PageSet::new(&geometry)));
        let has_freelist = self.meta().freelist.is_some();
        let mut survey = Survey { geometry, has_freelist, sets, damaged: Vec::new() };
        if let Some(page) = self.meta().freelist {
            match self.page(page) {
                Ok(view) if view.header.kind() == Some(PageKind::Freelist) => {
                    for id in page.0..=page.0 + u64::from(view.header.overflow) {
                        survey.set(PageUse::Freelist).insert(PageId(id));
                    }
                    view.free.iter().for_each(|id| _ = survey.set(PageUse::Free).insert(*id));
                }
                Ok(view) => survey.damage(page, PageError::Kind { found: view.header.flags }),
                Err(Error::Page { error, .. }) => survey.damage(page, error),
                Err(error) => return Err(error),
            }
        }
        self.walk_tree(&mut |step| {
            match step {
                Step::Page(page) => {
                    let kind = if page.kind == PageKind::Branch { PageUse::Branch } else { PageUse::Leaf };
                    survey.set(kind).insert(page.id);
                    for id in page.id.0 + 1..=page.id.0 + u64::from(page.overflow) {
                        survey.set(PageUse::Overflow).insert(PageId(id));
                    }
                }
                Step::Damaged(_, page, error) => survey.damage(page, *error),
                Step::Inline(..) => {}
            }
            true
        })?;
        Ok(survey)
    }

    /// Walks the tree and the buckets in it, until `visit` says false.
    ///
    /// # Errors
    /// Only when the file can't be read.
    pub fn walk_tree(&self, visit: &mut dyn FnMut(Step<'_>) -> bool) -> Result<(), Error> {
        let root = self.meta().root;
        let mut reached = PageSet::new(self.geometry());
        let mut open = vec![Open { page: root.root, depth: 0, bucket: Some((Vec::new(), root)) }];
        while let Some(next) = open.pop() {
            let Open { page, depth, bucket } = next;
            match self.tree_page(page, depth, bucket, &mut reached) {
                Ok((page, below)) => {
                    if !visit(Step::Page(&page)) {
                        return Ok(());
                    }
                    for (name, header) in &below.inline {
                        if !visit(Step::Inline(depth + 1, name, *header)) {
                            return Ok(());
                        }
                    }
                    open.extend(below.pages.into_iter().rev());
                }
                Err(Error::Page { page, error, .. }) => {
                    if !visit(Step::Damaged(depth, page, &error)) {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn tree_page(
        &self,
        page: PageId,
        depth: usize,
        bucket: Option<(Vec<u8>, BucketHeader)>,
        reached: &mut PageSet,
    ) -> Result<(TreePage, Below), Error> {
        let (source, geometry) = (self.source(), self.geometry());
        if depth > MAX_DEPTH || reached.contains(page) {
            return Err(geometry.error(page, PageError::Repeated));
        }
        let mut run = Run::default();
        run.load_head(source, geometry, page)?;
        for id in page.0..=page.0 + u64::from(run.header.overflow) {
            if !reached.insert(PageId(id)) {
                return Err(geometry.error(page, PageError::Repeated));
            }
        }
        run.load_body(source, geometry, Extent::Table)?;
        let mut below = Below::default();
        let mut scratch = Vec::new();
        let key = |extent: &ElementExtent, scratch: &mut Vec<u8>| {
            // A longer one is none that bbolt takes; verify tells of it.
            let end = extent.value_start.min(extent.key_start + MAX_KEY_LEN as u64);
            run.range(source, geometry, (extent.key_start, end), scratch).map(<[u8]>::to_vec)
        };
        let mut used = PAGE_HEADER_LEN as u64;
        for index in 0..run.count() {
            let extent = ElementExtent::decode(run.bytes(), run.kind, index);
            used = extent.end;
            if run.kind == PageKind::Branch {
                below.pages.push(Open { page: extent.child, depth: depth + 1, bucket: None });
            } else if extent.flags & BUCKET_FLAG != 0 {
                let name = key(&extent, &mut scratch)?;
                let end = extent.end.min(extent.value_start + BUCKET_HEADER_LEN as u64);
                let value = run.range(source, geometry, (extent.value_start, end), &mut scratch)?;
                let Some(header) = BucketHeader::decode(value) else { continue };
                match header.root {
                    PageId(0) => below.inline.push((name, header)),
                    root => below.pages.push(Open { page: root, depth: depth + 1, bucket: Some((name, header)) }),
                }
            }
        }
        let ends =
            run.count().checked_sub(1).map(|last| [0, last].map(|at| ElementExtent::decode(run.bytes(), run.kind, at)));
        let keys = match ends {
            Some([first, last]) => Some((key(&first, &mut scratch)?, key(&last, &mut scratch)?)),
            None => None,
        };
        let (kind, count, overflow, len) = (run.kind, run.count(), run.header.overflow, run.run_len);
        Ok((TreePage { id: page, depth, kind, count, overflow, used, len, keys, bucket }, below))
    }

    /// Reads one page with its overflow, whatever it is.
    ///
    /// # Errors
    /// [`Error::Page`] when it can't be taken apart.
    pub fn page(&self, page: PageId) -> Result<PageView, Error> {
        let (source, geometry) = (self.source(), self.geometry());
        let fail = |error| geometry.error(page, error);
        if page >= geometry.high_water {
            return Err(fail(PageError::OutOfBounds { high_water: geometry.high_water }));
        }
        let mut head = [0; PAGE_HEADER_LEN];
        source.read_full_at(&mut head, geometry.offset(page)).map_err(Error::io("reading a page"))?;
        let header = PageHeader::decode(&head).expect("16 bytes hold a header");
        let mut view = PageView { header, bytes: Vec::new(), elements: Vec::new(), free: Vec::new() };
        match header.kind() {
            Some(PageKind::Branch | PageKind::Leaf) => {
                let mut run = Run::default();
                run.load(source, geometry, page, Extent::Whole)?;
                let element = |index| element(&ElementExtent::decode(run.bytes(), run.kind, index), run.kind);
                view.elements = (0..run.count()).map(element).collect();
                view.bytes = run.bytes().to_vec();
            }
            Some(PageKind::Freelist) => {
                let len = geometry.check_header(page, &header).map_err(fail)?;
                view.bytes = self.bytes(page, len)?;
                let (start, count) = ids_extent(&header, &view.bytes, len).map_err(fail)?;
                view.free = decode_ids(&view.bytes[start..]).take(to_usize(count)).collect();
            }
            Some(PageKind::Meta) | None => view.bytes = self.bytes(page, geometry.page_size as u64)?,
        }
        Ok(view)
    }

    fn bytes(&self, page: PageId, len: u64) -> Result<Vec<u8>, Error> {
        let geometry = self.geometry();
        let at = geometry.offset(page);
        let there = geometry.file_len.saturating_sub(at).min(len);
        let mut bytes = vec![0; to_usize(there)];
        let read = self.source().read_full_at(&mut bytes, at).map_err(Error::io("reading a page"))?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl Survey {
    fn damage(&mut self, page: PageId, error: PageError) {
        self.set(PageUse::Damaged).insert(page);
        if self.damaged.len() < 100 {
            self.damaged.push((page, error));
        }
    }
}

fn element(extent: &ElementExtent, kind: PageKind) -> ElementView {
    let (key, value) = (to_usize(extent.key_start), to_usize(extent.value_start));
    ElementView {
        is_bucket: kind == PageKind::Leaf && extent.flags & BUCKET_FLAG != 0,
        key: key..value,
        value: value..to_usize(extent.end),
        child: (kind == PageKind::Branch).then_some(extent.child),
    }
}

/// A page that is still to be visited.
#[derive(Debug)]
struct Open {
    page: PageId,
    depth: usize,
    bucket: Option<(Vec<u8>, BucketHeader)>,
}

/// What a page leads to.
#[derive(Debug, Default)]
struct Below {
    pages: Vec<Open>,
    inline: Vec<(Vec<u8>, BucketHeader)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt::Db;

    /// A file with a branch, leaves, overflow and free pages.
    fn file() -> Vec<u8> {
        let mut db = Db::create(Vec::new(), 1024).unwrap();
        for round in 0..3_u64 {
            let mut tx = db.begin().unwrap();
            tx.create_bucket_if_not_exists(b"logs").unwrap();
            tx.create_bucket_if_not_exists(b"conf").unwrap();
            tx.put(b"conf", b"key", b"value").unwrap();
            for index in 0..40_u64 {
                let key = (round * 40 + index).to_be_bytes();
                tx.put(b"logs", &key, &vec![7; if index == 20 { 3_000 } else { 100 }]).unwrap();
            }
            tx.commit().unwrap();
        }
        db.into_storage()
    }

    #[test]
    fn every_page_has_its_use_and_they_add_up_to_what_check_counts() {
        let reader = Reader::open(file()).unwrap();
        let survey = reader.survey().unwrap();
        let check = reader.check().unwrap();
        assert_eq!((check.problems.len(), survey.damaged.len()), (0, 0));
        let count = |wanted| survey.runs().filter(|(kind, ..)| *kind == wanted).map(|(.., pages)| pages).sum::<u64>();
        let pages = check.pages;
        assert_eq!(
            [
                PageUse::Meta,
                PageUse::Branch,
                PageUse::Leaf,
                PageUse::Overflow,
                PageUse::Free,
                PageUse::Freelist,
                PageUse::Lost
            ]
            .map(count),
            [2, pages.branch, pages.leaf, pages.overflow, pages.free, pages.freelist, 0]
        );
        assert!(pages.branch > 0 && pages.overflow > 0 && pages.free > 0, "{pages:?}");
        assert_eq!(survey.page_count(), pages.total);
    }

    #[test]
    fn a_walk_visits_buckets_and_pages_from_left_to_right() {
        let reader = Reader::open(file()).unwrap();
        let (mut names, mut firsts) = (Vec::new(), Vec::new());
        let walk = &mut |step: Step<'_>| {
            match step {
                Step::Page(page) => {
                    if let Some((name, _)) = &page.bucket {
                        names.push(String::from_utf8(name.clone()).unwrap());
                    }
                    if page.kind == PageKind::Leaf && page.depth > 1 {
                        firsts.push(page.keys.clone().unwrap().0);
                    }
                }
                Step::Inline(_, name, _) => names.push(format!("inline {}", String::from_utf8_lossy(name))),
                Step::Damaged(..) => panic!("{step:?}"),
            }
            true
        };
        reader.walk_tree(walk).unwrap();
        assert_eq!(names, ["", "inline conf", "logs"]);
        assert!(firsts.len() > 5 && firsts.is_sorted());
    }

    #[test]
    fn damage_is_told_and_the_rest_is_seen() {
        let mut bytes = file();
        let leaf = {
            let reader = Reader::open(&bytes[..]).unwrap();
            let survey = reader.survey().unwrap();
            survey.runs().filter(|(kind, ..)| *kind == PageUse::Leaf).nth(3).unwrap().1
        };
        bytes[to_usize(leaf.0) * 1024 + 8] = 0x40;
        let survey = Reader::open(&bytes[..]).unwrap().survey().unwrap();
        assert_eq!(survey.use_of(leaf), PageUse::Damaged);
        assert!(matches!(survey.damaged[..], [(page, PageError::Kind { found: 0x40 })] if page == leaf));
        assert!(survey.runs().filter(|(kind, ..)| *kind == PageUse::Leaf).count() > 5);
    }

    #[test]
    fn a_page_is_taken_apart() {
        let bytes = file();
        let reader = Reader::open(&bytes[..]).unwrap();
        let survey = reader.survey().unwrap();
        let of = |wanted| survey.runs().filter(|(kind, ..)| *kind == wanted).map(|(_, page, _)| page).last().unwrap();
        let leaf = reader.page(of(PageUse::Leaf)).unwrap();
        assert_eq!(leaf.elements.len(), usize::from(leaf.header.count));
        assert!(leaf.elements.iter().all(|it| !leaf.bytes[it.key.clone()].is_empty() && it.child.is_none()));
        let branch = reader.page(of(PageUse::Branch)).unwrap();
        assert!(branch.elements.iter().all(|it| it.child.is_some() && it.value.is_empty()));
        let freelist = reader.page(of(PageUse::Freelist)).unwrap();
        assert_eq!(freelist.free.len() as u64, reader.check().unwrap().pages.free);
        assert_eq!(reader.page(PageId(0)).unwrap().header.kind(), Some(PageKind::Meta));
        assert!(matches!(reader.page(PageId(survey.page_count())), Err(Error::Page { .. })));
    }
}
