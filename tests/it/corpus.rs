//! The corpus of the fuzz targets once more, on stable Rust: each file ends soon, and none panics.

#[path = "../../fuzz/targets.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets use it too")]
mod targets;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Files of up to 64 KiB: a second by a wide margin, in a build with debug assertions and beside other tests.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
const LONGEST: u64 = 64 << 10;

fn replay(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() as u64 <= LONGEST, "{}: small files find as much", path.display());
        let start = Instant::now();
        run(&bytes);
        assert!(start.elapsed() < SOON, "{}: {:?}", path.display(), start.elapsed());
        count += 1;
    }
    assert!(count > 0, "{target} has no corpus");
}

#[test]
fn bolt_read() {
    replay("bolt_read", targets::bolt_read);
}

#[test]
fn bolt_check() {
    replay("bolt_check", targets::bolt_check);
}

#[test]
fn log_entry() {
    replay("log_entry", targets::log_entry);
}

#[test]
fn configuration() {
    replay("configuration", targets::configuration);
}

#[test]
fn snapshot_meta() {
    replay("snapshot_meta", targets::snapshot_meta);
}

#[cfg(feature = "payload")]
#[test]
fn payload() {
    replay("payload", targets::payload);
}

#[test]
fn verify_directory() {
    replay("verify_directory", targets::verify_directory);
}
