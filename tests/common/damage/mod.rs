//! A store with pages of all kinds, and a knife for it.

mod cases;

pub(crate) use cases::CASES;
use op_conductor_init::bolt::{Db, Meta, PageHeader, PageId, Problem, Reader, check};

pub(crate) const PAGE: usize = 4096;

pub(crate) fn new_store(page_size: usize) -> Db<Vec<u8>> {
    let mut db = Db::create(Vec::new(), page_size).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_bucket_if_not_exists(b"logs").unwrap();
    tx.create_bucket_if_not_exists(b"conf").unwrap();
    tx.commit().unwrap();
    db
}

/// A store with a branch page, leaves, overflow pages, free pages, and an inline bucket of two keys.
pub(crate) fn store() -> Vec<u8> {
    let mut db = new_store(PAGE);
    for batch in 0..4_u64 {
        let mut tx = db.begin().unwrap();
        for index in batch * 10..batch * 10 + 10 {
            let len = if index == 25 { 40_000 } else { 900 };
            tx.put(b"logs", &index.to_be_bytes(), &vec![7; len]).unwrap();
        }
        tx.commit().unwrap();
    }
    let mut tx = db.begin().unwrap();
    tx.put(b"conf", b"CurrentTerm", &4_u64.to_be_bytes()).unwrap();
    tx.put(b"conf", b"LastVoteTerm", &4_u64.to_be_bytes()).unwrap();
    tx.commit().unwrap();
    db.into_storage()
}

/// A file under the knife.
pub(crate) struct File(pub(crate) Vec<u8>);

impl File {
    pub(crate) fn meta(&self) -> Meta {
        Reader::open(self.0.as_slice()).unwrap().meta()
    }

    pub(crate) fn page(&mut self, page: PageId) -> &mut [u8] {
        let at = usize::try_from(page.0).unwrap() * PAGE;
        &mut self.0[at..]
    }

    pub(crate) fn header(&mut self, page: PageId) -> PageHeader {
        PageHeader::decode(self.page(page)).unwrap()
    }

    pub(crate) fn set_header(&mut self, page: PageId, change: impl FnOnce(&mut PageHeader)) {
        let mut header = self.header(page);
        change(&mut header);
        header.encode(self.page(page));
    }

    /// Writes a changed live meta with the right checksum.
    pub(crate) fn set_meta(&mut self, change: impl FnOnce(&mut Meta)) {
        let mut meta = self.meta();
        let slot = self.newer();
        change(&mut meta);
        let bytes = meta.encode(slot);
        self.page(slot)[..80].copy_from_slice(&bytes[..80]);
    }

    pub(crate) fn set_u32(&mut self, page: PageId, at: usize, value: u32) {
        self.page(page)[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn set_u64(&mut self, page: PageId, at: usize, value: u64) {
        self.page(page)[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn get_u32(&mut self, page: PageId, at: usize) -> usize {
        let bytes = self.page(page)[at..at + 4].try_into().unwrap();
        usize::try_from(u32::from_le_bytes(bytes)).unwrap()
    }

    pub(crate) fn get_u64(&mut self, page: PageId, at: usize) -> u64 {
        u64::from_le_bytes(self.page(page)[at..at + 8].try_into().unwrap())
    }

    /// The page of the meta that counts, and of the other.
    pub(crate) fn newer(&self) -> PageId {
        PageId(self.meta().txid.0 % 2)
    }

    pub(crate) fn older(&self) -> PageId {
        PageId(1 - self.newer().0)
    }

    pub(crate) fn list(&self) -> PageId {
        self.meta().freelist.unwrap()
    }

    /// The leaf of the top level, which holds both buckets.
    pub(crate) fn top(&self) -> PageId {
        self.meta().root.root
    }

    /// The root of `logs`: a branch page.
    pub(crate) fn branch(&self) -> PageId {
        let reader = Reader::open(self.0.as_slice()).unwrap();
        reader.bucket(b"logs").unwrap().unwrap().header().root
    }

    /// Child `index` of the branch page.
    pub(crate) fn child(&mut self, index: usize) -> PageId {
        let branch = self.branch();
        PageId(self.get_u64(branch, 16 + 16 * index + 8))
    }

    pub(crate) fn set_child(&mut self, index: usize, child: PageId) {
        let branch = self.branch();
        self.set_u64(branch, 16 + 16 * index + 8, child.0);
    }

    /// The leaf with the long value.
    pub(crate) fn long_leaf(&mut self) -> PageId {
        let branch = self.branch();
        let mut children = (0..usize::from(self.header(branch).count)).map(|index| self.child(index));
        let leaves: Vec<PageId> = children.by_ref().collect();
        leaves.into_iter().find(|leaf| self.header(*leaf).overflow > 0).unwrap()
    }

    /// Where the key of element `index` of a leaf begins, from the start of the page.
    pub(crate) fn key_at(&mut self, leaf: PageId, index: usize) -> usize {
        let element = 16 + 16 * index;
        element + self.get_u32(leaf, element + 4)
    }

    pub(crate) fn set_key(&mut self, leaf: PageId, index: usize, key: u64) {
        let at = self.key_at(leaf, index);
        self.page(leaf)[at..at + 8].copy_from_slice(&key.to_be_bytes());
    }

    /// Where the value of the first element of the top level begins: `conf`, which is inline.
    pub(crate) fn conf_at(&mut self) -> usize {
        let top = self.top();
        self.key_at(top, 0) + "conf".len()
    }

    /// A byte of `conf`'s inline page.
    pub(crate) fn set_inline(&mut self, at: usize, byte: u8) {
        let (top, conf) = (self.top(), self.conf_at());
        self.page(top)[conf + 16 + at] = byte;
    }

    /// Appends pages; the first of them.
    pub(crate) fn grow(&mut self, pages: u64) -> PageId {
        let first = self.meta().high_water;
        let end = PageId(first.0 + pages);
        self.0.resize(usize::try_from(end.0).unwrap() * PAGE, 0);
        self.set_meta(|meta| meta.high_water = end);
        first
    }

    /// Writes a branch page of `count` one-byte keys that all lead to `child`.
    pub(crate) fn write_branch(&mut self, page: PageId, count: u8, child: PageId) {
        let elements = usize::from(count);
        PageHeader { id: page, flags: 1, count: u16::from(count), overflow: 0 }.encode(self.page(page));
        for index in 0..count {
            let element = 16 + 16 * usize::from(index);
            let data = 16 + 16 * elements + usize::from(index);
            self.set_u32(page, element, u32::try_from(data - element).unwrap());
            self.set_u32(page, element + 4, 1);
            self.set_u64(page, element + 8, child.0);
            self.page(page)[data] = index;
        }
    }

    /// Branches in a row behind the first child of `logs`, `count` pointers from each to the next, at last to a leaf.
    pub(crate) fn ladder(&mut self, levels: u64, count: u8) {
        let (leaf, first) = (self.child(0), self.grow(levels));
        for level in 0..levels {
            let page = PageId(first.0 + level);
            let child = if level + 1 == levels { leaf } else { PageId(page.0 + 1) };
            self.write_branch(page, count, child);
        }
        self.set_child(0, first);
    }
}

pub(crate) fn damaged(damage: fn(&mut File)) -> File {
    let mut file = File(store());
    damage(&mut file);
    file
}

pub(crate) fn problems(file: &File) -> Vec<Problem> {
    check(file.0.as_slice()).unwrap().problems
}
