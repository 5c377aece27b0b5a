#![doc = include_str!("FORMAT.md")]

mod bulk;
mod check;
mod element;
mod error;
mod freelist;
mod layout;
mod live;
mod meta;
mod page;
mod problem;
mod reach;
mod read;
mod run;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod tx;
mod window;

pub use bulk::{BulkBucket, BulkWriter};
pub use check::{Check, PageCounts, check};
pub use element::LeafElement;
pub use error::{Error, MetaError, PageError};
pub use layout::{MAX_KEY_LEN, MAX_PAGE_SIZE, MAX_VALUE_LEN, MIN_PAGE_SIZE, PageId, TxId, is_page_size};
pub use live::{Attempts, Limits, LiveError, LiveSource, read_committed};
pub use meta::{BucketHeader, Meta};
pub use page::{PageHeader, PageKind};
pub use problem::{Problem, ProblemKind};
pub use read::{Bucket, Cursor, Metas, Reader};
pub use source::{ReadAt, Storage};
pub use survey::{ElementView, PageUse, PageView, Step, Survey, TreePage};
pub use tx::{Db, Tx};
