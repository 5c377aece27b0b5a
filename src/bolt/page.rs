//! The header that begins every page.

use super::layout::{PageId, le_u16, le_u32, le_u64, put_le_u16, put_le_u32, put_le_u64};

// Offsets in a page. (bbolt page.go page)
const ID_AT: usize = 0;
const FLAGS_AT: usize = ID_AT + size_of::<u64>();
const COUNT_AT: usize = FLAGS_AT + size_of::<u16>();
const OVERFLOW_AT: usize = COUNT_AT + size_of::<u16>();
/// Bytes of a page header.
pub(crate) const PAGE_HEADER_LEN: usize = OVERFLOW_AT + size_of::<u32>();

/// What a page is. Exactly one flag may be set: bbolt >= 1.3.7 panics otherwise (page.go fastCheck).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageKind {
    /// Keys and child pages.
    Branch,
    /// Keys and values.
    Leaf,
    /// One of the two metas.
    Meta,
    /// Ids of free pages.
    Freelist,
}

impl PageKind {
    /// The flag on disk.
    pub const fn flags(self) -> u16 {
        match self {
            PageKind::Branch => 0x01,
            PageKind::Leaf => 0x02,
            PageKind::Meta => 0x04,
            PageKind::Freelist => 0x10,
        }
    }

    /// The kind with exactly these flags; `None` for unknown or mixed ones.
    pub(crate) const fn from_flags(flags: u16) -> Option<PageKind> {
        match flags {
            0x01 => Some(PageKind::Branch),
            0x02 => Some(PageKind::Leaf),
            0x04 => Some(PageKind::Meta),
            0x10 => Some(PageKind::Freelist),
            _ => None,
        }
    }

    /// The word that bbolt uses for it.
    pub const fn name(self) -> &'static str {
        match self {
            PageKind::Branch => "branch",
            PageKind::Leaf => "leaf",
            PageKind::Meta => "meta",
            PageKind::Freelist => "freelist",
        }
    }
}

/// 16 bytes: id u64, flags u16, count u16, overflow u32. (bbolt page.go)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageHeader {
    /// The page's own number.
    pub id: PageId,
    /// What the page is: see [`PageHeader::kind`].
    pub flags: u16,
    /// Number of elements; 0xFFFF in a freelist means that the first id holds the count.
    pub count: u16,
    /// Pages that follow and belong to this one.
    pub overflow: u32,
}

impl PageHeader {
    /// Decodes the first 16 bytes; `None` if there are fewer.
    pub fn decode(bytes: &[u8]) -> Option<PageHeader> {
        let bytes = bytes.get(..PAGE_HEADER_LEN)?;
        Some(PageHeader {
            id: PageId(le_u64(bytes, ID_AT)),
            flags: le_u16(bytes, FLAGS_AT),
            count: le_u16(bytes, COUNT_AT),
            overflow: le_u32(bytes, OVERFLOW_AT),
        })
    }

    /// Encodes into the first 16 bytes of `bytes`, which must be there.
    pub fn encode(&self, bytes: &mut [u8]) {
        put_le_u64(bytes, ID_AT, self.id.0);
        put_le_u16(bytes, FLAGS_AT, self.flags);
        put_le_u16(bytes, COUNT_AT, self.count);
        put_le_u32(bytes, OVERFLOW_AT, self.overflow);
    }

    /// Pages of the run: this one and its overflow.
    pub(crate) fn span(&self) -> u64 {
        u64::from(self.overflow) + 1
    }

    /// What the page is, if its flags are known.
    pub const fn kind(&self) -> Option<PageKind> {
        PageKind::from_flags(self.flags)
    }
}
