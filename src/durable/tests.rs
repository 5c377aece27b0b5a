//! Crashes before every file operation, and what must not be touched.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;

const NOW: Duration = Duration::ZERO;

/// Every file below `root` with its text; folders end in a slash.
fn content(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(format!("{name}/"), String::new());
                open.push(path);
            } else {
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

fn is_replaced(name: &str) -> bool {
    name.starts_with(REPLACED_PREFIX)
}

/// A root with state, a foreign folder and a foreign file.
fn root_with_state() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in
        [("a/db", "old a"), ("a/snapshots/s", "old"), ("b/db", "old b"), ("other/db", "foreign"), ("list", "old list")]
    {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir(root.path().join("lost+found")).unwrap();
    root
}

/// Replaces a, b and list, and adds c.
fn replace(root: &Root) -> Result<Option<PathBuf>, Error> {
    let mut staging = root.stage()?;
    let staged = (|| {
        for name in ["a", "b", "c"] {
            staging.folder(name, None)?;
            staging.file_in(name, "db", b"new", Mode::PRIVATE_FILE, None)?;
        }
        staging.file("list", b"new list", Mode::FILE, None)
    })();
    match staged {
        Ok(()) => staging.commit(),
        Err(error) => Err(staging.discard(error)),
    }
}

fn assert_new(root: &Path, old: &BTreeMap<String, String>) {
    let now = content(root);
    let texts = ["a/db", "b/db", "c/db", "list", "other/db"].map(|name| now[name].as_str());
    assert_eq!(texts, ["new", "new", "new", "new list", "foreign"]);
    assert!(!now.contains_key("a/snapshots/"), "replaced, not merged");
    let kept: BTreeMap<&str, &str> = now
        .iter()
        .filter(|(name, _)| is_replaced(name))
        .filter_map(|(name, text)| Some((name.split_once('/')?.1, text.as_str())))
        .filter(|(name, _)| !name.is_empty() && !name.ends_with('/'))
        .collect();
    for name in ["a/db", "a/snapshots/s", "b/db", "list"] {
        assert_eq!(kept[name], old[name], "{name} is kept");
    }
}

#[test]
fn a_crash_before_any_operation_leaves_all_old_or_all_new() {
    let mut seen = [0, 0];
    for step in 0.. {
        let folder = root_with_state();
        let old = content(folder.path());
        let root = Root::open(folder.path(), NOW).unwrap();
        root.steps.left.set(Some(step));
        let result = replace(&root);
        drop(root);
        let finished = result.is_ok();
        if !finished {
            assert!(matches!(result, Err(Error::Crash)), "step {step}: {result:?}");
            let _recovered = Root::open(folder.path(), NOW).unwrap();
        }
        let now = content(folder.path());
        assert!(!now.keys().any(|name| name.starts_with(STAGING_PREFIX)), "step {step}: {now:?}");
        if now == old {
            seen[0] += 1;
        } else {
            assert_new(folder.path(), &old);
            seen[1] += 1;
        }
        if finished {
            break;
        }
    }
    assert!(seen[0] > 5 && seen[1] > 10, "both happen: {seen:?}");
}

#[test]
fn a_crash_while_recovering_is_recovered_from() {
    // Far enough for the journal to be there, at every step of what follows.
    for step in 0..60 {
        let folder = root_with_state();
        let old = content(folder.path());
        let root = Root::open(folder.path(), NOW).unwrap();
        root.steps.left.set(Some(18));
        assert!(matches!(replace(&root), Err(Error::Crash)));
        drop(root);
        let journal = pending(folder.path()).unwrap().remove(0).expect("it had decided");
        assert_eq!(journal.names(), ["a", "b", "c", "list"]);

        let staging = staging_folders(folder.path()).unwrap().remove(0);
        let steps = Steps::default();
        steps.left.set(Some(step));
        let interrupted = finish(folder.path(), &staging, &journal, &steps);
        drop(Root::open(folder.path(), NOW).unwrap());
        assert_new(folder.path(), &old);
        if interrupted.is_ok() {
            return;
        }
    }
    panic!("never came to its end");
}

#[test]
fn a_swap_that_fails_is_taken_back() {
    let folder = root_with_state();
    let old = content(folder.path());
    let root = Root::open(folder.path(), NOW).unwrap();
    let mut staging = root.stage().unwrap();
    for name in ["a", "b"] {
        staging.folder(name, None).unwrap();
        staging.file_in(name, "db", b"new", Mode::PRIVATE_FILE, None).unwrap();
    }
    // Where b's old folder would go there is a file in the way.
    fs::write(staging.path.join(OLD).join("b"), "in the way").unwrap();
    let result = staging.commit();
    assert!(matches!(result, Err(Error::Io { doing: "replacing", .. })), "{result:?}");
    let now = content(folder.path());
    assert_eq!(now["a/db"], old["a/db"]);
    assert!(!now.keys().any(|name| name.starts_with(STAGING_PREFIX)), "{now:?}");
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let folder = root_with_state();
    let root = Root::open(folder.path(), NOW).unwrap();
    replace(&root).unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a"), mode("a/db"), mode("list")), (0o755, 0o600, 0o644));
}

#[test]
fn a_second_process_waits_and_then_is_told() {
    let folder = root_with_state();
    let _first = Root::open(folder.path(), NOW).unwrap();
    let second = Root::open(folder.path(), Duration::from_millis(60));
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
}

#[test]
fn folders_that_were_made_go_again_when_nothing_comes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("x/y/z");
    Root::open(&deep, NOW).unwrap().abandon();
    assert_eq!(content(folder.path()), BTreeMap::new());
}
