//! Makes seeds of servers' directories and payload files: `cargo run --manifest-path fuzz/Cargo.toml --bin seeds -- PATH...`
use std::fs;
use std::path::{Path, PathBuf};

use op_conductor_init::bolt::Reader;
use op_conductor_init::state::entries::Entries;
use op_conductor_init::raft::{Index, LogType};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};

fn main() {
    for (number, path) in std::env::args_os().skip(1).map(PathBuf::from).enumerate() {
        if path.is_dir() { directory(number, &path) } else { seed("payload", &format!("seed-{number}"), &fs::read(path).unwrap()) }
    }
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), bytes).unwrap();
}

/// A database without the pages that bbolt has not used yet: what is shorter is tried more often.
fn used(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let meta = Reader::open(bytes.as_slice()).unwrap().meta();
    bytes.truncate(usize::try_from(meta.high_water.0 * u64::from(meta.page_size)).unwrap());
    bytes
}

fn directory(number: usize, path: &Path) {
    let (log, stable) = (used(&path.join(LOG_FILE)), used(&path.join(STABLE_FILE)));
    for target in ["bolt_read", "bolt_check"] {
        seed(target, &format!("seed-{number}-log"), &log);
        seed(target, &format!("seed-{number}-stable"), &stable);
    }
    let in_64ths = (64 * log.len()).div_ceil(log.len() + stable.len());
    let split = |rest: usize| rest * in_64ths / 64;
    // Zeros behind the log, so that the stable store begins where the split is.
    let mut both = log.clone();
    while split(both.len() + stable.len()) != both.len() && both.len() < 2 * log.len() {
        both.push(0);
    }
    both.insert(0, u8::try_from(in_64ths).unwrap());
    both.extend(&stable);
    seed("verify_directory", &format!("seed-{number}"), &both);
    let mut entries = Entries::open(path, Index(0)).unwrap();
    while let Some((index, bytes)) = entries.next_bytes().unwrap() {
        if index.0 < 20 {
            seed("log_entry", &format!("seed-{number}-{index}"), bytes);
        }
    }
    let mut entries = Entries::open(path, Index(0)).unwrap();
    while let Some(log) = entries.next_log().unwrap() {
        if log.kind == LogType::Configuration {
            seed("configuration", &format!("seed-{number}-{}", log.index), log.data.as_deref().unwrap_or_default());
        }
    }
    for snapshot in fs::read_dir(path.join("snapshots")).into_iter().flatten() {
        let meta = fs::read(snapshot.unwrap().path().join("meta.json")).unwrap();
        seed("snapshot_meta", &format!("seed-{number}"), &meta);
    }
}
