//! A replacement is stopped, or made to fail, at each of its steps; then the directory must be all old or all new.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::disk::{Disk, Step, Watch};
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

/// A directory, a file, and a file in a directory that stays to replace, and things to leave alone; `b` is not there.
fn old() -> Tree {
    let entries = [("a/", ""), ("a/db", "old"), ("a/snapshots/", ""), ("cluster.json", "old"), ("empty/", "")];
    let within = [("stays/", ""), ("stays/db", "old"), ("stays/mine", "mine")];
    tree(&[&entries[..], &within, &[("lost+found/", ""), ("foreign", "mine")]].concat())
}

fn new() -> Tree {
    let entries = [("a/", ""), ("a/db", "new"), ("b/", ""), ("b/db", "new"), ("cluster.json", "new")];
    let within = [("stays/", ""), ("stays/db", "new"), ("stays/mine", "mine"), ("stays/more", "new")];
    tree(
        &[&entries[..], &within, &[("empty/", ""), ("empty/db", "new"), ("lost+found/", ""), ("foreign", "mine")]]
            .concat(),
    )
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
        let kept = [("a/", ""), ("a/db", "old"), ("a/snapshots/", ""), ("cluster.json", "old")];
        let kept = self::tree(&[&kept[..], &[("stays/", ""), ("stays/db", "old")]].concat());
        assert_eq!(inside, kept, "what was replaced is kept whole");
        tree.retain(|path, _| !path.starts_with(&directory));
    }
    tree
}

/// Nothing needs to be held.
fn free(_: Moved<'_>) -> Result<(), Error> {
    Ok(())
}

fn replace(disk: Disk, path: &Path) -> Result<Option<PathBuf>, Error> {
    let mut staging = Root::open_on(disk, path, None, NO_TIME)?.stage()?;
    for name in ["a", "b", "empty"] {
        staging.create_dir(name, 0o755)?;
        staging.write_file(Path::new(name).join("db"), b"new", 0o600)?;
    }
    if path.join("stays").exists() {
        staging.replace_within("stays")?;
        staging.write_file("stays/db", b"new", 0o600)?;
        staging.write_file("stays/more", b"new", 0o600)?;
    }
    staging.write_file("cluster.json", b"new", 0o600)?;
    Ok(staging.commit(&mut free)?.replaced)
}

/// Settles what was interrupted, and removes stages that came to nothing.
fn recover(disk: Disk, path: &Path) -> Result<Vec<Recovery>, Error> {
    let mut root = Root::open_on(disk, path, None, NO_TIME)?;
    let recovered = root.settle(&mut free)?;
    drop(root.stage()?);
    Ok(recovered)
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
            assert_eq!(pending(dir.path()).unwrap().iter().any(Pending::may_be_half), unfinished);
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
    let recovered = recover(Disk::default(), dir.path()).unwrap();
    let [recovery] = recovered.as_slice() else { panic!("{recovered:?}") };
    assert!(matches!(&recovery.undone, Some(Error::Changed { path }) if path.ends_with("b")));
    assert_eq!(recovery.entries, ["a", "b", "empty", "stays/db", "stays/more", "cluster.json"]);
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
    let [Pending { decided: Decided::Entries(journal), is_trusted: true, .. }] = found.as_slice() else {
        panic!("{found:?}")
    };
    let entries: Vec<_> = journal.entries.iter().map(|entry| (entry.name.as_str(), entry.old.is_some())).collect();
    let expected = [("a", true), ("b", false), ("empty", true), ("stays/db", true), ("stays/more", false)];
    assert_eq!(entries, [&expected[..], &[("cluster.json", true)]].concat());
    let root = Root::open(dir.path(), None, NO_TIME).unwrap();
    assert!(root.is_interrupted());
    assert_eq!(fs::read_to_string(root.path_after("a").join("db")).unwrap(), "new");
    assert_eq!(fs::read_to_string(root.path_after("b").join("db")).unwrap(), "new", "still in the stage");
    assert_eq!(root.path_after("foreign"), dir.path().join("foreign"));
    drop(root);
    assert_eq!(read_tree(dir.path()), before);
    assert_eq!(pending(&dir.path().join("absent")).unwrap(), []);
}

#[test]
fn what_is_judged_before_an_interrupted_call_is_settled_is_what_is_replaced_after() {
    let dir = interrupted();
    let mut settled = 0;
    let mut staging = Root::open(dir.path(), None, NO_TIME).unwrap().stage().unwrap();
    staging.create_dir("b", 0o755).unwrap();
    let committed = staging.commit(&mut |moved| {
        settled += u32::from(matches!(moved, Moved::Interrupted(_)));
        Ok::<_, Error>(())
    });
    let committed = committed.unwrap();
    assert_eq!((settled, committed.recovered.len()), (1, 1));
    let kept = fs::read_to_string(committed.replaced.unwrap().join("b/db")).unwrap();
    assert_eq!((kept.as_str(), read_tree(&dir.path().join("b"))), ("new", Tree::new()));
}

#[test]
fn a_call_that_may_not_move_what_it_would_changes_nothing() {
    let dir = interrupted();
    let before = read_tree(dir.path());
    for refused in [true, false] {
        let mut staging = Root::open(dir.path(), None, NO_TIME).unwrap().stage().unwrap();
        staging.create_dir("b", 0o755).unwrap();
        let result = staging.commit(&mut |moved| match moved {
            Moved::Interrupted(paths) if refused => {
                assert!(paths.contains(&dir.path().join("a")) && paths.contains(&dir.path().join("stays/db")));
                Err(Error::Changed { path: dir.path().to_owned() })
            }
            Moved::Interrupted(_) => Ok(()),
            Moved::Entries => Err(Error::Changed { path: dir.path().to_owned() }),
        });
        assert!(matches!(result, Err(Error::Changed { .. })));
        let after = read_tree(dir.path());
        assert_eq!(if refused { after } else { without_replaced(after) }, if refused { before.clone() } else { new() });
    }
}

#[test]
fn a_stage_that_this_user_did_not_make_is_not_settled() {
    let planted = |mode, link: &str| {
        let dir = interrupted();
        let stage = pending(dir.path()).unwrap().remove(0).stage;
        if !link.is_empty() {
            fs::rename(stage.join(link), dir.path().join("elsewhere")).unwrap();
            symlink(dir.path().join("elsewhere"), stage.join(link)).unwrap();
        }
        fs::set_permissions(&stage, fs::Permissions::from_mode(mode)).unwrap();
        dir
    };
    for dir in [planted(0o755, ""), planted(0o700, "new"), planted(0o700, "old")] {
        let before = read_tree(dir.path());
        let opened = Root::open(dir.path(), None, NO_TIME);
        assert!(matches!(opened, Err(Error::Foreign { .. })), "{opened:?}");
        assert_eq!(read_tree(dir.path()), before);
    }
}

#[test]
fn a_link_in_the_place_of_an_entry_is_refused_before_anything_changes() {
    for name in ["a", "cluster.json", "stays", "stays/db"] {
        let dir = temp_dir();
        write_tree(dir.path(), &old());
        fs::rename(dir.path().join(name), dir.path().join("elsewhere")).unwrap();
        symlink(dir.path().join("elsewhere"), dir.path().join(name)).unwrap();
        let before = read_tree(dir.path());
        let error = replace(Disk::default(), dir.path()).unwrap_err();
        assert!(matches!(&error, Error::Symlink { path } if path.ends_with(name)), "{error:?}");
        assert_eq!(read_tree(dir.path()), before);
    }
}

#[test]
fn a_directory_is_held_whatever_becomes_of_its_name() {
    let dir = temp_dir();
    let (root, moved) = (dir.path().join("root"), dir.path().join("moved"));
    fs::create_dir(&root).unwrap();
    write_tree(&root, &old());
    let mut staging = Root::open(&root, None, NO_TIME).unwrap().stage().unwrap();
    fs::rename(&root, &moved).unwrap();
    fs::create_dir(&root).unwrap();
    staging.write_file("cluster.json", b"new", 0o600).unwrap();
    staging.commit(&mut free).unwrap();
    assert_eq!(fs::read_to_string(moved.join("cluster.json")).unwrap(), "new");
    assert_eq!(read_tree(&root), Tree::new());
}

#[test]
fn a_directory_within_another_is_found_by_any_way() {
    let dir = temp_dir();
    let path = |path: &str| dir.path().join(path);
    fs::create_dir_all(path("a/b")).unwrap();
    symlink(path("a/b"), path("link")).unwrap();
    let within = |of: &str, other: &str| is_within(&path(of), [path(other).as_path()]).unwrap();
    assert!(within("a", "a") && within("a/b/new/x", "a") && within("link", "a") && within("c/../a/b", "a"));
    assert!(!within("a", "a/b") && !within("c", "a") && !within("ab", "a"));
}

#[test]
fn a_journal_cannot_lead_out_of_the_directory() {
    let journal = |name: &str, replaced: &str| {
        let entries = vec![Entry { name: name.to_owned(), new: 1, old: None }];
        Journal::decode(&Journal::new(replaced.to_owned(), entries).encode())
    };
    assert!(journal("a", ".replaced-1").is_ok() && journal("a/b", ".replaced-1").is_ok());
    for bad in ["", ".", "..", "../a", "a/..", "a/b/c", "a/b", "/a", "a/", "a//b"] {
        let refused = format!("expected the name of an entry, found {bad:?}");
        assert_eq!(journal("a", bad).unwrap_err().to_string(), refused);
        if bad != "a/b" {
            assert_eq!(journal(bad, ".replaced-1").unwrap_err().to_string(), refused);
        }
    }
    let other = r#"{"version":2,"replaced":"a","entries":[]}"#;
    assert_eq!(Journal::decode(other.as_bytes()).unwrap_err().to_string(), "expected version 1, found 2");
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
    assert_eq!(staging.commit(&mut free).unwrap().replaced, None, "nothing was there before");
    assert_eq!([mode(&path), mode(&path.join("a")), mode(&path.join("a/db"))], [0o755, 0o777, 0o666]);
}

/// Makes a directory with a file in it, under the first name that is free.
fn make(disk: Disk, path: &Path) -> Result<PathBuf, Error> {
    let mut publication = Publication::begin_on(disk, path)?;
    publication.create_dir("made", 0o755)?;
    publication.write_file("made/db", b"new", 0o600)?;
    publication.publish("made", ["x".to_owned(), "x-2".to_owned()])
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
    let mut first = Publication::begin(dir.path()).unwrap();
    first.write_file("made", b"1", 0o600).unwrap();
    let mut second = Publication::begin(dir.path()).unwrap();
    second.write_file("made", b"2", 0o600).unwrap();
    second.publish("made", ["second".to_owned()]).unwrap();
    first.publish("made", ["second".to_owned(), "first".to_owned()]).unwrap();
    assert_eq!(read_tree(dir.path()), tree(&[("first", "1"), ("second", "2")]));
}
