#![doc = include_str!("FORMAT.md")]

mod layout;
mod source;

pub use layout::{PageId, TxId};
pub use source::{ReadAt, Storage};
