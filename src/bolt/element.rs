//! The elements of leaf and branch pages, read from the bytes of a page and its overflow.

use super::error::PageError;
use super::layout::{ELEMENT_LEN, PAGE_HEADER_LEN, PageId, le_u32, le_u64, to_usize};
use super::page::{PageHeader, PageKind};

/// Flag of a leaf element whose value is a bucket. (bbolt bucket.go bucketLeafFlag)
pub(crate) const BUCKET_FLAG: u32 = 0x01;

/// A key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafElement<'a> {
    /// 1 when the value is a bucket, else 0.
    pub flags: u32,
    /// Never empty in a sound file.
    pub key: &'a [u8],
    /// Bytes of the value.
    pub value: &'a [u8],
}

impl LeafElement<'_> {
    /// Whether the value is a bucket header (and an inline page).
    pub const fn is_bucket(&self) -> bool {
        self.flags & BUCKET_FLAG != 0
    }
}

/// Where the key and value of an element are, in bytes from the start of the page.
///
/// Leaf: flags u32, pos u32, key length u32, value length u32. Branch: pos u32, key length u32, child u64.
/// `pos` counts from the element's own start. (bbolt page.go leafPageElement, branchPageElement)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) flags: u32,
    pub(crate) child: PageId,
    pub(crate) key_start: u64,
    pub(crate) value_start: u64,
    pub(crate) end: u64,
}

impl Extent {
    /// Reads the 16 bytes of element `index`; `table` begins at the page header and holds all elements.
    pub(crate) fn decode(table: &[u8], kind: PageKind, index: usize) -> Extent {
        let at = PAGE_HEADER_LEN + index * ELEMENT_LEN;
        let start = at as u64;
        let word = |i: usize| u64::from(le_u32(table, at + 4 * i));
        let (flags, child, pos, key_len, value_len) = match kind {
            PageKind::Branch => (0, PageId(le_u64(table, at + 8)), word(0), word(1), 0),
            _ => (le_u32(table, at), PageId(0), word(1), word(2), word(3)),
        };
        // Sums of u32s cannot overflow a u64.
        let key_start = start + pos;
        let value_start = key_start + key_len;
        Extent { flags, child, key_start, value_start, end: value_start + value_len }
    }
}

/// Bytes that the element table needs, header included.
pub(crate) const fn table_len(count: u16) -> usize {
    PAGE_HEADER_LEN + ELEMENT_LEN * count as usize
}

/// Checks that all elements lie behind the table, inside `run_len` bytes, in order and without overlap; gives the end
/// of the last.
///
/// bbolt packs data in element order (node.go write), and only so is reading a page linear in its bytes: hostile
/// elements that share one region could otherwise multiply it by their count.
pub(crate) fn check_extents(table: &[u8], header: &PageHeader, kind: PageKind, run_len: u64) -> Result<u64, PageError> {
    let mut floor = table_len(header.count) as u64;
    for index in 0..usize::from(header.count) {
        let extent = Extent::decode(table, kind, index);
        if extent.key_start < floor {
            return Err(PageError::ElementOverlap { index, start: extent.key_start, floor });
        }
        if extent.end > run_len {
            return Err(PageError::ElementBounds { index, end: extent.end, run_len });
        }
        floor = extent.end;
    }
    Ok(floor)
}

/// A leaf page whose extents were checked, with all its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Leaf<'a> {
    /// `bytes` begin at the page header and reach to the end of the run (or of the inline value).
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Leaf<'a>, PageError> {
        let header = PageHeader::decode(bytes).ok_or(PageError::Short { len: bytes.len() as u64 })?;
        if header.kind() != Some(PageKind::Leaf) {
            return Err(PageError::Kind { found: header.flags });
        }
        if table_len(header.count) > bytes.len() {
            return Err(PageError::Count { count: header.count, run_len: bytes.len() as u64 });
        }
        check_extents(bytes, &header, PageKind::Leaf, bytes.len() as u64)?;
        Ok(Leaf::trusted(bytes, header.count))
    }

    /// The same for bytes whose extents were checked before.
    pub(crate) fn trusted(bytes: &'a [u8], count: u16) -> Leaf<'a> {
        Leaf { bytes, count: usize::from(count) }
    }

    pub(crate) fn get(&self, index: usize) -> Option<LeafElement<'a>> {
        if index >= self.count {
            return None;
        }
        let extent = Extent::decode(self.bytes, PageKind::Leaf, index);
        Some(LeafElement {
            flags: extent.flags,
            key: slice(self.bytes, extent.key_start, extent.value_start),
            value: slice(self.bytes, extent.value_start, extent.end),
        })
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = LeafElement<'a>> {
        (0..self.count).filter_map(move |index| self.get(index))
    }

    /// Index of the first element whose key is not below `key`.
    pub(crate) fn search(&self, key: &[u8]) -> usize {
        partition(self.count, |index| self.get(index).is_some_and(|element| element.key < key))
    }
}

/// A branch page whose extents were checked, with all its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Branch<'a> {
    pub(crate) fn trusted(bytes: &'a [u8], count: u16) -> Branch<'a> {
        Branch { bytes, count: usize::from(count) }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Key and child page of element `index`.
    pub(crate) fn get(&self, index: usize) -> Option<(&'a [u8], PageId)> {
        if index >= self.count {
            return None;
        }
        let extent = Extent::decode(self.bytes, PageKind::Branch, index);
        Some((slice(self.bytes, extent.key_start, extent.value_start), extent.child))
    }

    /// Index of the child that may hold `key`: the last whose key is not above it, or the first.
    /// (bbolt cursor.go searchPage)
    pub(crate) fn search(&self, key: &[u8]) -> usize {
        partition(self.count, |index| self.get(index).is_some_and(|(first, _)| first <= key)).saturating_sub(1)
    }
}

fn slice(bytes: &[u8], start: u64, end: u64) -> &[u8] {
    bytes.get(to_usize(start)..to_usize(end)).unwrap_or_default()
}

/// First index in `0..len` where `before` turns false.
fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
