//! Damaged files through all of `verify`, in this process: it never panics, and it ends soon.
//!
//! HOSTILE_COUNT and HOSTILE_SEED in the environment run more, or others.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and prints its seed")]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{SplitMix, number};
use op_conductor_init::bolt::{Db, Reader};
use op_conductor_init::raft::codec::encode_log;
use op_conductor_init::raft::{AppendedAt, Index, LOGS_BUCKET, Log, LogType, Term};
use op_conductor_init::verify::verify;

/// Nothing that a file of a few hundred KiB holds may take longer, on a machine that has other things to do.
const SLOW: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

/// A log store with `entries` commands of about `len` bytes.
fn log_store(page_size: usize, entries: u64, len: usize) -> Vec<u8> {
    let mut random = SplitMix(entries);
    let mut db = Db::create(Vec::new(), page_size).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(b"logs").unwrap();
    tx.create_bucket_if_not_exists(b"conf").unwrap();
    tx.commit().unwrap();
    for first in (1..=entries).step_by(50) {
        let mut tx = db.begin().unwrap();
        for index in first..(first + 50).min(entries + 1) {
            let len = len / 2 + random.index(len);
            let data = random.bytes(len);
            let log = Log {
                index: Index(index),
                term: Term(1 + index / 100),
                kind: LogType::Command,
                data: Some(data.into()),
                extensions: None,
                appended_at: AppendedAt::from_unix(1_700_000_000, 0),
            };
            let mut value = Vec::new();
            encode_log(&log, &mut value);
            tx.put(LOGS_BUCKET, &log.index.to_key(), &value).unwrap();
        }
        tx.commit().unwrap();
    }
    db.into_storage()
}

/// A stable store whose term is above all of [`log_store`]'s.
fn stable_store() -> Vec<u8> {
    let mut db = Db::open(log_store(4096, 0, 1)).unwrap();
    let mut tx = db.begin().unwrap();
    tx.put(b"conf", b"CurrentTerm", &9_u64.to_be_bytes()).unwrap();
    tx.commit().unwrap();
    db.into_storage()
}

/// Mends the checksum of the live meta after the bytes of its page were changed.
fn mend_metas(bytes: &mut [u8], page_size: usize) {
    for slot in 0..2 {
        let meta = slot * page_size + 16;
        let Some(fields) = bytes.get(meta..meta + 56) else { continue };
        let basis = 0xcbf2_9ce4_8422_2325_u64;
        let sum = fields.iter().fold(basis, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
        if let Some(stored) = bytes.get_mut(meta + 56..meta + 64) {
            stored.copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// Damages a file in one of a few ways.
fn mutate(bytes: &mut Vec<u8>, page_size: usize, random: &mut SplitMix) {
    for _ in 0..1 + random.skewed(8) {
        if bytes.is_empty() {
            return;
        }
        let pages = (bytes.len() / page_size).max(1);
        let page = random.index(pages) * page_size;
        // Headers and element tables, where a change hurts most.
        let reach = 16 * (1 + random.index(20));
        let near_start = (page + random.index(reach)).min(bytes.len() - 1);
        match random.below(8) {
            0 => bytes[near_start] ^= 1 << random.below(8),
            1 => bytes[near_start] = u8::try_from(random.below(256)).unwrap(),
            2 => {
                let (from, to) = (random.index(pages) * page_size, random.index(pages) * page_size);
                let page = bytes[from..(from + page_size).min(bytes.len())].to_vec();
                let end = (to + page.len()).min(bytes.len());
                bytes[to..end].copy_from_slice(&page[..end - to]);
            }
            3 => {
                let at = random.index(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            4 => {
                let value = [0, 1, 0xffff_ffff, 0x7fff_ffff, 4096][random.index(5)];
                let at = near_start & !3;
                if let Some(field) = bytes.get_mut(at..at + 4) {
                    field.copy_from_slice(&u32::to_le_bytes(value));
                }
            }
            5 => {
                let at = near_start & !7;
                let value = if random.below(2) == 0 { random.below(pages as u64 + 2) } else { random.next() };
                if let Some(field) = bytes.get_mut(at..at + 8) {
                    field.copy_from_slice(&value.to_le_bytes());
                }
            }
            6 => {
                let end = (near_start + random.index(64)).min(bytes.len());
                bytes[near_start..end].fill(0);
            }
            _ => bytes.truncate(random.index(bytes.len())),
        }
    }
    if random.below(4) != 0 {
        mend_metas(bytes, page_size);
    }
}

#[test]
fn damaged_files_are_judged_without_panic_and_soon() {
    let (count, seed) = (number("HOSTILE_COUNT", 3000), number("HOSTILE_SEED", 1));
    println!("{count} damaged files, seed {seed}");
    let mut random = SplitMix(seed);
    let stores = [
        (4096, log_store(4096, 2, 100)),
        (4096, log_store(4096, 200, 600)),
        (1024, log_store(1024, 60, 40)),
        (4096, log_store(4096, 6, 40_000)),
    ];
    let folder = tempfile::tempdir().unwrap();
    let stable = folder.path().join("raft-stable.db");
    fs::write(&stable, stable_store()).unwrap();
    let (mut slowest, mut sound) = (Duration::ZERO, 0_u64);
    for run in 0..count {
        let (page_size, store) = &stores[random.index(stores.len())];
        let mut bytes = store.clone();
        mutate(&mut bytes, *page_size, &mut random);
        fs::write(folder.path().join("raft-log.db"), &bytes).unwrap();
        let start = Instant::now();
        let report = verify(folder.path(), None).unwrap();
        slowest = slowest.max(start.elapsed());
        assert!(start.elapsed() < SLOW, "run {run} of seed {seed} took {:?}", start.elapsed());
        sound += u64::from(report.counts().errors == 0);
        walk(&bytes);
    }
    println!("slowest {slowest:?}; {sound} without an error");
    assert!(sound < count / 2, "most damage is found: {sound} of {count} passed");
}

/// A put transaction on damaged bytes ends with an error or not, but ends.
fn walk(bytes: &[u8]) {
    let Ok(mut db) = Db::open(bytes.to_vec()) else { return };
    let Ok(mut tx) = db.begin() else { return };
    if tx.put(LOGS_BUCKET, &77_u64.to_be_bytes(), b"value").is_ok() && tx.commit().is_ok() {
        assert!(Reader::open(db.into_storage()).is_ok(), "what was committed can be opened");
    }
}

#[test]
fn the_sound_files_have_no_error() {
    for (page_size, entries, len) in [(4096, 2, 100), (1024, 60, 40), (4096, 6, 40_000)] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(Path::new(folder.path()).join(name), bytes).unwrap();
        write("raft-log.db", &log_store(page_size, entries, len));
        write("raft-stable.db", &stable_store());
        let errors: Vec<_> = verify(folder.path(), None).unwrap().findings;
        let errors: Vec<_> =
            errors.iter().filter(|f| f.severity == op_conductor_init::report::Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}
