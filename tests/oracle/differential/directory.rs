//! Sound directories of many kinds, in memory, and the ways to reach into one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{SplitMix, mend_meta, oracle};
use base64::Engine;
use op_conductor_init::bolt::{BulkWriter, Db, PageHeader, PageKind, Reader};
use op_conductor_init::raft::codec::{encode_configuration, encode_log};
use op_conductor_init::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, LOGS_BUCKET, Log,
    LogType, Server, Suffrage, Term,
};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};

pub(super) const V3: &[u8] = include_bytes!("../../vectors/payload/v3.ssz");
pub(super) const META: &str = "snapshots/2-80-1700000000000/meta.json";
pub(super) const STATE: &str = "snapshots/2-80-1700000000000/state.bin";

pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A server's directory, in memory.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) name: &'static str,
    pub(super) page_size: usize,
    pub(super) files: BTreeMap<&'static str, Vec<u8>>,
    /// The log as it was some commits before.
    pub(super) older: Vec<u8>,
}

impl Directory {
    pub(super) fn write(&self, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for (name, bytes) in &self.files {
            let path = to.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

pub(super) fn entry(index: u64, term: u64, kind: LogType, data: &[u8]) -> Vec<u8> {
    let (data, appended_at) = (Some(data.into()), AppendedAt::from_unix(1_700_000_000, 0));
    let mut value = Vec::new();
    encode_log(&Log { index: Index(index), term: Term(term), kind, data, extensions: None, appended_at }, &mut value);
    value
}

pub(super) fn members() -> Vec<u8> {
    let server = |id: &str| Server { suffrage: Suffrage::Voter, id: id.to_owned(), address: format!("{id}.x:50050") };
    let mut data = Vec::new();
    encode_configuration(&Configuration { servers: ["a", "b", "c"].map(server).to_vec() }, &mut data);
    data
}

/// Entries `first..=last`: the members at index 1 and 41, else payloads and random commands of about `len` bytes.
pub(super) fn entries(first: u64, last: u64, len: usize) -> Pairs {
    let mut random = SplitMix(last + len as u64);
    let mut value = |index| match index {
        1 | 41 => entry(index, 1, LogType::Configuration, &members()),
        2 => entry(2, 1, LogType::Command, V3),
        index if index % 13 == 0 => entry(index, 1 + index / 50, LogType::Noop, b""),
        index => {
            let len = len / 2 + random.index(len);
            entry(index, 1 + index / 50, LogType::Command, &random.bytes(len))
        }
    };
    (first..=last).map(|index| (Index(index).to_key().to_vec(), value(index))).collect()
}

/// A store as raft-boltdb makes it, of transactions of `batch` pairs; and as it was four transactions before.
pub(super) fn store(page_size: usize, bucket: &[u8], pairs: &Pairs, batch: usize) -> (Vec<u8>, Vec<u8>) {
    let mut db = Db::create(Vec::new(), page_size).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(LOGS_BUCKET).unwrap();
    tx.create_bucket_if_not_exists(CONF_BUCKET).unwrap();
    tx.commit().unwrap();
    let mut bytes = db.into_storage();
    let mut older = bytes.clone();
    let batches = pairs.chunks(batch).count();
    for (at, batch) in pairs.chunks(batch).enumerate() {
        if at + 4 == batches {
            older = bytes.clone();
        }
        let mut db = Db::open(bytes).unwrap();
        let mut tx = db.begin().unwrap();
        batch.iter().for_each(|(key, value)| tx.put(bucket, key, value).unwrap());
        tx.commit().unwrap();
        bytes = db.into_storage();
    }
    (bytes, older)
}

pub(super) fn packed(page_size: usize, pairs: &Pairs) -> Vec<u8> {
    let mut writer = BulkWriter::new(Vec::new(), page_size).unwrap();
    let mut logs = writer.bucket(LOGS_BUCKET, 0).unwrap();
    pairs.iter().for_each(|(key, value)| logs.push(key, value).unwrap());
    logs.finish().unwrap();
    writer.bucket(CONF_BUCKET, 0).unwrap().finish().unwrap();
    writer.finish().unwrap()
}

pub(super) fn stable(page_size: usize, term: u64) -> Vec<u8> {
    let pair = |key: &str, value: &[u8]| (key.as_bytes().to_vec(), value.to_vec());
    let term = term.to_be_bytes();
    let pairs = vec![pair(CURRENT_TERM, &term), pair(LAST_VOTE_TERM, &term), pair(LAST_VOTE_CAND, b"a.x:50050")];
    store(page_size, CONF_BUCKET, &pairs, 1).0
}

pub(super) fn directory(name: &'static str, page_size: usize, (log, older): (Vec<u8>, Vec<u8>)) -> Directory {
    let files = BTreeMap::from([(LOG_FILE, log), (STABLE_FILE, stable(page_size, 9))]);
    Directory { name, page_size, files, older }
}

/// The log of a node that has a snapshot up to index 80, which begins at 60.
pub(super) fn with_snapshot() -> Directory {
    let mut directory = directory("with a snapshot", 4096, store(4096, LOGS_BUCKET, &entries(60, 130, 400), 5));
    let crc = crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(V3).to_be_bytes();
    let base64 = base64::prelude::BASE64_STANDARD;
    let servers: Vec<String> =
        ["a", "b", "c"].map(|id| format!(r#"{{"Suffrage":0,"ID":"{id}","Address":"{id}.x:50050"}}"#)).to_vec();
    let peers = base64.encode(b"\x93\xa9a.x:50050\xa9b.x:50050\xa9c.x:50050");
    let meta = format!(
        r#"{{"Version":1,"ID":"2-80-1700000000000","Index":80,"Term":2,"Peers":"{peers}","Configuration":{{"Servers":[{}]}},"ConfigurationIndex":41,"Size":{},"CRC":"{}"}}"#,
        servers.join(","),
        V3.len(),
        base64.encode(crc)
    );
    directory.files.insert(META, meta.into_bytes());
    directory.files.insert(STATE, V3.to_vec());
    directory
}

/// The same when a leader sent that snapshot: the end of the old log is still there.
pub(super) fn with_sent_snapshot() -> Directory {
    let mut pairs = entries(60, 70, 400);
    pairs.extend(entries(81, 90, 400));
    let (log, older) = store(4096, LOGS_BUCKET, &pairs, 5);
    let mut directory = with_snapshot();
    directory.files.insert(LOG_FILE, log);
    Directory { name: "with a sent snapshot", older, ..directory }
}

/// A log that raft-boltdb wrote, in transactions of seven entries.
pub(super) fn of_go() -> Directory {
    let dir = tempfile::tempdir().unwrap();
    let written = |entries: &str| {
        let mut command = Command::new(oracle("1.8.0"));
        command.args(["bench", "--only", "storelogs", "--size", "500", "--batch", "7", "--no-sync"]);
        let output = command.args(["--entries", entries, "--dir"]).arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(dir.path().join(LOG_FILE)).unwrap()
    };
    let older = written("160");
    directory("of Go", 4096, (written("180"), older))
}

pub(super) fn directories() -> Vec<Directory> {
    let generated = store(4096, LOGS_BUCKET, &entries(1, 3, 400), 3);
    let few = entries(1, 60, 300);
    vec![
        directory("new", 4096, generated),
        directory("of 120 entries", 4096, store(4096, LOGS_BUCKET, &entries(1, 120, 300), 5)),
        directory("with overflow", 4096, store(4096, LOGS_BUCKET, &entries(1, 40, 9_000), 2)),
        directory("three levels", 1024, store(1024, LOGS_BUCKET, &entries(1, 300, 100), 8)),
        directory("packed", 4096, (packed(4096, &few), packed(4096, &few))),
        with_snapshot(),
        of_go(),
    ]
}

impl Directory {
    pub(super) fn log(&mut self) -> &mut Vec<u8> {
        self.files.get_mut(LOG_FILE).unwrap()
    }

    pub(super) fn some_db(&mut self, random: &mut SplitMix) -> &mut Vec<u8> {
        let name = if random.below(3) == 0 { STABLE_FILE } else { LOG_FILE };
        self.files.get_mut(name).unwrap()
    }

    pub(super) fn some_file(&mut self, random: &mut SplitMix) -> &mut Vec<u8> {
        let count = self.files.len();
        self.files.values_mut().nth(random.index(count)).unwrap()
    }

    /// Where some page of the log begins, metas excepted.
    pub(super) fn some_page(&self, random: &mut SplitMix) -> usize {
        let pages = self.files[LOG_FILE].len() / self.page_size;
        (2 + random.index(pages - 2)) * self.page_size
    }

    /// Where some page of this kind begins; of any kind when there is none.
    pub(super) fn some_page_of(&self, kind: PageKind, random: &mut SplitMix) -> usize {
        let bytes = &self.files[LOG_FILE];
        let starts = (2..bytes.len() / self.page_size).map(|page| page * self.page_size);
        let is_it = |at: &usize| {
            let header = PageHeader::decode(&bytes[*at..]).unwrap();
            header.kind() == Some(kind) && header.id.0 == (*at / self.page_size) as u64
        };
        let found: Vec<usize> = starts.filter(is_it).collect();
        if found.is_empty() { self.some_page(random) } else { found[random.index(found.len())] }
    }

    /// An index that the log has.
    pub(super) fn some_index(&self, random: &mut SplitMix) -> u64 {
        let first = if self.files.contains_key(META) { 60 } else { 1 };
        let last = match self.name {
            "new" => 3,
            "with overflow" => 40,
            "packed" => 60,
            _ => 120,
        };
        first + random.below(last - first + 1)
    }

    pub(super) fn put(&mut self, file: &str, key: &[u8], value: &[u8]) {
        let bucket = if file == LOG_FILE { LOGS_BUCKET } else { CONF_BUCKET };
        let bytes = self.files.get_mut(file).unwrap();
        let mut db = Db::open(std::mem::take(bytes)).unwrap();
        let mut tx = db.begin().unwrap();
        tx.put(bucket, key, value).unwrap();
        tx.commit().unwrap();
        *bytes = db.into_storage();
    }

    pub(super) fn change_entry(&mut self, random: &mut SplitMix, change: impl FnOnce(&mut Vec<u8>, &mut SplitMix)) {
        let index = self.some_index(random);
        let reader = Reader::open(self.files[LOG_FILE].as_slice()).unwrap();
        let logs = reader.bucket(LOGS_BUCKET).unwrap().unwrap();
        let mut value = logs.get(&Index(index).to_key()).unwrap().unwrap();
        change(&mut value, random);
        self.put(LOG_FILE, &Index(index).to_key(), &value);
    }

    /// Makes the checksums of all metas right again.
    pub(super) fn mend(&mut self) {
        for name in [LOG_FILE, STABLE_FILE] {
            let bytes = self.files.get_mut(name).unwrap();
            for slot in 0..2 {
                mend_meta(&mut bytes[slot * self.page_size + 16..]);
            }
        }
    }
}
