//! Files of the bulk writer, in the hands of real raft-boltdb and bbolt: they read it, find nothing wrong, append to it
//! and delete from it.

#[path = "../../examples/make-log.rs"]
#[allow(dead_code, unreachable_pub, reason = "its command line is not used here")]
mod make_log;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::common::{SplitMix, number, oracle};
use clap::Parser;
use op_conductor_init::bolt::{BulkWriter, check};
use op_conductor_init::raft::codec::encode_log;
use op_conductor_init::raft::{AppendedAt, CONF_BUCKET, CURRENT_TERM, Index, LOGS_BUCKET, Log, LogType, Term};
use op_conductor_init::state::entries::Entries;
use serde_json::Value;

/// Writes both stores of a server; the log has entries of these lengths, from index 1 on.
fn write(directory: &Path, page_size: usize, lens: impl Iterator<Item = usize>, random: &mut SplitMix) {
    fs::create_dir(directory).unwrap();
    let create = |name: &str| {
        let file = File::options().read(true).write(true).create_new(true).open(directory.join(name)).unwrap();
        BulkWriter::new(file, page_size).unwrap()
    };
    let mut writer = create("raft-log.db");
    let mut logs = writer.bucket(LOGS_BUCKET, 0).unwrap();
    let mut encoded = Vec::new();
    for (index, len) in (1..).zip(lens) {
        let log = Log {
            index: Index(index),
            term: Term(1),
            kind: LogType::Command,
            data: Some(random.bytes(len).into()),
            extensions: None,
            appended_at: AppendedAt::ZERO,
        };
        encoded.clear();
        encode_log(&log, &mut encoded);
        logs.push(&index.to_be_bytes(), &encoded).unwrap();
    }
    logs.finish().unwrap();
    writer.bucket(CONF_BUCKET, 0).unwrap().finish().unwrap();
    writer.finish().unwrap();
    let mut writer = create("raft-stable.db");
    let mut conf = writer.bucket(CONF_BUCKET, 0).unwrap();
    conf.push(CURRENT_TERM.as_bytes(), &1_u64.to_be_bytes()).unwrap();
    conf.finish().unwrap();
    writer.bucket(LOGS_BUCKET, 0).unwrap().finish().unwrap();
    writer.finish().unwrap();
}

/// bbolt's own check, by two versions, and ours.
fn is_sound(directory: &Path) {
    for file in ["raft-log.db", "raft-stable.db"].map(|name| directory.join(name)) {
        for version in ["1.7.3", "1.8.0"] {
            let output =
                Command::new(oracle(version)).args(["check", "--time-limit", "120s"]).arg(&file).output().unwrap();
            assert!(output.status.success(), "bbolt of raft {version}: {}", String::from_utf8_lossy(&output.stdout));
        }
        assert_eq!(check(File::open(&file).unwrap()).unwrap().problems, []);
    }
}

/// Index and length of the data of each entry, as raft-boltdb reads them.
fn read_by_go(directory: &Path) -> Vec<(u64, usize)> {
    let output = Command::new(oracle("1.7.3")).args(["read", "--dir"]).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entry =
        |entry: &Value| (entry["index"].as_u64().unwrap(), entry["data"].as_str().map_or(0, |hex| hex.len() / 2));
    // Go has null for a list without elements.
    read["log"]["entries"].as_array().map_or_else(Vec::new, |list| list.iter().map(entry).collect())
}

fn read_by_us(directory: &Path) -> Vec<(u64, usize)> {
    let mut entries = Entries::open(directory, Index(0)).unwrap();
    let mut found = Vec::new();
    while let Some(log) = entries.next_log().unwrap() {
        found.push((log.index.0, log.data.unwrap_or_default().len()));
    }
    found
}

/// raft-boltdb appends to the log and deletes what is in front, for a second.
fn used_by_go(directory: &Path) {
    let mut command = Command::new(oracle("1.7.3"));
    command.args(["hammer", "--run-for", "1s", "--interval", "0", "--batch", "20", "--truncate-front", "300", "--dir"]);
    let output = command.arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn raft_boltdb_reads_what_was_written_and_goes_on_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = SplitMix(number("BULK_SEED", 1));
    for case in 0..number("BULK_COUNT", 24) {
        let page_size = 1024 << random.below(7);
        let count = random.skewed(3_000);
        let most = if count > 100 { 2_000 } else { 300_000 };
        let lens: Vec<usize> = (0..count).map(|_| random.skewed(most)).collect();
        let directory = dir.path().join(case.to_string());
        write(&directory, page_size, lens.iter().copied(), &mut random);
        is_sound(&directory);
        let expected: Vec<(u64, usize)> = (1..).zip(lens).collect();
        assert_eq!(read_by_us(&directory), expected, "case {case}");
        assert_eq!(read_by_go(&directory), expected, "case {case}");
        used_by_go(&directory);
        is_sound(&directory);
        fs::remove_dir_all(&directory).unwrap();
    }
}

/// `BULK_ENTRIES=2000000` for the whole.
#[test]
fn a_long_log_is_sound_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("a");
    let count = usize::try_from(number("BULK_ENTRIES", 100_000)).unwrap();
    write(&directory, 4096, std::iter::repeat_n(64, count), &mut SplitMix(3));
    is_sound(&directory);
    used_by_go(&directory);
    is_sound(&directory);
}

#[test]
fn huge_entries_are_read_by_raft_boltdb() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("a");
    let lens = [10, usize::try_from(number("BULK_HUGE_MIB", 24)).unwrap() << 20, 0, 5 << 20, 20];
    write(&directory, 4096, lens.into_iter(), &mut SplitMix(4));
    is_sound(&directory);
    assert_eq!(read_by_go(&directory), (1..).zip(lens).collect::<Vec<_>>());
}

#[test]
fn real_raft_starts_on_what_make_log_makes_and_applies_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("a");
    let count = 3_000;
    let args = ["make-log", &count.to_string(), "700", directory.to_str().unwrap()].map(str::to_owned);
    make_log::make(&make_log::Options::parse_from(args)).unwrap();
    is_sound(&directory);
    let mut command = Command::new(oracle("1.7.3"));
    command.args(["node", "--id", "a", "--bind", "127.0.0.1:0", "--run-for", "3s", "--heartbeat-timeout", "100ms"]);
    command.args(["--election-timeout", "100ms", "--lease-timeout", "100ms", "--dir"]).arg(dir.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let applied = events.iter().filter(|event| event["event"] == "applied").count();
    assert_eq!(applied, count, "{:?}", events.last());
}
