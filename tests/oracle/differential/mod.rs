//! Valid directories are changed in many ways; then Go and `verify` judge them. Nothing that makes Go fail may pass.
//!
//! Go is the oracle's `judge`: bbolt 1.4.3's check, raft-boltdb's reads, a start of raft, a few writes, and the check
//! again, each on a copy, in a child process. DIFFERENTIAL_COUNT and DIFFERENTIAL_SEED in the environment run more, or
//! others; DIFFERENTIAL_ONLY=N makes one, judges it and leaves it; docs/DIFFERENTIAL.md has the table of a long run and says what it means.

mod directory;
mod judge;
mod mutations;
mod table;

use std::fs;
use std::path::Path;

use self::directory::{Directory, directories, with_sent_snapshot};
use self::judge::{Judge, errors};
use self::mutations::MUTATIONS;
use self::table::Table;
use crate::common::{SplitMix, number};

/// Directory `number` as it is changed, and what that is.
fn changed(directories: &[Directory], number: u64, seed: u64) -> (&'static str, Directory) {
    let mut random = SplitMix(seed.wrapping_mul(0x1_0000_0001).wrapping_add(number * 7919));
    let (class, mutate) = MUTATIONS[usize::try_from(number).unwrap() % MUTATIONS.len()];
    let mut directory = directories[random.index(directories.len())].clone();
    mutate(&mut directory, &mut random);
    (class, directory)
}

/// Every `step`th mutation from `first` on.
fn run(directories: &[Directory], first: u64, step: u64, count: u64, seed: u64) -> Table {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut judge = Judge::new();
    let mut table = Table::default();
    for number in (first..count).step_by(usize::try_from(step).unwrap()) {
        let (class, directory) = changed(directories, number, seed);
        directory.write(&path);
        let what = format!("{number} ({class}, {})", directory.name);
        table.add(class, &what, &errors(&path), judge.fails(&path));
        fs::remove_dir_all(&path).unwrap();
    }
    table
}

#[test]
fn nothing_that_makes_go_fail_passes() {
    let (count, seed) = (number("DIFFERENTIAL_COUNT", 500), number("DIFFERENTIAL_SEED", 1));
    let directories = directories();
    let dir = tempfile::tempdir().unwrap();
    let mut judge = Judge::new();
    for directory in directories.iter().chain(&[with_sent_snapshot()]) {
        // A directory of the server's own name, beside nothing else.
        let path = dir.path().join(directory.name).join("a");
        directory.write(&path);
        assert_eq!((errors(&path), judge.fails(&path)), (vec![], None), "{} is sound", directory.name);
    }
    if let Ok(only) = std::env::var("DIFFERENTIAL_ONLY") {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("differential-{only}/a"));
        let (class, directory) = changed(&directories, only.parse().unwrap(), seed);
        directory.write(&path);
        panic!("{} ({class}, {}): {:?}, {:?}", path.display(), directory.name, errors(&path), judge.fails(&path));
    }
    let threads = 2;
    let table = std::thread::scope(|scope| {
        let directories = &directories;
        let workers: Vec<_> =
            (0..threads).map(|first| scope.spawn(move || run(directories, first, threads, count, seed))).collect();
        let mut table = Table::default();
        workers.into_iter().for_each(|worker| table.merge(worker.join().unwrap()));
        table
    });
    println!("{}", table.text());
    assert!(table.only_go.is_empty(), "verify passes what Go doesn't:\n{}", table.only_go.join("\n"));
    let fails: u64 = table.rows.values().map(|row| row.both_fail).sum();
    assert!(fails > count / 4, "Go fails on {fails} of {count}: the changes do little");
}
