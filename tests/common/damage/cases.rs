//! Each way to damage a file, and the ids of what must be found then.

use op_conductor_init::bolt::{Meta, PageId, Reader, TxId};

use super::{File, PAGE};

/// A damage by name, the ids of what must be found, and what is done.
pub(crate) type Case = (&'static str, &'static [&'static str], fn(&mut File));

/// Every one is made on a fresh [`store`](super::store).
pub(crate) const CASES: &[Case] = &[
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
