//! Which block is asked for.

use std::fmt;
use std::str::FromStr;

use crate::payload::{Hash, Head};

/// A block of an execution client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockId {
    /// The newest.
    Latest,
    /// That of this number.
    Number(u64),
    /// That of this hash.
    Hash(Hash),
}

impl BlockId {
    /// Whether the answer is what was asked for.
    pub(super) fn is(&self, head: &Head) -> bool {
        match self {
            BlockId::Latest => true,
            BlockId::Number(number) => *number == head.number,
            BlockId::Hash(hash) => *hash == head.hash,
        }
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockId::Latest => f.write_str("latest"),
            BlockId::Number(number) => write!(f, "{number}"),
            BlockId::Hash(hash) => write!(f, "{hash}"),
        }
    }
}

impl FromStr for BlockId {
    type Err = String;

    fn from_str(text: &str) -> Result<BlockId, String> {
        let expected =
            "expected latest, a block number (decimal, or hexadecimal with 0x) or a block hash (0x and 64 digits)";
        match text {
            "latest" => return Ok(BlockId::Latest),
            "safe" | "finalized" | "earliest" => {
                return Err(format!(
                    "{text} is behind the unsafe head, and op-conductor never starts on an execution client that is ahead of its block: expected latest, or the number or hash of the block at which sequencing was stopped"
                ));
            }
            "pending" => {
                return Err(
                    "the pending block has no hash yet: expected latest, a block number or a block hash".to_owned()
                );
            }
            _ => {}
        }
        let (digits, radix) = match text.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
            return Err(expected.to_owned());
        }
        if radix == 16 && digits.len() == 64 {
            let hash = alloy_primitives::B256::from_str(text).map_err(|_| expected.to_owned())?;
            return Ok(BlockId::Hash(Hash(hash.0)));
        }
        u64::from_str_radix(digits, radix).map(BlockId::Number).map_err(|_| expected.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_latest_a_number_or_a_hash() {
        assert_eq!("latest".parse(), Ok(BlockId::Latest));
        assert_eq!("17".parse(), Ok(BlockId::Number(17)));
        assert_eq!("0x11".parse(), Ok(BlockId::Number(17)));
        assert_eq!("0xffffffffffffffff".parse(), Ok(BlockId::Number(u64::MAX)));
        assert_eq!(format!("0x{}", "Ab".repeat(32)).parse(), Ok(BlockId::Hash(Hash([0xab; 32]))));
    }

    #[test]
    fn what_is_no_block_is_refused_with_the_reason() {
        let cut_hash = format!("0x{}", "ab".repeat(31));
        for text in ["newest", "", "+1", "-1", "0x", "0x+1", "1_000", "18446744073709551616", &cut_hash] {
            let reason = text.parse::<BlockId>().unwrap_err();
            assert!(reason.starts_with("expected latest, a block number"), "{text}: {reason}");
        }
        for text in ["safe", "finalized", "earliest"] {
            let reason = text.parse::<BlockId>().unwrap_err();
            assert!(reason.contains("behind the unsafe head"), "{text}: {reason}");
        }
        assert!("pending".parse::<BlockId>().unwrap_err().contains("no hash yet"));
    }
}
