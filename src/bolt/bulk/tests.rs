//! Files that the bulk writer writes, read back and checked.

use std::collections::BTreeMap;
use std::io;

use proptest::prelude::*;

use super::super::element::ELEMENT_LEN;
use super::*;
use crate::bolt::layout::MAX_KEY_LEN;
use crate::bolt::{Db, Error, ReadAt, Reader, Storage, check};

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

fn write(page_size: usize, buckets: &[(&[u8], u64, &Pairs)]) -> Vec<u8> {
    let mut writer = BulkWriter::new(Vec::new(), page_size).unwrap();
    for (name, sequence, pairs) in buckets {
        let mut bucket = writer.bucket(name, *sequence).unwrap();
        pairs.iter().for_each(|(key, value)| bucket.push(key, value).unwrap());
        bucket.finish().unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8], name: &[u8]) -> (u64, Pairs) {
    let reader = Reader::open(bytes).unwrap();
    let bucket = reader.bucket(name).unwrap().unwrap();
    let mut cursor = bucket.cursor();
    let mut pairs = Pairs::new();
    while let Some(entry) = cursor.next().unwrap() {
        pairs.insert(entry.key.to_vec(), entry.value.to_vec());
    }
    (bucket.header().sequence, pairs)
}

fn entries(count: u64, len: usize) -> Pairs {
    (0..count).map(|index| (index.to_be_bytes().to_vec(), vec![index.to_le_bytes()[0]; len])).collect()
}

fn is_sound(bytes: &[u8]) {
    let check = check(bytes).unwrap();
    assert_eq!(check.problems, []);
    assert_eq!(check.pages.free, 0);
    assert_eq!(bytes.len() as u64, check.pages.total * check.pages.page_size as u64, "nothing behind the last page");
}

#[test]
fn what_was_pushed_is_read_back_in_every_size() {
    for page_size in [1024, 4096, 65536] {
        for (count, len) in [(0, 0), (1, 0), (1, 5000), (3_000, 10), (300, 1024), (12, 100 << 10), (2, 3 << 20)] {
            let (pairs, none) = (entries(count, len), Pairs::new());
            let bytes = write(page_size, &[(b"logs", 7, &pairs), (b"conf", 0, &none)]);
            is_sound(&bytes);
            assert_eq!(read(&bytes, b"logs"), (7, pairs), "{count} x {len}, pages of {page_size}");
            assert_eq!(read(&bytes, b"conf"), (0, none));
        }
    }
}

#[test]
fn little_room_is_left_over() {
    for len in [100, 1024, 3000, 20 << 10, 100 << 10, 1 << 20] {
        let count = (4 << 20) / len as u64 + 1;
        let bytes = write(4096, &[(b"logs", 0, &entries(count, len))]);
        let data = count * (len as u64 + 8 + ELEMENT_LEN as u64);
        assert!(bytes.len() as u64 * 100 <= data * 104, "{count} x {len}: {} for {data}", bytes.len());
    }
}

#[test]
fn a_put_transaction_goes_on_with_the_file() {
    let mut pairs = entries(5_000, 300);
    let bytes = write(4096, &[(b"logs", 0, &pairs)]);
    let mut db = Db::open(bytes).unwrap();
    let mut tx = db.begin().unwrap();
    for index in 5_000..5_200_u64 {
        tx.put(b"logs", &index.to_be_bytes(), b"more").unwrap();
        pairs.insert(index.to_be_bytes().to_vec(), b"more".to_vec());
    }
    tx.commit().unwrap();
    let bytes = db.into_storage();
    assert_eq!(check(&bytes[..]).unwrap().problems, []);
    assert_eq!(read(&bytes, b"logs").1, pairs);
}

#[test]
fn pairs_out_of_order_are_refused() {
    let mut writer = BulkWriter::new(Vec::new(), 4096).unwrap();
    let mut bucket = writer.bucket(b"logs", 0).unwrap();
    bucket.push(b"b", b"").unwrap();
    for key in [&b"a"[..], b"b"] {
        assert!(matches!(bucket.push(key, b""), Err(Error::KeyOrder { .. })));
    }
    assert!(matches!(bucket.push(b"", b""), Err(Error::EmptyKey)));
    assert!(matches!(bucket.push(&[1; MAX_KEY_LEN + 1], b""), Err(Error::KeyTooLong { .. })));
    bucket.finish().unwrap();
    assert!(matches!(writer.bucket(b"logs", 0), Err(Error::KeyOrder { .. })));
    assert!(matches!(BulkWriter::new(Vec::new(), 1000), Err(Error::PageSize { found: 1000 })));
}

/// Fails to write from an offset on, whoever writes.
struct Full {
    bytes: Vec<u8>,
    end: u64,
}

impl ReadAt for Full {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.bytes.read_at(buf, offset)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.bytes.byte_len()
    }
}

impl Storage for Full {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset >= self.end { Err(io::ErrorKind::StorageFull.into()) } else { self.bytes.write_all_at(bytes, offset) }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        Storage::set_len(&mut self.bytes, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn second_writer(&self) -> Option<Box<dyn Storage + Send>> {
        Some(Box::new(Full { bytes: Vec::new(), end: self.end }))
    }
}

#[test]
fn a_write_that_fails_on_the_other_thread_is_an_error() {
    for end in [6 << 20, (10 << 20) - 1] {
        let write = || {
            let mut writer = BulkWriter::new(Full { bytes: Vec::new(), end }, 4096)?;
            let mut bucket = writer.bucket(b"logs", 0)?;
            for index in 0..10_240_u64 {
                bucket.push(&index.to_be_bytes(), &[7; 1024])?;
            }
            bucket.finish()?;
            writer.finish().map(|_| ())
        };
        assert!(matches!(write(), Err(Error::Io { .. })), "no bytes after {end}");
    }
}

#[test]
fn a_long_file_has_the_bytes_that_a_short_buffer_writes() {
    let pairs = entries(10_000, 1_000);
    let expected = write(4096, &[(b"logs", 0, &pairs)]);
    let mut writer = BulkWriter::new(tempfile::tempfile().unwrap(), 4096).unwrap();
    let mut bucket = writer.bucket(b"logs", 0).unwrap();
    pairs.iter().for_each(|(key, value)| bucket.push(key, value).unwrap());
    bucket.finish().unwrap();
    let file = writer.finish().unwrap();
    let mut found = vec![0; expected.len() + 1];
    assert_eq!(file.read_full_at(&mut found, 0).unwrap(), expected.len());
    assert!(found[..expected.len()] == expected, "the thread writes what is written without it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_pairs_make_a_sound_file(
        pairs in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 1..40),
            prop::collection::vec(any::<u8>(), 0..3_000),
            0..60,
        ),
        long in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 500..2_000), Just(vec![1]), 0..30),
    ) {
        let bytes = write(1024, &[(b"a", 1, &pairs), (b"b", 2, &long)]);
        is_sound(&bytes);
        prop_assert_eq!(read(&bytes, b"a"), (1, pairs));
        prop_assert_eq!(read(&bytes, b"b"), (2, long));
    }
}
