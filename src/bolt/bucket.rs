//! The value of a bucket's element: its header, and its page if it is inline.

use super::error::PageError;
use super::layout::{PageId, le_u64, put_le_u64};
use super::page::{PAGE_HEADER_LEN, PageHeader, PageKind};

// Offsets in a bucket's value. (bbolt bucket.go bucket)
const ROOT_AT: usize = 0;
const SEQUENCE_AT: usize = ROOT_AT + size_of::<u64>();
/// Bytes of a bucket header.
pub(crate) const BUCKET_HEADER_LEN: usize = SEQUENCE_AT + size_of::<u64>();

/// Where a bucket's tree begins. 16 bytes: root u64, sequence u64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketHeader {
    /// Root page; 0 means inline: the bucket's only page follows the header.
    pub root: PageId,
    /// Counter for the use of the application. (bbolt bucket.go NextSequence)
    pub sequence: u64,
}

impl BucketHeader {
    /// Decodes the first 16 bytes; `None` if there are fewer.
    pub fn decode(bytes: &[u8]) -> Option<BucketHeader> {
        let bytes = bytes.get(..BUCKET_HEADER_LEN)?;
        Some(BucketHeader { root: PageId(le_u64(bytes, ROOT_AT)), sequence: le_u64(bytes, SEQUENCE_AT) })
    }

    /// The 16 bytes.
    pub fn encode(&self) -> [u8; BUCKET_HEADER_LEN] {
        let mut bytes = [0; BUCKET_HEADER_LEN];
        put_le_u64(&mut bytes, ROOT_AT, self.root.0);
        put_le_u64(&mut bytes, SEQUENCE_AT, self.sequence);
        bytes
    }
}

/// Splits a bucket's value into its header and, if it is inline, its page, which is not looked at.
pub(crate) fn split_bucket(value: &[u8]) -> Result<(BucketHeader, Option<&[u8]>), PageError> {
    let header = BucketHeader::decode(value).ok_or(PageError::BucketValue { len: value.len() as u64 })?;
    let inline = (header.root == PageId(0)).then_some(&value[BUCKET_HEADER_LEN..]);
    Ok((header, inline))
}

/// The value of a bucket without keys: a header, then a leaf without elements. (bbolt bucket.go write)
pub(crate) fn encode_empty_bucket(sequence: u64) -> Vec<u8> {
    let mut value = vec![0; BUCKET_HEADER_LEN + PAGE_HEADER_LEN];
    value[..BUCKET_HEADER_LEN].copy_from_slice(&BucketHeader { root: PageId(0), sequence }.encode());
    let header = PageHeader { id: PageId(0), flags: PageKind::Leaf.flags(), count: 0, overflow: 0 };
    header.encode(&mut value[BUCKET_HEADER_LEN..]);
    value
}
