//! Freelists that are absent, and ones that are long.

use crate::common::damage::{File, new_store, problems, store};
use op_conductor_init::bolt::{Db, PageHeader, PageId, check};

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
