//! Each way to damage a bolt file gives exactly its findings, and bbolt's own check is never the only one to notice.

use std::collections::BTreeSet;
use std::fmt::Write;

use op_conductor_init::bolt::{Db, Meta, MetaError, PageError, PageHeader, PageId, Problem, ProblemKind, TxId, check};
use op_conductor_init::bolt::{Error, Reader};
use op_conductor_init::state::describe_damage;

const PAGE: usize = 4096;

fn new_store(page_size: usize) -> Db<Vec<u8>> {
    let mut db = Db::create(Vec::new(), page_size).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(b"logs").unwrap();
    tx.create_bucket_if_not_exists(b"conf").unwrap();
    tx.commit().unwrap();
    db
}

/// A store with a branch page, leaves, overflow pages, free pages, and an inline bucket of two keys.
fn store() -> Vec<u8> {
    let mut db = new_store(PAGE);
    for batch in 0..4_u64 {
        let mut tx = db.begin().unwrap();
        for index in batch * 10..batch * 10 + 10 {
            let len = if index == 25 { 40_000 } else { 900 };
            tx.put(b"logs", &index.to_be_bytes(), &vec![7; len]).unwrap();
        }
        tx.commit().unwrap();
    }
    let mut tx = db.begin().unwrap();
    tx.put(b"conf", b"CurrentTerm", &4_u64.to_be_bytes()).unwrap();
    tx.put(b"conf", b"LastVoteTerm", &4_u64.to_be_bytes()).unwrap();
    tx.commit().unwrap();
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
        let slot = self.newer();
        change(&mut meta);
        let bytes = meta.encode(slot);
        self.page(slot)[..80].copy_from_slice(&bytes[..80]);
    }

    fn set_u32(&mut self, page: PageId, at: usize, value: u32) {
        self.page(page)[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn set_u64(&mut self, page: PageId, at: usize, value: u64) {
        self.page(page)[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn get_u32(&mut self, page: PageId, at: usize) -> usize {
        let bytes = self.page(page)[at..at + 4].try_into().unwrap();
        usize::try_from(u32::from_le_bytes(bytes)).unwrap()
    }

    fn get_u64(&mut self, page: PageId, at: usize) -> u64 {
        u64::from_le_bytes(self.page(page)[at..at + 8].try_into().unwrap())
    }

    /// The page of the meta that counts, and of the other.
    fn newer(&self) -> PageId {
        PageId(self.meta().txid.0 % 2)
    }

    fn older(&self) -> PageId {
        PageId(1 - self.newer().0)
    }

    fn list(&self) -> PageId {
        self.meta().freelist.unwrap()
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

    fn set_child(&mut self, index: usize, child: PageId) {
        let branch = self.branch();
        self.set_u64(branch, 16 + 16 * index + 8, child.0);
    }

    /// The leaf with the long value.
    fn long_leaf(&mut self) -> PageId {
        let branch = self.branch();
        let mut children = (0..usize::from(self.header(branch).count)).map(|index| self.child(index));
        let leaves: Vec<PageId> = children.by_ref().collect();
        leaves.into_iter().find(|leaf| self.header(*leaf).overflow > 0).unwrap()
    }

    /// Where the key of element `index` of a leaf begins, from the start of the page.
    fn key_at(&mut self, leaf: PageId, index: usize) -> usize {
        let element = 16 + 16 * index;
        element + self.get_u32(leaf, element + 4)
    }

    fn set_key(&mut self, leaf: PageId, index: usize, key: u64) {
        let at = self.key_at(leaf, index);
        self.page(leaf)[at..at + 8].copy_from_slice(&key.to_be_bytes());
    }

    /// Where the value of the first element of the top level begins: `conf`, which is inline.
    fn conf_at(&mut self) -> usize {
        let top = self.top();
        self.key_at(top, 0) + "conf".len()
    }

    /// A byte of `conf`'s inline page.
    fn set_inline(&mut self, at: usize, byte: u8) {
        let (top, conf) = (self.top(), self.conf_at());
        self.page(top)[conf + 16 + at] = byte;
    }

    /// Appends pages; the first of them.
    fn grow(&mut self, pages: u64) -> PageId {
        let first = self.meta().high_water;
        let end = PageId(first.0 + pages);
        self.0.resize(usize::try_from(end.0).unwrap() * PAGE, 0);
        self.set_meta(|meta| meta.high_water = end);
        first
    }

    /// Writes a branch page of `count` one-byte keys that all lead to `child`.
    fn write_branch(&mut self, page: PageId, count: u8, child: PageId) {
        let elements = usize::from(count);
        PageHeader { id: page, flags: 1, count: u16::from(count), overflow: 0 }.encode(self.page(page));
        for index in 0..count {
            let element = 16 + 16 * usize::from(index);
            let data = 16 + 16 * elements + usize::from(index);
            self.set_u32(page, element, u32::try_from(data - element).unwrap());
            self.set_u32(page, element + 4, 1);
            self.set_u64(page, element + 8, child.0);
            self.page(page)[data] = index;
        }
    }

    /// Branches in a row behind the first child of `logs`, `count` pointers from each to the next, at last to a leaf.
    fn ladder(&mut self, levels: u64, count: u8) {
        let (leaf, first) = (self.child(0), self.grow(levels));
        for level in 0..levels {
            let page = PageId(first.0 + level);
            let child = if level + 1 == levels { leaf } else { PageId(page.0 + 1) };
            self.write_branch(page, count, child);
        }
        self.set_child(0, first);
    }
}

/// A damage by name, the ids of what must be found, and what is done.
type Case = (&'static str, &'static [&'static str], fn(&mut File));

/// Every one is made on a fresh [`store`].
const CASES: &[Case] = &[
    ("no byte is left", &["BOLT-001"], |file| file.0.clear()),
    ("all is zero", &["BOLT-002"], |file| file.0.fill(0)),
    ("another program's file", &["BOLT-002"], |file| {
        file.0.fill(b'x');
        file.0[..16].copy_from_slice(b"SQLite format 3\0");
    }),
    ("79 bytes are left", &["BOLT-002"], |file| file.0.truncate(79)),
    ("both metas changed", &["BOLT-002"], |file| {
        file.page(PageId(0))[60] ^= 1;
        file.page(PageId(1))[60] ^= 1;
    }),
    ("written on a big-endian machine", &["BOLT-002"], |file| {
        (0..2).for_each(|slot| file.page(PageId(slot))[16..20].reverse());
    }),
    ("a version that never was", &["BOLT-002"], |file| (0..2).for_each(|slot| file.set_u32(PageId(slot), 20, 3))),
    ("the newer meta changed", &["BOLT-003"], |file| {
        let slot = file.newer();
        file.page(slot)[70] ^= 1;
    }),
    ("the newer meta with checksum 0", &["BOLT-003"], |file| {
        let slot = file.newer();
        file.set_u64(slot, 72, 0);
    }),
    ("the newer meta's page zeroed", &["BOLT-003", "BOLT-005"], |file| {
        let slot = file.newer();
        file.page(slot)[..PAGE].fill(0);
    }),
    ("the older meta changed", &["BOLT-004"], |file| {
        let slot = file.older();
        file.page(slot)[40] ^= 1;
    }),
    ("pages of 4097 bytes, by meta 0", &["BOLT-026"], |file| {
        let meta = Reader::open(file.0.as_slice()).unwrap().metas().slots[0].unwrap();
        let bytes = Meta { page_size: 4097, ..meta }.encode(PageId(0));
        file.page(PageId(0))[..80].copy_from_slice(&bytes[..80]);
    }),
    ("the last transaction that there can be", &["BOLT-027"], |file| file.set_meta(|meta| meta.txid = TxId(u64::MAX))),
    ("a meta says that it is another page", &["BOLT-005"], |file| {
        file.set_header(PageId(0), |header| header.id = PageId(1));
    }),
    ("a meta says that it is a leaf", &["BOLT-005"], |file| file.set_header(PageId(1), |header| header.flags = 2)),
    ("the last used byte cut off", &["BOLT-006"], |file| {
        let len = usize::try_from(file.meta().high_water.0).unwrap() * PAGE - 1;
        file.0.truncate(len);
    }),
    ("the freelist is a leaf", &["BOLT-007"], |file| {
        let list = file.list();
        file.set_header(list, |header| header.flags = 2);
    }),
    ("the freelist says that it is another page", &["BOLT-007"], |file| {
        let list = file.list();
        file.set_header(list, |header| header.id = PageId(77));
    }),
    ("the freelist has more ids than bytes", &["BOLT-007"], |file| {
        let list = file.list();
        file.set_header(list, |header| header.count = 0xFFFE);
    }),
    ("the freelist has 2^64-1 ids", &["BOLT-007"], |file| {
        let list = file.list();
        file.set_header(list, |header| header.count = 0xFFFF);
        file.set_u64(list, 16, u64::MAX);
    }),
    ("the freelist is behind all pages", &["BOLT-007"], |file| {
        file.set_meta(|meta| meta.freelist = Some(meta.high_water));
    }),
    ("the freelist is meta 1", &["BOLT-007"], |file| file.set_meta(|meta| meta.freelist = Some(PageId(1)))),
    ("the freelist reaches over all pages", &["BOLT-007"], |file| {
        let list = file.list();
        file.set_header(list, |header| header.overflow = 1000);
    }),
    ("a meta is free", &["BOLT-008", "BOLT-012"], |file| {
        let list = file.list();
        file.set_u64(list, 16, 1);
    }),
    ("a page that never was is free", &["BOLT-008", "BOLT-012"], |file| {
        let (list, high_water) = (file.list(), file.meta().high_water);
        let last = 8 + 8 * usize::from(file.header(list).count);
        file.set_u64(list, last, high_water.0);
    }),
    ("a page is free twice", &["BOLT-009", "BOLT-012"], |file| {
        let list = file.list();
        let first = file.get_u64(list, 16);
        file.set_u64(list, 24, first);
    }),
    ("the freelist isn't in order", &["BOLT-010"], |file| {
        let list = file.list();
        let (first, second) = (file.get_u64(list, 16), file.get_u64(list, 24));
        file.set_u64(list, 16, second);
        file.set_u64(list, 24, first);
    }),
    ("a leaf in use is free", &["BOLT-011", "BOLT-012"], |file| {
        let (list, leaf) = (file.list(), file.child(0));
        file.set_u64(list, 16, leaf.0);
    }),
    ("the freelist holds itself", &["BOLT-011", "BOLT-012"], |file| {
        let list = file.list();
        file.set_u64(list, 16, list.0);
    }),
    ("a free page is forgotten", &["BOLT-012"], |file| {
        let list = file.list();
        file.set_header(list, |header| header.count -= 1);
    }),
    ("three pages are nobody's", &["BOLT-012"], |file| {
        file.grow(3);
    }),
    ("two pointers to one leaf", &["BOLT-012", "BOLT-013", "BOLT-019"], |file| {
        let second = file.child(1);
        file.set_child(0, second);
    }),
    ("a pointer to the freelist", &["BOLT-012", "BOLT-013"], |file| {
        let list = file.list();
        file.set_child(1, list);
    }),
    ("a pointer into an overflow", &["BOLT-012", "BOLT-013"], |file| {
        let inside = PageId(file.long_leaf().0 + 1);
        let last = usize::from({
            let branch = file.branch();
            file.header(branch).count
        }) - 1;
        file.set_child(last, inside);
    }),
    ("half of the file cut off", &["BOLT-006", "BOLT-007", "BOLT-016"], |file| {
        let high_water = file.meta().high_water;
        file.0.truncate(usize::try_from(high_water.0 / 2).unwrap() * PAGE);
    }),
    ("a leaf that lies over the next page", &["BOLT-013"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.overflow = 1);
    }),
    ("a pointer back up", &["BOLT-014"], |file| {
        let branch = file.branch();
        file.set_child(0, branch);
    }),
    ("a bucket that is its own parent", &["BOLT-014"], |file| {
        let top = file.top();
        let logs = file.key_at(top, 1) + "logs".len();
        file.set_u64(top, logs, top.0);
    }),
    ("a tree of 70 levels", &["BOLT-015", "BOLT-018"], |file| file.ladder(70, 1)),
    ("200^40 ways to one leaf", &["BOLT-013", "BOLT-018", "BOLT-019"], |file| file.ladder(40, 200)),
    ("a leaf says that it is another page", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.id = PageId(77));
    }),
    ("a leaf that is a freelist", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.flags = 0x10);
    }),
    ("a leaf that is a branch too", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.flags = 0x03);
    }),
    ("a leaf that is nothing", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.flags = 0);
    }),
    ("a leaf of zeros", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.page(leaf)[..PAGE].fill(0);
    }),
    ("a leaf that reaches over all pages", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.overflow = u32::MAX);
    }),
    ("more elements than bytes", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.count = 400);
    }),
    ("65535 elements", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_header(leaf, |header| header.count = 0xFFFF);
    }),
    ("a pointer to nowhere", &["BOLT-016"], |file| file.set_child(0, PageId(1 << 40))),
    ("a pointer to 2^64-1", &["BOLT-016"], |file| file.set_child(0, PageId(u64::MAX))),
    ("a pointer to a meta", &["BOLT-016"], |file| file.set_child(0, PageId(1))),
    ("the root is page 0", &["BOLT-016"], |file| file.set_meta(|meta| meta.root.root = PageId(0))),
    ("the root is behind all pages", &["BOLT-016"], |file| file.set_meta(|meta| meta.root.root = meta.high_water)),
    ("a branch without children", &["BOLT-016"], |file| {
        let branch = file.branch();
        file.set_header(branch, |header| header.count = 0);
    }),
    ("a value that ends behind its page", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_u32(leaf, 16 + 12, 1 << 20);
    }),
    ("a value of 4 GiB", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_u32(leaf, 16 + 12, u32::MAX);
    }),
    ("a key that starts 4 GiB on", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_u32(leaf, 16 + 4, u32::MAX);
    }),
    ("an element over its own table", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_u32(leaf, 16 + 16 + 4, 16);
    }),
    ("two elements with the same bytes", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        let pos = u32::try_from(file.get_u32(leaf, 16 + 4) - 16).unwrap();
        file.set_u32(leaf, 16 + 16 + 4, pos);
    }),
    ("a key below the one before", &["BOLT-017"], |file| {
        let leaf = file.child(1);
        file.set_key(leaf, 1, 0);
    }),
    ("a key twice", &["BOLT-017"], |file| {
        let leaf = file.child(1);
        let at = file.key_at(leaf, 0);
        let key = u64::from_be_bytes(file.page(leaf)[at..at + 8].try_into().unwrap());
        file.set_key(leaf, 1, key);
    }),
    ("a branch's keys out of order", &["BOLT-017", "BOLT-018"], |file| {
        let branch = file.branch();
        let at = 16 + 16 + file.get_u32(branch, 16 + 16);
        file.page(branch)[at] = 1;
    }),
    ("a first key below the parent's", &["BOLT-018"], |file| {
        let leaf = file.child(1);
        file.set_key(leaf, 0, 0);
    }),
    ("a last key that belongs to the next leaf", &["BOLT-019"], |file| {
        let leaf = file.child(1);
        let last = usize::from(file.header(leaf).count) - 1;
        file.set_key(leaf, last, 1 << 60);
    }),
    ("an empty key", &["BOLT-020"], |file| {
        let leaf = file.child(0);
        file.set_u32(leaf, 16 + 8, 0);
    }),
    ("a key of 33,000 bytes", &["BOLT-021"], |file| {
        let leaf = file.long_leaf();
        let count = usize::from(file.header(leaf).count);
        let long = (0..count).find(|index| file.get_u32(leaf, 16 + 16 * index + 12) == 40_000).unwrap();
        file.set_u32(leaf, 16 + 16 * long + 8, 33_000);
        file.set_u32(leaf, 16 + 16 * long + 12, 7_000);
    }),
    ("flags that bolt doesn't have", &["BOLT-022"], |file| {
        let leaf = file.child(0);
        file.set_u32(leaf, 16, 8);
    }),
    ("a value that is called a bucket", &["BOLT-016"], |file| {
        let leaf = file.child(0);
        file.set_u32(leaf, 16, 1);
        file.set_u32(leaf, 16 + 12, 16);
    }),
    ("a long value that is called a bucket", &["BOLT-023"], |file| {
        let leaf = file.long_leaf();
        let count = usize::from(file.header(leaf).count);
        let long = (0..count).find(|index| file.get_u32(leaf, 16 + 16 * index + 12) == 40_000).unwrap();
        file.set_u32(leaf, 16 + 16 * long, 1);
    }),
    ("a bucket of 8 bytes", &["BOLT-023"], |file| {
        let top = file.top();
        file.set_u32(top, 16 + 16 + 12, 8);
    }),
    ("an inline bucket without its page", &["BOLT-023"], |file| {
        let top = file.top();
        file.set_u32(top, 16 + 12, 20);
    }),
    ("an inline bucket that is a branch", &["BOLT-023"], |file| file.set_inline(8, 1)),
    ("an inline bucket with more elements than bytes", &["BOLT-023"], |file| file.set_inline(10, 200)),
    ("a value that ends behind its inline bucket", &["BOLT-023"], |file| file.set_inline(16 + 12 + 1, 1)),
    ("a bucket in an inline bucket", &["BOLT-024"], |file| file.set_inline(16, 1)),
    ("an inline bucket with keys out of order", &["BOLT-017"], |file| file.set_inline(16 + 32, b'Z')),
    ("an inline bucket with an empty key", &["BOLT-020"], |file| file.set_inline(16 + 8, 0)),
    ("an inline bucket with unknown flags", &["BOLT-022"], |file| file.set_inline(16, 4)),
];

fn damaged(damage: fn(&mut File)) -> File {
    let mut file = File(store());
    damage(&mut file);
    file
}

fn problems(file: &File) -> Vec<Problem> {
    check(file.0.as_slice()).unwrap().problems
}

/// What is found after the damage of that name.
fn found(name: &str) -> Vec<Problem> {
    let case = CASES.iter().find(|case| case.0 == name).unwrap_or_else(|| panic!("no case {name:?}"));
    problems(&damaged(case.2))
}

fn only(name: &str) -> ProblemKind {
    let mut found = found(name);
    assert_eq!(found.len(), 1, "{name}: one damage, one finding: {found:?}");
    found.remove(0).kind
}

#[test]
fn the_store_is_sound_and_has_all_kinds_of_pages() {
    let found = check(store().as_slice()).unwrap();
    let pages = found.pages;
    assert_eq!(found.problems, []);
    assert!(pages.branch >= 1 && pages.leaf >= 4 && pages.overflow >= 2 && pages.free >= 3, "{pages:?}");
    let counted = pages.branch + pages.leaf + pages.overflow + pages.free + pages.freelist + 2;
    assert_eq!(counted, pages.total);
}

#[test]
fn each_damage_has_its_findings_and_no_others() {
    for (name, ids, damage) in CASES {
        let found: BTreeSet<&str> = problems(&damaged(*damage)).iter().map(|problem| problem.kind.id()).collect();
        assert_eq!(found, ids.iter().copied().collect(), "{name}");
    }
}

#[test]
fn there_is_a_damage_for_each_finding() {
    let known: BTreeSet<&str> = CASES.iter().flat_map(|case| case.1).copied().collect();
    let all: BTreeSet<String> = (1..=24).chain(26..=27).map(|number| format!("BOLT-{number:03}")).collect();
    assert_eq!(known, all.iter().map(String::as_str).collect());
}

/// Each finding in full: page, path and offset are part of it.
#[test]
fn findings_say_what_is_wrong_where_and_what_it_means() {
    let mut text = String::new();
    for (name, _, damage) in CASES {
        writeln!(text, "{name}").unwrap();
        let found = problems(&damaged(*damage));
        for problem in found.iter().take(4) {
            writeln!(text, "  {} {}", problem.kind.id(), describe_damage(problem)).unwrap();
        }
        if found.len() > 4 {
            writeln!(text, "  and {} more", found.len() - 4).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn only_a_lost_older_meta_and_a_freelist_out_of_order_are_harmless() {
    for (name, ids, damage) in CASES {
        let harmless = problems(&damaged(*damage)).iter().all(|problem| problem.kind.is_harmless());
        assert_eq!(harmless, matches!(*ids, ["BOLT-004"] | ["BOLT-010"]), "{name}");
    }
}

#[test]
fn damage_is_told_with_its_numbers() {
    let high_water = File(store()).meta().high_water;
    let page = |name| match only(name) {
        ProblemKind::Page(error) => error,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(page("a leaf says that it is another page"), PageError::SelfId { found: PageId(77) });
    assert_eq!(page("a leaf that is a branch too"), PageError::Kind { found: 3 });
    assert_eq!(page("more elements than bytes"), PageError::Count { count: 400, run_len: 4096 });
    assert_eq!(page("a branch without children"), PageError::EmptyBranch);
    assert_eq!(page("a pointer to 2^64-1"), PageError::OutOfBounds { high_water });
    assert_eq!(
        page("a leaf that reaches over all pages"),
        PageError::Overflow { overflow: u32::MAX, high_water },
        "no sum of ids overflows"
    );
    let found = found("a pointer back up");
    let cycle = found.iter().find(|problem| problem.kind == ProblemKind::Cycle).unwrap();
    let file = File(store());
    assert_eq!(cycle.path, [file.top(), file.branch(), file.branch()]);
    assert_eq!((cycle.page, cycle.offset), (Some(file.branch()), Some(file.branch().0 * PAGE as u64)));
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

/// The live slot, or none, for each way in which two metas can be.
#[test]
fn both_metas_are_judged_as_bbolt_does() {
    let base = File(store());
    let newer = base.meta();
    let judged = |first: Option<u64>, second: Option<u64>| {
        let mut file = File(base.0.clone());
        for (slot, txid) in [(PageId(0), first), (PageId(1), second)] {
            let meta = Meta { txid: TxId(txid.unwrap_or(100)), ..newer };
            file.page(slot)[..80].copy_from_slice(&meta.encode(slot)[..80]);
            file.page(slot)[79] ^= u8::from(txid.is_none());
        }
        Reader::open(file.0.as_slice()).map(|reader| (reader.metas().live, reader.meta().txid.0)).ok()
    };
    assert_eq!(judged(Some(8), Some(7)), Some((0, 8)), "the higher txid counts");
    assert_eq!(judged(Some(8), Some(9)), Some((1, 9)), "the higher txid counts");
    assert_eq!(judged(Some(8), Some(8)), Some((0, 8)), "of equal ones the first");
    assert_eq!(judged(Some(8), None), Some((0, 8)), "a bad one doesn't");
    assert_eq!(judged(None, Some(7)), Some((1, 7)), "a bad one doesn't");
    assert_eq!(judged(None, None), None);
}

#[test]
fn the_page_size_is_found_through_meta_1_alone() {
    for page_size in [1024, 2048, 4096, 8192, 16384, 32768, 65536] {
        let mut db = new_store(page_size);
        let mut tx = db.begin().unwrap();
        tx.put(b"conf", b"key", b"value").unwrap();
        tx.commit().unwrap();
        assert_eq!(db.meta().txid, TxId(3), "the live meta is meta 1");
        let mut bytes = db.into_storage();
        bytes[..80].fill(0xff);
        let reader = Reader::open(bytes.as_slice()).unwrap();
        assert_eq!((reader.metas().page_size, reader.metas().live), (page_size, 1));
        assert!(reader.bucket(b"conf").unwrap().unwrap().get(b"key").unwrap().is_some());
    }
}

#[test]
fn a_meta_1_of_another_page_size_does_not_count() {
    let mut file = File(store());
    let meta = Meta { page_size: 8192, ..file.meta() };
    file.page(PageId(1))[..80].copy_from_slice(&meta.encode(PageId(1))[..80]);
    let reader = Reader::open(file.0.as_slice()).unwrap();
    let expected = MetaError::OtherPageSize { expected: PAGE, found: 8192 };
    assert_eq!((reader.metas().slots[1], reader.metas().live), (Err(expected), 0));
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

/// 65,535 free pages and more need the count's escape: their list is read, checked, and read back when it is rewritten.
#[test]
fn a_freelist_of_more_than_65534_ids_is_read_whole() {
    for count in [65_534_u64, 65_535, 70_000] {
        let mut db = new_store(1024);
        let mut meta = db.meta();
        let mut bytes = std::mem::replace(&mut db, new_store(1024)).into_storage();
        let (old_list, first) = (meta.freelist.unwrap(), meta.high_water.0);
        let old_count =
            u64::from(PageHeader::decode(&bytes[usize::try_from(old_list.0).unwrap() * 1024..]).unwrap().count);
        // The ids of before, the old list's page, and pages that were never used.
        let list = PageId(first + count - old_count - 1);
        let escape = count >= 0xFFFF;
        let pages = (16 + 8 * (count + u64::from(escape))) / 1024 + 1;
        meta.high_water = PageId(list.0 + pages);
        bytes.resize(usize::try_from(meta.high_water.0).unwrap() * 1024, 0);
        let old_at = usize::try_from(old_list.0).unwrap() * 1024 + 16;
        let old = bytes[old_at..old_at + 8 * usize::try_from(old_count).unwrap()].to_vec();
        let old = old.chunks(8).map(|id| u64::from_le_bytes(id.try_into().unwrap()));
        let ids: Vec<u64> = old.chain([old_list.0]).chain(first..list.0).collect();
        assert_eq!(ids.len() as u64, count);
        let at = usize::try_from(list.0).unwrap() * 1024;
        let header = PageHeader {
            id: list,
            flags: 0x10,
            count: count.min(0xFFFF).try_into().unwrap(),
            overflow: u32::try_from(pages).unwrap() - 1,
        };
        header.encode(&mut bytes[at..]);
        let written = escape.then_some(count).into_iter().chain(ids).flat_map(u64::to_le_bytes);
        bytes.splice(at + 16..at + 16 + 8 * usize::try_from(count + u64::from(escape)).unwrap(), written);
        meta.freelist = Some(list);
        bytes[..1024].copy_from_slice(&meta.encode(PageId(0)));

        let found = check(bytes.as_slice()).unwrap();
        assert_eq!((found.problems.len(), found.pages.free), (0, count), "{:?}", found.problems.first());
        let mut db = Db::open(bytes).unwrap();
        let mut tx = db.begin().unwrap();
        tx.put(b"conf", b"key", b"value").unwrap();
        tx.commit().unwrap();
        let after = check(db.into_storage()).unwrap();
        assert_eq!(after.problems, []);
        // The new list's own pages came out of it.
        assert!(after.pages.free + after.pages.freelist >= count, "{:?}", after.pages);
    }
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

/// Made by bbolt 1.4.3: tests/vectors/bolt.
const NESTED: &[u8] = include_bytes!("../vectors/bolt/nested.db");

#[test]
fn nested_buckets_that_go_wrote_are_read_and_checked() {
    let found = check(NESTED).unwrap();
    assert_eq!((found.problems, found.pages.page_size), (vec![], 1024));
    let reader = Reader::open(NESTED).unwrap();
    let outer = reader.bucket(b"outer").unwrap().unwrap();
    assert_eq!(outer.get(b"plain").unwrap().unwrap(), b"value");
    let inner = outer.bucket(b"inner").unwrap().unwrap();
    assert_eq!((inner.header().sequence, inner.is_inline()), (7, false));
    for i in 0..60 {
        assert_eq!(inner.get(format!("key-{i:02}").as_bytes()).unwrap(), Some(vec![0; 50 + i]));
    }
    let deepest = inner.bucket(b"deepest").unwrap().unwrap();
    assert!(deepest.is_inline());
    assert_eq!(deepest.get(b"key").unwrap().unwrap(), b"inline");
    assert!(matches!(outer.bucket(b"plain"), Err(Error::Incompatible { is_bucket: false, .. })));
}

#[test]
fn damage_in_a_nested_bucket_is_found_on_its_path() {
    let reader = Reader::open(NESTED).unwrap();
    let outer = reader.bucket(b"outer").unwrap().unwrap();
    let root = outer.bucket(b"inner").unwrap().unwrap().header().root;
    let mut bytes = NESTED.to_vec();
    bytes[usize::try_from(root.0).unwrap() * 1024] ^= 1;
    let found = check(bytes.as_slice()).unwrap().problems;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, ProblemKind::Page(PageError::SelfId { found: PageId(root.0 ^ 1) }));
    assert_eq!(found[0].path, [reader.meta().root.root, outer.header().root, root]);
}

#[test]
fn a_tree_of_three_levels_is_read_and_checked() {
    let mut db = new_store(1024);
    let mut tx = db.begin().unwrap();
    for index in 0..3000_u64 {
        tx.put(b"logs", &index.to_be_bytes(), &[1; 40]).unwrap();
    }
    tx.commit().unwrap();
    let bytes = db.into_storage();
    let found = check(bytes.as_slice()).unwrap();
    assert_eq!(found.problems, []);
    assert!(found.pages.branch > 3 && found.pages.leaf > 200, "a root above branches: {:?}", found.pages);
    let reader = Reader::open(bytes.as_slice()).unwrap();
    let logs = reader.bucket(b"logs").unwrap().unwrap();
    let mut cursor = logs.cursor();
    let mut count = 0;
    while let Some(entry) = cursor.next().unwrap() {
        assert_eq!(entry.key, u64::to_be_bytes(count));
        count += 1;
    }
    assert_eq!(count, 3000);
}

/// Reads `logs` to its end.
fn read_to_end(file: &File) -> Result<u64, Error> {
    let reader = Reader::open(file.0.as_slice())?;
    let logs = reader.bucket(b"logs")?.unwrap();
    let mut cursor = logs.cursor();
    let mut count = 0;
    while cursor.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_cursor_ends_on_cycles_depths_and_lattices() {
    let after = |name: &str| read_to_end(&damaged(CASES.iter().find(|case| case.0 == name).unwrap().2));
    assert!(matches!(after("a pointer back up"), Err(Error::Cycle { .. })));
    assert!(matches!(after("a tree of 70 levels"), Err(Error::TooDeep { .. })));
    assert!(matches!(after("200^40 ways to one leaf"), Err(Error::TooManyPages { .. })));
    let mut sound = File(store());
    assert_eq!(read_to_end(&sound).unwrap(), 40);
    sound.set_child(0, PageId(1));
    assert!(matches!(read_to_end(&sound), Err(Error::Page { page: PageId(1), .. })));
}

/// Runs that lie over each other could make 4 MiB of file hundreds of MiB of reads and of memory.
#[test]
fn overlapping_runs_are_read_once() {
    let mut file = File(store());
    let pages = 1000;
    let first = file.grow(pages);
    for page in first.0..first.0 + pages {
        let last = first.0 + pages - 1;
        file.write_branch(PageId(page), 1, PageId(if page == last { first.0 } else { page + 1 }));
        file.set_header(PageId(page), |header| header.overflow = u32::try_from(last - page).unwrap());
    }
    file.set_child(0, first);
    assert!(matches!(read_to_end(&file), Err(Error::TooManyPages { .. })), "the second run is one too many");
    let found = problems(&file);
    let shared = found.iter().find(|problem| problem.kind == ProblemKind::MultipleReferences).unwrap();
    assert_eq!(shared.page, Some(PageId(first.0 + 1)));
}

/// What `bbolt check` 1.4.3 says of every damage: where it finds a problem, fails or crashes, we have an error.
#[cfg(feature = "gate")]
#[test]
fn bbolt_finds_nothing_that_we_call_harmless() {
    use std::process::Command;

    let directory = tempfile::tempdir().unwrap();
    let mut verb = Command::new(crate::common::oracle("1.8.0"));
    verb.args(["check", "--time-limit", "1s"]);
    for (number, (_, _, damage)) in CASES.iter().enumerate() {
        let path = directory.path().join(format!("{number}.db"));
        std::fs::write(&path, damaged(*damage).0).unwrap();
        verb.arg(path);
    }
    let output = verb.output().unwrap();
    let answers: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), CASES.len(), "one answer a file");
    let mut noticed = 0;
    for ((name, _, damage), answer) in CASES.iter().zip(answers) {
        let harmless = problems(&damaged(*damage)).iter().all(|problem| problem.kind.is_harmless());
        assert!(answer["ok"] == true || !harmless, "{name}: {answer}");
        noticed += usize::from(answer["ok"] != true);
    }
    // Fails when the oracle notices nothing at all.
    assert!(noticed > CASES.len() / 2, "bbolt notices {noticed} of {}", CASES.len());
}
