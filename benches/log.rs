//! Whole logs: encode, bulk write, append, scan, info, verify, compact, import of shuffled lines.
//!
//! Throughput is in bytes of data. Files are in the page cache; what is written is synced, as the commands do it.
//! jammdb does the same work where it can: sorted pairs into a new file, and back out.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod common;

use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::entry;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use op_conductor_init::bolt::{BulkWriter, Db, check};
use op_conductor_init::compact::{Target, compact};
use op_conductor_init::raft::codec::encode_log;
use op_conductor_init::raft::{CONF_BUCKET, Index, LOGS_BUCKET, Log, Term};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use op_conductor_init::state::entries::Entries;
use op_conductor_init::state::{Depth, Node, StateDir};
use op_conductor_init::transfer::{Line, import, stable};
use op_conductor_init::verify::verify;
use tempfile::TempDir;

/// Entries, and bytes of each one's command. 10^6 of the small, and at least 64 MiB of the large.
const ENCODED: [(u64, usize); 8] = [
    (1_000, 256),
    (100_000, 256),
    (1_000_000, 256),
    (1_000, 1 << 10),
    (100_000, 1 << 10),
    (1_000, 100 << 10),
    (10_000, 100 << 10),
    (1_000, 1 << 20),
];
const LOGS: [(u64, usize); 3] = [(40_000, 1 << 10), (600, 100 << 10), (60, 1 << 20)];
const PAGE_SIZE: usize = 4096;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    encode(&mut criterion);
    write(&mut criterion);
    append(&mut criterion);
    read(&mut criterion);
    rewrite(&mut criterion);
    criterion.final_summary();
}

fn name(count: u64, len: usize) -> String {
    format!("{count} x {len}")
}

/// All entries of a log into one buffer that is kept.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/encode");
    for (count, len) in ENCODED {
        group.throughput(Throughput::Bytes(count * len as u64));
        let mut log = entry(1, len);
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::from_parameter(name(count, len)), |bencher| {
            bencher.iter(|| {
                for index in 1..=count {
                    log.index = Index(index);
                    out.clear();
                    encode_log(black_box(&log), &mut out);
                    black_box(&out);
                }
            });
        });
    }
}

fn logs(count: u64, len: usize) -> Vec<Log<'static>> {
    (1..=count).map(|index| entry(index, len)).collect()
}

fn new_file(path: &Path) -> File {
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

/// Writes both stores of a server to a new directory `a`.
fn server(dir: &Path, logs: &[Log<'_>]) -> PathBuf {
    let directory = dir.join("a");
    fs::create_dir(&directory).unwrap();
    bulk_write(&directory.join(LOG_FILE), logs);
    stable(Term(1), new_file(&directory.join(STABLE_FILE)), PAGE_SIZE).unwrap();
    directory
}

fn bulk_write(path: &Path, logs: &[Log<'_>]) {
    let mut writer = BulkWriter::new(new_file(path), PAGE_SIZE).unwrap();
    let mut bucket = writer.bucket(LOGS_BUCKET, 0).unwrap();
    let mut value = Vec::new();
    for log in logs {
        value.clear();
        encode_log(log, &mut value);
        bucket.push(&log.index.to_key(), &value).unwrap();
    }
    bucket.finish().unwrap();
    writer.bucket(CONF_BUCKET, 0).unwrap().finish().unwrap();
    writer.finish().unwrap();
}

fn jammdb_write(path: &Path, logs: &[Log<'_>]) {
    let db = jammdb::OpenOptions::new().pagesize(PAGE_SIZE as u64).open(path).unwrap();
    let tx = db.tx(true).unwrap();
    let bucket = tx.create_bucket("logs").unwrap();
    for log in logs {
        let mut value = Vec::new();
        encode_log(log, &mut value);
        bucket.put(log.index.to_key(), value).unwrap();
    }
    tx.commit().unwrap();
}

fn temporary() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/write");
    for (count, len) in LOGS {
        let logs = logs(count, len);
        group.throughput(Throughput::Bytes(count * len as u64));
        for (writer, write) in [("bulk", bulk_write as fn(&Path, &[Log<'_>])), ("jammdb", jammdb_write)] {
            group.bench_function(BenchmarkId::new(writer, name(count, len)), |bencher| {
                bencher.iter_batched(temporary, |dir| write(&dir.path().join("db"), &logs), BatchSize::PerIteration);
            });
        }
    }
}

/// A put transaction with ten entries, behind a long log.
fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/append 10 in a transaction");
    for (count, len) in LOGS {
        let dir = temporary();
        let path = dir.path().join("db");
        bulk_write(&path, &logs(count, len));
        let mut db = Db::open(File::options().read(true).write(true).open(&path).unwrap()).unwrap();
        let mut value = Vec::new();
        encode_log(&entry(1, len), &mut value);
        let mut next = count;
        group.throughput(Throughput::Bytes(10 * len as u64));
        group.bench_function(BenchmarkId::from_parameter(name(count, len)), |bencher| {
            bencher.iter(|| {
                let mut tx = db.begin().unwrap();
                for _ in 0..10 {
                    next += 1;
                    tx.put(LOGS_BUCKET, &Index(next).to_key(), &value).unwrap();
                }
                tx.commit().unwrap();
            });
        });
    }
}

fn scan(directory: &Path) -> usize {
    let mut entries = Entries::open(directory, Index(0)).unwrap();
    let mut bytes = 0;
    while let Some(log) = entries.next_log().unwrap() {
        bytes += log.data.map_or(0, |data| data.len());
    }
    bytes
}

fn jammdb_scan(db: &jammdb::DB) -> usize {
    let tx = db.tx(false).unwrap();
    let bucket = tx.get_bucket("logs").unwrap();
    let decoded =
        |value: &[u8]| op_conductor_init::raft::codec::decode_log(value).unwrap().data.map_or(0, |it| it.len());
    bucket.kv_pairs().map(|pair| decoded(pair.value())).sum()
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/read");
    for (count, len) in LOGS {
        let dir = temporary();
        let logs = logs(count, len);
        let directory = server(dir.path(), &logs);
        jammdb_write(&dir.path().join("jammdb"), &logs);
        let db = jammdb::OpenOptions::new().pagesize(PAGE_SIZE as u64).open(dir.path().join("jammdb")).unwrap();
        group.throughput(Throughput::Bytes(count * len as u64));
        let id = |what| BenchmarkId::new(what, name(count, len));
        group.bench_function(id("scan"), |bencher| bencher.iter(|| scan(&directory)));
        group.bench_function(id("scan by jammdb"), |bencher| bencher.iter(|| jammdb_scan(&db)));
        group.bench_function(id("check"), |bencher| {
            bencher.iter(|| assert_eq!(check(File::open(directory.join(LOG_FILE)).unwrap()).unwrap().problems, []));
        });
        group.bench_function(id("info"), |bencher| {
            bencher.iter(|| {
                assert_eq!(
                    Node::read(&StateDir::new(&directory), Depth::Content, &mut |_| ()).unwrap().log.count,
                    count
                );
            });
        });
        group.bench_function(id("verify"), |bencher| {
            bencher.iter(|| assert_eq!(verify(&directory, None, &()).unwrap().counts().errors, 0));
        });
    }
}

fn rewrite(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/rewrite");
    for (count, len) in LOGS {
        let dir = temporary();
        let logs = logs(count, len);
        let directory = server(dir.path(), &logs);
        group.throughput(Throughput::Bytes(count * len as u64));
        group.bench_function(BenchmarkId::new("compact", name(count, len)), |bencher| {
            let compacted =
                |out: TempDir| compact(&directory, Target::Directory(out.path()), Duration::ZERO, &()).unwrap();
            bencher.iter_batched(temporary, compacted, BatchSize::PerIteration);
        });
        // A step that is prime to the count takes each line once, far from its neighbours.
        let line = |log: &Log<'_>| serde_json::to_string(&Line::new(log, None).unwrap()).unwrap() + "\n";
        let shuffled: String = (0..count).map(|at| line(&logs[usize::try_from(at * 7919 % count).unwrap()])).collect();
        for (order, lines) in [("in order", logs.iter().map(line).collect()), ("shuffled", shuffled)] {
            group.bench_function(BenchmarkId::new(format!("import, {order}"), name(count, len)), |bencher| {
                let imported = |dir: TempDir| {
                    import(lines.as_bytes(), None, new_file(&dir.path().join("db")), PAGE_SIZE, &()).unwrap()
                };
                bencher.iter_batched(temporary, imported, BatchSize::PerIteration);
            });
        }
    }
}
