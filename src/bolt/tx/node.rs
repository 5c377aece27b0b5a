//! A page in memory while a transaction changes it: its items, how they become a page again, and where they are split.

use std::cmp::Ordering;

use super::super::element::{ELEMENT_LEN, Element, LeafElement, table_len};
use super::super::error::{Error, PageError};
use super::super::layout::PageId;
use super::super::page::{PAGE_HEADER_LEN, PageHeader, PageKind};
use super::super::page_buf::PageBuf;

/// A node splits only if each half keeps two keys. (bbolt node.go minKeysPerPage)
const MIN_KEYS: usize = 2;

/// Number of a node in its tree.
pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) leaf: bool,
    /// The page it was read from, with its overflow; `None` for a new node.
    pub(super) page: Option<(PageId, u32)>,
    /// Its key in its parent.
    pub(super) key: Option<Vec<u8>>,
    pub(super) parent: Option<NodeId>,
    pub(super) children: Vec<NodeId>,
    pub(super) items: Vec<Item>,
    pub(super) spilled: bool,
}

/// One element: a value in a leaf, a child in a branch.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) flags: u32,
    pub(super) child: PageId,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl Item {
    fn len(&self) -> usize {
        ELEMENT_LEN + self.key.len() + self.value.len()
    }
}

impl Node {
    pub(super) fn new(leaf: bool, parent: Option<NodeId>) -> Node {
        Node { leaf, page: None, key: None, parent, children: Vec::new(), items: Vec::new(), spilled: false }
    }

    pub(super) fn read(page: &PageBuf, parent: Option<NodeId>) -> Node {
        let mut node = Node::new(page.kind == PageKind::Leaf, parent);
        node.items = if node.leaf {
            let item = |e: LeafElement<'_>| Item {
                flags: e.flags,
                child: PageId(0),
                key: e.key.to_vec(),
                value: e.value.to_vec(),
            };
            page.leaf().iter().map(item).collect()
        } else {
            let branch = page.branch();
            let item = |(key, child): (&[u8], PageId)| Item { flags: 0, child, key: key.to_vec(), value: Vec::new() };
            (0..branch.count()).filter_map(|index| branch.get(index)).map(item).collect()
        };
        node.key = node.items.first().map(|item| item.key.clone());
        node
    }

    /// Sets `new_key`, replacing the item `old_key` if there is one. (bbolt node.go put)
    pub(super) fn put(&mut self, old_key: &[u8], item: Item) {
        match self.position(old_key) {
            Ok(at) => self.items[at] = item,
            Err(at) => self.items.insert(at, item),
        }
    }

    pub(super) fn position(&self, key: &[u8]) -> Result<usize, usize> {
        // Keys mostly come in ascending order.
        match self.items.last().map(|last| last.key.as_slice().cmp(key)) {
            None | Some(Ordering::Less) => Err(self.items.len()),
            Some(_) => self.items.binary_search_by(|item| item.key.as_slice().cmp(key)),
        }
    }

    /// Index of the child that may hold `key`. (bbolt cursor.go searchNode)
    pub(super) fn child_index(&self, key: &[u8]) -> usize {
        self.items.partition_point(|item| item.key.as_slice() <= key).saturating_sub(1)
    }
}

pub(super) fn len_of(items: &[Item]) -> usize {
    PAGE_HEADER_LEN + items.iter().map(Item::len).sum::<usize>()
}

/// Encodes header, elements and data into `bytes`, which must be zero. (bbolt node.go write)
pub(super) fn encode(leaf: bool, items: &[Item], id: PageId, overflow: u32, bytes: &mut [u8]) -> Result<(), Error> {
    let kind = if leaf { PageKind::Leaf } else { PageKind::Branch };
    let count = u16::try_from(items.len()).ok().filter(|count| *count < u16::MAX);
    let too_many = || Error::Page {
        page: id,
        offset: 0,
        error: PageError::Count { count: u16::MAX, run_len: bytes.len() as u64 },
    };
    let count = count.ok_or_else(too_many)?;
    PageHeader { id, flags: kind.flags(), count, overflow }.encode(bytes);
    let mut at = table_len(count);
    for (index, item) in items.iter().enumerate() {
        let (key_end, end) = (at + item.key.len(), at + item.key.len() + item.value.len());
        let (key_start, value_start) = (at as u64, key_end as u64);
        let element = Element { flags: item.flags, child: item.child, key_start, value_start, end: end as u64 };
        element.encode(bytes, kind, index);
        bytes[at..key_end].copy_from_slice(&item.key);
        bytes[key_end..end].copy_from_slice(&item.value);
        at = end;
    }
    Ok(())
}

/// Splits items into pages: at half a page, with at least two items each, and not at all if there are at most four or
/// they fit in one page. (bbolt node.go split, splitTwo, splitIndex)
pub(super) fn split(mut items: Vec<Item>, page_size: usize) -> Vec<Vec<Item>> {
    let mut cuts = Vec::new();
    let mut start = 0;
    while items.len() - start > 2 * MIN_KEYS && !fits(&items[start..], page_size) {
        start += split_index(&items[start..], page_size / 2);
        cuts.push(start);
    }
    let mut parts: Vec<Vec<Item>> = cuts.iter().rev().map(|cut| items.split_off(*cut)).collect();
    parts.push(items);
    parts.reverse();
    parts
}

fn fits(items: &[Item], page_size: usize) -> bool {
    let mut len = PAGE_HEADER_LEN;
    items.iter().all(|item| {
        len += item.len();
        len < page_size
    })
}

fn split_index(items: &[Item], threshold: usize) -> usize {
    let mut len = PAGE_HEADER_LEN;
    let last = items.len() - MIN_KEYS - 1;
    for (index, item) in items[..last].iter().enumerate() {
        if index >= MIN_KEYS && len + item.len() > threshold {
            return index;
        }
        len += item.len();
    }
    last
}
