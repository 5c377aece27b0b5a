//! The numbers of the format: ids, limits, and little-endian integers.

use std::fmt;

/// Number of a page; its file offset is `id * page_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PageId(pub u64);

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a write transaction; its meta is in slot `txid % 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TxId(pub u64);

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Smallest page size we accept, in bytes.
pub const MIN_PAGE_SIZE: usize = 1024;
/// Largest page size we accept, in bytes.
pub const MAX_PAGE_SIZE: usize = 65536;
/// Longest key in bytes. (bbolt bucket.go MaxKeySize)
pub(crate) const MAX_KEY_LEN: usize = 32768;
/// Longest value in bytes. (bbolt bucket.go MaxValueSize)
pub(crate) const MAX_VALUE_LEN: usize = (1 << 31) - 2;

/// Levels of pages that are followed at most, nested buckets included. A branch has at least two children, so a real
/// file of this depth would hold 2^64 pages.
pub(crate) const MAX_DEPTH: usize = 64;

/// Whether `size` is one of the page sizes 1024, 2048, ... 65536.
pub const fn is_page_size(size: usize) -> bool {
    size.is_power_of_two() && size >= MIN_PAGE_SIZE && size <= MAX_PAGE_SIZE
}

/// A length as an index; one that no machine can hold becomes one that no slice has.
pub(crate) fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// 2 bytes at `at`; the caller has checked that they are there.
pub(crate) fn le_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes"))
}

/// 4 bytes at `at`; the caller has checked that they are there.
pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// 8 bytes at `at`; the caller has checked that they are there.
pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

/// Sets the 2 bytes at `at`, which must be there.
pub(crate) fn put_le_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Sets the 4 bytes at `at`, which must be there.
pub(crate) fn put_le_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Sets the 8 bytes at `at`, which must be there.
pub(crate) fn put_le_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
