//! What the fuzz targets do with their bytes. tests/it/corpus.rs does the same with the corpus, on stable Rust.
#![allow(dead_code, reason = "each target is one of these")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use op_conductor_init::bolt::{self, Bucket, Reader};
use op_conductor_init::payload::{Envelope, Head};
use op_conductor_init::raft::codec::{
    decode_configuration, decode_log, decode_peers, encode_configuration, encode_log, is_written_form,
};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use op_conductor_init::state::snapshots;
use op_conductor_init::state::{Depth, Node, StateDir};
use op_conductor_init::verify::verify;

/// Walks all buckets of a file, the nested ones of the first levels too.
pub fn bolt_read(bytes: &[u8]) {
    fn walk(bucket: &Bucket<'_, &[u8]>, levels: u32) {
        let mut cursor = bucket.cursor();
        let mut nested = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        while let Ok(Some(entry)) = cursor.next() {
            if entry.is_bucket() && levels > 0 && nested.len() < 8 {
                nested.push(entry.key.to_vec());
            }
            last = Some(entry.key.to_vec());
        }
        let _ = bucket.cursor().last();
        if let Some(last) = last {
            let _ = bucket.get(&last);
        }
        for name in nested {
            if let Ok(Some(inner)) = bucket.bucket(&name) {
                walk(&inner, levels - 1);
            }
        }
    }
    if let Ok(reader) = Reader::open(bytes) {
        walk(&reader.root(), 2);
        let _ = reader.survey();
    }
}

/// Checks a file; what is sound can be read to its end.
pub fn bolt_check(bytes: &[u8]) {
    let check = bolt::check(bytes).unwrap();
    let harmless = check.problems.iter().all(|problem| problem.kind.is_harmless());
    for problem in &check.problems {
        assert!(!problem.to_string().is_empty());
    }
    if harmless {
        let reader = Reader::open(bytes).unwrap();
        let root = reader.root();
        let mut cursor = root.cursor();
        while cursor.next().unwrap().is_some() {}
    }
}

/// Decodes an entry; what was decoded is the same after it was encoded.
pub fn log_entry(bytes: &[u8]) {
    let Ok(log) = decode_log(bytes) else { return };
    let mut again = Vec::new();
    encode_log(&log, &mut again);
    assert!(is_written_form(&again));
    assert_eq!(decode_log(&again).unwrap(), log);
    assert_eq!(is_written_form(bytes), again == bytes);
}

/// Decodes members; what was decoded is the same after it was encoded.
pub fn configuration(bytes: &[u8]) {
    let _ = decode_peers(bytes);
    let Ok(members) = decode_configuration(bytes) else { return };
    let _ = members.check();
    let mut again = Vec::new();
    encode_configuration(&members, &mut again);
    assert_eq!(decode_configuration(&again).unwrap(), members);
}

/// Lists and checks a snapshot with this meta.json.
pub fn snapshot_meta(bytes: &[u8]) {
    in_directory(|directory| {
        let snapshot = directory.join("1-2-3");
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(snapshot.join("meta.json"), bytes).unwrap();
        fs::write(snapshot.join("state.bin"), b"state").unwrap();
        for meta in snapshots::list(directory).unwrap().listed {
            let _ = snapshots::check(directory, &meta, true);
        }
    });
}

/// Decodes a payload; what was decoded is the same after it was encoded.
pub fn payload(bytes: &[u8]) {
    let head = Head::peek(bytes);
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    assert_eq!(head.unwrap(), envelope.head());
    let _ = envelope.check_hash();
    assert_eq!(envelope.encode(), bytes);
}

/// Verifies a directory: two bytes say how many of the others are the log's, in 64ths; the rest is the stable store's.
pub fn verify_directory(bytes: &[u8]) {
    let Some((at, rest)) = bytes.split_first() else { return };
    let (log, stable) = rest.split_at(rest.len() * usize::from(*at % 65) / 64);
    in_directory(|directory| {
        fs::write(directory.join(LOG_FILE), log).unwrap();
        fs::write(directory.join(STABLE_FILE), stable).unwrap();
        let report = verify(directory, None, &()).unwrap();
        assert!(report.findings.iter().all(|finding| op_conductor_init::report::explain::find(finding.id).is_some()));
        let _ = Node::read(&StateDir::new(directory), Depth::Content, &mut |_| {}).unwrap().candidacy();
    });
}

/// A directory that is kept from call to call: making one each time takes longer than what is to be tried.
fn in_directory(run: impl FnOnce(&Path)) {
    thread_local! {
        static DIRECTORY: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    DIRECTORY.with_borrow_mut(|kept| {
        let directory = kept.get_or_insert_with(|| {
            // In memory, where there is such a place.
            let shared = Path::new("/dev/shm");
            let made = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
            made.unwrap()
        });
        run(directory.path());
    });
}
