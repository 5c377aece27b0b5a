//! The module as a whole: files that Go wrote, and what we write and read back.

use std::cell::Cell;
use std::io;

use sha2::{Digest, Sha256};

use super::*;

fn sha256(bytes: &[u8]) -> String {
    const_hex::encode(Sha256::digest(bytes))
}

/// Makes a file with two buckets, by the same calls as raft-boltdb's NewBoltStore.
fn new_bolt_store(page_size: usize) -> Db<Vec<u8>> {
    let mut db = Db::create(Vec::new(), page_size).unwrap();
    initialize(&mut db);
    db
}

fn initialize(db: &mut Db<Vec<u8>>) {
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(b"logs").unwrap();
    tx.create_bucket_if_not_exists(b"conf").unwrap();
    tx.commit().unwrap();
}

fn put(db: &mut Db<Vec<u8>>, bucket: &[u8], key: &[u8], value: &[u8]) {
    let mut tx = db.begin().unwrap();
    tx.put(bucket, key, value).unwrap();
    tx.commit().unwrap();
}

fn entries(file: &[u8], bucket: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let reader = Reader::open(file).unwrap();
    let bucket = reader.bucket(bucket).unwrap().unwrap();
    let mut cursor = bucket.cursor();
    let mut found = Vec::new();
    while let Some(entry) = cursor.next().unwrap() {
        found.push((entry.key.to_vec(), entry.value.to_vec()));
    }
    found
}

/// sha256 of files that raft-boltdb/v2 2.3.1 with bbolt 1.3.6 wrote: NewBoltStore on no file; then
/// SetUint64("CurrentTerm", 1).
#[test]
fn new_stores_have_the_bytes_of_go() {
    let mut db = new_bolt_store(4096);
    put(&mut db, b"conf", b"CurrentTerm", &1_u64.to_be_bytes());
    let before = new_bolt_store(4096).into_storage();
    assert_eq!(sha256(&before), "b24dbb4a8f6aab1889ef86979842d9a3c4f90ab7fadab0e9a93909a514e20569");
    let after = db.into_storage();
    assert_eq!(sha256(&after), "8f5d78b68fa4b10bbb09a9af329dbcdb4f0975d70a89d2a775d5123a5c295b94");
}

#[test]
fn reopening_raises_the_txid_and_leaves_the_root() {
    let mut db = new_bolt_store(4096);
    put(&mut db, b"conf", b"CurrentTerm", &1_u64.to_be_bytes());
    let before = db.meta();
    let mut db = Db::open(db.into_storage()).unwrap();
    initialize(&mut db);
    let after = db.meta();
    assert_eq!((after.txid, after.root), (TxId(4), before.root));
    assert_eq!(after.freelist, Some(PageId(4)));
    assert_eq!(check(db.into_storage()).unwrap().problems, []);
}

#[test]
fn what_is_put_is_read_back_in_order() {
    for page_size in [1024, 4096, 65536] {
        let mut db = new_bolt_store(page_size);
        let value = |i: u64| vec![i.to_be_bytes()[7]; usize::try_from(i * 37 % 5000).unwrap()];
        for batch in 0..10_u64 {
            let mut tx = db.begin().unwrap();
            for i in 0..50 {
                // Not in order: 7 is coprime to 500.
                let i = (batch * 50 + i) * 7 % 500;
                tx.put(b"logs", &i.to_be_bytes(), &value(i)).unwrap();
            }
            tx.commit().unwrap();
        }
        let file = db.into_storage();
        let expected: Vec<_> = (0..500).map(|i: u64| (i.to_be_bytes().to_vec(), value(i))).collect();
        assert_eq!(entries(&file, b"logs"), expected, "page size {page_size}");
        assert_eq!(check(file.as_slice()).unwrap().problems, [], "page size {page_size}");
    }
}

#[test]
fn seek_returns_the_key_or_the_next() {
    let mut db = new_bolt_store(4096);
    for i in (0..3000_u64).step_by(10) {
        put(&mut db, b"logs", &i.to_be_bytes(), &[0; 100]);
    }
    let file = db.into_storage();
    let reader = Reader::open(file.as_slice()).unwrap();
    let logs = reader.bucket(b"logs").unwrap().unwrap();
    let mut cursor = logs.cursor();
    let mut key_from = |key: u64| {
        let found = cursor.seek(&key.to_be_bytes()).unwrap();
        found.map(|entry| u64::from_be_bytes(entry.key.try_into().unwrap()))
    };
    assert_eq!(key_from(0), Some(0));
    assert_eq!(key_from(1235), Some(1240));
    assert_eq!(key_from(2990), Some(2990));
    assert_eq!(key_from(2991), None);
    let last = logs.cursor().last().unwrap().map(|entry| entry.key.to_vec());
    assert_eq!(last, Some(2990_u64.to_be_bytes().to_vec()));
    assert_eq!(reader.bucket(b"none").unwrap().map(|bucket| bucket.header()), None);
}

/// Counts the bytes that are read.
struct Counting<'a>(&'a [u8], Cell<u64>);

impl ReadAt for Counting<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buf, offset)?;
        self.1.set(self.1.get() + read as u64);
        Ok(read)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.0.byte_len()
    }
}

#[test]
fn looking_up_neighbours_reads_each_page_once() {
    let mut db = new_bolt_store(4096);
    let mut tx = db.begin().unwrap();
    for i in 0..3000_u64 {
        tx.put(b"logs", &i.to_be_bytes(), &[7; 500]).unwrap();
    }
    tx.commit().unwrap();
    let file = db.into_storage();
    let source = Counting(&file, Cell::new(0));
    let reader = Reader::open(&source).unwrap();
    let logs = reader.bucket(b"logs").unwrap().unwrap();
    for i in 0..3000_u64 {
        assert_eq!(logs.get(&i.to_be_bytes()).unwrap(), Some(vec![7; 500]), "{i}");
    }
    assert_eq!(logs.get(&3000_u64.to_be_bytes()).unwrap(), None);
    // Branches are read in between, and what was read ahead then is read again.
    assert!(source.1.get() < 2 * file.len() as u64, "{} bytes of {}", source.1.get(), file.len());
}

#[test]
fn a_bucket_that_shrinks_is_inlined_again() {
    let mut db = new_bolt_store(4096);
    put(&mut db, b"logs", b"key", &[1; 3000]);
    put(&mut db, b"logs", b"key", b"small");
    let file = db.into_storage();
    let reader = Reader::open(file.as_slice()).unwrap();
    assert!(reader.bucket(b"logs").unwrap().unwrap().is_inline());
    assert_eq!(entries(&file, b"logs"), [(b"key".to_vec(), b"small".to_vec())]);
    assert_eq!(check(file.as_slice()).unwrap().problems, []);
}

#[test]
fn an_uncommitted_transaction_leaves_the_file_as_it_was() {
    let mut db = new_bolt_store(4096);
    let mut tx = db.begin().unwrap();
    tx.put(b"logs", b"key", b"value").unwrap();
    drop(tx);
    assert_eq!(db.into_storage(), new_bolt_store(4096).into_storage());
}

#[test]
fn puts_that_bolt_refuses_are_refused() {
    let mut db = new_bolt_store(4096);
    let mut tx = db.begin().unwrap();
    assert!(matches!(tx.put(b"logs", b"", b"v"), Err(Error::EmptyKey)));
    assert!(matches!(tx.put(b"logs", &[1; 32769], b"v"), Err(Error::KeyTooLong { len: 32769 })));
    assert!(matches!(tx.put(b"none", b"k", b"v"), Err(Error::NoBucket { .. })));
    assert!(matches!(Db::create(Vec::new(), 1000), Err(Error::PageSize { found: 1000 })));
}
