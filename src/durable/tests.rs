//! A replacement is stopped, or made to fail, at each of its steps; then the directory must be all old or all new.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::disk::{Step, Watch};
use super::*;

const NO_TIME: Duration = Duration::ZERO;

/// Paths below the output directory, and what is in each file. Directories end in a slash.
type Tree = BTreeMap<String, String>;

/// tmpfs where there is one: thousands of runs, each with all its fsyncs.
fn temp_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn tree(entries: &[(&str, &str)]) -> Tree {
    entries.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn write_tree(root: &Path, tree: &Tree) {
    for (path, text) in tree {
        match path.strip_suffix('/') {
            Some(directory) => fs::create_dir_all(root.join(directory)).unwrap(),
            None => fs::write(root.join(path), text).unwrap(),
        }
    }
}

fn read_tree(root: &Path) -> Tree {
    fn walk(root: &Path, directory: &Path, tree: &mut Tree) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                tree.insert(name + "/", String::new());
                walk(root, &path, tree);
            } else {
                tree.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut tree = Tree::new();
    walk(root, root, &mut tree);
    tree
}

/// A directory and a file to replace, two things to leave alone; `b` is not there.
fn old() -> Tree {
    let entries = [("a/", ""), ("a/db", "old"), ("a/snapshots/", ""), ("cluster.json", "old"), ("empty/", "")];
    tree(&[&entries[..], &[("lost+found/", ""), ("foreign", "mine")]].concat())
}

fn new() -> Tree {
    let entries = [("a/", ""), ("a/db", "new"), ("b/", ""), ("b/db", "new"), ("cluster.json", "new")];
    tree(&[&entries[..], &[("empty/", ""), ("empty/db", "new"), ("lost+found/", ""), ("foreign", "mine")]].concat())
}

/// Without what was replaced, which must then be complete.
fn without_replaced(mut tree: Tree) -> Tree {
    let replaced = tree.keys().find(|path| path.starts_with(".replaced-")).cloned();
    if let Some(directory) = replaced {
        let inside: Tree = tree
            .iter()
            .filter_map(|(path, text)| Some((path.strip_prefix(&directory)?.to_owned(), text.clone())))
            .filter(|(path, _)| !path.is_empty())
            .collect();
        let kept = self::tree(&[("a/", ""), ("a/db", "old"), ("a/snapshots/", ""), ("cluster.json", "old")]);
        assert_eq!(inside, kept, "what was replaced is kept whole");
        tree.retain(|path, _| !path.starts_with(&directory));
    }
    tree
}

fn replace(disk: Disk, path: &Path) -> Result<Option<PathBuf>, Error> {
    let mut root = Root::open_on(disk, path, None, NO_TIME)?;
    root.recover()?;
    let mut staging = root.stage()?;
    for name in ["a", "b", "empty"] {
        staging.create_dir(name, 0o755)?;
        staging.write_file(Path::new(name).join("db"), b"new", 0o600)?;
    }
    staging.write_file("cluster.json", b"new", 0o600)?;
    staging.commit()
}

fn recover(disk: Disk, path: &Path) -> Result<Option<Recovery>, Error> {
    Root::open_on(disk, path, None, NO_TIME)?.recover()
}

fn errno(errno: rustix::io::Errno) -> io::Error {
    errno.into()
}

/// Every step from number `at` on fails, clean-up included: to the disk that is a crash.
fn crash_at(at: usize, exchange: bool) -> Disk {
    fail(move |step| step >= at, exchange)
}

/// Step number `at` alone fails.
fn error_at(at: usize, exchange: bool) -> Disk {
    fail(move |step| step == at, exchange)
}

fn fail(fails: impl Fn(usize) -> bool + Send + 'static, exchange: bool) -> Disk {
    let mut count = 0;
    let watch: Watch = Box::new(move |step| {
        count += 1;
        if fails(count - 1) {
            return Err(errno(rustix::io::Errno::IO));
        }
        if !exchange && matches!(step, Step::Exchange(..)) {
            return Err(errno(rustix::io::Errno::INVAL));
        }
        Ok(())
    });
    Disk::watched(watch)
}

#[test]
fn a_replacement_replaces_what_it_names_and_nothing_else() {
    for exchange in [true, false] {
        let dir = temp_dir();
        write_tree(dir.path(), &old());
        let replaced = replace(crash_at(usize::MAX, exchange), dir.path()).unwrap().unwrap();
        assert!(replaced.starts_with(dir.path()));
        let after = read_tree(dir.path());
        assert!(after.keys().any(|path| path.starts_with(".replaced-")), "the old state is kept");
        assert_eq!(without_replaced(after), new());
    }
}

#[test]
fn after_a_crash_at_any_step_the_next_command_makes_it_all_old_or_all_new() {
    for exchange in [true, false] {
        let (mut olds, mut news) = (0, 0);
        for at in 0.. {
            let dir = temp_dir();
            write_tree(dir.path(), &old());
            let done = replace(crash_at(at, exchange), dir.path()).is_ok();
            recover(Disk::default(), dir.path()).unwrap();
            let after = without_replaced(read_tree(dir.path()));
            assert!(after == old() || after == new(), "crash at step {at}, exchange {exchange}: {after:#?}");
            *(if after == old() { &mut olds } else { &mut news }) += 1;
            if done {
                break;
            }
        }
        assert!(olds > 20 && news > 10, "crashes before and after the commit point: {olds}, {news}");
    }
}

#[test]
fn a_crash_of_the_recovery_is_recovered_too() {
    for exchange in [true, false] {
        for first in 0.. {
            let dir = temp_dir();
            write_tree(dir.path(), &old());
            let done = replace(crash_at(first, exchange), dir.path()).is_ok();
            for second in 0.. {
                if recover(crash_at(second, exchange), dir.path()).is_ok() {
                    break;
                }
                // Each attempt goes on where the one before was stopped; all its steps are taken sooner or later.
                assert!(second < 100, "recovery comes to an end");
            }
            recover(Disk::default(), dir.path()).unwrap();
            let after = without_replaced(read_tree(dir.path()));
            assert!(after == old() || after == new(), "crash at step {first}, exchange {exchange}: {after:#?}");
            if done {
                break;
            }
        }
    }
}

#[test]
fn an_error_at_any_step_leaves_all_old_or_all_new_and_says_which() {
    for exchange in [true, false] {
        for at in 0.. {
            let dir = temp_dir();
            write_tree(dir.path(), &old());
            let result = replace(error_at(at, exchange), dir.path());
            let unfinished = matches!(result, Err(Error::Unfinished { .. }));
            assert_eq!(pending(dir.path()).unwrap().iter().any(|pending| pending.journal.is_some()), unfinished);
            if unfinished {
                recover(Disk::default(), dir.path()).unwrap();
            }
            let after = without_replaced(read_tree(dir.path()));
            let stage_left = after.keys().any(|path| path.starts_with(".op-conductor-init-"));
            let expected = if result.is_ok() || unfinished { new() } else { old() };
            // A stage is left only where removing it is what failed; the next command does it.
            if !stage_left {
                assert_eq!(after, expected, "error at step {at}, exchange {exchange}: {result:?}");
            }
            recover(Disk::default(), dir.path()).unwrap();
            assert_eq!(without_replaced(read_tree(dir.path())), expected);
            if at > 100 {
                assert!(result.is_ok(), "no more steps than that");
                break;
            }
        }
    }
}

#[test]
fn an_error_before_the_commit_point_removes_the_directories_it_made() {
    for at in 0.. {
        let dir = temp_dir();
        let result = replace(error_at(at, true), &dir.path().join("x/y"));
        match result {
            Ok(_) => break,
            Err(Error::Unfinished { .. }) => {}
            Err(error) => assert_eq!(read_tree(dir.path()), Tree::new(), "error at step {at}: {error:?}"),
        }
    }
}

#[test]
fn everything_is_synced_before_it_is_decided() {
    let dir = temp_dir();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (kept, mut decided) = (Arc::clone(&log), false);
    let watch: Watch = Box::new(move |step| {
        decided |= matches!(step, Step::Rename(_, to) if to.ends_with("journal.json"));
        let entry = match step {
            Step::Write(path) => Some((path.to_owned(), false)),
            // The stage itself gets its random name only then; its parts follow.
            Step::CreateDir(path) if path.file_name().is_some_and(|name| name != "x") => Some((path.to_owned(), false)),
            Step::Sync(path) => Some((path.to_owned(), true)),
            _ => None,
        };
        kept.lock().unwrap().extend(entry.filter(|_| !decided));
        Ok(())
    });
    replace(Disk::watched(watch), &dir.path().join("x")).unwrap();
    let log = log.lock().unwrap();
    for (path, _) in log.iter().filter(|(_, synced)| !synced) {
        let last_change = log.iter().rposition(|(at, synced)| !synced && (at == path || at.parent() == Some(path)));
        let last_sync = log.iter().rposition(|(at, synced)| *synced && at == path);
        assert!(last_sync > last_change, "{} is synced", path.display());
        let parent = path.parent().unwrap();
        let parent_sync = log.iter().rposition(|(at, synced)| *synced && at == parent);
        let made = log.iter().position(|(at, synced)| !synced && at == path);
        let is_journal = path.ends_with("journal.new");
        assert!(is_journal || parent_sync > made, "the name of {} is synced", path.display());
    }
}

#[test]
fn a_mount_point_in_the_way_changes_nothing() {
    for exchange in [true, false] {
        let dir = temp_dir();
        write_tree(dir.path(), &old());
        let watch: Watch = Box::new(move |step| match step {
            Step::Exchange(..) if !exchange => Err(errno(rustix::io::Errno::INVAL)),
            Step::Exchange(_, place) | Step::Rename(place, _) if place.ends_with("cluster.json") => {
                Err(errno(rustix::io::Errno::BUSY))
            }
            _ => Ok(()),
        });
        let error = replace(Disk::watched(watch), dir.path()).unwrap_err();
        let Error::Undone { cause } = &error else { panic!("{error:?}") };
        assert!(matches!(&**cause, Error::MountPoint { path, .. } if path.ends_with("cluster.json")));
        assert_eq!(read_tree(dir.path()), old());
    }
}

#[test]
fn what_appeared_after_a_crash_is_not_displaced() {
    let dir = interrupted();
    fs::create_dir(dir.path().join("b")).unwrap();
    let recovery = recover(Disk::default(), dir.path()).unwrap().unwrap();
    assert!(matches!(recovery.undone, Some(Error::Changed { path }) if path.ends_with("b")));
    assert_eq!(recovery.entries, ["a", "b", "empty", "cluster.json"]);
    fs::remove_dir(dir.path().join("b")).unwrap();
    assert_eq!(read_tree(dir.path()), old());
}

/// A directory in which a crash came when `a` was new and `b` not yet there.
fn interrupted() -> TempDir {
    let crashed = |at| {
        let dir = temp_dir();
        write_tree(dir.path(), &old());
        let done = replace(crash_at(at, true), dir.path()).is_ok();
        assert!(!done, "a crash at some step leaves half of it");
        let half = fs::read_to_string(dir.path().join("a/db")).unwrap() == "new" && !dir.path().join("b").exists();
        half.then_some(dir)
    };
    (0..).find_map(crashed).unwrap()
}

#[test]
fn pending_sees_a_decided_replacement_and_touches_nothing() {
    assert_eq!(pending(temp_dir().path()).unwrap(), []);
    let dir = interrupted();
    let before = read_tree(dir.path());
    let found = pending(dir.path()).unwrap();
    let [Pending { journal: Some(journal), .. }] = found.as_slice() else { panic!("{found:?}") };
    let entries: Vec<_> = journal.entries.iter().map(|entry| (entry.name.as_str(), entry.old.is_some())).collect();
    assert_eq!(entries, [("a", true), ("b", false), ("empty", true), ("cluster.json", true)]);
    assert_eq!(read_tree(dir.path()), before);
    assert!(matches!(Root::open(dir.path(), None, NO_TIME).unwrap().stage(), Err(Error::Pending { .. })));
    assert_eq!(pending(&dir.path().join("absent")).unwrap(), []);
}

#[test]
fn a_journal_cannot_lead_out_of_the_directory() {
    let journal = |name: &str, replaced: &str| {
        let entries = vec![Entry { name: name.to_owned(), new: 1, old: None }];
        Journal::decode(&Journal::new(replaced.to_owned(), entries).encode())
    };
    assert!(journal("a", ".replaced-1").is_ok());
    for bad in ["", ".", "..", "../a", "a/b", "/a", "a/"] {
        let refused = Err(format!("expected the name of an entry, found {bad:?}"));
        assert_eq!(journal(bad, ".replaced-1"), refused);
        assert_eq!(journal("a", bad), refused);
    }
    let other = r#"{"version":2,"replaced":"a","entries":[]}"#;
    assert_eq!(Journal::decode(other.as_bytes()), Err("expected version 1, found 2".to_owned()));
}

#[test]
fn a_foreign_journal_is_an_error_that_names_it() {
    let dir = temp_dir();
    let stage = dir.path().join(".op-conductor-init-x");
    fs::create_dir(&stage).unwrap();
    fs::write(stage.join("journal.json"), "{").unwrap();
    assert!(matches!(pending(dir.path()), Err(Error::Journal { path, .. }) if path.ends_with("journal.json")));
}

#[test]
fn a_path_cannot_lead_out_of_the_stage() {
    let dir = temp_dir();
    let mut staging = Root::open(dir.path(), None, NO_TIME).unwrap().stage().unwrap();
    for bad in ["", "..", "a/../../b", "/etc"] {
        assert!(staging.create_dir(bad, 0o755).is_err(), "{bad:?}");
    }
}

#[test]
fn the_output_directory_is_held_by_one_process() {
    let dir = temp_dir();
    let held = Root::open(dir.path(), None, NO_TIME).unwrap();
    let second = Root::open(dir.path(), None, Duration::from_millis(60));
    assert!(matches!(second, Err(Error::Locked { path, .. }) if path == dir.path()));
    drop(held);
    assert!(Root::open(dir.path(), None, NO_TIME).is_ok());
    assert_eq!(read_tree(dir.path()), Tree::new());
}

#[test]
fn a_path_over_dots_is_followed() {
    let dir = temp_dir();
    replace(Disk::default(), &dir.path().join("x/../y")).unwrap();
    assert!(dir.path().join("y/a/db").exists());
}

#[test]
fn a_file_in_place_of_the_directory_is_an_error() {
    let dir = temp_dir();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(matches!(Root::open(&path, None, NO_TIME), Err(Error::NotADirectory { .. })));
}

#[test]
fn modes_are_exact_and_the_stage_is_private() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let dir = temp_dir();
    let path = dir.path().join("root");
    let mut staging = Root::open(&path, None, NO_TIME).unwrap().stage().unwrap();
    staging.create_dir("a", 0o777).unwrap();
    staging.write_file("a/db", b"", 0o666).unwrap();
    assert_eq!(mode(&pending(&path).unwrap()[0].stage), 0o700);
    assert_eq!(staging.commit().unwrap(), None, "nothing was there before");
    assert_eq!([mode(&path), mode(&path.join("a")), mode(&path.join("a/db"))], [0o755, 0o777, 0o666]);
}

/// Makes a directory with a file in it, under the first name that is free.
fn make(disk: Disk, path: &Path) -> Result<PathBuf, Error> {
    let mut fresh = Fresh::begin_on(disk, path)?;
    fresh.create_dir("made", 0o755)?;
    fresh.write_file("made/db", b"new", 0o600)?;
    fresh.publish("made", ["x".to_owned(), "x-2".to_owned()])
}

#[test]
fn something_new_is_there_whole_or_not_at_all_wherever_it_stops() {
    let (mut stops, mut made) = (0, 0);
    for at in 0.. {
        for crash in [true, false] {
            let dir = temp_dir();
            let root = dir.path().join("new/root");
            let disk = if crash { crash_at(at, true) } else { error_at(at, true) };
            let result = make(disk, &root);
            let whole = tree(&[("x/", ""), ("x/db", "new")]);
            let there = root.join("x").exists();
            assert!(!there || read_tree(&root.join("x")) == tree(&[("db", "new")]), "step {at}");
            if result.is_ok() && crash {
                made += 1;
            }
            // The next one removes what is left, and takes the next name where the first one is taken.
            let next = make(Disk::default(), &root).unwrap();
            assert_eq!(next, root.join(if there { "x-2" } else { "x" }), "step {at}");
            let mut found = read_tree(&root);
            found.retain(|path, _| !path.starts_with("x-2"));
            assert_eq!(found, whole, "step {at}: nothing is left over");
            stops += 1;
        }
        if made > 0 {
            break;
        }
    }
    assert!(stops > 20, "there are steps to stop at: {stops}");
}

#[test]
fn what_another_process_is_making_is_left_alone() {
    let dir = temp_dir();
    let mut first = Fresh::begin(dir.path()).unwrap();
    first.write_file("made", b"1", 0o600).unwrap();
    let mut second = Fresh::begin(dir.path()).unwrap();
    second.write_file("made", b"2", 0o600).unwrap();
    second.publish("made", ["second".to_owned()]).unwrap();
    first.publish("made", ["second".to_owned(), "first".to_owned()]).unwrap();
    assert_eq!(read_tree(dir.path()), tree(&[("first", "1"), ("second", "2")]));
}
