//! The bulk writer: sorted pairs in, a freshly packed file out, in one pass at the speed of the disk.
//!
//! Leaves and branches are written one after the other from page 2 on, each once, in large writes; the metas come last.
//! Memory holds one open page a level and one entry: a value is borrowed until it is written. The file means what the
//! pairs say and has other bytes than a put transaction's: pages are full, and no page is free.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::io;
use std::thread::JoinHandle;

use super::bucket::{BucketHeader, encode_empty_bucket};
use super::element::{BUCKET_FLAG, ELEMENT_LEN, Element, check_key, table_len};
use super::error::Error;
use super::layout::{MAX_VALUE_LEN, PageId, TxId, is_page_size};
use super::meta::Meta;
use super::page::{PAGE_HEADER_LEN, PageHeader, PageKind};
use super::storage::Storage;

/// Bytes of a write.
const WRITE_LEN: usize = 256 << 10;
/// So many bytes are made durable at a time, while more are written.
const SYNC_LEN: u64 = 16 << 20;
/// A leaf takes entries up to this many bytes with its overflow: so what is left over at its end is little.
const LEAF_LEN: usize = 32 << 10;
/// A leaf of larger entries takes more of them, up to this, until at most one byte in 32 is left over.
const MOST_LEAF_LEN: usize = 1 << 20;
const LEFT_OVER: usize = 32;
/// The count of a page has 16 bits, and bbolt keeps the highest for the freelist.
const MAX_COUNT: usize = 0xFFFE;

/// Writes a file from sorted pairs.
#[derive(Debug)]
pub struct BulkWriter<S> {
    storage: S,
    page_size: usize,
    /// Pages that are complete, but not written yet, and where they go.
    out: Vec<u8>,
    out_at: u64,
    next: PageId,
    /// What is being made durable, and where it ends.
    syncing: Option<JoinHandle<io::Result<()>>>,
    synced: u64,
    /// Values of the top level: a bucket's header, and its page when it is inline.
    buckets: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A bucket that is being written. It counts only when it is finished.
#[derive(Debug)]
pub struct BulkBucket<'w, S> {
    writer: &'w mut BulkWriter<S>,
    name: Vec<u8>,
    sequence: u64,
    last_key: Vec<u8>,
    leaf: OpenPage,
    /// The open branch of each level, lowest first.
    branches: Vec<OpenPage>,
}

/// A page that takes elements: their lengths, and the keys and values that follow the table.
#[derive(Debug, Default)]
struct OpenPage {
    elements: Vec<NewElement>,
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct NewElement {
    key_len: usize,
    value_len: usize,
    flags: u32,
    child: PageId,
}

impl OpenPage {
    fn len(&self) -> usize {
        PAGE_HEADER_LEN + ELEMENT_LEN * self.elements.len() + self.data.len()
    }

    fn push_pair(&mut self, flags: u32, key: &[u8], value: &[u8]) {
        self.elements.push(NewElement { key_len: key.len(), value_len: value.len(), flags, child: PageId(0) });
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
    }

    fn push_child(&mut self, key: &[u8], child: PageId) {
        self.elements.push(NewElement { key_len: key.len(), value_len: 0, flags: 0, child });
        self.data.extend_from_slice(key);
    }

    fn first_key(&self) -> Vec<u8> {
        let len = self.elements.first().map_or(0, |element| element.key_len);
        self.data[..len].to_vec()
    }

    fn clear(&mut self) {
        self.elements.clear();
        self.data.clear();
    }
}

impl<S: Storage> BulkWriter<S> {
    /// Begins a file in an empty `storage`.
    pub fn new(storage: S, page_size: usize) -> Result<BulkWriter<S>, Error> {
        if !is_page_size(page_size) {
            return Err(Error::PageSize { found: page_size });
        }
        let out_at = 2 * page_size as u64;
        let out = Vec::with_capacity(WRITE_LEN + LEAF_LEN);
        Ok(BulkWriter {
            storage,
            page_size,
            out,
            out_at,
            next: PageId(2),
            syncing: None,
            synced: 0,
            buckets: BTreeMap::new(),
        })
    }

    /// Begins a bucket of the top level. Buckets may come in any order.
    pub fn bucket(&mut self, name: &[u8], sequence: u64) -> Result<BulkBucket<'_, S>, Error> {
        check_key(name)?;
        if let MapEntry::Occupied(taken) = self.buckets.entry(name.to_vec()) {
            return Err(Error::KeyOrder { key: taken.key().clone() });
        }
        Ok(BulkBucket {
            writer: self,
            name: name.to_vec(),
            sequence,
            last_key: Vec::new(),
            leaf: OpenPage::default(),
            branches: Vec::new(),
        })
    }

    /// Writes the top level, the freelist and both metas, and makes all durable.
    pub fn finish(mut self) -> Result<S, Error> {
        let mut root = OpenPage::default();
        for (name, value) in std::mem::take(&mut self.buckets) {
            root.push_pair(BUCKET_FLAG, &name, &value);
        }
        let root = self.put(PageKind::Leaf, &root)?;
        let freelist = self.put(PageKind::Freelist, &OpenPage::default())?;
        self.flush()?;
        for slot in 0..2 {
            let meta = Meta {
                page_size: u32::try_from(self.page_size).expect("a page size is at most 65536"),
                root: BucketHeader { root, sequence: 0 },
                freelist: Some(freelist),
                high_water: self.next,
                txid: TxId(slot),
            };
            let page = meta.encode(PageId(slot));
            let written = self.storage.write_all_at(&page, slot * self.page_size as u64);
            written.map_err(Error::io("writing a meta"))?;
        }
        self.join_sync()?;
        self.storage.sync().map_err(Error::io("syncing the file"))?;
        Ok(self.storage)
    }

    /// Writes a page and its overflow; returns its id.
    fn put(&mut self, kind: PageKind, page: &OpenPage) -> Result<PageId, Error> {
        self.put_parts(kind, &page.elements, &[&page.data])
    }

    /// Like `put`, with the data in several slices.
    fn put_parts(&mut self, kind: PageKind, elements: &[NewElement], data: &[&[u8]]) -> Result<PageId, Error> {
        let id = self.next;
        let count = u16::try_from(elements.len()).expect("runs are closed before they have so many elements");
        let len = table_len(count) + data.iter().map(|part| part.len()).sum::<usize>();
        let pages = len.div_ceil(self.page_size).max(1);
        let overflow = u32::try_from(pages - 1).expect("a value has at most 2 GiB");
        let start = self.out.len();
        self.out.resize(start + table_len(count), 0);
        let table = &mut self.out[start..];
        PageHeader { id, flags: kind.flags(), count, overflow }.encode(table);
        let mut at = table_len(count) as u64;
        for (index, element) in elements.iter().enumerate() {
            let (key_start, value_start) = (at, at + element.key_len as u64);
            at = value_start + element.value_len as u64;
            let (flags, child) = (element.flags, element.child);
            Element { flags, child, key_start, value_start, end: at }.encode(table, kind, index);
        }
        for part in data {
            self.write(part)?;
        }
        let padding = pages * self.page_size - len;
        self.out.resize(self.out.len() + padding, 0);
        self.next = PageId(id.0 + pages as u64);
        if self.out.len() >= WRITE_LEN {
            self.flush()?;
        }
        Ok(id)
    }

    /// Appends bytes; what is long goes to the file without being copied.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() < WRITE_LEN {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        self.storage.write_all_at(bytes, self.out_at).map_err(Error::io("writing pages"))?;
        self.out_at += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.out.is_empty() {
            self.storage.write_all_at(&self.out, self.out_at).map_err(Error::io("writing pages"))?;
            self.out_at += self.out.len() as u64;
            self.out.clear();
        }
        let is_idle = self.syncing.as_ref().is_none_or(JoinHandle::is_finished);
        if is_idle && self.out_at - self.synced >= SYNC_LEN {
            self.join_sync()?;
            self.synced = self.out_at;
            self.syncing = self.storage.sync_ahead();
        }
        Ok(())
    }

    /// Waits for what is being made durable. The system tells of a failure only once, so it must be heard.
    fn join_sync(&mut self) -> Result<(), Error> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        let synced = syncing.join().unwrap_or_else(|_| Err(io::Error::other("the thread that synced panicked")));
        synced.map_err(Error::io("syncing the file"))
    }
}

impl<S: Storage> BulkBucket<'_, S> {
    /// Adds a pair. Keys must come in ascending order.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        check_key(key)?;
        if value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len: value.len() });
        }
        if key <= self.last_key.as_slice() {
            return Err(Error::KeyOrder { key: key.to_vec() });
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        let more = ELEMENT_LEN + key.len() + value.len();
        if self.is_full(more) {
            self.close_leaf()?;
        }
        if more > MOST_LEAF_LEN {
            self.close_leaf()?;
            let element = NewElement { key_len: key.len(), value_len: value.len(), flags: 0, child: PageId(0) };
            let page = self.writer.put_parts(PageKind::Leaf, &[element], &[key, value])?;
            return self.add_child(0, key, page);
        }
        self.leaf.push_pair(0, key, value);
        Ok(())
    }

    /// Whether a leaf is better closed than given so many bytes more.
    fn is_full(&self, more: usize) -> bool {
        let (len, page_size) = (self.leaf.len(), self.writer.page_size);
        if self.leaf.elements.is_empty() || len + more <= LEAF_LEN.max(page_size) {
            return false;
        }
        let left_over = len.next_multiple_of(page_size) - len;
        left_over * LEFT_OVER <= len || len + more > MOST_LEAF_LEN || self.leaf.elements.len() >= MAX_COUNT
    }

    fn close_leaf(&mut self) -> Result<(), Error> {
        if self.leaf.elements.is_empty() {
            return Ok(());
        }
        let page = self.writer.put(PageKind::Leaf, &self.leaf)?;
        let key = self.leaf.first_key();
        self.leaf.clear();
        self.add_child(0, &key, page)
    }

    /// Adds a page to the branch of a level; a full branch is written first.
    fn add_child(&mut self, level: usize, key: &[u8], page: PageId) -> Result<(), Error> {
        if self.branches.len() == level {
            self.branches.push(OpenPage::default());
        }
        let branch = &self.branches[level];
        let is_full = branch.len() + ELEMENT_LEN + key.len() > self.writer.page_size;
        // With one child alone, a level would bring nothing nearer to the root.
        if is_full && branch.elements.len() >= 2 {
            self.close_branch(level)?;
        }
        self.branches[level].push_child(key, page);
        Ok(())
    }

    fn close_branch(&mut self, level: usize) -> Result<(), Error> {
        let page = self.writer.put(PageKind::Branch, &self.branches[level])?;
        let key = self.branches[level].first_key();
        self.branches[level].clear();
        self.add_child(level + 1, &key, page)
    }

    /// Writes what is open, and puts the bucket into the top level.
    pub fn finish(mut self) -> Result<(), Error> {
        self.close_leaf()?;
        let mut level = 0;
        let root = loop {
            match self.branches.get(level) {
                None => break PageId(0),
                Some(branch) if level + 1 == self.branches.len() && branch.elements.len() == 1 => {
                    break branch.elements[0].child;
                }
                Some(_) => self.close_branch(level)?,
            }
            level += 1;
        };
        let value = match root {
            PageId(0) => encode_empty_bucket(self.sequence),
            root => BucketHeader { root, sequence: self.sequence }.encode().to_vec(),
        };
        self.writer.buckets.insert(self.name, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bolt::{Db, MAX_KEY_LEN, Reader, check};

    type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

    fn write(page_size: usize, buckets: &[(&[u8], u64, &Pairs)]) -> Vec<u8> {
        let mut writer = BulkWriter::new(Vec::new(), page_size).unwrap();
        for (name, sequence, pairs) in buckets {
            let mut bucket = writer.bucket(name, *sequence).unwrap();
            pairs.iter().for_each(|(key, value)| bucket.push(key, value).unwrap());
            bucket.finish().unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8], name: &[u8]) -> (u64, Pairs) {
        let reader = Reader::open(bytes).unwrap();
        let bucket = reader.bucket(name).unwrap().unwrap();
        let mut cursor = bucket.cursor();
        let mut pairs = Pairs::new();
        while let Some(entry) = cursor.next().unwrap() {
            pairs.insert(entry.key.to_vec(), entry.value.to_vec());
        }
        (bucket.header().sequence, pairs)
    }

    fn entries(count: u64, len: usize) -> Pairs {
        (0..count).map(|index| (index.to_be_bytes().to_vec(), vec![index.to_le_bytes()[0]; len])).collect()
    }

    fn is_sound(bytes: &[u8]) {
        let check = check(bytes).unwrap();
        assert_eq!(check.problems, []);
        assert_eq!(check.pages.free, 0);
        assert_eq!(
            bytes.len() as u64,
            check.pages.total * check.pages.page_size as u64,
            "nothing behind the last page"
        );
    }

    #[test]
    fn what_was_pushed_is_read_back_in_every_size() {
        for page_size in [1024, 4096, 65536] {
            for (count, len) in [(0, 0), (1, 0), (1, 5000), (3_000, 10), (300, 1024), (12, 100 << 10), (2, 3 << 20)] {
                let (pairs, none) = (entries(count, len), Pairs::new());
                let bytes = write(page_size, &[(b"logs", 7, &pairs), (b"conf", 0, &none)]);
                is_sound(&bytes);
                assert_eq!(read(&bytes, b"logs"), (7, pairs), "{count} x {len}, pages of {page_size}");
                assert_eq!(read(&bytes, b"conf"), (0, none));
            }
        }
    }

    #[test]
    fn little_room_is_left_over() {
        for len in [100, 1024, 3000, 20 << 10, 100 << 10, 1 << 20] {
            let count = (4 << 20) / len as u64 + 1;
            let bytes = write(4096, &[(b"logs", 0, &entries(count, len))]);
            let data = count * (len as u64 + 8 + ELEMENT_LEN as u64);
            assert!(bytes.len() as u64 * 100 <= data * 104, "{count} x {len}: {} for {data}", bytes.len());
        }
    }

    #[test]
    fn a_put_transaction_goes_on_with_the_file() {
        let mut pairs = entries(5_000, 300);
        let bytes = write(4096, &[(b"logs", 0, &pairs)]);
        let mut db = Db::open(bytes).unwrap();
        let mut tx = db.begin().unwrap();
        for index in 5_000..5_200_u64 {
            tx.put(b"logs", &index.to_be_bytes(), b"more").unwrap();
            pairs.insert(index.to_be_bytes().to_vec(), b"more".to_vec());
        }
        tx.commit().unwrap();
        let bytes = db.into_storage();
        assert_eq!(check(&bytes[..]).unwrap().problems, []);
        assert_eq!(read(&bytes, b"logs").1, pairs);
    }

    #[test]
    fn pairs_out_of_order_are_refused() {
        let mut writer = BulkWriter::new(Vec::new(), 4096).unwrap();
        let mut bucket = writer.bucket(b"logs", 0).unwrap();
        bucket.push(b"b", b"").unwrap();
        for key in [&b"a"[..], b"b"] {
            assert!(matches!(bucket.push(key, b""), Err(Error::KeyOrder { .. })));
        }
        assert!(matches!(bucket.push(b"", b""), Err(Error::EmptyKey)));
        assert!(matches!(bucket.push(&[1; MAX_KEY_LEN + 1], b""), Err(Error::KeyTooLong { .. })));
        bucket.finish().unwrap();
        assert!(matches!(writer.bucket(b"logs", 0), Err(Error::KeyOrder { .. })));
        assert!(matches!(BulkWriter::new(Vec::new(), 1000), Err(Error::PageSize { found: 1000 })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_pairs_make_a_sound_file(
            pairs in prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 1..40),
                prop::collection::vec(any::<u8>(), 0..3_000),
                0..60,
            ),
            long in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 500..2_000), Just(vec![1]), 0..30),
        ) {
            let bytes = write(1024, &[(b"a", 1, &pairs), (b"b", 2, &long)]);
            is_sound(&bytes);
            prop_assert_eq!(read(&bytes, b"a"), (1, pairs));
            prop_assert_eq!(read(&bytes, b"b"), (2, long));
        }
    }
}
