//! Why a bolt file could not be read or written.

use std::io;

use super::layout::{MAX_DEPTH, MAX_KEY_LEN, MAX_PAGE_SIZE, MAX_VALUE_LEN, MIN_PAGE_SIZE, PageId};
use super::page::PageKind;

/// Why a meta page doesn't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// The file ends inside the meta.
    #[error("expected 80 bytes, found {len}")]
    Short {
        /// Bytes there are.
        len: usize,
    },
    /// Not a bolt file, or a destroyed page.
    #[error("expected magic 0xed0cdaed, found {found:#010x}")]
    Magic {
        /// What is there instead.
        found: u32,
    },
    /// Written on a big-endian machine: bolt writes its structs as they are in memory.
    #[error("magic 0xed0cdaed is byte-swapped: the file was written on a big-endian machine")]
    BigEndian,
    /// Another format version.
    #[error("expected version 2, found {found}")]
    Version {
        /// What is there instead.
        found: u32,
    },
    /// The meta's bytes are not those that were written.
    #[error("expected checksum {expected:#018x}, found {found:#018x}")]
    Checksum {
        /// FNV-1a of the bytes.
        expected: u64,
        /// What is stored.
        found: u64,
    },
    /// The checksum holds, but no system has such pages.
    #[error("expected a page size that is a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}, found {found}")]
    PageSize {
        /// What is there instead.
        found: u32,
    },
    /// It is not where its own page size would have it.
    #[error("expected page size {expected}, which says where it is, found {found}")]
    OtherPageSize {
        /// The offset at which it was found.
        expected: usize,
        /// What it says.
        found: u32,
    },
}

/// Why a leaf, branch or freelist page can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// At or above the high-water mark, or a meta.
    #[error("no such page: expected one from 2 to below the high-water mark {high_water}")]
    OutOfBounds {
        /// First page never used.
        high_water: PageId,
    },
    /// The page or its overflow ends behind the file.
    #[error("the page ends at {end}, the file at {file_len}")]
    Truncated {
        /// Offset where the page's run ends.
        end: u64,
        /// Length of the file in bytes.
        file_len: u64,
    },
    /// Too short for a page header.
    #[error("expected a page header of 16 bytes, found {len} bytes")]
    Short {
        /// Bytes there are.
        len: u64,
    },
    /// The page says that it is another one.
    #[error("the page says that it is page {found}")]
    SelfId {
        /// The id in the page's header.
        found: PageId,
    },
    /// Not the kind of page that belongs here.
    #[error("unexpected page flags {found:#06x}")]
    Kind {
        /// The flags in the page's header.
        found: u16,
    },
    /// The overflow reaches over the high-water mark.
    #[error("overflow of {overflow} pages reaches over the high-water mark {high_water}")]
    Overflow {
        /// Pages that should follow.
        overflow: u32,
        /// First page never used.
        high_water: PageId,
    },
    /// More elements than bytes.
    #[error("{count} elements do not fit into {run_len} bytes")]
    Count {
        /// Elements declared.
        count: u16,
        /// Bytes of the page and its overflow.
        run_len: u64,
    },
    /// More free page ids than bytes.
    #[error("{count} free page ids do not fit into {run_len} bytes")]
    FreelistCount {
        /// Ids declared.
        count: u64,
        /// Bytes of the page and its overflow.
        run_len: u64,
    },
    /// A tree comes to it a second time.
    #[error("the tree comes to this page a second time, or never ends")]
    Repeated,
    /// A branch without children: bbolt panics on it.
    #[error("a branch page without elements")]
    EmptyBranch,
    /// An element's data lies outside of its page.
    #[error("element {index} ends at byte {end} of the page, the page at {run_len}")]
    ElementBounds {
        /// Which element.
        index: usize,
        /// End of its data, from the start of the page.
        end: u64,
        /// Bytes of the page and its overflow.
        run_len: u64,
    },
    /// An element's data lies over what comes before it.
    #[error("element {index} starts at byte {start} of the page, inside what ends at {floor}")]
    ElementOverlap {
        /// Which element.
        index: usize,
        /// Start of its data, from the start of the page.
        start: u64,
        /// Where the element table or the data before ends.
        floor: u64,
    },
    /// A bucket's value is neither a header nor a header with a page.
    #[error("a bucket of {len} bytes: expected 16, or a header with an inline page")]
    BucketValue {
        /// Bytes of the value.
        len: u64,
    },
}

/// Why a bolt file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("{what}")]
    Io {
        /// What we were doing.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is not one byte: bbolt would make it an empty database in silence.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// Neither meta counts.
    #[error("no valid meta page: page 0: {first}; page 1: {second}")]
    NoMeta {
        /// Why meta 0 doesn't count.
        first: MetaError,
        /// Why meta 1 doesn't count.
        second: MetaError,
    },
    /// A page can't be used.
    #[error("page {page}: {error} (offset {offset:#x})")]
    Page {
        /// Which page.
        page: PageId,
        /// Bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        error: PageError,
    },
    /// A page is above itself.
    #[error("page {page}: reached again from below itself")]
    Cycle {
        /// Which page.
        page: PageId,
    },
    /// More levels than any real file has.
    #[error("page {page}: deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// The first page too deep.
        page: PageId,
    },
    /// More pages were read than there are: some are referenced twice.
    #[error("page {page}: more pages reached than the file has: some are used more than once")]
    TooManyPages {
        /// The page where it was noticed.
        page: PageId,
    },
    /// A page size bolt doesn't know.
    #[error("expected a page size that is a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}, found {found}")]
    PageSize {
        /// What was asked for.
        found: usize,
    },
    /// A key of no bytes.
    #[error("a key must have at least one byte")]
    EmptyKey,
    /// A key above bolt's limit.
    #[error("a key of {len} bytes: the longest is {MAX_KEY_LEN}")]
    KeyTooLong {
        /// Its length.
        len: usize,
    },
    /// A key that doesn't come behind the one before it.
    #[error("key {:?} is not behind the key before it", String::from_utf8_lossy(.key))]
    KeyOrder {
        /// The key.
        key: Vec<u8>,
    },
    /// A value above bolt's limit.
    #[error("a value of {len} bytes: the longest is {MAX_VALUE_LEN}")]
    ValueTooLong {
        /// Its length.
        len: usize,
    },
    /// No bucket of that name.
    #[error("no bucket {:?}", String::from_utf8_lossy(.name))]
    NoBucket {
        /// Its name.
        name: Vec<u8>,
    },
    /// A plain key where a bucket was expected, or the other way round.
    #[error("key {:?} is {}", String::from_utf8_lossy(.key), if *.is_bucket { "a bucket" } else { "not a bucket" })]
    Incompatible {
        /// The key.
        key: Vec<u8>,
        /// What it is.
        is_bucket: bool,
    },
    /// No number is left for another transaction; only damage can have used them up.
    #[error("the last transaction has the highest txid there is")]
    LastTxId,
    /// A write failed before; the file is at its last commit, this handle isn't.
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
