//! What a check can find.

use std::fmt;

use super::super::error::{MetaError, PageError};
use super::super::layout::{MAX_DEPTH, MAX_KEY_LEN, MAX_PAGE_SIZE, MIN_PAGE_SIZE, PageId, TxId};

/// One thing that is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The page it is on.
    pub page: Option<PageId>,
    /// Pages from the root down to and including that page; empty if no tree leads there.
    pub path: Vec<PageId>,
    /// Bytes from the start of the file; `None` for a page that is not in the file.
    pub offset: Option<u64>,
}

/// One way to be wrong. bbolt would fail or lose data, unless [`ProblemKind::is_harmless`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ProblemKind {
    /// The file has no bytes: bbolt would make it a new database in silence.
    #[error("the file is empty")]
    Empty,
    /// Neither meta is valid.
    #[error("no valid meta page ({first}; {second}){}", looks_like(.format))]
    NoMeta {
        first: MetaError,
        second: MetaError,
        /// What the file looks like by its first bytes.
        format: Option<&'static str>,
    },
    /// The meta that may be the newer one is not valid. `live` is the transaction that is read instead.
    #[error(
        "meta page {slot} is not valid ({error}): bbolt falls back to transaction {live} in silence, which may be older than what was committed"
    )]
    NewerMeta { slot: usize, error: MetaError, live: TxId },
    /// The older meta is not valid: nothing is lost, but there is nothing to fall back to.
    #[error("meta page {slot} is not valid ({error}): it is the older one, but there is nothing to fall back to")]
    OlderMeta { slot: usize, error: MetaError },
    /// Meta 0 has a page size that bbolt uses unchecked: the checksum is right.
    #[error(
        "meta page 0 says that pages have {found} bytes, expected a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}: its checksum is right, so bbolt looks for all pages in the wrong places"
    )]
    MetaPageSize { found: u32 },
    /// No transaction can follow.
    #[error("the last transaction has the number {txid}: the next ones would begin at 0 again, and be lost")]
    LastTxId { txid: TxId },
    /// The page header before a meta is wrong. `id` and `flags` are those in the header.
    #[error("the header of meta page {slot} says page {id}, flags {flags:#06x}: bbolt >= 1.3.7 panics on it")]
    MetaHeader { slot: usize, id: PageId, flags: u16 },
    /// Pages that were used are not in the file. `needed` is the high-water mark times the page size, in bytes.
    #[error("the file has {file_len} bytes, its pages need {needed}: it was cut off")]
    Truncated { needed: u64, file_len: u64 },
    /// The freelist can't be read.
    #[error("the freelist can't be read: {0}")]
    Freelist(PageError),
    /// An id in the freelist that is not that of a data page.
    #[error("the freelist holds page {id}: expected pages from 2 to below {high_water}")]
    FreelistBounds { id: PageId, high_water: PageId },
    /// A page is in the freelist more than once.
    #[error("already freed: the page is in the freelist more than once")]
    AlreadyFreed,
    /// The freelist is not ascending.
    #[error("the freelist is not in ascending order: page {next} comes after page {previous}")]
    FreelistOrder { previous: PageId, next: PageId },
    /// A page of a tree is also free.
    #[error("reachable freed: the page is in use and in the freelist")]
    ReachableFreed,
    /// Pages that are neither in a tree nor free.
    #[error("unreachable unfreed: {count} page(s) from {first} on are neither in use nor free")]
    UnreachableUnfreed { first: PageId, count: u64 },
    /// Two trees, or two places of one, lead to a page.
    #[error("multiple references: the page is used more than once, by trees or by a tree and the freelist")]
    MultipleReferences,
    /// A page is below itself.
    #[error("the page is reached again from below itself")]
    Cycle,
    /// More levels than a real file can have.
    #[error("the tree is deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A page can't be used.
    #[error("{0}")]
    Page(PageError),
    /// Keys out of order. `index` is the number of the element on its page, here and below.
    #[error("key {index} is not greater than the key before it")]
    KeyOrder { index: usize },
    /// The first key is less than the key that the parent page has for this page.
    #[error("key {index} is below the key that the parent page has for this page")]
    KeyBelowParent { index: usize },
    /// A key belongs to the next page.
    #[error("key {index} is not below the key that the parent page has for the next page")]
    KeyAboveNext { index: usize },
    /// A key without bytes.
    #[error("key {index} is empty")]
    EmptyKey { index: usize },
    /// A key that bolt refuses to write.
    #[error("key {index} has {len} bytes, the longest that bolt writes has {MAX_KEY_LEN}")]
    KeyTooLong { index: usize, len: u64 },
    /// Flags of a leaf element that bolt doesn't know.
    #[error("element {index} has flags {flags:#x}: expected 0, or 1 for a bucket")]
    ElementFlags { index: usize, flags: u32 },
    /// A bucket's header or inline page is wrong.
    #[error("element {index}: the bucket can't be read: {error}")]
    Bucket { index: usize, error: PageError },
    /// A bucket inside an inline bucket.
    #[error("element {index}: an inline bucket with a bucket inside: bolt never writes that")]
    InlineBucketInside { index: usize },
    /// Inside an inline bucket, which is the value of element `index`.
    #[error("element {index}, inline bucket: {inner}")]
    Inline { index: usize, inner: Box<ProblemKind> },
}

impl ProblemKind {
    /// The stable id of this way to be wrong.
    pub fn id(&self) -> &'static str {
        match self {
            ProblemKind::Empty => "BOLT-001",
            ProblemKind::NoMeta { .. } => "BOLT-002",
            ProblemKind::NewerMeta { .. } => "BOLT-003",
            ProblemKind::OlderMeta { .. } => "BOLT-004",
            ProblemKind::MetaHeader { .. } => "BOLT-005",
            ProblemKind::Truncated { .. } => "BOLT-006",
            ProblemKind::Freelist(_) => "BOLT-007",
            ProblemKind::FreelistBounds { .. } => "BOLT-008",
            ProblemKind::AlreadyFreed => "BOLT-009",
            ProblemKind::FreelistOrder { .. } => "BOLT-010",
            ProblemKind::ReachableFreed => "BOLT-011",
            ProblemKind::UnreachableUnfreed { .. } => "BOLT-012",
            ProblemKind::MultipleReferences => "BOLT-013",
            ProblemKind::Cycle => "BOLT-014",
            ProblemKind::TooDeep => "BOLT-015",
            ProblemKind::Page(_) => "BOLT-016",
            ProblemKind::KeyOrder { .. } => "BOLT-017",
            ProblemKind::KeyBelowParent { .. } => "BOLT-018",
            ProblemKind::KeyAboveNext { .. } => "BOLT-019",
            ProblemKind::EmptyKey { .. } => "BOLT-020",
            ProblemKind::KeyTooLong { .. } => "BOLT-021",
            ProblemKind::ElementFlags { .. } => "BOLT-022",
            ProblemKind::Bucket { .. } => "BOLT-023",
            ProblemKind::InlineBucketInside { .. } => "BOLT-024",
            ProblemKind::Inline { inner, .. } => inner.id(),
            ProblemKind::MetaPageSize { .. } => "BOLT-026",
            ProblemKind::LastTxId { .. } => "BOLT-027",
        }
    }

    /// Whether bbolt works with the file without harm.
    pub fn is_harmless(&self) -> bool {
        matches!(self, ProblemKind::OlderMeta { .. } | ProblemKind::FreelistOrder { .. })
    }
}

impl Problem {
    /// What is wrong, what that means to the reader of the message, and where it is.
    pub fn with_meaning(&self, meaning: Option<&str>) -> String {
        let page = self.page.map_or_else(String::new, |page| format!("page {page}: "));
        let meaning = meaning.map_or_else(String::new, |meaning| format!(": {meaning}"));
        let path = path_text(&self.path);
        let place = match (self.path.len() > 1, self.offset) {
            (true, Some(offset)) => format!(" (path {path}, offset {offset:#x})"),
            (true, None) => format!(" (path {path})"),
            (false, Some(offset)) => format!(" (offset {offset:#x})"),
            (false, None) => String::new(),
        };
        format!("{page}{}{meaning}{place}", self.kind)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_meaning(None))
    }
}

/// `3 > 7 > 9`; only the two ends of a path that is longer than in any real file.
fn path_text(path: &[PageId]) -> String {
    let text = |pages: &[PageId]| pages.iter().map(ToString::to_string).collect::<Vec<_>>().join(" > ");
    match path.len() {
        0..=10 => text(path),
        len => format!("{} > ... > {}", text(&path[..4]), text(&path[len - 4..])),
    }
}

fn looks_like(format: &Option<&'static str>) -> String {
    format.map_or_else(String::new, |format| format!(": it looks like {format}"))
}
