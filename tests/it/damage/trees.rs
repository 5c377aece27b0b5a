//! Buckets in buckets, branches above branches, and ways through them that have no end.

use crate::common::damage::{CASES, File, damaged, new_store, problems, store};
use op_conductor_init::bolt::{Error, PageError, PageId, ProblemKind, Reader, check};

/// Made by bbolt 1.4.3: tests/vectors/bolt.
const NESTED: &[u8] = include_bytes!("../../vectors/bolt/nested.db");

#[test]
fn nested_buckets_that_go_wrote_are_read_and_checked() {
    let found = check(NESTED).unwrap();
    assert_eq!((found.problems, found.pages.page_size), (vec![], 1024));
    let reader = Reader::open(NESTED).unwrap();
    let outer = reader.bucket(b"outer").unwrap().unwrap();
    assert_eq!(outer.get(b"plain").unwrap().unwrap(), b"value");
    let inner = outer.bucket(b"inner").unwrap().unwrap();
    assert_eq!((inner.header().sequence, inner.is_inline()), (7, false));
    for i in 0..60 {
        assert_eq!(inner.get(format!("key-{i:02}").as_bytes()).unwrap(), Some(vec![0; 50 + i]));
    }
    let deepest = inner.bucket(b"deepest").unwrap().unwrap();
    assert!(deepest.is_inline());
    assert_eq!(deepest.get(b"key").unwrap().unwrap(), b"inline");
    assert!(matches!(outer.bucket(b"plain"), Err(Error::Incompatible { is_bucket: false, .. })));
}

#[test]
fn damage_in_a_nested_bucket_is_found_on_its_path() {
    let reader = Reader::open(NESTED).unwrap();
    let outer = reader.bucket(b"outer").unwrap().unwrap();
    let root = outer.bucket(b"inner").unwrap().unwrap().header().root;
    let mut bytes = NESTED.to_vec();
    bytes[usize::try_from(root.0).unwrap() * 1024] ^= 1;
    let found = check(bytes.as_slice()).unwrap().problems;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, ProblemKind::Page(PageError::SelfId { found: PageId(root.0 ^ 1) }));
    assert_eq!(found[0].path, [reader.meta().root.root, outer.header().root, root]);
}

#[test]
fn a_tree_of_three_levels_is_read_and_checked() {
    let mut db = new_store(1024);
    let mut tx = db.begin().unwrap();
    for index in 0..3000_u64 {
        tx.put(b"logs", &index.to_be_bytes(), &[1; 40]).unwrap();
    }
    tx.commit().unwrap();
    let bytes = db.into_storage();
    let found = check(bytes.as_slice()).unwrap();
    assert_eq!(found.problems, []);
    assert!(found.pages.branch > 3 && found.pages.leaf > 200, "a root above branches: {:?}", found.pages);
    let reader = Reader::open(bytes.as_slice()).unwrap();
    let logs = reader.bucket(b"logs").unwrap().unwrap();
    let mut cursor = logs.cursor();
    let mut count = 0;
    while let Some(entry) = cursor.next().unwrap() {
        assert_eq!(entry.key, u64::to_be_bytes(count));
        count += 1;
    }
    assert_eq!(count, 3000);
}

/// Reads `logs` to its end.
fn read_to_end(file: &File) -> Result<u64, Error> {
    let reader = Reader::open(file.0.as_slice())?;
    let logs = reader.bucket(b"logs")?.unwrap();
    let mut cursor = logs.cursor();
    let mut count = 0;
    while cursor.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_cursor_ends_on_cycles_depths_and_lattices() {
    let after = |name: &str| read_to_end(&damaged(CASES.iter().find(|case| case.0 == name).unwrap().2));
    assert!(matches!(after("a pointer back up"), Err(Error::Cycle { .. })));
    assert!(matches!(after("a tree of 70 levels"), Err(Error::TooDeep { .. })));
    assert!(matches!(after("200^40 ways to one leaf"), Err(Error::TooManyPages { .. })));
    let mut sound = File(store());
    assert_eq!(read_to_end(&sound).unwrap(), 40);
    sound.set_child(0, PageId(1));
    assert!(matches!(read_to_end(&sound), Err(Error::Page { page: PageId(1), .. })));
}

/// Runs that lie over each other could make 4 MiB of file hundreds of MiB of reads and of memory.
#[test]
fn overlapping_runs_are_read_once() {
    let mut file = File(store());
    let pages = 1000;
    let first = file.grow(pages);
    for page in first.0..first.0 + pages {
        let last = first.0 + pages - 1;
        file.write_branch(PageId(page), 1, PageId(if page == last { first.0 } else { page + 1 }));
        file.set_header(PageId(page), |header| header.overflow = u32::try_from(last - page).unwrap());
    }
    file.set_child(0, first);
    assert!(matches!(read_to_end(&file), Err(Error::TooManyPages { .. })), "the second run is one too many");
    let found = problems(&file);
    let shared = found.iter().find(|problem| problem.kind == ProblemKind::MultipleReferences).unwrap();
    assert_eq!(shared.page, Some(PageId(first.0 + 1)));
}
