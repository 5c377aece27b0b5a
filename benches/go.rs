//! The same work in Rust and in Go, in turns on one machine: prints how their times compare.
//!
//! Go is the oracle's `bench` verb (raft 1.7.3, raft-boltdb 2.3.1, bbolt 1.3.6). Both sides time themselves, so that
//! starting the process doesn't count. That it is the same work is checked: equal files, equal numbers of bytes.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails by panicking and answers on stdout")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use clap::Parser;
use common::{configuration, entry};
use op_conductor_init::bolt::{BulkWriter, Db, ReadAt, Reader, Storage, check};
use op_conductor_init::raft::codec::{decode_log, encode_configuration, encode_log};
use op_conductor_init::raft::{CONF_BUCKET, Index, LOGS_BUCKET, Log};
use op_conductor_init::state::entries::Entries;
use serde::Deserialize;

const LOG_FILE: &str = "raft-log.db";

/// Compare with the Go oracle.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds: in each, every part runs once in Rust and once in Go, the first of them in turns.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Entries of the log.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,
    /// Bytes of an entry's command.
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Directory for temporary files, which decides about the disk.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Write the table to this file too, with what is known of the machine.
    #[arg(long)]
    results: Option<PathBuf>,
    /// The oracle's program.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/bin/oracle-raft-1.7.3"))]
    oracle: PathBuf,
}

/// What both sides are given.
struct Work {
    options: Options,
    logs: Vec<Log<'static>>,
    rust: PathBuf,
    go: PathBuf,
}

/// One thing to time. Reading and checking use the file that the part before them left.
struct Part {
    name: &'static str,
    /// What the oracle calls it.
    go: &'static str,
    /// Entries a transaction; 0: all.
    batch: usize,
    sync: bool,
    /// What the disk or the memory allows at best, for the same bytes.
    limit: Limit,
    /// Gives the bytes that went through, as the oracle counts them.
    rust: fn(&Work, &Part) -> u64,
}

/// What no program can beat, with the file that the part wrote or read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// `dd conv=fsync` of it.
    Write,
    /// `cp` of it.
    Read,
    /// Nothing is written or read.
    None,
}

const PARTS: [Part; 12] = [
    Part { name: "store, 64 a transaction", go: "storelogs", batch: 64, sync: true, limit: Limit::Write, rust: store },
    Part {
        name: "store, 64 a transaction, no fsync",
        go: "storelogs",
        batch: 64,
        sync: false,
        limit: Limit::Write,
        rust: store,
    },
    Part { name: "store, one transaction", go: "storelogs", batch: 0, sync: true, limit: Limit::Write, rust: store },
    Part {
        name: "read, one walk (Go: GetLog of each)",
        go: "getlog",
        batch: 0,
        sync: true,
        limit: Limit::Read,
        rust: walk,
    },
    Part { name: "read, each by its index", go: "getlog", batch: 0, sync: true, limit: Limit::Read, rust: get },
    Part { name: "check", go: "check", batch: 0, sync: true, limit: Limit::Read, rust: checked },
    Part { name: "encode entries", go: "encode", batch: 0, sync: true, limit: Limit::None, rust: encode },
    Part { name: "decode entries", go: "decode", batch: 0, sync: true, limit: Limit::None, rust: decode },
    Part {
        name: "encode configurations of 3",
        go: "configuration",
        batch: 0,
        sync: true,
        limit: Limit::None,
        rust: encode_configurations,
    },
    Part {
        name: "bulk write (Go: StoreLogs, 10,000 a time)",
        go: "storelogs",
        batch: 10_000,
        sync: true,
        limit: Limit::Write,
        rust: bulk,
    },
    Part { name: "the same, no fsync", go: "storelogs", batch: 10_000, sync: false, limit: Limit::Write, rust: bulk },
    Part {
        name: "scan of it (Go: GetLog of each)",
        go: "getlog",
        batch: 0,
        sync: true,
        limit: Limit::Read,
        rust: scan,
    },
];

/// The oracle's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    bytes: u64,
    ns: u64,
}

/// Seconds that one part took, in one round.
#[derive(Debug, Clone, Copy)]
struct Pair {
    rust: f64,
    go: f64,
    /// Of the limit, where there is one.
    limit: Option<f64>,
}

fn main() {
    let options = Options::parse();
    let program = options.oracle.display();
    assert!(options.oracle.is_file(), "{program} is missing: run oracle/build.sh 1.7.3 (needs Go)");
    let dir = tempfile::tempdir_in(&options.dir).unwrap();
    let (rust, go) = (dir.path().join("rust"), dir.path().join("go"));
    [&rust, &go].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let logs = (1..=options.entries).map(|index| entry(index, options.size)).collect();
    let work = Work { options, logs, rust, go };

    let mut pairs = vec![Vec::new(); PARTS.len()];
    for round in 0..work.options.rounds {
        for (part, pairs) in PARTS.iter().zip(&mut pairs) {
            pairs.push(work.pair(part, round % 2 == 0));
        }
    }
    let table = table(&work.options, &pairs);
    println!("{table}");
    if let Some(path) = &work.options.results {
        fs::write(path, results(&work.options, &table)).unwrap();
    }
}

impl Work {
    /// Times one part on both sides, one after the other.
    fn pair(&self, part: &Part, rust_first: bool) -> Pair {
        let pair = if rust_first {
            let rust = self.time_rust(part);
            (rust, self.time_go(part))
        } else {
            let go = self.time_go(part);
            (self.time_rust(part), go)
        };
        let ((rust, rust_bytes), (go, go_bytes)) = pair;
        assert_eq!(rust_bytes, go_bytes, "{}: both sides handle the same bytes", part.name);
        // The bulk writer's files say the same in other bytes.
        if part.go == "storelogs" && part.batch != 10_000 {
            let (rust, go) = (fs::read(self.rust.join(LOG_FILE)).unwrap(), fs::read(self.go.join(LOG_FILE)).unwrap());
            assert!(rust == go, "{}: both sides write the same file", part.name);
        }
        Pair { rust, go, limit: self.time_limit(part.limit) }
    }

    fn time_rust(&self, part: &Part) -> (f64, u64) {
        let start = Instant::now();
        let bytes = (part.rust)(self, part);
        (start.elapsed().as_secs_f64(), bytes)
    }

    fn time_go(&self, part: &Part) -> (f64, u64) {
        let mut command = Command::new(&self.options.oracle);
        command.arg("bench").arg("--dir").arg(&self.go).args(["--only", part.go]);
        command.arg(format!("--entries={}", self.options.entries)).arg(format!("--size={}", self.options.size));
        command.arg(format!("--batch={}", self.batch(part))).arg(format!("--no-sync={}", !part.sync));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}: {}", part.name, String::from_utf8_lossy(&output.stderr));
        let answer: Answer = serde_json::from_slice(&output.stdout).unwrap();
        (std::time::Duration::from_nanos(answer.ns).as_secs_f64(), answer.bytes)
    }

    fn time_limit(&self, limit: Limit) -> Option<f64> {
        let (from, to) = (self.rust.join(LOG_FILE), self.rust.join("limit"));
        let mut command = match limit {
            Limit::None => return None,
            Limit::Read => Command::new("cp"),
            Limit::Write => Command::new("dd"),
        };
        match limit {
            Limit::Write => {
                let named = |name: &str, path: &PathBuf| format!("{name}={}", path.display());
                command.args([named("if", &from), named("of", &to)]).args(["bs=1M", "conv=fsync", "status=none"])
            }
            _ => command.arg(&from).arg(&to),
        };
        let start = Instant::now();
        assert!(command.status().unwrap().success());
        let took = start.elapsed().as_secs_f64();
        fs::remove_file(&to).unwrap();
        Some(took)
    }

    fn batch(&self, part: &Part) -> usize {
        if part.batch == 0 { self.logs.len() } else { part.batch }
    }

    fn file(&self) -> File {
        File::open(self.rust.join(LOG_FILE)).unwrap()
    }

    fn data_bytes(&self) -> u64 {
        self.options.entries * self.options.size as u64
    }
}

/// A new store, then a transaction a batch.
fn store(work: &Work, part: &Part) -> u64 {
    let path = work.rust.join(LOG_FILE);
    if path.exists() {
        fs::remove_file(&path).unwrap();
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    let mut db = Db::create(MaybeSync { file, sync: part.sync }, 4096).unwrap();
    let mut tx = db.begin().unwrap();
    for bucket in [LOGS_BUCKET, CONF_BUCKET] {
        tx.create_bucket_if_not_exists(bucket).unwrap();
    }
    tx.commit().unwrap();
    let mut value = Vec::new();
    for batch in work.logs.chunks(work.batch(part)) {
        let mut tx = db.begin().unwrap();
        for log in batch {
            value.clear();
            encode_log(log, &mut value);
            tx.put(LOGS_BUCKET, &log.index.to_key(), &value).unwrap();
        }
        tx.commit().unwrap();
    }
    work.data_bytes()
}

/// The whole log in one pass, packed.
fn bulk(work: &Work, part: &Part) -> u64 {
    let path = work.rust.join(LOG_FILE);
    if path.exists() {
        fs::remove_file(&path).unwrap();
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    let mut writer = BulkWriter::new(MaybeSync { file, sync: part.sync }, 4096).unwrap();
    let mut logs = writer.bucket(LOGS_BUCKET, 0).unwrap();
    let mut value = Vec::new();
    for log in &work.logs {
        value.clear();
        encode_log(log, &mut value);
        logs.push(&log.index.to_key(), &value).unwrap();
    }
    logs.finish().unwrap();
    writer.bucket(CONF_BUCKET, 0).unwrap().finish().unwrap();
    writer.finish().unwrap();
    work.data_bytes()
}

/// As the verbs read a log, of a running node too.
fn scan(work: &Work, _: &Part) -> u64 {
    let mut entries = Entries::open(&work.rust, Index(0)).unwrap();
    let mut bytes = 0;
    while let Some(log) = entries.next_log().unwrap() {
        bytes += data_len(&log);
    }
    bytes
}

/// A file that syncs only when asked to: bbolt's NoSync.
struct MaybeSync {
    file: File,
    sync: bool,
}

impl ReadAt for MaybeSync {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        ReadAt::read_at(&self.file, buf, offset)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }
}

impl Storage for MaybeSync {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        Storage::write_all_at(&mut self.file, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        Storage::set_len(&mut self.file, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.sync { self.file.sync() } else { Ok(()) }
    }

    fn second_writer(&self) -> Option<Box<dyn Storage + Send>> {
        self.file.second_writer()
    }

    fn sync_ahead(&self) -> Option<std::thread::JoinHandle<io::Result<()>>> {
        if self.sync { self.file.sync_ahead() } else { None }
    }
}

fn walk(work: &Work, _: &Part) -> u64 {
    let reader = Reader::open(work.file()).unwrap();
    let bucket = reader.bucket(LOGS_BUCKET).unwrap().unwrap();
    let mut cursor = bucket.cursor();
    let mut bytes = 0;
    while let Some(element) = cursor.next().unwrap() {
        bytes += data_len(&decode_log(element.value).unwrap());
    }
    bytes
}

fn get(work: &Work, _: &Part) -> u64 {
    let reader = Reader::open(work.file()).unwrap();
    let bucket = reader.bucket(LOGS_BUCKET).unwrap().unwrap();
    let get = |log: &Log<'_>| bucket.get(&log.index.to_key()).unwrap().unwrap();
    work.logs.iter().map(|log| data_len(&decode_log(&get(log)).unwrap())).sum()
}

fn checked(work: &Work, _: &Part) -> u64 {
    let file = work.file();
    let len = file.byte_len().unwrap();
    assert_eq!(check(file).unwrap().problems, [], "the file is sound");
    len
}

/// All into one buffer, as the writers here do it; Go's has one of its own for each.
fn encode(work: &Work, _: &Part) -> u64 {
    let mut out = Vec::new();
    let mut encoded = |log| {
        out.clear();
        encode_log(black_box(log), &mut out);
        black_box(&out).len() as u64
    };
    work.logs.iter().map(&mut encoded).sum()
}

/// One entry again and again, as the oracle does it.
fn decode(work: &Work, _: &Part) -> u64 {
    let mut bytes = Vec::new();
    encode_log(&work.logs[0], &mut bytes);
    for _ in &work.logs {
        black_box(decode_log(black_box(&bytes)).unwrap());
    }
    bytes.len() as u64 * work.options.entries
}

fn encode_configurations(work: &Work, _: &Part) -> u64 {
    let three = configuration(3);
    let encoded = |_| {
        let mut out = Vec::new();
        encode_configuration(black_box(&three), &mut out);
        black_box(out).len() as u64
    };
    work.logs.iter().map(encoded).sum()
}

fn data_len(log: &Log<'_>) -> u64 {
    log.data.as_ref().map_or(0, |data| data.len() as u64)
}

fn table(options: &Options, pairs: &[Vec<Pair>]) -> String {
    let mut text = String::from(
        "| | Rust ms | Go ms | Rust : Go | lowest to highest | of `dd` or `cp` |\n|---|---|---|---|---|---|\n",
    );
    for (part, pairs) in PARTS.iter().zip(pairs) {
        let sorted = |value: &dyn Fn(&Pair) -> f64| {
            let mut values: Vec<f64> = pairs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (rust, go) = (sorted(&|pair| pair.rust), sorted(&|pair| pair.go));
        let ratios = sorted(&|pair| pair.rust / pair.go);
        let limits = sorted(&|pair| pair.limit.map_or(0.0, |limit| pair.rust / limit));
        let limit = match part.limit {
            Limit::None => String::new(),
            Limit::Read => format!("{:.2} `cp`", median(&limits)),
            Limit::Write => format!("{:.2} `dd conv=fsync`", median(&limits)),
        };
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        let (rust, go) = (1e3 * median(&rust), 1e3 * median(&go));
        let ratio = median(&ratios);
        text += &format!("| {} | {rust:.2} | {go:.2} | {ratio:.3} | {low:.3} to {high:.3} | {limit} |\n", part.name);
    }
    let Options { rounds, entries, size, .. } = options;
    text + &format!("\n{entries} entries of {size} bytes, medians of {rounds} paired rounds.\n")
}

/// The table with its words, as it stands in the repository.
fn results(options: &Options, table: &str) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let dir = if options.dir == std::env::temp_dir() { "the temporary directory" } else { "the directory of --dir" };
    format!(
        "# Rust beside Go, and beside the disk\n\n\
        `just bench-compare` wrote this: {cores} cores of {model}, load {load} at the end, files in {dir}. Go is raft 1.7.3,\n\
        raft-boltdb 2.3.1, bbolt 1.3.6. Rust : Go is the time of Rust divided by that of Go in the same round: below 1, Rust\n\
        is faster. The last column is the time of Rust divided by that of copying the same bytes with `cp`, or writing them\n\
        with `dd conv=fsync`, in the same round: what the machine allows is 1.\n\n{table}"
    )
}

/// Of sorted values.
fn median(values: &[f64]) -> f64 {
    values[values.len() / 2].midpoint(values[(values.len() - 1) / 2])
}
