//! A page that takes elements until it is written.

use super::super::element::{ELEMENT_LEN, Element};
use super::super::layout::PageId;
use super::super::page::{PAGE_HEADER_LEN, PageKind};

/// The lengths of elements, and the keys and values that follow the element table.
#[derive(Debug, Default)]
pub(super) struct OpenPage {
    pub(super) elements: Vec<NewElement>,
    pub(super) data: Vec<u8>,
}

/// An element whose place in the page is not known yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewElement {
    pub(super) key_len: usize,
    pub(super) value_len: usize,
    /// Of a leaf's element; 0 on a branch.
    pub(super) flags: u32,
    /// Of a branch's element; 0 on a leaf.
    pub(super) child: PageId,
}

impl OpenPage {
    /// Bytes that the page takes.
    pub(super) fn len(&self) -> usize {
        PAGE_HEADER_LEN + ELEMENT_LEN * self.elements.len() + self.data.len()
    }

    pub(super) fn push_pair(&mut self, flags: u32, key: &[u8], value: &[u8]) {
        self.elements.push(NewElement { key_len: key.len(), value_len: value.len(), flags, child: PageId(0) });
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
    }

    pub(super) fn push_child(&mut self, key: &[u8], child: PageId) {
        self.elements.push(NewElement { key_len: key.len(), value_len: 0, flags: 0, child });
        self.data.extend_from_slice(key);
    }

    pub(super) fn first_key(&self) -> Vec<u8> {
        let len = self.elements.first().map_or(0, |element| element.key_len);
        self.data[..len].to_vec()
    }

    pub(super) fn clear(&mut self) {
        self.elements.clear();
        self.data.clear();
    }
}

/// Encodes the elements after the page header of `table`; their data follows the table.
pub(super) fn encode_elements(elements: &[NewElement], kind: PageKind, table: &mut [u8]) {
    let mut at = table.len() as u64;
    for (index, element) in elements.iter().enumerate() {
        let (key_start, value_start) = (at, at + element.key_len as u64);
        at = value_start + element.value_len as u64;
        let (flags, child) = (element.flags, element.child);
        Element { flags, child, key_start, value_start, end: at }.encode(table, kind, index);
    }
}
