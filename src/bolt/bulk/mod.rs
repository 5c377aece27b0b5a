//! The bulk writer: sorted pairs in, a freshly packed file out, in one pass at the speed of the disk.
//!
//! Leaves and branches are written one after the other from page 2 on, each once, in large writes; the metas come last.
//! Memory holds one open page per level and one entry: a value is borrowed until it is written. The file has the same
//! meaning as one that a put transaction writes, and other bytes: pages are full, and no page is free.

mod bucket;
mod open_page;
mod output;
#[cfg(test)]
mod tests;
mod write_behind;
mod writer;

pub use bucket::BulkBucket;
pub use writer::BulkWriter;
