//! What the tests share: the oracle's programs, and numbers that look random but are the same in every run.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod command;
pub(crate) mod damage;
mod random;
pub(crate) mod state;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) use random::SplitMix;
use serde_json::Value;

/// The oracle built against raft `version`, by oracle/build.sh.
pub(crate) fn oracle(version: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("oracle/bin/oracle-raft-{version}"));
    assert!(path.is_file(), "{} is missing: run oracle/build.sh {version} (needs Go)", path.display());
    path
}

/// Makes the checksum of a bolt file's meta right again, FNV-1a over all before it; `meta` begins after the page's header.
pub(crate) fn mend_meta(meta: &mut [u8]) {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let sum = meta[..56].iter().fold(0xcbf2_9ce4_8422_2325, step);
    meta[56..64].copy_from_slice(&sum.to_le_bytes());
}

/// A number from the environment, for longer runs.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")),
        Err(_) => default,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The oracle's answers to `lines`, one JSON value a line.
pub(crate) fn ask(verb: &[&str], version: &str, lines: &[String]) -> Vec<Value> {
    let mut child = Command::new(oracle(version))
        .args(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let mut stdin = child.stdin.take().unwrap();
    let text = lines.join("\n");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().expect("the oracle reads all of its input");
    assert!(output.status.success(), "oracle {verb:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Clusters of real raft at a time: more only wait for each other on two cores. One of op-conductor takes two of them.
#[cfg(feature = "gate")]
pub(crate) static SLOTS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(4);

/// Sees that no container and no network is left of the site `name`, or of those whose names begin so.
#[cfg(feature = "gate")]
pub(crate) fn nothing_left(name: &str) {
    let by_name = format!("name=^/?{name}");
    for list in [&["ps", "-aq", "--filter", &by_name][..], &["network", "ls", "-q", "--filter", &by_name]] {
        let left = Command::new("docker").args(list).output().unwrap();
        let text = String::from_utf8_lossy(&left.stdout);
        assert!(left.status.success() && text.is_empty(), "docker {list:?} left: {text}");
    }
}

/// Name of an image that is on the daemon and is no op-conductor.
#[cfg(feature = "gate")]
pub(crate) fn image_of_the_oracle() -> String {
    use op_conductor_init::gate::{Image, Target};
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(Image::of(&Target::Raft("1.7.3"), &|_| ())).unwrap().name
}
