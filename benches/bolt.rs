//! A log store of 10,000 entries of 1 KiB: put in one transaction, read back, checked.
//!
//! Throughput is in bytes of data (10,000 x 1,024), for the check in bytes of the file. Files are in cargo's target
//! directory; reads come from the page cache.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod common;

use std::fs::File;
use std::time::Duration;

use common::entry;
use criterion::{BatchSize, Criterion, Throughput};
use op_conductor_init::bolt::{Db, ReadAt, Reader, Storage, check};
use op_conductor_init::raft::LOGS_BUCKET;
use op_conductor_init::raft::codec::{decode_log, encode_log};

const ENTRY_COUNT: u64 = 10_000;
const ENTRY_LEN: usize = 1 << 10;

type Pairs = Vec<([u8; 8], Vec<u8>)>;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .nresamples(10_000)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    put(&mut criterion);
    read(&mut criterion);
    criterion.final_summary();
}

fn put(criterion: &mut Criterion) {
    let pairs = pairs();
    let mut group = criterion.benchmark_group("bolt/put 10000 x 1KiB in one transaction");
    group.throughput(Throughput::Bytes(ENTRY_COUNT * ENTRY_LEN as u64));
    group.bench_function("memory", |bencher| {
        bencher.iter_with_large_drop(|| written(Vec::new(), &pairs));
    });
    // Five syncs: the first pages, the bucket's commit (pages, meta), the entries' commit (pages, meta).
    group.bench_function("file with syncs", |bencher| {
        bencher.iter_batched(new_file, |file| written(file, &pairs), BatchSize::PerIteration);
    });
}

fn read(criterion: &mut Criterion) {
    let pairs = pairs();
    let memory = written(Vec::new(), &pairs);
    let file = written(new_file(), &pairs);
    let mut group = criterion.benchmark_group("bolt/read and decode 10000 x 1KiB");
    group.throughput(Throughput::Bytes(ENTRY_COUNT * ENTRY_LEN as u64));
    group.bench_function("memory", |bencher| bencher.iter(|| read_all(memory.as_slice())));
    group.bench_function("file", |bencher| bencher.iter(|| read_all(&file)));
    group.finish();

    let mut group = criterion.benchmark_group("bolt/check 10000 x 1KiB");
    group.throughput(Throughput::Bytes(memory.len() as u64));
    group.bench_function("memory", |bencher| bencher.iter(|| checked(memory.as_slice())));
    group.bench_function("file", |bencher| bencher.iter(|| checked(&file)));
}

fn pairs() -> Pairs {
    let pair = |index| {
        let log = entry(index, ENTRY_LEN);
        let mut value = Vec::new();
        encode_log(&log, &mut value);
        (log.index.to_key(), value)
    };
    (1..=ENTRY_COUNT).map(pair).collect()
}

fn new_file() -> File {
    tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Makes a store in `storage` and puts all pairs.
fn written<S: Storage>(storage: S, pairs: &Pairs) -> S {
    let mut db = Db::create(storage, 4096).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
    tx.commit().unwrap();
    let mut tx = db.begin().unwrap();
    for (key, value) in pairs {
        tx.put(LOGS_BUCKET, key, value).unwrap();
    }
    tx.commit().unwrap();
    db.into_storage()
}

/// Walks the bucket with a cursor and decodes every entry; gives the bytes of data.
fn read_all<R: ReadAt>(source: R) -> usize {
    let reader = Reader::open(source).unwrap();
    let bucket = reader.bucket(LOGS_BUCKET).unwrap().unwrap();
    let mut cursor = bucket.cursor();
    let (mut count, mut bytes) = (0, 0);
    while let Some(element) = cursor.next().unwrap() {
        bytes += decode_log(element.value).unwrap().data.map_or(0, |data| data.len());
        count += 1;
    }
    assert_eq!(count, ENTRY_COUNT, "all entries are read");
    bytes
}

fn checked<R: ReadAt>(source: R) {
    assert_eq!(check(source).unwrap().problems, [], "the file is sound");
}
