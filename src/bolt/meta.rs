//! The two metas: which file this is, and where its current state begins.

use super::error::MetaError;
use super::layout::{META_LEN, PAGE_HEADER_LEN, PageId, TxId, is_page_size, le_u32, le_u64};
use super::page::{PageHeader, PageKind};

/// First bytes of a meta. (bbolt db.go magic)
const MAGIC: u32 = 0xED0C_DAED;
/// The only version there has been. (bbolt db.go version)
const VERSION: u32 = 2;
/// `freelist` of a file whose freelist is not on disk. (bbolt db.go pgidNoFreelist)
const NO_FREELIST: u64 = u64::MAX;

/// Where a bucket's tree begins. 16 bytes: root u64, sequence u64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketHeader {
    /// Root page; 0 means inline: the bucket's only page follows the header.
    pub root: PageId,
    /// Counter that the application may use; raft-boltdb doesn't.
    pub sequence: u64,
}

impl BucketHeader {
    /// Decodes the first 16 bytes; none when there are fewer.
    pub fn decode(bytes: &[u8]) -> Option<BucketHeader> {
        let bytes = bytes.get(..super::layout::BUCKET_HEADER_LEN)?;
        Some(BucketHeader { root: PageId(le_u64(bytes, 0)), sequence: le_u64(bytes, 8) })
    }

    /// The 16 bytes.
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.root.0.to_le_bytes());
        bytes[8..].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }
}

/// One committed state of the file. 64 bytes behind a page header: magic u32, version u32, page size u32, flags
/// u32, root bucket 16 bytes, freelist u64, high water u64, txid u64, checksum u64 (FNV-1a 64 of the 56 before).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of a page.
    pub page_size: u32,
    /// The top-level bucket.
    pub root: BucketHeader,
    /// First page of the freelist; none when it is not synced to disk.
    pub freelist: Option<PageId>,
    /// First page id that was never used (`pgid` upstream).
    pub high_water: PageId,
    /// The transaction that wrote this.
    pub txid: TxId,
}

impl Meta {
    /// Decodes and judges a meta page from its first 80 bytes.
    ///
    /// A checksum of 0 is refused: bbolt <= 1.3.6 takes it for "not checked", later ones don't (meta validate).
    pub fn decode(page: &[u8]) -> Result<Meta, MetaError> {
        let meta = page.get(PAGE_HEADER_LEN..PAGE_HEADER_LEN + META_LEN).ok_or(MetaError::Short { len: page.len() })?;
        let magic = le_u32(meta, 0);
        if magic == MAGIC.swap_bytes() {
            return Err(MetaError::BigEndian);
        }
        if magic != MAGIC {
            return Err(MetaError::Magic { found: magic });
        }
        let version = le_u32(meta, 4);
        if version != VERSION {
            return Err(MetaError::Version { found: version });
        }
        let (expected, found) = (fnv1a(&meta[..56]), le_u64(meta, 56));
        if expected != found {
            return Err(MetaError::Checksum { expected, found });
        }
        let page_size = le_u32(meta, 8);
        if !usize::try_from(page_size).is_ok_and(is_page_size) {
            return Err(MetaError::PageSize { found: page_size });
        }
        let freelist = le_u64(meta, 32);
        Ok(Meta {
            page_size,
            root: BucketHeader { root: PageId(le_u64(meta, 16)), sequence: le_u64(meta, 24) },
            freelist: (freelist != NO_FREELIST).then_some(PageId(freelist)),
            high_water: PageId(le_u64(meta, 40)),
            txid: TxId(le_u64(meta, 48)),
        })
    }

    /// The whole page of `page_size` bytes for slot `id`; the rest is zero, as bbolt writes it (tx.go writeMeta).
    pub fn encode(&self, id: PageId) -> Vec<u8> {
        let mut page = vec![0; self.page_size as usize];
        PageHeader { id, flags: PageKind::Meta.flags(), count: 0, overflow: 0 }.encode(&mut page);
        let meta = &mut page[PAGE_HEADER_LEN..PAGE_HEADER_LEN + META_LEN];
        meta[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        meta[4..8].copy_from_slice(&VERSION.to_le_bytes());
        meta[8..12].copy_from_slice(&self.page_size.to_le_bytes());
        meta[16..32].copy_from_slice(&self.root.encode());
        meta[32..40].copy_from_slice(&self.freelist.map_or(NO_FREELIST, |id| id.0).to_le_bytes());
        meta[40..48].copy_from_slice(&self.high_water.0.to_le_bytes());
        meta[48..56].copy_from_slice(&self.txid.0.to_le_bytes());
        let checksum = fnv1a(&meta[..56]);
        meta[56..64].copy_from_slice(&checksum.to_le_bytes());
        page
    }
}

/// The txid field of a meta page that may not validate.
pub(crate) fn raw_txid(page: &[u8]) -> Option<TxId> {
    let meta = page.get(PAGE_HEADER_LEN..PAGE_HEADER_LEN + META_LEN)?;
    Some(TxId(le_u64(meta, 48)))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Page 0 of the file that NewBoltStore (raft-boltdb/v2 2.3.1, bbolt 1.3.6) makes.
    const GO_META: &str = "00000000000000000400000000000000edda0ced0200000000100000000000000400000000000000\
                           0000000000000000050000000000000006000000000000000200000000000000\
                           6e331b2c7a6df9ee";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_meta_of_go_decodes_and_encodes_to_its_bytes() {
        let page = hex(GO_META);
        let meta = Meta::decode(&page).unwrap();
        assert_eq!(meta.root.root, PageId(4));
        assert_eq!(meta.freelist, Some(PageId(5)));
        assert_eq!(meta.high_water, PageId(6));
        assert_eq!(meta.txid, TxId(2));
        assert_eq!(meta.encode(PageId(0))[..80], page[..]);
    }

    #[test]
    fn each_way_to_be_no_meta_has_its_error() {
        let good = hex(GO_META);
        let damage = |at: usize, byte: u8| {
            let mut page = good.clone();
            page[at] = byte;
            Meta::decode(&page).unwrap_err()
        };
        assert_eq!(Meta::decode(&good[..79]), Err(MetaError::Short { len: 79 }));
        assert_eq!(damage(16, 0), MetaError::Magic { found: 0xED0C_DA00 });
        assert_eq!(damage(20, 3), MetaError::Version { found: 3 });
        assert!(matches!(damage(64, 3), MetaError::Checksum { .. }));
        let mut swapped = good.clone();
        swapped[16..20].reverse();
        assert_eq!(Meta::decode(&swapped), Err(MetaError::BigEndian));
        let odd = Meta { page_size: 1000, ..Meta::decode(&good).unwrap() }.encode(PageId(0));
        assert_eq!(Meta::decode(&odd), Err(MetaError::PageSize { found: 1000 }));
    }
}
