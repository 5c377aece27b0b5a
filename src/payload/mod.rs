//! What a LogCommand of op-conductor carries: the unsafe head, as an execution payload envelope.
//!
//! The bytes are a parent beacon block root of 32 bytes, then the payload in SSZ. There is no version byte: the
//! length of the payload's fixed part, which is also the offset of its first variable field, tells which it is.
//! (op-service/eth/ssz.go ExecutionPayloadEnvelope.MarshalSSZ, op-conductor/consensus/raft_fsm.go)
//!
//! [`Head::peek`] looks only at the fixed part: for long logs. [`Envelope`] decodes all of it and recomputes the hash.

#[cfg(feature = "payload")]
mod block_hash;
mod check;
#[cfg(feature = "payload")]
mod envelope;
mod release;

use std::fmt;

use serde::Serialize;

pub use check::{PayloadChecker, StoredHead};
#[cfg(feature = "payload")]
pub(crate) use envelope::MAX_TRANSACTIONS;
#[cfg(feature = "payload")]
pub use envelope::{Envelope, EnvelopeError, RightHash};
pub use release::{RELEASES, Release, Tried, UnknownRelease};

/// Bytes of the parent beacon block root in front.
const ROOT_LEN: usize = 32;
/// Offsets of fields in the payload, which follows the root. (op-service/eth/ssz.go)
const PARENT_HASH: usize = ROOT_LEN;
const BLOCK_NUMBER: usize = ROOT_LEN + 404;
const TIMESTAMP: usize = ROOT_LEN + 428;
const EXTRA_DATA_OFFSET: usize = ROOT_LEN + 436;
const BLOCK_HASH: usize = ROOT_LEN + 472;
/// The smallest fixed part.
const MIN_LEN: usize = ROOT_LEN + 508;

/// A hash of 32 bytes, printed as `0x` and 64 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode_prefixed(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Form of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Version {
    /// Bedrock.
    V1,
    /// Canyon: withdrawals.
    V2,
    /// Ecotone: blob gas, and a parent beacon block root.
    V3,
    /// Isthmus: withdrawals root.
    V4,
}

impl Version {
    /// Length of the fixed part in bytes. (op-service/eth/ssz.go executionPayloadFixedPart and its successors)
    pub const fn fixed_len(self) -> u32 {
        match self {
            Version::V1 => 508,
            Version::V2 => 512,
            Version::V3 => 528,
            Version::V4 => 560,
        }
    }

    const ALL: [Version; 4] = [Version::V1, Version::V2, Version::V3, Version::V4];
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which block a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Form of the payload.
    pub version: Version,
    /// Number of the block.
    pub number: u64,
    /// Hash that the payload claims; see [`Envelope::check_hash`].
    pub hash: Hash,
    /// Hash of the block before.
    pub parent_hash: Hash,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// Why bytes are no execution payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPayload {
    /// Fewer bytes than any payload has.
    #[error("not an execution payload: {len} bytes, the smallest has {MIN_LEN}")]
    Short {
        /// How many there are.
        len: usize,
    },
    /// The fixed part is of no known length.
    #[error("not an execution payload: a fixed part of {found} bytes, expected 508, 512, 528 or 560 (offset 468)")]
    FixedLen {
        /// The offset of the extra data.
        found: u32,
    },
    /// The fixed part is longer than the bytes.
    #[error("not an execution payload: {len} bytes, the fixed part of {version} ends at {end}")]
    Cut {
        /// How many there are.
        len: usize,
        /// Which form it would be.
        version: Version,
        /// Where its fixed part ends.
        end: usize,
    },
    /// The form of op-conductor before 2024-01-20: a version byte, then the payload.
    #[error(
        "an execution payload in the form of op-conductor before 2024-01-20 (a version byte in front): no release reads it today"
    )]
    VersionByte,
}

impl Head {
    /// Reads number, hashes and time from the fixed part; nothing else is looked at.
    pub fn peek(bytes: &[u8]) -> Result<Head, NotAPayload> {
        let version = version_of(bytes)?;
        let end = ROOT_LEN + version.fixed_len() as usize;
        if bytes.len() < end {
            return Err(NotAPayload::Cut { len: bytes.len(), version, end });
        }
        Ok(Head {
            version,
            number: le_u64(bytes, BLOCK_NUMBER),
            hash: hash(bytes, BLOCK_HASH),
            parent_hash: hash(bytes, PARENT_HASH),
            timestamp: le_u64(bytes, TIMESTAMP),
        })
    }

    /// The time as people read it.
    pub fn time(&self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_second(i64::try_from(self.timestamp).ok()?).ok()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} {} ({})", self.number, self.hash, self.version)?;
        self.time().map_or(Ok(()), |time| write!(f, " of {time}"))
    }
}

fn version_of(bytes: &[u8]) -> Result<Version, NotAPayload> {
    if bytes.len() < MIN_LEN {
        return Err(NotAPayload::Short { len: bytes.len() });
    }
    let found = le_u32(bytes, EXTRA_DATA_OFFSET);
    if let Some(version) = Version::ALL.into_iter().find(|version| version.fixed_len() == found) {
        return Ok(version);
    }
    // One byte of version, no root: then the offset of the extra data is at 1 + 436.
    let old = matches!((bytes[0], le_u32(bytes, 437)), (0, 508) | (1, 512));
    Err(if old { NotAPayload::VersionByte } else { NotAPayload::FixedLen { found } })
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn hash(bytes: &[u8], at: usize) -> Hash {
    Hash(bytes[at..at + 32].try_into().expect("32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by op-service/eth and op-geth; see tests/vectors/payload/README.md.
    const V3: &[u8] = include_bytes!("../../tests/vectors/payload/v3.ssz");
    const V4: &[u8] = include_bytes!("../../tests/vectors/payload/v4.ssz");

    #[test]
    fn the_fixed_part_tells_the_block() {
        let head = Head::peek(V3).unwrap();
        assert_eq!((head.version, head.number, head.timestamp), (Version::V3, 100, 0x6553_f100));
        assert_eq!(head.hash.to_string(), "0xe3ce35f52438d7c1d40f27a23745c2e694d07a2a4f2dc074b9682f41e339f96d");
        assert_eq!(head.time().unwrap().to_string(), "2023-11-14T22:13:20Z");
        let child = Head::peek(V4).unwrap();
        assert_eq!((child.version, child.number, child.parent_hash), (Version::V4, 101, head.hash));
    }

    #[test]
    fn what_is_no_payload_is_named() {
        assert_eq!(Head::peek(b"counter+1"), Err(NotAPayload::Short { len: 9 }));
        let mut other = V3.to_vec();
        other[EXTRA_DATA_OFFSET..EXTRA_DATA_OFFSET + 4].copy_from_slice(&680_u32.to_le_bytes());
        assert_eq!(Head::peek(&other), Err(NotAPayload::FixedLen { found: 680 }));
        let cut = NotAPayload::Cut { len: 559, version: Version::V3, end: 560 };
        assert_eq!(Head::peek(&V3[..559]), Err(cut));
        let mut old = vec![0; 600];
        old[437..441].copy_from_slice(&508_u32.to_le_bytes());
        assert_eq!(Head::peek(&old), Err(NotAPayload::VersionByte));
    }
}
