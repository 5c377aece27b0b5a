//! Valid directories are changed in many ways; then Go and `verify` judge them. Nothing that makes Go fail may pass.
//!
//! Go is the oracle's `judge`: bbolt 1.4.3's check, raft-boltdb's reads, a start of raft, a few writes, and the check
//! again, each on a copy, in a child process. DIFFERENTIAL_COUNT and DIFFERENTIAL_SEED in the environment run more, or
//! others; DIFFERENTIAL_ONLY=N makes one, judges it and leaves it; docs/DIFFERENTIAL.md has the table of a long run and says what it means.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::common::{SplitMix, number, oracle};
use base64::Engine;
use op_conductor_init::bolt::{BulkWriter, Db, PageHeader, PageKind};
use op_conductor_init::raft::codec::{decode_log, encode_configuration, encode_log};
use op_conductor_init::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, LOGS_BUCKET, Log,
    LogType, Server, Suffrage, Term,
};
use op_conductor_init::report::Severity;
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use op_conductor_init::verify::verify;
use serde_json::Value;

const V3: &[u8] = include_bytes!("../vectors/payload/v3.ssz");
const META: &str = "snapshots/2-80-1700000000000/meta.json";
const STATE: &str = "snapshots/2-80-1700000000000/state.bin";

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A server's directory, in memory.
#[derive(Clone)]
struct Directory {
    name: &'static str,
    page_size: usize,
    files: BTreeMap<&'static str, Vec<u8>>,
    /// The log as it was some commits before.
    older: Vec<u8>,
}

impl Directory {
    fn write(&self, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for (name, bytes) in &self.files {
            let path = to.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

fn entry(index: u64, term: u64, kind: LogType, data: &[u8]) -> Vec<u8> {
    let (data, appended_at) = (Some(data.into()), AppendedAt::from_unix(1_700_000_000, 0));
    let mut value = Vec::new();
    encode_log(&Log { index: Index(index), term: Term(term), kind, data, extensions: None, appended_at }, &mut value);
    value
}

fn members() -> Vec<u8> {
    let server = |id: &str| Server { suffrage: Suffrage::Voter, id: id.to_owned(), address: format!("{id}.x:50050") };
    let mut data = Vec::new();
    encode_configuration(&Configuration { servers: ["a", "b", "c"].map(server).to_vec() }, &mut data);
    data
}

/// Entries `first..=last`: the members at index 1 and 41, else payloads and random commands of about `len` bytes.
fn entries(first: u64, last: u64, len: usize) -> Pairs {
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
fn store(page_size: usize, bucket: &[u8], pairs: &Pairs, batch: usize) -> (Vec<u8>, Vec<u8>) {
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

fn packed(page_size: usize, pairs: &Pairs) -> Vec<u8> {
    let mut writer = BulkWriter::new(Vec::new(), page_size).unwrap();
    let mut logs = writer.bucket(LOGS_BUCKET, 0).unwrap();
    pairs.iter().for_each(|(key, value)| logs.push(key, value).unwrap());
    logs.finish().unwrap();
    writer.bucket(CONF_BUCKET, 0).unwrap().finish().unwrap();
    writer.finish().unwrap()
}

fn stable(page_size: usize, term: u64) -> Vec<u8> {
    let pair = |key: &str, value: &[u8]| (key.as_bytes().to_vec(), value.to_vec());
    let term = term.to_be_bytes();
    let pairs = vec![pair(CURRENT_TERM, &term), pair(LAST_VOTE_TERM, &term), pair(LAST_VOTE_CAND, b"a.x:50050")];
    store(page_size, CONF_BUCKET, &pairs, 1).0
}

fn directory(name: &'static str, page_size: usize, (log, older): (Vec<u8>, Vec<u8>)) -> Directory {
    let files = BTreeMap::from([(LOG_FILE, log), (STABLE_FILE, stable(page_size, 9))]);
    Directory { name, page_size, files, older }
}

/// The log of a node that has a snapshot up to index 80, which begins at 60.
fn with_snapshot() -> Directory {
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
fn with_sent_snapshot() -> Directory {
    let mut pairs = entries(60, 70, 400);
    pairs.extend(entries(81, 90, 400));
    let (log, older) = store(4096, LOGS_BUCKET, &pairs, 5);
    let mut directory = with_snapshot();
    directory.files.insert(LOG_FILE, log);
    Directory { name: "with a sent snapshot", older, ..directory }
}

/// A log that raft-boltdb wrote, in transactions of seven entries.
fn of_go() -> Directory {
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

fn directories() -> Vec<Directory> {
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

/// A way to change a directory.
type Mutation = (&'static str, fn(&mut Directory, &mut SplitMix));

const MUTATIONS: &[Mutation] = &[
    ("a bit, anywhere", |it, random| {
        let bytes = it.some_file(random);
        let at = random.index(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }),
    ("a bit, in a page's head", |it, random| {
        let (at, reach) = (it.some_page(random), 16 * (1 + random.index(12)));
        let bytes = it.log();
        let at = (at + random.index(reach)).min(bytes.len() - 1);
        bytes[at] ^= 1 << random.below(8);
        it.mend();
    }),
    ("a meta's field", |it, random| {
        let page_size = it.page_size;
        let at = random.index(2) * page_size + 16 + [8, 12, 16, 24, 32, 40, 48][random.index(7)];
        let bytes = it.some_db(random);
        let old = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let new = odd(old, random);
        bytes[at..at + 8].copy_from_slice(&new.to_le_bytes());
        it.mend();
    }),
    ("a meta over the other", |it, random| {
        let (page_size, from) = (it.page_size, random.index(2));
        let bytes = it.some_db(random);
        bytes.copy_within(from * page_size..(from + 1) * page_size, (1 - from) * page_size);
    }),
    ("two pages swapped", |it, random| {
        let (a, b, page_size) = (it.some_page(random), it.some_page(random), it.page_size);
        let bytes = it.log();
        let (first, second) = (bytes[a..a + page_size].to_vec(), bytes[b..b + page_size].to_vec());
        bytes[a..a + page_size].copy_from_slice(&second);
        bytes[b..b + page_size].copy_from_slice(&first);
    }),
    ("two pages swapped, ids mended", |it, random| {
        let (a, b, page_size) = (it.some_page(random), it.some_page(random), it.page_size);
        let bytes = it.log();
        let (first, second) = (bytes[a + 8..a + page_size].to_vec(), bytes[b + 8..b + page_size].to_vec());
        bytes[a + 8..a + page_size].copy_from_slice(&second);
        bytes[b + 8..b + page_size].copy_from_slice(&first);
    }),
    ("a page of zeros", |it, random| {
        let (at, page_size) = (it.some_page(random), it.page_size);
        it.log()[at..at + page_size].fill(0);
    }),
    ("cut at a page", |it, random| {
        let at = it.some_page(random);
        it.log().truncate(at);
    }),
    ("cut anywhere", |it, random| {
        let bytes = it.some_file(random);
        bytes.truncate(random.index(bytes.len()));
    }),
    ("longer", |it, random| {
        let more = random.bytes(1 + it.page_size * 2);
        it.some_db(random).extend(more);
    }),
    ("a stale page", |it, random| {
        let (at, page_size) = (it.some_page(random), it.page_size);
        if let Some(old) = it.older.get(at..at + page_size).map(<[u8]>::to_vec) {
            it.log()[at..at + page_size].copy_from_slice(&old);
        }
    }),
    ("stale but for the metas", |it, _| {
        let (page_size, older) = (it.page_size, it.older.clone());
        let bytes = it.log();
        let end = older.len().min(bytes.len());
        bytes[2 * page_size..end].copy_from_slice(&older[2 * page_size..end]);
    }),
    ("an element", |it, random| {
        let at = it.some_page_of(PageKind::Leaf, random) + 16;
        let bytes = it.log();
        let at = at + 16 * random.index(count_at(bytes, at)) + 4 * random.index(4);
        set_u32(bytes, at, random);
    }),
    ("a branch's element", |it, random| {
        let at = it.some_page_of(PageKind::Branch, random) + 16;
        let bytes = it.log();
        let at = at + 16 * random.index(count_at(bytes, at)) + 4 * random.index(2);
        set_u32(bytes, at, random);
    }),
    ("a branch's child", |it, random| {
        let (at, page) = (it.some_page_of(PageKind::Branch, random) + 16, it.some_page(random) / it.page_size);
        let bytes = it.log();
        let at = at + 16 * random.index(count_at(bytes, at)) + 8;
        bytes[at..at + 8].copy_from_slice(&(page as u64).to_le_bytes());
    }),
    ("a page's header", |it, random| {
        let at = it.some_page(random);
        let bytes = it.log();
        let mut header = PageHeader::decode(&bytes[at..]).unwrap();
        match random.below(4) {
            0 => header.id.0 = odd(header.id.0, random),
            1 => header.flags = [1, 2, 4, 16, 0, 3][random.index(6)],
            2 => header.count = u16::try_from(odd(header.count.into(), random) & 0xFFFF).unwrap(),
            _ => header.overflow = u32::try_from(odd(header.overflow.into(), random) & 0xFFFF_FFFF).unwrap(),
        }
        header.encode(&mut bytes[at..]);
    }),
    ("the freelist", |it, random| {
        let (at, page) = (it.some_page_of(PageKind::Freelist, random), it.some_page(random) / it.page_size);
        let bytes = it.log();
        let mut header = PageHeader::decode(&bytes[at..]).unwrap();
        let count = usize::from(header.count);
        let slot = at + 16 + 8 * random.index(count.clamp(1, 100));
        match random.below(5) {
            0 => header.count = header.count.saturating_sub(1),
            1 => header.count += 1,
            2 => bytes.copy_within(at + 16..at + 24, slot),
            3 => bytes[slot..slot + 8].copy_from_slice(&(page as u64).to_le_bytes()),
            _ => {
                let new = odd(page as u64, random);
                bytes[slot..slot + 8].copy_from_slice(&new.to_le_bytes());
            }
        }
        header.encode(&mut bytes[at..]);
    }),
    ("bytes of leaves", |it, random| {
        let at = it.some_page_of(PageKind::Leaf, random);
        let page_size = it.page_size;
        let bytes = it.log();
        for _ in 0..=random.below(4) {
            let at = (at + random.index(page_size)).min(bytes.len() - 1);
            bytes[at] = random.bytes(1)[0];
        }
    }),
    ("bytes of an entry", |it, random| {
        it.change_entry(random, |value, random| {
            let at = random.index(value.len());
            value[at] = random.bytes(1)[0];
        });
    }),
    ("an entry, cut", |it, random| {
        it.change_entry(random, |value, random| value.truncate(random.index(value.len())));
    }),
    ("an entry's fields", |it, random| {
        it.change_entry(random, |value, random| {
            let mut log = decode_log(value).unwrap();
            match random.below(4) {
                0 => log.index.0 = odd(log.index.0, random),
                1 => log.term.0 = odd(log.term.0, random),
                2 => log.kind = LogType::from_byte(u8::try_from(random.below(9)).unwrap()),
                _ => log.data = None,
            }
            let mut changed = Vec::new();
            encode_log(&log, &mut changed);
            *value = changed;
        });
    }),
    ("a configuration's bytes", |it, random| {
        let mut data = members();
        let at = random.index(data.len());
        data[at] = random.bytes(1)[0];
        let index = it.some_index(random);
        it.put(LOG_FILE, &Index(index).to_key(), &entry(index, 9, LogType::Configuration, &data));
    }),
    ("another key in the log", |it, random| {
        let key = match random.below(3) {
            0 => random.bytes(8),
            1 => Index(odd(100, random)).to_key().to_vec(),
            _ => {
                let len = 1 + random.index(12);
                random.bytes(len)
            }
        };
        it.put(LOG_FILE, &key, &entry(7, 1, LogType::Noop, b""));
    }),
    ("a stable key", |it, random| {
        let key = [CURRENT_TERM, LAST_VOTE_TERM, LAST_VOTE_CAND, "Other"][random.index(4)];
        let value = match random.below(3) {
            0 => {
                let len = random.index(12);
                random.bytes(len)
            }
            1 => Vec::new(),
            _ => odd(9, random).to_be_bytes().to_vec(),
        };
        it.put(STABLE_FILE, key.as_bytes(), &value);
    }),
    ("a file lost", |it, random| {
        let name = *it.files.keys().nth(random.index(it.files.len())).unwrap();
        it.files.remove(name);
    }),
    ("an empty file", |it, random| it.some_file(random).clear()),
    ("another file's bytes", |it, random| {
        let other = it.files[STABLE_FILE].clone();
        *it.some_file(random) = other;
    }),
    ("a snapshot's meta.json", |it, random| {
        if let Some(meta) = it.files.get_mut(META) {
            let at = random.index(meta.len());
            meta[at] = b"0123456789\"{}[],:ax "[random.index(20)];
        }
    }),
    ("a snapshot's state.bin", |it, random| {
        if let Some(state) = it.files.get_mut(STATE) {
            match random.below(3) {
                0 => state.truncate(random.index(state.len())),
                1 => state.extend(random.bytes(5)),
                _ => state[usize::try_from(random.below(400)).unwrap()] ^= 1,
            }
        }
    }),
];

/// A number near another one, or far from all.
fn odd(number: u64, random: &mut SplitMix) -> u64 {
    match random.below(7) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => 0,
        3 => u64::MAX,
        4 => number ^ (1 << random.below(64)),
        5 => random.below(100),
        _ => number.wrapping_mul(2),
    }
}

/// Elements of the page whose table begins at `at`; what is no such page has a few all the same.
fn count_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[at - 6..at - 4].try_into().unwrap())).clamp(1, 60)
}

fn set_u32(bytes: &mut [u8], at: usize, random: &mut SplitMix) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        let old = u32::from_le_bytes((&*field).try_into().unwrap());
        let new = u32::try_from(odd(old.into(), random) & 0xFFFF_FFFF).unwrap();
        field.copy_from_slice(&new.to_le_bytes());
    }
}

impl Directory {
    fn log(&mut self) -> &mut Vec<u8> {
        self.files.get_mut(LOG_FILE).unwrap()
    }

    fn some_db(&mut self, random: &mut SplitMix) -> &mut Vec<u8> {
        let name = if random.below(3) == 0 { STABLE_FILE } else { LOG_FILE };
        self.files.get_mut(name).unwrap()
    }

    fn some_file(&mut self, random: &mut SplitMix) -> &mut Vec<u8> {
        let count = self.files.len();
        self.files.values_mut().nth(random.index(count)).unwrap()
    }

    /// Where some page of the log begins, metas excepted.
    fn some_page(&self, random: &mut SplitMix) -> usize {
        let pages = self.files[LOG_FILE].len() / self.page_size;
        (2 + random.index(pages - 2)) * self.page_size
    }

    /// Where some page of this kind begins; of any kind when there is none.
    fn some_page_of(&self, kind: PageKind, random: &mut SplitMix) -> usize {
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
    fn some_index(&self, random: &mut SplitMix) -> u64 {
        let first = if self.files.contains_key(META) { 60 } else { 1 };
        let last = match self.name {
            "new" => 3,
            "with overflow" => 40,
            "packed" => 60,
            _ => 120,
        };
        first + random.below(last - first + 1)
    }

    fn put(&mut self, file: &str, key: &[u8], value: &[u8]) {
        let bucket = if file == LOG_FILE { LOGS_BUCKET } else { CONF_BUCKET };
        let bytes = self.files.get_mut(file).unwrap();
        let mut db = Db::open(std::mem::take(bytes)).unwrap();
        let mut tx = db.begin().unwrap();
        tx.put(bucket, key, value).unwrap();
        tx.commit().unwrap();
        *bytes = db.into_storage();
    }

    fn change_entry(&mut self, random: &mut SplitMix, change: impl FnOnce(&mut Vec<u8>, &mut SplitMix)) {
        let index = self.some_index(random);
        let reader = op_conductor_init::bolt::Reader::open(self.files[LOG_FILE].as_slice()).unwrap();
        let logs = reader.bucket(LOGS_BUCKET).unwrap().unwrap();
        let mut value = logs.get(&Index(index).to_key()).unwrap().unwrap();
        change(&mut value, random);
        self.put(LOG_FILE, &Index(index).to_key(), &value);
    }

    /// Makes the checksums of all metas right again.
    fn mend(&mut self) {
        for name in [LOG_FILE, STABLE_FILE] {
            let bytes = self.files.get_mut(name).unwrap();
            for slot in 0..2 {
                let meta = slot * self.page_size + 16;
                let basis = 0xcbf2_9ce4_8422_2325_u64;
                let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
                let sum = bytes[meta..meta + 56].iter().fold(basis, step);
                bytes[meta + 56..meta + 64].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }
}

/// The oracle, asked directory by directory.
struct Judge {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Judge {
    fn new() -> Judge {
        let mut command = Command::new(oracle("1.8.0"));
        let mut child =
            command.args(["judge", "--time-limit", "5s"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Judge { child, stdin, stdout }
    }

    /// What failed, and at which step; none when all is well.
    fn fails(&mut self, directory: &Path) -> Option<(String, String)> {
        writeln!(self.stdin, "{}", directory.display()).unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        (answer["ok"] != true).then(|| (text("step"), text("error")))
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ids of the errors that we find.
fn errors(directory: &Path) -> Vec<&'static str> {
    // Without one, nothing is left that could be a node's state.
    let Ok(report) = verify(directory, None, &()) else { return vec!["no state"] };
    let mut ids: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.id)
        .collect();
    ids.dedup();
    ids
}

/// What was seen of one kind of change.
#[derive(Debug, Default, Clone)]
struct Row {
    both_fail: u64,
    both_pass: u64,
    only_we: u64,
    only_go: u64,
}

#[derive(Default)]
struct Table {
    rows: BTreeMap<&'static str, Row>,
    /// Ids that we found where Go found nothing, and a first example of each.
    only_we: BTreeMap<String, (u64, String)>,
    only_go: Vec<String>,
}

impl Table {
    fn add(&mut self, class: &'static str, what: &str, ours: &[&str], go: Option<(String, String)>) {
        let row = self.rows.entry(class).or_default();
        match (ours.is_empty(), go) {
            (false, Some(_)) => row.both_fail += 1,
            (true, None) => row.both_pass += 1,
            (false, None) => {
                row.only_we += 1;
                let ids = ours.join(" ");
                self.only_we.entry(ids).or_insert_with(|| (0, what.to_owned())).0 += 1;
            }
            (true, Some((step, error))) => {
                row.only_go += 1;
                self.only_go.push(format!("{what}: {step}: {error}"));
            }
        }
    }

    fn merge(&mut self, other: Table) {
        for (class, row) in other.rows {
            let sum = self.rows.entry(class).or_default();
            sum.both_fail += row.both_fail;
            sum.both_pass += row.both_pass;
            sum.only_we += row.only_we;
            sum.only_go += row.only_go;
        }
        for (ids, (count, example)) in other.only_we {
            self.only_we.entry(ids).or_insert_with(|| (0, example)).0 += count;
        }
        self.only_go.extend(other.only_go);
    }

    fn text(&self) -> String {
        let mut text =
            String::from("| change | both fail | both pass | only verify | only Go |\n|---|---|---|---|---|\n");
        let mut sum = Row::default();
        for (class, row) in &self.rows {
            let Row { both_fail, both_pass, only_we, only_go } = row;
            writeln!(text, "| {class} | {both_fail} | {both_pass} | {only_we} | {only_go} |").unwrap();
            sum.both_fail += both_fail;
            sum.both_pass += both_pass;
            sum.only_we += only_we;
            sum.only_go += only_go;
        }
        let Row { both_fail, both_pass, only_we, only_go } = sum;
        writeln!(text, "| all | {both_fail} | {both_pass} | {only_we} | {only_go} |\n").unwrap();
        writeln!(text, "| only verify | times | an example |\n|---|---|---|").unwrap();
        for (ids, (count, example)) in &self.only_we {
            writeln!(text, "| {ids} | {count} | {example} |").unwrap();
        }
        text
    }
}

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
