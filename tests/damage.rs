//! Each way to damage a bolt file gives exactly its finding.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use op_conductor_init::bolt::{Db, Meta, MetaError, PageError, PageHeader, PageId, Problem, ProblemKind, TxId, check};
use op_conductor_init::bolt::{Error, Reader};

const PAGE: usize = 4096;

/// A store with a branch page, leaves, an overflow page and free pages.
fn store() -> Vec<u8> {
    let mut db = Db::create(Vec::new(), PAGE).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(b"logs").unwrap();
    tx.create_bucket_if_not_exists(b"conf").unwrap();
    tx.commit().unwrap();
    for batch in 0..4_u64 {
        let mut tx = db.begin().unwrap();
        for index in batch * 10..batch * 10 + 10 {
            let len = if index == 25 { 9000 } else { 900 };
            tx.put(b"logs", &index.to_be_bytes(), &vec![7; len]).unwrap();
        }
        tx.commit().unwrap();
    }
    db.into_storage()
}

/// A file under the knife.
struct File(Vec<u8>);

impl File {
    fn meta(&self) -> Meta {
        Reader::open(self.0.as_slice()).unwrap().meta()
    }

    fn page(&mut self, page: PageId) -> &mut [u8] {
        let at = usize::try_from(page.0).unwrap() * PAGE;
        &mut self.0[at..]
    }

    fn header(&mut self, page: PageId) -> PageHeader {
        PageHeader::decode(self.page(page)).unwrap()
    }

    fn set_header(&mut self, page: PageId, change: impl FnOnce(&mut PageHeader)) {
        let mut header = self.header(page);
        change(&mut header);
        header.encode(self.page(page));
    }

    /// Writes a changed live meta with the right checksum.
    fn set_meta(&mut self, change: impl FnOnce(&mut Meta)) {
        let mut meta = self.meta();
        let slot = PageId(meta.txid.0 % 2);
        change(&mut meta);
        let bytes = meta.encode(slot);
        self.page(slot)[..PAGE].copy_from_slice(&bytes);
    }

    fn set_u32(&mut self, page: PageId, at: usize, value: u32) {
        self.page(page)[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn set_u64(&mut self, page: PageId, at: usize, value: u64) {
        self.page(page)[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn get_u64(&mut self, page: PageId, at: usize) -> u64 {
        u64::from_le_bytes(self.page(page)[at..at + 8].try_into().unwrap())
    }

    /// The leaf of the top level, which holds both buckets.
    fn top(&self) -> PageId {
        self.meta().root.root
    }

    /// The root of `logs`: a branch page.
    fn branch(&self) -> PageId {
        let reader = Reader::open(self.0.as_slice()).unwrap();
        reader.bucket(b"logs").unwrap().unwrap().header().root
    }

    /// Child `index` of the branch page.
    fn child(&mut self, index: usize) -> PageId {
        let branch = self.branch();
        PageId(self.get_u64(branch, 16 + 16 * index + 8))
    }
}

fn problems(file: &File) -> Vec<Problem> {
    check(file.0.as_slice()).unwrap().problems
}

/// The only problem after `damage`.
fn only(damage: impl FnOnce(&mut File)) -> Problem {
    let mut file = File(store());
    assert_eq!(problems(&file), [], "the store is sound before");
    damage(&mut file);
    let found = problems(&file);
    assert_eq!(found.len(), 1, "one damage, one finding: {found:?}");
    found.into_iter().next().unwrap()
}

fn kind(damage: impl FnOnce(&mut File)) -> ProblemKind {
    only(damage).kind
}

#[test]
fn the_store_has_all_kinds_of_pages() {
    let pages = check(store().as_slice()).unwrap().pages;
    assert!(pages.branch >= 1 && pages.leaf >= 4 && pages.overflow >= 2 && pages.free >= 1, "{pages:?}");
    let counted = pages.branch + pages.leaf + pages.overflow + pages.free + pages.freelist + 2;
    assert_eq!(counted, pages.total);
}

#[test]
fn no_byte_is_a_finding() {
    assert_eq!(kind(|file| file.0.clear()), ProblemKind::Empty);
}

#[test]
fn what_is_no_bolt_file_is_guessed_at() {
    let format = |bytes: &[u8]| match check(bytes).unwrap().problems.remove(0).kind {
        ProblemKind::NoMeta { format, .. } => format,
        other => panic!("{other:?}"),
    };
    assert_eq!(format(b"SQLite format 3\0 and so on"), Some("an SQLite database"));
    assert_eq!(format(&[0; 8192]), Some("nothing but zeros"));
    assert_eq!(format(b"hello"), None);
}

#[test]
fn the_newer_meta_lost_is_an_error_and_the_older_one_a_warning() {
    let newer = kind(|file| {
        let slot = PageId(file.meta().txid.0 % 2);
        file.page(slot)[70] ^= 1;
    });
    assert!(
        matches!(newer, ProblemKind::NewerMeta { error: MetaError::Checksum { .. }, live: TxId(5), .. }),
        "{newer:?}"
    );
    assert!(!newer.is_harmless());
    let older = kind(|file| {
        let slot = PageId((file.meta().txid.0 + 1) % 2);
        file.page(slot)[40] ^= 1;
    });
    assert!(matches!(older, ProblemKind::OlderMeta { .. }), "{older:?}");
    assert!(older.is_harmless());
}

#[test]
fn a_meta_under_a_wrong_header_is_a_finding() {
    let found = kind(|file| file.set_header(PageId(0), |header| header.id = PageId(1)));
    assert_eq!(found, ProblemKind::MetaHeader { slot: 0, id: PageId(1), flags: 4 });
}

#[test]
fn a_file_that_was_cut_off_is_a_finding() {
    let file_len = File(store()).meta().high_water.0 * PAGE as u64 - 1;
    let mut file = File(store());
    file.0.truncate(usize::try_from(file_len).unwrap());
    let found = problems(&file);
    assert_eq!(found[0].kind, ProblemKind::Truncated { needed: file_len + 1, file_len });
}

/// HOSTILE_SEED=77: allocating behind a mark of 2^63 overflowed.
#[test]
fn nothing_is_put_behind_a_mark_that_the_file_does_not_reach() {
    let mut file = File(store());
    file.set_meta(|meta| meta.high_water = PageId(1 << 63));
    assert!(matches!(Db::open(file.0), Err(Error::Page { error: PageError::Truncated { .. }, .. })));
    let mut file = File(store());
    file.set_meta(|meta| meta.txid = TxId(u64::MAX));
    assert!(matches!(Db::open(file.0).unwrap().begin(), Err(Error::LastTxId)));
}

#[test]
fn a_freelist_that_is_none_is_a_finding() {
    let list = File(store()).meta().freelist.unwrap();
    let found = only(|file| file.set_header(list, |header| header.flags = 2));
    assert_eq!(found.kind, ProblemKind::Freelist(PageError::Kind { found: 2 }));
    assert_eq!((found.page, found.offset), (Some(list), Some(list.0 * PAGE as u64)));
    let found = kind(|file| file.set_header(list, |header| header.count = 0xFFFE));
    assert_eq!(found, ProblemKind::Freelist(PageError::FreelistCount { count: 0xFFFE, run_len: 4096 }));
}

#[test]
fn ids_that_cant_be_free_are_findings() {
    let list = File(store()).meta().freelist.unwrap();
    let ids = |file: &mut File| (file.get_u64(list, 16), file.header(list).count);
    let (first, count) = ids(&mut File(store()));
    assert!(count >= 2);
    let mut file = File(store());
    file.set_u64(list, 16, 1);
    let found: Vec<ProblemKind> = problems(&file).into_iter().map(|problem| problem.kind).collect();
    let high_water = file.meta().high_water;
    assert!(found.contains(&ProblemKind::FreelistBounds { id: PageId(1), high_water }), "{found:?}");
    assert!(found.contains(&ProblemKind::UnreachableUnfreed { first: PageId(first), count: 1 }), "{found:?}");
    let mut file = File(store());
    file.set_u64(list, 24, first);
    let found: Vec<&str> = problems(&file).iter().map(|problem| problem.kind.id()).collect();
    assert_eq!(found, ["BOLT-009", "BOLT-012"]);
}

#[test]
fn a_freelist_out_of_order_is_harmless() {
    let found = kind(|file| {
        let list = file.meta().freelist.unwrap();
        let (first, second) = (file.get_u64(list, 16), file.get_u64(list, 24));
        file.set_u64(list, 16, second);
        file.set_u64(list, 24, first);
    });
    assert!(matches!(found, ProblemKind::FreelistOrder { .. }) && found.is_harmless(), "{found:?}");
}

#[test]
fn a_page_in_use_that_is_also_free_is_a_finding() {
    let mut file = File(store());
    let (list, leaf) = (file.meta().freelist.unwrap(), file.child(0));
    file.set_u64(list, 16, leaf.0);
    let found: Vec<ProblemKind> = problems(&file).into_iter().map(|problem| problem.kind).collect();
    assert!(found.contains(&ProblemKind::ReachableFreed), "{found:?}");
}

#[test]
fn a_page_reached_twice_is_a_finding() {
    let mut file = File(store());
    let (branch, second) = (file.branch(), file.child(1));
    file.set_u64(branch, 16 + 8, second.0);
    let found: Vec<&str> = problems(&file).iter().map(|problem| problem.kind.id()).collect();
    assert!(found.contains(&"BOLT-013"), "{found:?}");
}

#[test]
fn a_cyclic_branch_pointer_is_a_finding() {
    let mut file = File(store());
    let branch = file.branch();
    file.set_u64(branch, 16 + 8, branch.0);
    let cycle = problems(&file).into_iter().find(|problem| problem.kind == ProblemKind::Cycle).unwrap();
    assert_eq!(cycle.path, [file.top(), branch, branch]);
    let reader = Reader::open(file.0.as_slice()).unwrap();
    let logs = reader.bucket(b"logs").unwrap().unwrap();
    assert!(matches!(logs.cursor().next(), Err(Error::Cycle { page }) if page == branch));
}

#[test]
fn pages_that_are_not_what_they_should_be_are_findings() {
    let leaf = File(store()).child(0);
    let page = |damage: fn(&mut PageHeader)| match kind(|file| file.set_header(leaf, damage)) {
        ProblemKind::Page(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(page(|header| header.id = PageId(77)), PageError::SelfId { found: PageId(77) });
    assert_eq!(page(|header| header.flags = 0x10), PageError::Kind { found: 0x10 });
    assert_eq!(page(|header| header.flags = 0x03), PageError::Kind { found: 3 });
    assert!(matches!(page(|header| header.overflow = 1 << 20), PageError::Overflow { .. }));
    assert_eq!(page(|header| header.count = 400), PageError::Count { count: 400, run_len: 4096 });
    let found = kind(|file| {
        let branch = file.branch();
        file.set_u64(branch, 16 + 8, 1 << 40);
    });
    assert!(matches!(found, ProblemKind::Page(PageError::OutOfBounds { .. })), "{found:?}");
    let found = kind(|file| {
        let branch = file.branch();
        file.set_header(branch, |header| header.count = 0);
    });
    assert_eq!(found, ProblemKind::Page(PageError::EmptyBranch));
}

#[test]
fn elements_outside_of_their_page_or_over_another_are_findings() {
    let mut store = File(store());
    let leaf = store.child(0);
    let found = kind(|file| file.set_u32(leaf, 16 + 12, 1 << 20));
    assert!(matches!(found, ProblemKind::Page(PageError::ElementBounds { index: 0, .. })), "{found:?}");
    let found = kind(|file| file.set_u32(leaf, 16 + 16 + 4, 16));
    assert!(matches!(found, ProblemKind::Page(PageError::ElementOverlap { index: 1, .. })), "{found:?}");
}

/// Where the key of element `index` of a leaf begins.
fn key_at(file: &mut File, leaf: PageId, index: usize) -> usize {
    let element = 16 + 16 * index;
    let pos = u32::from_le_bytes(file.page(leaf)[element + 4..element + 8].try_into().unwrap());
    element + usize::try_from(pos).unwrap()
}

#[test]
fn keys_out_of_order_or_of_their_range_are_findings() {
    let mut sound = File(store());
    let leaf = sound.child(1);
    let last = usize::from(sound.header(leaf).count) - 1;
    let (first_at, second_at, last_at) =
        (key_at(&mut sound, leaf, 0), key_at(&mut sound, leaf, 1), key_at(&mut sound, leaf, last));
    let set =
        |at: usize, key: u64| move |file: &mut File| file.page(leaf)[at..at + 8].copy_from_slice(&key.to_be_bytes());
    assert_eq!(kind(set(second_at, 0)), ProblemKind::KeyOrder { index: 1 });
    assert_eq!(kind(set(first_at, 0)), ProblemKind::KeyBelowParent { index: 0 });
    assert_eq!(kind(set(last_at, 1 << 60)), ProblemKind::KeyAboveNext { index: last });
}

#[test]
fn an_empty_key_and_unknown_flags_are_findings() {
    let mut sound = File(store());
    let leaf = sound.child(0);
    let found = kind(|file| file.set_u32(leaf, 16 + 8, 0));
    assert_eq!(found, ProblemKind::EmptyKey { index: 0 });
    let found = kind(|file| file.set_u32(leaf, 16, 8));
    assert_eq!(found, ProblemKind::ElementFlags { index: 0, flags: 8 });
}

#[test]
fn buckets_that_cant_be_read_are_findings() {
    let top = File(store()).top();
    // `conf` is the first element, inline; its page's header follows the bucket's.
    let conf = key_at(&mut File(store()), top, 0) + "conf".len();
    let found = kind(|file| file.page(top)[conf + 16 + 8] = 1);
    assert_eq!(found, ProblemKind::Bucket { index: 0, error: PageError::Kind { found: 1 } });
    let found = kind(|file| file.page(top)[conf + 16 + 10] = 200);
    assert!(matches!(found, ProblemKind::Bucket { index: 0, error: PageError::Count { .. } }), "{found:?}");
}

#[test]
fn a_leak_is_told_as_one_range() {
    let found = kind(|file| {
        let high_water = file.meta().high_water;
        file.0.resize(file.0.len() + 3 * PAGE, 0);
        file.set_meta(|meta| meta.high_water = PageId(high_water.0 + 3));
    });
    let first = File(store()).meta().high_water;
    assert_eq!(found, ProblemKind::UnreachableUnfreed { first, count: 3 });
}

#[test]
fn an_unsynced_freelist_is_no_finding_and_the_next_commit_writes_one() {
    let mut file = File(store());
    file.set_meta(|meta| meta.freelist = None);
    assert_eq!(problems(&file), []);
    let mut db = Db::open(file.0).unwrap();
    let mut tx = db.begin().unwrap();
    tx.put(b"conf", b"key", b"value").unwrap();
    tx.commit().unwrap();
    assert!(db.meta().freelist.is_some());
    assert_eq!(problems(&File(db.into_storage())), []);
}

#[test]
fn the_page_size_is_found_through_meta_1_alone() {
    for page_size in [1024, 2048, 4096, 8192, 16384, 32768, 65536] {
        let mut db = Db::create(Vec::new(), page_size).unwrap();
        for name in [&b"logs"[..], b"conf"] {
            let mut tx = db.begin().unwrap();
            tx.create_bucket_if_not_exists(name).unwrap();
            tx.commit().unwrap();
        }
        assert_eq!(db.meta().txid, TxId(3), "the live meta is meta 1");
        let mut bytes = db.into_storage();
        bytes[..80].fill(0xff);
        let reader = Reader::open(bytes.as_slice()).unwrap();
        assert_eq!((reader.metas().page_size, reader.metas().live), (page_size, 1));
        assert!(reader.bucket(b"conf").unwrap().is_some());
    }
}

/// Branches whose children are all the same page below, 40 levels of them: walking every way would take 200^40 steps.
#[test]
fn a_lattice_of_branches_ends_at_once() {
    let mut file = File(store());
    let (leaf, first) = (file.child(0), file.meta().high_water);
    let levels = 40_u64;
    file.0.resize(usize::try_from(first.0 + levels).unwrap() * PAGE, 0);
    for level in 0..levels {
        let page = PageId(first.0 + level);
        let child = if level + 1 == levels { leaf } else { PageId(page.0 + 1) };
        let count: u16 = 200;
        PageHeader { id: page, flags: 1, count, overflow: 0 }.encode(file.page(page));
        for index in 0..usize::from(count) {
            let element = 16 + 16 * index;
            let data = 16 + 16 * usize::from(count) + index;
            file.set_u32(page, element, u32::try_from(data - element).unwrap());
            file.set_u32(page, element + 4, 1);
            file.set_u64(page, element + 8, child.0);
            file.page(page)[data] = u8::try_from(index).unwrap();
        }
    }
    let branch = file.branch();
    file.set_u64(branch, 16 + 8, first.0);
    file.set_meta(|meta| meta.high_water = PageId(first.0 + levels));
    let found = check(file.0.as_slice()).unwrap();
    assert!(found.problems.iter().any(|problem| problem.kind == ProblemKind::MultipleReferences));
    let reader = Reader::open(file.0.as_slice()).unwrap();
    let logs = reader.bucket(b"logs").unwrap().unwrap();
    let mut cursor = logs.cursor();
    let error = loop {
        match cursor.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it never notices"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::TooManyPages { .. }), "{error}");
}
