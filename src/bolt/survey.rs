//! What every page of a file is used for, for people who look at pages.
//!
//! Damage doesn't stop a survey: a page that can't be used is reported as damaged, and what is below it is not reached.

use super::error::{Error, PageError};
use super::freelist::FreelistPage;
use super::geometry::Geometry;
use super::layout::PageId;
use super::page::PageKind;
use super::page_set::PageSet;
use super::read::Reader;
use super::storage::ReadAt;
use super::tree_view::TreeItem;

/// How many damaged pages are kept with the reason; more are only known to be damaged.
const MAX_DAMAGED: usize = 100;

/// What a page is used for.
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
    /// Continues the branch or leaf before it.
    Overflow,
    /// In the freelist, or not reached in a file without a freelist.
    Free,
    /// Not reached and not free: bbolt never uses it again.
    Lost,
    /// Something leads to it, but it can't be used.
    Damaged,
}

/// What all pages are used for.
#[derive(Debug)]
pub struct Survey {
    geometry: Geometry,
    has_freelist: bool,
    sets: [(PageUse, PageSet); 6],
    /// Pages that can't be used, and why; the first hundred.
    pub damaged: Vec<(PageId, PageError)>,
}

impl Survey {
    fn new(geometry: Geometry, has_freelist: bool) -> Survey {
        // A page in several sets has the use of the first.
        let uses =
            [PageUse::Damaged, PageUse::Freelist, PageUse::Branch, PageUse::Leaf, PageUse::Overflow, PageUse::Free];
        let sets = uses.map(|page_use| (page_use, PageSet::new(&geometry)));
        Survey { geometry, has_freelist, sets, damaged: Vec::new() }
    }

    /// What a page is used for.
    pub fn use_of(&self, page: PageId) -> PageUse {
        if page.0 < 2 {
            return PageUse::Meta;
        }
        let found = self.sets.iter().find(|(_, set)| set.contains(page)).map(|(page_use, _)| *page_use);
        // Without a freelist, bbolt takes for free what no tree reaches. (db.go freepages)
        found.unwrap_or(if self.has_freelist { PageUse::Lost } else { PageUse::Free })
    }

    /// Pages that were ever used and are in the file.
    pub fn page_count(&self) -> u64 {
        self.geometry.page_count()
    }

    /// Neighbouring pages of the same use: the use, the first page, the number of pages. Branches and leaves are not put
    /// together.
    pub fn runs(&self) -> impl Iterator<Item = (PageUse, PageId, u64)> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = PageId(next);
            if next >= self.page_count() {
                return None;
            }
            let page_use = self.use_of(first);
            next += 1;
            if !matches!(page_use, PageUse::Branch | PageUse::Leaf | PageUse::Meta) {
                while next < self.page_count() && self.use_of(PageId(next)) == page_use {
                    next += 1;
                }
            }
            Some((page_use, first, next - first.0))
        })
    }

    fn set(&mut self, wanted: PageUse) -> &mut PageSet {
        let found = self.sets.iter_mut().find(|(page_use, _)| *page_use == wanted);
        &mut found.expect("every use that is recorded has a set").1
    }

    fn add_damaged(&mut self, page: PageId, error: PageError) {
        self.set(PageUse::Damaged).insert(page);
        if self.damaged.len() < MAX_DAMAGED {
            self.damaged.push((page, error));
        }
    }

    fn add_freelist<R: ReadAt>(&mut self, reader: &Reader<R>, page: PageId) -> Result<(), Error> {
        let freelist = match FreelistPage::open(reader.source(), reader.geometry(), page) {
            Ok(freelist) => freelist,
            Err(Error::Page { error, .. }) => {
                self.add_damaged(page, error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        freelist.page_ids().for_each(|id| _ = self.set(PageUse::Freelist).insert(id));
        freelist.each_id(reader.source(), |id| _ = self.set(PageUse::Free).insert(id))
    }

    fn add_tree_item(&mut self, item: &TreeItem<'_>) {
        match item {
            TreeItem::Page(page) => {
                let page_use = if page.kind == PageKind::Branch { PageUse::Branch } else { PageUse::Leaf };
                self.set(page_use).insert(page.id);
                for id in page.id.0 + 1..=page.id.0 + u64::from(page.overflow) {
                    self.set(PageUse::Overflow).insert(PageId(id));
                }
            }
            TreeItem::Damaged(_, page, error) => self.add_damaged(*page, **error),
            TreeItem::Inline(..) => {}
        }
    }
}

impl<R: ReadAt> Reader<R> {
    /// Finds out what every page is used for.
    ///
    /// # Errors
    /// Only if the file can't be read.
    pub fn survey(&self) -> Result<Survey, Error> {
        let freelist = self.meta().freelist;
        let mut survey = Survey::new(*self.geometry(), freelist.is_some());
        if let Some(page) = freelist {
            survey.add_freelist(self, page)?;
        }
        self.walk_tree(&mut |item| {
            survey.add_tree_item(&item);
            true
        })?;
        Ok(survey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt::Db;
    use crate::bolt::layout::to_usize;

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
        let walk = &mut |item: TreeItem<'_>| {
            match item {
                TreeItem::Page(page) => {
                    if let Some((name, _)) = &page.bucket {
                        names.push(String::from_utf8(name.clone()).unwrap());
                    }
                    if page.kind == PageKind::Leaf && page.depth > 1 {
                        firsts.push(page.keys.clone().unwrap().0);
                    }
                }
                TreeItem::Inline(_, name, _) => names.push(format!("inline {}", String::from_utf8_lossy(name))),
                TreeItem::Damaged(..) => panic!("{item:?}"),
            }
            true
        };
        reader.walk_tree(walk).unwrap();
        assert_eq!(names, ["", "inline conf", "logs"]);
        assert!(firsts.len() > 5 && firsts.is_sorted());
    }

    #[test]
    fn damage_is_reported_and_the_rest_is_surveyed() {
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
