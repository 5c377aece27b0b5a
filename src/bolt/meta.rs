//! A meta: which file this is, and where one committed state of it begins.

use super::bucket::{BUCKET_HEADER_LEN, BucketHeader};
use super::error::MetaError;
use super::layout::{PageId, TxId, is_page_size, le_u32, le_u64, put_le_u32, put_le_u64};
use super::page::{PAGE_HEADER_LEN, PageHeader, PageKind};

/// The first 4 bytes of a meta. (bbolt db.go magic)
const MAGIC: u32 = 0xED0C_DAED;
/// The only version there ever was. (bbolt db.go version)
const VERSION: u32 = 2;
/// The `freelist` field of a file whose freelist is not on disk. (bbolt db.go pgidNoFreelist)
const NO_FREELIST: u64 = u64::MAX;

// Offsets in a meta, which follows a page header. (bbolt db.go meta)
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = MAGIC_AT + size_of::<u32>();
const PAGE_SIZE_AT: usize = VERSION_AT + size_of::<u32>();
const FLAGS_AT: usize = PAGE_SIZE_AT + size_of::<u32>();
const ROOT_AT: usize = FLAGS_AT + size_of::<u32>();
const FREELIST_AT: usize = ROOT_AT + BUCKET_HEADER_LEN;
const HIGH_WATER_AT: usize = FREELIST_AT + size_of::<u64>();
const TXID_AT: usize = HIGH_WATER_AT + size_of::<u64>();
const CHECKSUM_AT: usize = TXID_AT + size_of::<u64>();
/// Bytes of a meta after its page header.
pub(crate) const META_LEN: usize = CHECKSUM_AT + size_of::<u64>();

/// One committed state of the file. 64 bytes after a page header: magic u32, version u32, page size u32, flags
/// u32, root bucket 16 bytes, freelist u64, high water u64, txid u64, checksum u64 (FNV-1a 64 of the 56 before).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of a page.
    pub page_size: u32,
    /// The top-level bucket.
    pub root: BucketHeader,
    /// First page of the freelist; `None` if it is not on disk.
    pub freelist: Option<PageId>,
    /// First page id that was never used (`pgid` upstream).
    pub high_water: PageId,
    /// The transaction that wrote this.
    pub txid: TxId,
}

impl Meta {
    /// Decodes a meta page from its first 80 bytes, and checks magic, version, checksum and page size.
    ///
    /// A checksum of 0 is refused: bbolt <= 1.3.6 takes it for "not checked", later versions don't (meta validate).
    pub fn decode(page: &[u8]) -> Result<Meta, MetaError> {
        let meta = page.get(PAGE_HEADER_LEN..PAGE_HEADER_LEN + META_LEN).ok_or(MetaError::Short { len: page.len() })?;
        let magic = le_u32(meta, MAGIC_AT);
        if magic == MAGIC.swap_bytes() {
            return Err(MetaError::BigEndian);
        }
        if magic != MAGIC {
            return Err(MetaError::Magic { found: magic });
        }
        let version = le_u32(meta, VERSION_AT);
        if version != VERSION {
            return Err(MetaError::Version { found: version });
        }
        let (expected, found) = (fnv1a(&meta[..CHECKSUM_AT]), le_u64(meta, CHECKSUM_AT));
        if expected != found {
            return Err(MetaError::Checksum { expected, found });
        }
        let page_size = le_u32(meta, PAGE_SIZE_AT);
        if !usize::try_from(page_size).is_ok_and(is_page_size) {
            return Err(MetaError::PageSize { found: page_size });
        }
        let freelist = le_u64(meta, FREELIST_AT);
        Ok(Meta {
            page_size,
            root: BucketHeader::decode(&meta[ROOT_AT..]).expect("a bucket header is inside the meta"),
            freelist: (freelist != NO_FREELIST).then_some(PageId(freelist)),
            high_water: PageId(le_u64(meta, HIGH_WATER_AT)),
            txid: TxId(le_u64(meta, TXID_AT)),
        })
    }

    /// The whole page of `page_size` bytes for slot `id`; the rest is zero, as bbolt writes it (tx.go writeMeta).
    pub fn encode(&self, id: PageId) -> Vec<u8> {
        let mut page = vec![0; self.page_size as usize];
        PageHeader { id, flags: PageKind::Meta.flags(), count: 0, overflow: 0 }.encode(&mut page);
        let meta = &mut page[PAGE_HEADER_LEN..PAGE_HEADER_LEN + META_LEN];
        put_le_u32(meta, MAGIC_AT, MAGIC);
        put_le_u32(meta, VERSION_AT, VERSION);
        put_le_u32(meta, PAGE_SIZE_AT, self.page_size);
        meta[ROOT_AT..FREELIST_AT].copy_from_slice(&self.root.encode());
        put_le_u64(meta, FREELIST_AT, self.freelist.map_or(NO_FREELIST, |id| id.0));
        put_le_u64(meta, HIGH_WATER_AT, self.high_water.0);
        put_le_u64(meta, TXID_AT, self.txid.0);
        let checksum = fnv1a(&meta[..CHECKSUM_AT]);
        put_le_u64(meta, CHECKSUM_AT, checksum);
        page
    }
}

/// The txid field of a meta page that may not validate.
pub(crate) fn raw_txid(page: &[u8]) -> Option<TxId> {
    let meta = page.get(PAGE_HEADER_LEN..PAGE_HEADER_LEN + META_LEN)?;
    Some(TxId(le_u64(meta, TXID_AT)))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Page 0 of a new file in which Go (bbolt 1.3.6) created two buckets, as raft-boltdb's NewBoltStore does.
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
    fn each_way_for_a_meta_to_be_wrong_has_its_error() {
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
