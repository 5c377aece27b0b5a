//! The changed part of one bucket: pages on the way to a changed key become nodes, and nodes become pages at the commit.
//!
//! Follows bbolt's node.go: which pages are materialized, where nodes split, and in what order pages are freed and
//! allocated decide the bytes of the file.

use std::collections::HashMap;

use super::super::bucket::{BUCKET_HEADER_LEN, BucketHeader};
use super::super::element::{BUCKET_FLAG, LeafElement};
use super::super::error::Error;
use super::super::geometry::Geometry;
use super::super::layout::{MAX_DEPTH, PageId};
use super::super::page::PageKind;
use super::super::page_buf::{Load, PageBuf};
use super::super::storage::{ReadAt, Storage};
use super::Tx;
use super::node::{Item, Node, NodeId, encode, len_of, split};

/// A bucket's header and its materialized nodes.
#[derive(Debug)]
pub(super) struct Tree {
    header: BucketHeader,
    inline: Option<Vec<u8>>,
    nodes: Vec<Node>,
    by_page: HashMap<PageId, NodeId>,
    root: Option<NodeId>,
}

impl Tree {
    /// A bucket whose root is a page.
    pub(super) fn on_page(header: BucketHeader) -> Tree {
        Tree { header, inline: None, nodes: Vec::new(), by_page: HashMap::new(), root: None }
    }

    /// A bucket inside its parent's page.
    pub(super) fn inline(header: BucketHeader, page: Vec<u8>) -> Tree {
        Tree { inline: Some(page), ..Tree::on_page(header) }
    }

    /// A new bucket without keys.
    pub(super) fn empty_leaf() -> Tree {
        let mut tree = Tree::on_page(BucketHeader::default());
        tree.nodes.push(Node::new(true, None));
        tree.root = Some(0);
        tree
    }

    pub(super) fn header(&self) -> BucketHeader {
        self.header
    }

    /// Whether any page of it became a node.
    pub(super) fn is_changed(&self) -> bool {
        self.root.is_some()
    }

    /// Looks up `key` without materializing more nodes.
    pub(super) fn get<R: ReadAt, T>(
        &self,
        source: &R,
        geometry: &Geometry,
        key: &[u8],
        found: impl FnOnce(LeafElement<'_>) -> T,
    ) -> Result<Option<T>, Error> {
        let mut buf = PageBuf::default();
        let mut page = self.header.root;
        for _ in 0..MAX_DEPTH {
            let node = if page == self.header.root { self.root } else { self.by_page.get(&page).copied() };
            if let Some(node) = node.map(|node| &self.nodes[node]) {
                if node.leaf {
                    let item = node.position(key).ok().map(|at| &node.items[at]);
                    return Ok(
                        item.map(|item| found(LeafElement { flags: item.flags, key: &item.key, value: &item.value }))
                    );
                }
                page = node.items[node.child_index(key)].child;
                continue;
            }
            self.load(&mut buf, source, geometry, page)?;
            if buf.kind == PageKind::Leaf {
                let leaf = buf.leaf();
                return Ok(leaf.get(leaf.search(key)).filter(|element| element.key == key).map(found));
            }
            let branch = buf.branch();
            page = branch.get(branch.search(key)).map_or(PageId(0), |(_, child)| child);
        }
        Err(Error::TooDeep { page })
    }

    /// Sets `key`, materializing the pages on the way to its leaf.
    pub(super) fn put<R: ReadAt>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        flags: u32,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Error> {
        let mut node = self.materialize(source, geometry, self.header.root, None)?;
        for _ in 0..MAX_DEPTH {
            if self.nodes[node].leaf {
                return self.put_item(node, Item { flags, child: PageId(0), key: key.to_vec(), value: value.to_vec() });
            }
            let child = self.nodes[node].items[self.nodes[node].child_index(key)].child;
            node = self.materialize(source, geometry, child, Some(node))?;
        }
        Err(Error::TooDeep { page: self.header.root })
    }

    fn put_item(&mut self, node: NodeId, item: Item) -> Result<(), Error> {
        let node = &mut self.nodes[node];
        match node.position(&item.key) {
            Ok(at) if (node.items[at].flags ^ item.flags) & BUCKET_FLAG != 0 => {
                let is_bucket = node.items[at].flags & BUCKET_FLAG != 0;
                return Err(Error::Incompatible { key: item.key, is_bucket });
            }
            Ok(at) => node.items[at] = item,
            Err(at) => node.items.insert(at, item),
        }
        Ok(())
    }

    fn materialize<R: ReadAt>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        page: PageId,
        parent: Option<NodeId>,
    ) -> Result<NodeId, Error> {
        let known = if parent.is_none() { self.root } else { self.by_page.get(&page).copied() };
        if let Some(node) = known {
            return Ok(node);
        }
        let mut buf = PageBuf::default();
        self.load(&mut buf, source, geometry, page)?;
        let mut node = Node::read(&buf, parent);
        node.page = (page != PageId(0)).then_some((page, buf.header.overflow));
        let id = self.nodes.len();
        self.nodes.push(node);
        self.by_page.insert(page, id);
        match parent {
            Some(parent) => self.nodes[parent].children.push(id),
            None => self.root = Some(id),
        }
        Ok(id)
    }

    fn load<R: ReadAt>(&self, buf: &mut PageBuf, source: &R, geometry: &Geometry, page: PageId) -> Result<(), Error> {
        match &self.inline {
            Some(bytes) => *buf = PageBuf::inline(bytes).map_err(|error| geometry.error(page, error))?,
            None => buf.load(source, geometry, page, Load::Whole)?,
        }
        Ok(())
    }

    /// One leaf without buckets, of at most a quarter of a page. (bbolt bucket.go inlineable)
    pub(super) fn is_inlineable(&self, page_size: usize) -> bool {
        self.root.map(|root| &self.nodes[root]).is_some_and(|root| {
            let plain = root.items.iter().all(|item| item.flags & BUCKET_FLAG == 0);
            root.leaf && plain && (root.items.is_empty() || len_of(&root.items) <= page_size / 4)
        })
    }

    /// Makes the bucket inline; returns the page of its root, which is no longer used, with its overflow.
    pub(super) fn take_root_page(&mut self) -> Option<(PageId, u32)> {
        self.header.root = PageId(0);
        self.root.and_then(|root| self.nodes[root].page.take())
    }

    /// The value of an inline bucket: its header, then its only page. The page has no id.
    pub(super) fn encode_inline(&self, page_size: usize) -> Vec<u8> {
        let items = self.root.map_or(&[][..], |root| &self.nodes[root].items);
        debug_assert!(len_of(items) <= page_size, "only a small leaf is inlined");
        let mut value = vec![0; BUCKET_HEADER_LEN + len_of(items)];
        value[..BUCKET_HEADER_LEN].copy_from_slice(&self.header.encode());
        encode(true, items, PageId(0), 0, &mut value[BUCKET_HEADER_LEN..])
            .expect("a quarter of a page holds few items");
        value
    }

    /// Writes all nodes to newly allocated pages of `tx`; the header then has the new root.
    pub(super) fn spill<S: Storage>(&mut self, tx: &mut Tx<'_, S>) -> Result<(), Error> {
        let Some(mut root) = self.root else {
            return Ok(());
        };
        self.spill_node(tx, root)?;
        while let Some(parent) = self.nodes[root].parent {
            root = parent;
        }
        self.root = Some(root);
        self.header.root = self.nodes[root].page.map_or(PageId(0), |(page, _)| page);
        Ok(())
    }

    fn spill_node<S: Storage>(&mut self, tx: &mut Tx<'_, S>, id: NodeId) -> Result<(), Error> {
        if self.nodes[id].spilled {
            return Ok(());
        }
        let mut children = std::mem::take(&mut self.nodes[id].children);
        children.sort_by(|a, b| self.first_key(*a).cmp(self.first_key(*b)));
        for child in children {
            self.spill_node(tx, child)?;
        }

        // The first part stays in this node, the others become its siblings.
        let parts = split(std::mem::take(&mut self.nodes[id].items), tx.db.page_size);
        if parts.len() > 1 && self.nodes[id].parent.is_none() {
            self.nodes.push(Node::new(false, None));
            self.nodes[id].parent = Some(self.nodes.len() - 1);
        }
        for (nth, items) in parts.into_iter().enumerate() {
            let page = self.write_part(tx, id, nth == 0, &items)?;
            let first = items.into_iter().next().map(|item| item.key);
            self.set_in_parent(id, nth == 0, page, first);
        }
        self.nodes[id].spilled = true;

        // A root that split has a new parent, which has no page yet.
        match self.nodes[id].parent {
            Some(parent) if self.nodes[parent].page.is_none() => self.spill_node(tx, parent),
            _ => Ok(()),
        }
    }

    /// Frees the page that the node came from, then allocates and fills the part's page.
    fn write_part<S: Storage>(
        &mut self,
        tx: &mut Tx<'_, S>,
        id: NodeId,
        is_first: bool,
        items: &[Item],
    ) -> Result<PageId, Error> {
        if is_first && let Some((page, overflow)) = self.nodes[id].page.take() {
            tx.db.freelist.free(page, overflow);
        }
        let pages = len_of(items).div_ceil(tx.db.page_size);
        let page = tx.allocate(pages)?;
        let overflow = u32::try_from(pages - 1).expect("a run of 2^32 pages would not fit in memory");
        encode(self.nodes[id].leaf, items, page, overflow, tx.dirty.add(page, pages * tx.db.page_size))?;
        if tx.dirty.is_enough() {
            tx.write_dirty()?;
        }
        if is_first {
            self.nodes[id].page = Some((page, overflow));
        }
        Ok(page)
    }

    /// Sets key and page of a written part in the parent. (bbolt node.go spill)
    fn set_in_parent(&mut self, id: NodeId, is_first: bool, page: PageId, first: Option<Vec<u8>>) {
        let (Some(parent), Some(first)) = (self.nodes[id].parent, first) else {
            return;
        };
        let known = if is_first { self.nodes[id].key.replace(first.clone()) } else { None };
        let item = Item { flags: 0, child: page, key: first.clone(), value: Vec::new() };
        self.nodes[parent].put(known.as_ref().unwrap_or(&first), item);
    }

    fn first_key(&self, id: NodeId) -> &[u8] {
        self.nodes[id].items.first().map_or(&[], |item| &item.key)
    }
}
