//! Damaged and hostile files through all of `info` and `verify`: no panic, an end soon, memory in proportion.
//!
//! HOSTILE_COUNT and HOSTILE_SEED in the environment run more, or others.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{SplitMix, mend_meta, number};
use op_conductor_init::bolt::{Db, Meta, PageHeader, PageId, Reader, check};
use op_conductor_init::raft::codec::{encode_configuration, encode_log};
use op_conductor_init::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LOGS_BUCKET, Log, LogType, Server, Suffrage, Term,
};
use op_conductor_init::report::Severity;
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use op_conductor_init::state::{Depth, Error, Node, StateDir};
use op_conductor_init::verify::verify;
use tempfile::TempDir;

/// Nothing that a small file holds may take longer, on a machine that has other things to do.
const SLOW: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

const PAYLOADS: [&[u8]; 2] =
    [include_bytes!("../vectors/payload/v3.ssz"), include_bytes!("../vectors/payload/v4-3-txs.ssz")];

fn entry(index: u64, term: u64, kind: LogType, data: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    let log = Log {
        index: Index(index),
        term: Term(term),
        kind,
        data: Some(data.into()),
        extensions: None,
        appended_at: AppendedAt::from_unix(1_700_000_000, 0),
    };
    encode_log(&log, &mut value);
    value
}

fn configuration(ids: &[&str]) -> Vec<u8> {
    let server = |id: &&str| Server { suffrage: Suffrage::Voter, id: (*id).to_owned(), address: format!("{id}:1") };
    let mut data = Vec::new();
    encode_configuration(&Configuration { servers: ids.iter().map(server).collect() }, &mut data);
    data
}

/// A store as raft-boltdb makes it, with these pairs put into a bucket in transactions of 50.
fn store(page_size: usize, bucket: &[u8], pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut db = Db::create(Vec::new(), page_size).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
    tx.create_bucket_if_not_exists(CONF_BUCKET).unwrap();
    tx.commit().unwrap();
    for batch in pairs.chunks(50) {
        let mut tx = db.begin().unwrap();
        batch.iter().for_each(|(key, value)| tx.put(bucket, key, value).unwrap());
        tx.commit().unwrap();
    }
    db.into_storage()
}

fn log_store(page_size: usize, values: &[Vec<u8>]) -> Vec<u8> {
    let pairs: Vec<_> = (1_u64..).zip(values).map(|(key, value)| (key.to_be_bytes().to_vec(), value.clone())).collect();
    store(page_size, LOGS_BUCKET, &pairs)
}

/// A configuration, two payloads, then commands of about `len` bytes.
fn log(page_size: usize, entries: u64, len: usize) -> Vec<u8> {
    let mut random = SplitMix(entries);
    let command = |index: u64| {
        let len = len / 2 + random.index(len);
        match usize::try_from(index).unwrap() {
            at @ 2..4 => entry(index, 1, LogType::Command, PAYLOADS[at - 2]),
            _ => entry(index, 1 + index / 100, LogType::Command, &random.bytes(len)),
        }
    };
    let mut values = vec![entry(1, 1, LogType::Configuration, &configuration(&["a", "b", "c"]))];
    values.extend((2..=entries).map(command));
    log_store(page_size, &values)
}

/// A stable store whose term is above those of all logs here.
fn stable() -> Vec<u8> {
    store(4096, CONF_BUCKET, &[(CURRENT_TERM.as_bytes().to_vec(), (1_u64 << 62).to_be_bytes().to_vec())])
}

fn directory(log: &[u8], stable: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), log, stable);
    directory
}

fn write(directory: &Path, log: &[u8], stable: &[u8]) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join(LOG_FILE), log).unwrap();
    fs::write(directory.join(STABLE_FILE), stable).unwrap();
}

/// What `info` and `verify` do with a directory: ids of all findings, and how long each verb took at most.
fn judge(directory: &Path) -> (Vec<&'static str>, usize, Duration) {
    let start = Instant::now();
    let content = Node::read(&StateDir::new(directory), Depth::Content, &mut |_| {}).unwrap();
    let (_, _) = (content.candidacy(), content.last());
    let info = start.elapsed();
    let start = Instant::now();
    let report = verify(directory, None, &()).unwrap();
    let ids = report.findings.iter().map(|finding| finding.id).collect();
    (ids, report.counts().errors, info.max(start.elapsed()))
}

/// Makes the checksums of both metas right again.
fn mend_metas(bytes: &mut [u8], page_size: usize) {
    for slot in 0..2 {
        if let Some(meta) = bytes.get_mut(slot * page_size + 16..).filter(|meta| meta.len() >= 64) {
            mend_meta(meta);
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
                let value = match random.below(3) {
                    0 => random.below(pages as u64 + 2),
                    1 => u64::MAX - random.below(3),
                    _ => random.next(),
                };
                if let Some(field) = bytes.get_mut(at..at + 8) {
                    field.copy_from_slice(&value.to_le_bytes());
                }
            }
            6 => {
                let end = (near_start + random.index(64)).min(bytes.len());
                bytes[near_start..end].fill(0);
            }
            _ if random.below(4) == 0 => bytes.truncate(random.index(bytes.len())),
            _ => {
                // The first page's own pointers, counts and ids.
                let at = 16 + random.index(64);
                let field = page_size * random.index(2) + at;
                if let Some(byte) = bytes.get_mut(field) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    if random.below(4) != 0 {
        mend_metas(bytes, page_size);
    }
}

/// Byte for byte these are also the files that Go writes by the same calls (tests/oracle/puts.rs), but the last, which Go wrote.
fn sound_logs() -> Vec<(usize, Vec<u8>)> {
    vec![
        (4096, log(4096, 2, 100)),
        (4096, log(4096, 40, 600)),
        (1024, log(1024, 30, 40)),
        (1024, log(1024, 200, 8)),
        (4096, log(4096, 5, 12_000)),
        (1024, include_bytes!("../vectors/bolt/nested.db").to_vec()),
    ]
}

#[test]
fn damaged_files_are_judged_without_panic_and_soon() {
    let (count, seed) = (number("HOSTILE_COUNT", 3000), number("HOSTILE_SEED", 1));
    println!("{count} damaged files, seed {seed}");
    let mut random = SplitMix(seed);
    let (logs, large, sound_stable) = (sound_logs(), log(4096, 2000, 1500), stable());
    let directory = directory(&[], &[]);
    let (mut slowest, mut passed, start) = (Duration::ZERO, 0_u64, Instant::now());
    for run in 0..count {
        let (mut log, mut stable) = (Vec::new(), sound_stable.clone());
        if random.below(8) == 0 {
            log.clone_from(&logs[0].1);
            mutate(&mut stable, 4096, &mut random);
        } else if random.below(500) == 0 {
            log.clone_from(&large);
            mutate(&mut log, 4096, &mut random);
        } else {
            let (page_size, sound) = &logs[random.index(logs.len())];
            log.clone_from(sound);
            mutate(&mut log, *page_size, &mut random);
        }
        write(directory.path(), &log, &stable);
        let (_, errors, took) = judge(directory.path());
        slowest = slowest.max(took);
        assert!(took < SLOW, "run {run} of seed {seed} took {took:?}");
        passed += u64::from(errors == 0);
        if run % 4 == 0 {
            put_into(log);
        }
    }
    println!("{:?}, slowest {slowest:?}; {passed} without an error", start.elapsed());
    assert!(passed < count / 2, "most damage is found: {passed} of {count} passed");
}

/// A put transaction on damaged bytes ends with an error or not, but ends; on sound ones it leaves sound ones.
fn put_into(bytes: Vec<u8>) {
    let was_sound = check(bytes.as_slice()).is_ok_and(|found| found.problems.is_empty());
    let Ok(mut db) = Db::open(bytes) else { return };
    let Ok(mut tx) = db.begin() else { return };
    if tx.put(LOGS_BUCKET, &77_u64.to_be_bytes(), b"value").is_ok() && tx.commit().is_ok() {
        let after = check(db.into_storage().as_slice()).unwrap();
        assert!(!was_sound || after.problems.is_empty(), "{:?}", after.problems);
    }
}

/// Damages a value: bytes, msgpack's markers and lengths, its end.
fn mutate_value(value: &mut Vec<u8>, random: &mut SplitMix) {
    const MARKERS: [u8; 16] =
        [0x80, 0x86, 0x90, 0x9f, 0xa0, 0xc0, 0xc4, 0xc6, 0xc7, 0xc9, 0xcf, 0xd3, 0xd9, 0xdb, 0xdd, 0xdf];
    for _ in 0..1 + random.skewed(6) {
        let at = random.index(value.len().max(1));
        match (random.below(5), value.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << random.below(8),
            (1, Some(byte)) => *byte = MARKERS[random.index(16)],
            (2, Some(_)) => value.truncate(at),
            (3, _) => {
                let (len, marker) = (random.next().to_be_bytes(), MARKERS[random.index(16)]);
                value.splice(at..at, [marker].into_iter().chain(len[..random.index(8)].iter().copied()));
            }
            _ => value.splice(at..at, vec![0xff; random.index(9)]).for_each(drop),
        }
    }
}

#[test]
fn damaged_entries_on_sound_pages_are_judged_without_panic_and_soon() {
    let (count, seed) = (number("HOSTILE_COUNT", 3000), number("HOSTILE_SEED", 1));
    println!("logs of 12 entries, {count} of them damaged, seed {seed}");
    let mut random = SplitMix(seed);
    let peers = b"\x92\xa3a:1\xa3b:1";
    let sound: Vec<Vec<u8>> = [
        (LogType::Configuration, configuration(&["a", "b", "c"])),
        (LogType::Command, PAYLOADS[0].to_vec()),
        (LogType::Command, PAYLOADS[1].to_vec()),
        (LogType::Noop, Vec::new()),
        (LogType::AddPeerDeprecated, peers.to_vec()),
        (LogType::Barrier, b"x".to_vec()),
    ]
    .iter()
    .map(|(kind, data)| entry(1, 1, *kind, data))
    .collect();
    let directory = directory(&[], &stable());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..count.div_ceil(12) {
        let value = |_| {
            let mut value = sound[random.index(sound.len())].clone();
            mutate_value(&mut value, &mut random);
            value
        };
        let values: Vec<Vec<u8>> = (0..12).map(value).collect();
        fs::write(directory.path().join(LOG_FILE), log_store(4096, &values)).unwrap();
        let (ids, _, took) = judge(directory.path());
        assert!(took < SLOW, "took {took:?}");
        seen.extend(ids);
    }
    assert!(seen.iter().all(|id| !id.starts_with("BOLT")), "the pages are sound: {seen:?}");
    for id in ["RAFT-002", "RAFT-007", "RAFT-008", "RAFT-010", "PAY-001", "PAY-003"] {
        assert!(seen.contains(id), "{id} is not in {seen:?}");
    }
}

#[test]
fn the_sound_files_have_no_error() {
    let mut logs = sound_logs();
    logs.pop();
    for (page_size, log) in logs {
        let directory = directory(&log, &stable());
        let findings = verify(directory.path(), None, &()).unwrap().findings;
        let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "page size {page_size}: {errors:?}");
    }
}

/// Two servers' directories with these logs, in one.
fn pair(first: &[u8], second: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("a"), first, &stable());
    write(&directory.path().join("b"), second, &stable());
    directory
}

fn in_time<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = work();
    assert!(start.elapsed() < SLOW, "took {:?}", start.elapsed());
    value
}

/// Logs are compared window by window of indexes: the next window is where the next entry is, not 2^47 windows on.
#[test]
fn an_entry_of_index_2_to_the_63_does_not_stall_the_comparison() {
    let far = |data: &[u8]| {
        let values = [(1, entry(1, 1, LogType::Noop, b"")), (1 << 63, entry(1 << 63, 1, LogType::Command, data))];
        let pairs = values.map(|(key, value): (u64, _)| (key.to_be_bytes().to_vec(), value));
        store(4096, LOGS_BUCKET, &pairs)
    };
    let directory = pair(&far(b"this"), &far(b"that"));
    let found = in_time(|| verify(directory.path(), None, &()).unwrap().findings);
    let different = found.iter().find(|finding| finding.id == "CLUSTER-001").expect("and it is compared");
    assert_eq!(different.place.first_index, Some(1 << 63));
}

#[test]
fn a_log_of_gaps_does_not_take_a_look_at_all_files_for_each() {
    let sparse = (1..400_u64).map(|i| ((i << 32).to_be_bytes().to_vec(), entry(i << 32, 1, LogType::Noop, b"")));
    let log = store(4096, LOGS_BUCKET, &sparse.collect::<Vec<_>>());
    let directory = pair(&log, &log);
    let found = in_time(|| verify(directory.path(), None, &()).unwrap().findings);
    assert!(found.iter().any(|finding| finding.id == "RAFT-005"));
}

/// One id 100,000 times, and the candidate last: votes are counted without a search through all for each.
#[test]
fn votes_of_a_huge_configuration_are_counted_soon() {
    let mut ids = vec!["b"; 30_000];
    ids.push("a");
    let log = log_store(4096, &[entry(1, 1, LogType::Configuration, &configuration(&ids))]);
    let directory = pair(&log, &log);
    let found = in_time(|| verify(directory.path(), None, &()).unwrap().findings);
    assert!(found.iter().any(|finding| finding.id == "RAFT-009"));
}

#[test]
fn members_without_a_directory_are_named_up_to_a_hundred() {
    let ids: Vec<String> = (0..30_000).map(|number| format!("s{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let log = log_store(4096, &[entry(1, 1, LogType::Configuration, &configuration(&ids))]);
    let directory = pair(&log, &log);
    let found = in_time(|| verify(directory.path(), None, &()).unwrap().findings);
    let absent: Vec<_> = found.iter().filter(|finding| finding.id == "CLUSTER-004").collect();
    assert_eq!(absent.len(), 101);
    let rest = "29900 more members have no directory here: they were not looked at";
    assert!(absent.iter().any(|finding| finding.message == rest));
}

/// serde quotes what it didn't expect.
#[test]
fn a_finding_does_not_quote_a_megabyte() {
    let mut value = b"\x81\xa5Index\xdb\x00\x10\x00\x00".to_vec();
    value.extend(vec![b'x'; 1 << 20]);
    let directory = directory(&log_store(4096, &[value]), &stable());
    let found = verify(directory.path(), None, &()).unwrap().findings;
    let undecodable = found.iter().find(|finding| finding.id == "RAFT-002").unwrap();
    assert!(undecodable.message.len() < 500, "{} bytes", undecodable.message.len());
}

/// Opening a pipe waits for a writer, and nobody will come.
#[test]
fn a_pipe_in_place_of_a_file_is_refused_at_once() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    for name in [LOG_FILE, STABLE_FILE] {
        let directory = directory(&log(4096, 2, 100), &stable());
        let path = directory.path().join(name);
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let error = in_time(|| verify(directory.path(), None, &())).unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if *named == path), "{error}");
    }
}

/// A file whose metas call for `pages` pages of 4096 bytes, of which only those of a store are on the disk.
fn sparse(path: &Path, pages: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = log(4096, 2, 100);
    let meta = Reader::open(bytes.as_slice()).unwrap().meta();
    let grown = Meta { high_water: PageId(pages), ..meta };
    let slot = usize::try_from(meta.txid.0 % 2).unwrap();
    bytes[slot * 4096..slot * 4096 + 80].copy_from_slice(&grown.encode(PageId(slot as u64))[..80]);
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(pages * 4096).unwrap();
}

/// 2 TiB of holes: neither a bit a page nor a leaf's overflow may be taken at its word.
#[test]
fn a_sparse_file_costs_what_is_in_it() {
    const PAGES: u64 = 1 << 29;
    let directory = directory(&[], &stable());
    let path = directory.path().join(LOG_FILE);
    sparse(&path, PAGES, |_| {});
    let found = in_time(|| verify(directory.path(), None, &()).unwrap().findings);
    let leak = found.iter().find(|finding| finding.id == "BOLT-012").unwrap();
    assert!(leak.message.contains("536870"), "{}", leak.message);

    // The top leaf's overflow is all that follows.
    sparse(&path, PAGES, |bytes| {
        let root = Reader::open(bytes.as_slice()).unwrap().meta().root.root;
        let at = usize::try_from(root.0).unwrap() * 4096;
        let header = PageHeader::decode(&bytes[at..]).unwrap();
        PageHeader { overflow: 100_000, ..header }.encode(&mut bytes[at..]);
    });
    let node = in_time(|| Node::read(&StateDir::new(directory.path()), Depth::Content, &mut |_| {}).unwrap());
    assert_eq!(node.log.count, 2, "what is there is read");
}

/// Runs the program with at most `limit` KiB of memory of its own; its exit status.
fn limited(limit: u32, verb: &str, directory: &Path) -> Option<i32> {
    let script = format!("ulimit -d {limit} && exec \"$0\" {verb} --state-dir \"$1\"");
    let program = env!("CARGO_BIN_EXE_op-conductor-init");
    let mut command = Command::new("sh");
    command.args(["-c", &script, program]).arg(directory);
    in_time(|| command.output().unwrap()).status.code()
}

/// Logs of about 64 KiB that are small on the disk and large in memory, if anything is.
fn swollen_logs() -> Vec<(&'static str, Vec<u8>)> {
    let array = |len: u16| [&b"\x81\xa7Servers\xdc"[..], &len.to_be_bytes()].concat();
    let of_60_000 = |element: &[u8]| [array(60_000), element.repeat(60_000)].concat();
    let configurations = |data: Vec<u8>| {
        let small: Vec<Vec<u8>> =
            (1..=3).map(|index| entry(index, 1, LogType::Configuration, &data[..data.len().min(21_000)])).collect();
        log_store(4096, &[small, vec![entry(4, 1, LogType::Configuration, &data)]].concat())
    };
    let tiny = (1..=60_u64).map(|index| entry(index, 1, LogType::Configuration, b"\x81\xa7Servers\x91\x80"));
    vec![
        ("servers of one byte", configurations(of_60_000(b"\x80"))),
        ("servers that are nil", configurations(of_60_000(b"\xc0"))),
        ("peers of one byte", {
            let peers = [&b"\xdc"[..], &60_000_u16.to_be_bytes(), &[0xa0; 60_000]].concat();
            log_store(4096, &[entry(1, 1, LogType::AddPeerDeprecated, &peers)])
        }),
        ("data as an array of integers", {
            let array = [&b"\x82\xa4Data\xdc"[..], &60_000_u16.to_be_bytes(), &[0x01; 60_000]].concat();
            log_store(4096, &[array])
        }),
        ("nothing but unknown keys", log_store(4096, &[[&b"\xde\x75\x30"[..], &b"\xa0\xc0".repeat(30_000)].concat()])),
        ("deep arrays", log_store(4096, &[[&b"\x81\xa4Data"[..], &[0x91; 60_000]].concat()])),
        ("a payload of empty transactions", {
            let mut payload = PAYLOADS[0].to_vec();
            payload.truncate(32 + 528 + 32);
            payload.extend((0..15_000_u32).flat_map(|_| 60_000_u32.to_le_bytes()));
            log_store(4096, &[entry(1, 1, LogType::Command, &payload)])
        }),
        ("many small configurations", log_store(1024, &tiny.collect::<Vec<_>>())),
    ]
}

#[test]
fn small_files_take_no_more_than_64_mib() {
    for (name, log) in swollen_logs() {
        let directory = directory(&log, &stable());
        for verb in ["info", "info --format json", "verify"] {
            let status = limited(64 << 10, verb, directory.path());
            assert!(matches!(status, Some(0 | 1)), "{name}: {verb} ended with {status:?}");
        }
    }
    // The limit works: a value of 100 MiB doesn't fit.
    let directory = directory(&[], &stable());
    fs::write(directory.path().join(LOG_FILE), log_store(65536, &[entry(1, 1, LogType::Command, &vec![0; 100 << 20])]))
        .unwrap();
    let status = limited(64 << 10, "info", directory.path());
    assert!(!matches!(status, Some(0 | 1)), "a value of 100 MiB in 64 MiB: {status:?}");
}
