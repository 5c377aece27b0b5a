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
    /// Pages from the root down to and including that page; empty where no tree leads there.
    pub path: Vec<PageId>,
    /// Bytes from the start of the file; none for a page that the file doesn't have.
    pub offset: Option<u64>,
}

/// One way to be wrong. Every one of them is an error: bbolt or raft would fail, or lose data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// No byte at all.
    #[error("the file is empty: bbolt would make it a new database in silence, and the node would forget what it knew")]
    Empty,
    /// Neither meta counts.
    #[error("no valid meta page ({first}; {second}){}", looks_like(.format))]
    NoMeta {
        /// Why meta 0 doesn't count.
        first: MetaError,
        /// Why meta 1 doesn't count.
        second: MetaError,
        /// What the file looks like by its first bytes.
        format: Option<&'static str>,
    },
    /// The meta that may be the newer one doesn't count.
    #[error(
        "meta page {slot} is not valid ({error}): bbolt falls back to transaction {live} in silence, which may be older than what was committed"
    )]
    NewerMeta {
        /// Which of the two.
        slot: usize,
        /// Why.
        error: MetaError,
        /// The transaction that is read instead.
        live: TxId,
    },
    /// The older meta doesn't count: nothing is lost, but nothing is there to fall back to.
    #[error("meta page {slot} is not valid ({error}): it is the older one, but there is nothing to fall back to")]
    OlderMeta {
        /// Which of the two.
        slot: usize,
        /// Why.
        error: MetaError,
    },
    /// Meta 0 has a page size that bbolt takes without a look at it: its checksum is right.
    #[error(
        "meta page 0 says that pages have {found} bytes, expected a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}: its checksum is right, so bbolt looks for all pages in the wrong places"
    )]
    MetaPageSize {
        /// What it says.
        found: u32,
    },
    /// No transaction can follow.
    #[error("the last transaction has the number {txid}: the next ones would begin at 0 again, and be lost")]
    LastTxId {
        /// The number.
        txid: TxId,
    },
    /// The header before a meta is wrong.
    #[error("the header of meta page {slot} says page {id}, flags {flags:#06x}: bbolt >= 1.3.7 panics on it")]
    MetaHeader {
        /// Which of the two.
        slot: usize,
        /// The id in the header.
        id: PageId,
        /// The flags in the header.
        flags: u16,
    },
    /// Pages that were used are not in the file.
    #[error("the file has {file_len} bytes, its pages need {needed}: it was cut off")]
    Truncated {
        /// High-water mark times page size.
        needed: u64,
        /// Length of the file in bytes.
        file_len: u64,
    },
    /// The freelist can't be read.
    #[error("the freelist can't be read: {0}")]
    Freelist(PageError),
    /// An id in the freelist that no free page has.
    #[error("the freelist holds page {id}: expected pages from 2 to below {high_water}")]
    FreelistBounds {
        /// The id.
        id: PageId,
        /// First page never used.
        high_water: PageId,
    },
    /// A page is twice in the freelist.
    #[error("already freed: the page is in the freelist more than once")]
    AlreadyFreed,
    /// The freelist isn't ascending.
    #[error("the freelist is not in ascending order: page {next} comes after page {previous}")]
    FreelistOrder {
        /// The id before.
        previous: PageId,
        /// The id that should not come after it.
        next: PageId,
    },
    /// A page of a tree is also free.
    #[error("reachable freed: the page is in use and in the freelist")]
    ReachableFreed,
    /// A page is neither in a tree nor free.
    #[error("unreachable unfreed: {count} page(s) from {first} on are neither in use nor free")]
    UnreachableUnfreed {
        /// First page of the range.
        first: PageId,
        /// Pages in the range.
        count: u64,
    },
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
    /// Keys out of order.
    #[error("key {index} is not above the key before it")]
    KeyOrder {
        /// Which element of the page.
        index: usize,
    },
    /// The first key is below what the parent promises.
    #[error("key {index} is below the key that the parent page has for this page")]
    KeyBelowParent {
        /// Which element of the page.
        index: usize,
    },
    /// A key belongs to the next page.
    #[error("key {index} is not below the key that the parent page has for the next page")]
    KeyAboveNext {
        /// Which element of the page.
        index: usize,
    },
    /// A key of no bytes.
    #[error("key {index} is empty")]
    EmptyKey {
        /// Which element of the page.
        index: usize,
    },
    /// A key that bolt refuses to write.
    #[error("key {index} has {len} bytes, the longest that bolt writes has {MAX_KEY_LEN}")]
    KeyTooLong {
        /// Which element of the page.
        index: usize,
        /// Its length.
        len: u64,
    },
    /// Flags of a leaf element that bolt doesn't know.
    #[error("element {index} has flags {flags:#x}: expected 0, or 1 for a bucket")]
    ElementFlags {
        /// Which element of the page.
        index: usize,
        /// What is there.
        flags: u32,
    },
    /// A bucket's header or inline page is wrong.
    #[error("element {index}: the bucket can't be read: {error}")]
    Bucket {
        /// Which element of the page.
        index: usize,
        /// What is wrong with it.
        error: PageError,
    },
    /// A bucket inside an inline bucket.
    #[error("element {index}: an inline bucket with a bucket inside: bolt never writes that")]
    InlineBucketInside {
        /// Which element of the page.
        index: usize,
    },
    /// Inside an inline bucket.
    #[error("element {index}, inline bucket: {inner}")]
    Inline {
        /// Which element of the page.
        index: usize,
        /// What is wrong inside.
        inner: Box<ProblemKind>,
    },
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

    /// What it means for op-conductor, where that isn't said already.
    pub fn meaning(&self) -> Option<&'static str> {
        Some(match self {
            ProblemKind::Empty
            | ProblemKind::NewerMeta { .. }
            | ProblemKind::OlderMeta { .. }
            | ProblemKind::MetaPageSize { .. }
            | ProblemKind::LastTxId { .. }
            | ProblemKind::MetaHeader { .. } => return None,
            ProblemKind::NoMeta { .. } => "op-conductor can't open it and does not start",
            ProblemKind::Truncated { .. } => "op-conductor crashes when it reads what is missing",
            ProblemKind::Freelist(_) => "op-conductor panics at its start, or writes over pages in use",
            ProblemKind::FreelistBounds { .. } => "bbolt would write over a meta, or use one page for two things",
            ProblemKind::AlreadyFreed => "bbolt would use it for two things at once",
            ProblemKind::FreelistOrder { .. } => "bbolt sorts it when it opens the file",
            ProblemKind::ReachableFreed => "bbolt writes over it sooner or later",
            ProblemKind::UnreachableUnfreed { .. } => "space is lost, or a tree has lost entries",
            ProblemKind::MultipleReferences => "a change through one of them damages the other",
            ProblemKind::Cycle | ProblemKind::TooDeep => "op-conductor hangs or crashes on the way down",
            ProblemKind::Page(_) => "what is on and below it is lost, and raft panics when it needs that",
            ProblemKind::KeyOrder { .. } | ProblemKind::KeyBelowParent { .. } | ProblemKind::KeyAboveNext { .. } => {
                "searches miss keys that are there, and raft takes their entries for lost"
            }
            ProblemKind::EmptyKey { .. } => "bbolt panics when it writes this page",
            ProblemKind::KeyTooLong { .. } | ProblemKind::ElementFlags { .. } => "no store of raft has such an element",
            ProblemKind::Bucket { .. } | ProblemKind::InlineBucketInside { .. } => "raft can't read what is in it",
            ProblemKind::Inline { inner, .. } => return inner.meaning(),
        })
    }

    /// Whether bbolt goes on with it without harm.
    pub fn is_harmless(&self) -> bool {
        matches!(self, ProblemKind::OlderMeta { .. } | ProblemKind::FreelistOrder { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(page) = self.page {
            write!(f, "page {page}: ")?;
        }
        self.kind.fmt(f)?;
        if let Some(meaning) = self.kind.meaning() {
            write!(f, ": {meaning}")?;
        }
        let path = path_text(&self.path);
        match (self.path.len() > 1, self.offset) {
            (true, Some(offset)) => write!(f, " (path {path}, offset {offset:#x})"),
            (true, None) => write!(f, " (path {path})"),
            (false, Some(offset)) => write!(f, " (offset {offset:#x})"),
            (false, None) => Ok(()),
        }
    }
}

/// `3 > 7 > 9`; only the ends of a path that no real file has.
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
