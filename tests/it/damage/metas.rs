//! Which meta counts, and what becomes of numbers in it that no page stands for.

use crate::common::damage::{File, PAGE, new_store, store};
use op_conductor_init::bolt::{Db, Error, Meta, MetaError, PageError, PageId, Reader, TxId};

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
