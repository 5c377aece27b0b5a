#![doc = include_str!("FORMAT.md")]

mod bucket;
mod bulk;
mod check;
mod cursor;
mod element;
mod error;
mod freelist;
mod geometry;
mod layout;
mod live;
mod meta;
mod metas;
mod page;
mod page_buf;
mod page_set;
mod page_view;
mod path;
mod read;
mod read_ahead;
mod storage;
mod survey;
#[cfg(test)]
mod tests;
mod tree;
mod tree_view;
mod tx;
mod window;

pub use bucket::BucketHeader;
pub use bulk::{BulkBucket, BulkWriter};
pub use check::{Check, PageCounts, Problem, ProblemKind, check};
pub use cursor::Cursor;
pub use element::LeafElement;
pub use error::{Error, MetaError, PageError};
pub use layout::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, PageId, TxId, is_page_size};
pub use live::{Attempts, Limits, LiveError, LiveSource, read_committed};
pub use meta::Meta;
pub use metas::Metas;
pub use page::{PageHeader, PageKind};
pub use page_view::{ElementView, PageView};
pub use read::{Bucket, Reader};
pub use storage::{ReadAt, Storage};
pub use survey::{PageUse, Survey};
pub use tree_view::{TreeItem, TreePage};
pub use tx::{Db, Tx};
