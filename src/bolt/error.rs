//! Why a bolt file could not be read or written.

use std::io;

use super::layout::{MAX_DEPTH, MAX_KEY_LEN, MAX_PAGE_SIZE, MAX_VALUE_LEN, MIN_PAGE_SIZE, PageId};
use super::page::PageKind;

/// Why a meta page is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum MetaError {
    /// The file ends inside the meta.
    #[error("expected 80 bytes, found {len}")]
    Short { len: usize },
    /// Not a bolt file, or a destroyed page.
    #[error("expected magic 0xed0cdaed, found {found:#010x}")]
    Magic { found: u32 },
    /// Written on a big-endian machine: bolt writes its structs as they are in memory.
    #[error("magic 0xed0cdaed is byte-swapped: the file was written on a big-endian machine")]
    BigEndian,
    /// Another format version.
    #[error("expected version 2, found {found}")]
    Version { found: u32 },
    /// The meta's bytes are not those that were written.
    #[error("expected checksum {expected:#018x}, found {found:#018x}")]
    Checksum {
        /// FNV-1a of the bytes.
        expected: u64,
        /// The stored checksum.
        found: u64,
    },
    /// The checksum is right, but no system has pages of this size.
    #[error("expected a page size that is a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}, found {found}")]
    PageSize { found: u32 },
    /// A meta 1 that is not where its own page size puts it.
    #[error("expected page size {expected}, at which the meta is, found {found}")]
    OtherPageSize { expected: usize, found: u32 },
}

/// Why a leaf, branch or freelist page can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum PageError {
    /// At or above the high-water mark, or a meta.
    #[error("no such page: expected one from 2 to below the high-water mark {high_water}")]
    OutOfBounds { high_water: PageId },
    /// The page or its overflow ends after the end of the file. Both are in bytes from the start of the file.
    #[error("the page ends at {end}, the file at {file_len}")]
    Truncated { end: u64, file_len: u64 },
    /// Too short for a page header.
    #[error("expected a page header of 16 bytes, found {len} bytes")]
    Short { len: u64 },
    /// The id in the page's header is that of another page.
    #[error("the page's header has the id of page {found}")]
    SelfId { found: PageId },
    /// Not the kind of page that belongs here.
    #[error("unexpected page flags {found:#06x}")]
    Kind { found: u16 },
    /// The overflow does not end below the high-water mark.
    #[error("overflow of {overflow} pages goes past the high-water mark {high_water}")]
    Overflow { overflow: u32, high_water: PageId },
    /// More elements than bytes. `run_len` is in bytes of the page and its overflow, here and below.
    #[error("{count} elements do not fit into {run_len} bytes")]
    Count { count: u16, run_len: u64 },
    /// More free page ids than bytes.
    #[error("{count} free page ids do not fit into {run_len} bytes")]
    FreelistCount { count: u64, run_len: u64 },
    /// Several branches or buckets lead to the page, or one that is below it.
    #[error("page referenced more than once, or the tree has a cycle")]
    Repeated,
    /// A branch without children: bbolt panics on it.
    #[error("a branch page without elements")]
    EmptyBranch,
    /// An element's data is outside its page. `end` is in bytes from the start of the page.
    #[error("element {index} ends at byte {end} of the page, the page at {run_len}")]
    ElementBounds { index: usize, end: u64, run_len: u64 },
    /// An element's data overlaps the table or the data before it. Both are in bytes from the start of the page.
    #[error("element {index} starts at byte {start} of the page, the data before it ends at {floor}")]
    ElementOverlap { index: usize, start: u64, floor: u64 },
    /// A bucket's value is neither a header nor a header with a page.
    #[error("a bucket of {len} bytes: expected 16, or a header with an inline page")]
    BucketValue { len: u64 },
}

/// Why a bolt file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Error {
    /// Reading or writing failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// The file has no bytes: bbolt would make it an empty database in silence.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// Neither meta is valid.
    #[error("no valid meta page: page 0: {first}; page 1: {second}")]
    NoMeta { first: MetaError, second: MetaError },
    /// A page can't be used.
    #[error("page {page}: {error} (offset {offset:#x})")]
    Page {
        page: PageId,
        /// Bytes from the start of the file.
        offset: u64,
        error: PageError,
    },
    /// A page is below itself, or is reached in two ways.
    #[error("page {page}: reached again from below itself")]
    Cycle { page: PageId },
    /// More levels than any real file has.
    #[error("page {page}: deeper than {MAX_DEPTH} levels")]
    TooDeep { page: PageId },
    /// More pages were read than the file has: some are referenced more than once. `page` is where it was noticed.
    #[error("page {page}: more pages reached than the file has: some are used more than once")]
    TooManyPages { page: PageId },
    /// A page size that is not supported.
    #[error("expected a page size that is a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}, found {found}")]
    PageSize { found: usize },
    /// A key without bytes.
    #[error("a key must have at least one byte")]
    EmptyKey,
    /// A key above bolt's limit.
    #[error("a key of {len} bytes: the longest is {MAX_KEY_LEN}")]
    KeyTooLong { len: usize },
    /// A key that must come after the one before it, and doesn't.
    #[error("key {:?} is not greater than the key before it", String::from_utf8_lossy(.key))]
    KeyOrder { key: Vec<u8> },
    /// A value above bolt's limit.
    #[error("a value of {len} bytes: the longest is {MAX_VALUE_LEN}")]
    ValueTooLong { len: usize },
    /// The bucket does not exist.
    #[error("no bucket {:?}", String::from_utf8_lossy(.name))]
    NoBucket { name: Vec<u8> },
    /// A plain key where a bucket was expected, or the other way round.
    #[error("key {:?} is {}", String::from_utf8_lossy(.key), if *.is_bucket { "a bucket" } else { "not a bucket" })]
    Incompatible {
        key: Vec<u8>,
        /// Whether the key in the file is a bucket.
        is_bucket: bool,
    },
    /// No id is left for another transaction; only damage can have used them up.
    #[error("the last transaction has the highest txid there is")]
    LastTxId,
    /// A write failed before: the file is at its last commit, this handle is not.
    #[error("an earlier transaction failed: open the file again")]
    Broken,
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, source }
    }
}

/// The word for a page that should have been of another kind.
impl std::fmt::Display for PageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
