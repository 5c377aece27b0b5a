//! The header that begins every page.

use super::layout::{PAGE_HEADER_LEN, PageId, le_u16, le_u32, le_u64};

/// What a page is. Exactly one flag may be set: bbolt >= 1.3.7 panics on anything else (page.go fastCheck).
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

    /// The kind with exactly these flags; none for unknown or mixed ones.
    pub const fn from_flags(flags: u16) -> Option<PageKind> {
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
    /// See [`PageKind::from_flags`].
    pub flags: u16,
    /// Number of elements; 0xFFFF in a freelist means that the first id holds the count.
    pub count: u16,
    /// Pages that follow and belong to this one.
    pub overflow: u32,
}

impl PageHeader {
    /// Decodes the first 16 bytes; none when there are fewer.
    pub fn decode(bytes: &[u8]) -> Option<PageHeader> {
        let bytes = bytes.get(..PAGE_HEADER_LEN)?;
        Some(PageHeader {
            id: PageId(le_u64(bytes, 0)),
            flags: le_u16(bytes, 8),
            count: le_u16(bytes, 10),
            overflow: le_u32(bytes, 12),
        })
    }

    /// Encodes into the first 16 bytes of `bytes`, which must be there.
    pub fn encode(&self, bytes: &mut [u8]) {
        bytes[0..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.flags.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.overflow.to_le_bytes());
    }

    /// What the page is, when its flags are known.
    pub const fn kind(&self) -> Option<PageKind> {
        PageKind::from_flags(self.flags)
    }
}
