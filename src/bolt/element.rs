//! The elements of leaf and branch pages, in the bytes of a page and its overflow.

use super::error::{Error, PageError};
use super::layout::{MAX_KEY_LEN, PageId, le_u32, le_u64, put_le_u32, put_le_u64, to_usize};
use super::page::{PAGE_HEADER_LEN, PageHeader, PageKind};

/// Offsets in an element of a leaf. (bbolt page.go leafPageElement)
mod leaf {
    pub(super) const FLAGS_AT: usize = 0;
    pub(super) const POS_AT: usize = FLAGS_AT + size_of::<u32>();
    pub(super) const KEY_LEN_AT: usize = POS_AT + size_of::<u32>();
    pub(super) const VALUE_LEN_AT: usize = KEY_LEN_AT + size_of::<u32>();
    pub(super) const LEN: usize = VALUE_LEN_AT + size_of::<u32>();
}

/// Offsets in an element of a branch. (bbolt page.go branchPageElement)
mod branch {
    pub(super) const POS_AT: usize = 0;
    pub(super) const KEY_LEN_AT: usize = POS_AT + size_of::<u32>();
    pub(super) const CHILD_AT: usize = KEY_LEN_AT + size_of::<u32>();
    pub(super) const LEN: usize = CHILD_AT + size_of::<u64>();
}

/// Bytes of an element, leaf or branch.
pub(crate) const ELEMENT_LEN: usize = leaf::LEN;
const _: () = assert!(leaf::LEN == branch::LEN, "one table serves both kinds");

/// Flag of a leaf element whose value is a bucket. (bbolt bucket.go bucketLeafFlag)
pub(crate) const BUCKET_FLAG: u32 = 0x01;

/// A key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafElement<'a> {
    /// 1 if the value is a bucket, else 0.
    pub flags: u32,
    /// Bytes of the key; never empty in a sound file.
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
pub(crate) struct Element {
    /// Of a leaf's element; 0 on a branch.
    pub(crate) flags: u32,
    /// Of a branch's element; 0 on a leaf.
    pub(crate) child: PageId,
    pub(crate) key_start: u64,
    pub(crate) value_start: u64,
    pub(crate) end: u64,
}

impl Element {
    /// Reads the 16 bytes of element `index`; `table` begins at the page header and holds all elements.
    pub(crate) fn decode(table: &[u8], kind: PageKind, index: usize) -> Element {
        let at = element_at(index);
        let word = |field: usize| u64::from(le_u32(table, at + field));
        let (flags, child, pos, key_len, value_len) = match kind {
            PageKind::Branch => {
                (0, PageId(le_u64(table, at + branch::CHILD_AT)), word(branch::POS_AT), word(branch::KEY_LEN_AT), 0)
            }
            _ => (
                le_u32(table, at + leaf::FLAGS_AT),
                PageId(0),
                word(leaf::POS_AT),
                word(leaf::KEY_LEN_AT),
                word(leaf::VALUE_LEN_AT),
            ),
        };
        // Sums of u32s cannot overflow a u64.
        let key_start = at as u64 + pos;
        let value_start = key_start + key_len;
        Element { flags, child, key_start, value_start, end: value_start + value_len }
    }

    /// Writes the 16 bytes of element `index`; `table` begins at the page header and has room for all elements.
    ///
    /// Key and value must start after the element, and less than 4 GiB after it.
    pub(crate) fn encode(&self, table: &mut [u8], kind: PageKind, index: usize) {
        let at = element_at(index);
        let word = |len: u64| u32::try_from(len).expect("a page is shorter than 4 GiB: keys and values are bounded");
        let (pos, key_len) = (word(self.key_start - at as u64), word(self.value_start - self.key_start));
        match kind {
            PageKind::Branch => {
                put_le_u32(table, at + branch::POS_AT, pos);
                put_le_u32(table, at + branch::KEY_LEN_AT, key_len);
                put_le_u64(table, at + branch::CHILD_AT, self.child.0);
            }
            _ => {
                put_le_u32(table, at + leaf::FLAGS_AT, self.flags);
                put_le_u32(table, at + leaf::POS_AT, pos);
                put_le_u32(table, at + leaf::KEY_LEN_AT, key_len);
                put_le_u32(table, at + leaf::VALUE_LEN_AT, word(self.end - self.value_start));
            }
        }
    }

    pub(crate) const fn is_bucket(&self) -> bool {
        self.flags & BUCKET_FLAG != 0
    }

    pub(crate) fn key_len(&self) -> u64 {
        self.value_start - self.key_start
    }

    pub(crate) fn value_len(&self) -> u64 {
        self.end - self.value_start
    }
}

/// Offset of element `index` from the start of the page.
const fn element_at(index: usize) -> usize {
    PAGE_HEADER_LEN + ELEMENT_LEN * index
}

/// Checks that bolt takes `key` for a key.
pub(crate) fn check_key(key: &[u8]) -> Result<(), Error> {
    match key.len() {
        0 => Err(Error::EmptyKey),
        len if len > MAX_KEY_LEN => Err(Error::KeyTooLong { len }),
        _ => Ok(()),
    }
}

/// Bytes of the page header and the element table.
pub(crate) const fn table_len(count: u16) -> usize {
    PAGE_HEADER_LEN + ELEMENT_LEN * count as usize
}

/// Checks that the data of all elements comes after the table, inside `run_len` bytes, in order and without overlap;
/// returns where the last ends.
///
/// bbolt packs data in element order (node.go write). Without that, hostile elements that share one region would make
/// reading a page as long as its bytes times its count.
pub(crate) fn check_elements(
    table: &[u8],
    header: &PageHeader,
    kind: PageKind,
    run_len: u64,
) -> Result<u64, PageError> {
    let mut floor = table_len(header.count) as u64;
    for index in 0..usize::from(header.count) {
        let element = Element::decode(table, kind, index);
        if element.key_start < floor {
            return Err(PageError::ElementOverlap { index, start: element.key_start, floor });
        }
        if element.end > run_len {
            return Err(PageError::ElementBounds { index, end: element.end, run_len });
        }
        floor = element.end;
    }
    Ok(floor)
}

/// A leaf page whose elements were checked, with all its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Leaf<'a> {
    /// `bytes` begin at the page header and reach to the end of the run, or of the inline value.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Leaf<'a>, PageError> {
        let header = PageHeader::decode(bytes).ok_or(PageError::Short { len: bytes.len() as u64 })?;
        if header.kind() != Some(PageKind::Leaf) {
            return Err(PageError::Kind { found: header.flags });
        }
        if table_len(header.count) > bytes.len() {
            return Err(PageError::Count { count: header.count, run_len: bytes.len() as u64 });
        }
        check_elements(bytes, &header, PageKind::Leaf, bytes.len() as u64)?;
        Ok(Leaf::trusted(bytes, header.count))
    }

    /// Like `decode`, for bytes whose elements were checked before.
    pub(crate) fn trusted(bytes: &'a [u8], count: u16) -> Leaf<'a> {
        Leaf { bytes, count: usize::from(count) }
    }

    pub(crate) fn get(&self, index: usize) -> Option<LeafElement<'a>> {
        if index >= self.count {
            return None;
        }
        let element = Element::decode(self.bytes, PageKind::Leaf, index);
        Some(LeafElement {
            flags: element.flags,
            key: slice(self.bytes, element.key_start, element.value_start),
            value: slice(self.bytes, element.value_start, element.end),
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

/// A branch page whose elements were checked, with all its bytes.
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
        let element = Element::decode(self.bytes, PageKind::Branch, index);
        Some((slice(self.bytes, element.key_start, element.value_start), element.child))
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

/// The first index of `0..len` for which `before` is false.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_decodes_to_what_was_encoded() {
        let element = Element { flags: 1, child: PageId(0), key_start: 48, value_start: 51, end: 1 << 20 };
        let parent = Element { flags: 0, child: PageId(u64::MAX), key_start: 48, value_start: 51, end: 51 };
        for (kind, element) in [(PageKind::Leaf, element), (PageKind::Branch, parent)] {
            let mut table = [0; PAGE_HEADER_LEN + 2 * ELEMENT_LEN];
            element.encode(&mut table, kind, 1);
            assert_eq!(Element::decode(&table, kind, 1), element);
            assert_eq!(table[..PAGE_HEADER_LEN + ELEMENT_LEN], [0; PAGE_HEADER_LEN + ELEMENT_LEN]);
        }
    }
}
