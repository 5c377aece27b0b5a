//! The whole envelope, through op-alloy: the only file that decodes a payload in full.

use alloy_consensus::{Block, BlockBody, Header};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::B256;
use op_alloy_consensus::OpTxEnvelope;
use op_alloy_rpc_types_engine::{OpExecutionPayload, OpExecutionPayloadV4};
use ssz::{Decode, Encode};

use super::{Hash, Head, NotAPayload, ROOT_LEN, Version};

/// Root of no withdrawals: a block that has it is not taken for Isthmus. (go-ethereum core/types/hashes.go
/// EmptyWithdrawalsHash; op-service/eth/types.go)
const EMPTY_WITHDRAWALS: &str = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";

/// A parent beacon block root and a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    root: B256,
    payload: OpExecutionPayload,
    head: Head,
}

/// Why bytes are no envelope, or not the one that they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The fixed part is wrong.
    #[error(transparent)]
    NotAPayload(#[from] NotAPayload),
    /// A part behind the fixed one is wrong.
    #[error("an execution payload that can't be decoded: {0}")]
    Undecodable(String),
    /// The block before Ecotone: op-conductor can't hold it.
    #[error("a block before Ecotone ({0}): it has no parent beacon block root, and op-conductor can't store it")]
    BeforeEcotone(Version),
    /// The block that it describes has another hash.
    #[error("block {number} claims the hash {claimed}, but its content has {computed}")]
    Hash {
        /// Number of the block.
        number: u64,
        /// The hash in the payload.
        claimed: Hash,
        /// The hash of the header that the payload describes.
        computed: Hash,
    },
}

impl Envelope {
    /// Decodes an envelope of Ecotone or later.
    pub fn decode(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
        let head = Head::peek(bytes)?;
        if matches!(head.version, Version::V1 | Version::V2) {
            return Err(EnvelopeError::BeforeEcotone(head.version));
        }
        let payload = OpExecutionPayload::from_ssz_bytes(&bytes[ROOT_LEN..])
            .map_err(|error| EnvelopeError::Undecodable(format!("{error:?}")))?;
        let envelope = Envelope { root: B256::from_slice(&bytes[..ROOT_LEN]), payload, head };
        // SSZ has one encoding of a value: anything else would be another block to op-conductor.
        if envelope.encode() != bytes {
            return Err(EnvelopeError::Undecodable("its bytes are not those that its content encodes to".to_owned()));
        }
        Ok(envelope)
    }

    /// The bytes as op-conductor's state machine stores them.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ROOT_LEN + self.payload.ssz_bytes_len());
        bytes.extend_from_slice(self.root.as_slice());
        self.payload.ssz_append(&mut bytes);
        bytes
    }

    /// From a payload and its root, as the engine API has them.
    pub(crate) fn new(root: B256, payload: &OpExecutionPayload) -> Result<Envelope, EnvelopeError> {
        let mut bytes = root.to_vec();
        payload.ssz_append(&mut bytes);
        Envelope::decode(&bytes)
    }

    /// From a block as `eth_getBlockByNumber` has it; `hash` is what the node says it is.
    pub(crate) fn from_block(
        hash: B256,
        header: Header,
        transactions: Vec<OpTxEnvelope>,
    ) -> Result<Envelope, EnvelopeError> {
        let version = if header.withdrawals_root.is_some() { Version::V2 } else { Version::V1 };
        let root = header.parent_beacon_block_root.ok_or(EnvelopeError::BeforeEcotone(version))?;
        let withdrawals_root = header.withdrawals_root.filter(|root| root.to_string() != EMPTY_WITHDRAWALS);
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Vec::new().into()) };
        let (payload, _) = OpExecutionPayload::from_block_unchecked(hash, &Block { header, body });
        let payload = match (payload, withdrawals_root) {
            (OpExecutionPayload::V3(payload), Some(root)) => {
                OpExecutionPayload::V4(OpExecutionPayloadV4::from_v3_with_withdrawals_root(payload, root))
            }
            (OpExecutionPayload::V4(payload), None) => OpExecutionPayload::V3(payload.payload_inner),
            (payload, _) => payload,
        };
        Envelope::new(root, &payload)
    }

    /// An empty block on top of this one, with its hash, for tests and the gate: no chain has executed it.
    pub fn child(&self) -> Result<Envelope, EnvelopeError> {
        let mut payload = self.payload.clone();
        let block = payload.as_v1_mut();
        block.parent_hash = B256::new(self.head.hash.0);
        block.block_number = block.block_number.saturating_add(1);
        block.timestamp = block.timestamp.saturating_add(2);
        block.transactions.clear();
        let mut child = Envelope::new(self.root, &payload)?;
        child.payload.as_v1_mut().block_hash = B256::new(child.computed_hash()?.0);
        Envelope::new(self.root, &child.payload)
    }

    /// The JSON that op-conductor's `conductor_commitUnsafePayload` takes. (op-service/eth/types.go
    /// ExecutionPayloadEnvelope)
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        let payload = serde_json::to_value(&self.payload)?;
        Ok(serde_json::json!({"executionPayload": payload, "parentBeaconBlockRoot": self.root}))
    }

    /// Which block it is.
    pub fn head(&self) -> Head {
        self.head
    }

    /// How many transactions it has.
    pub fn transaction_count(&self) -> usize {
        self.payload.transactions().len()
    }

    /// Recomputes the block's hash from its content and compares it with what it claims.
    pub fn check_hash(&self) -> Result<(), EnvelopeError> {
        let computed = self.computed_hash()?;
        let claimed = self.head.hash;
        if computed != claimed {
            return Err(EnvelopeError::Hash { number: self.head.number, claimed, computed });
        }
        Ok(())
    }

    fn computed_hash(&self) -> Result<Hash, EnvelopeError> {
        let block = self.payload.clone().into_block_raw();
        let mut block = block.map_err(|error| EnvelopeError::Undecodable(error.to_string()))?;
        block.header.parent_beacon_block_root = Some(self.root);
        if self.head.version == Version::V4 {
            // OP Stack blocks carry no requests. (specs, Isthmus execution engine)
            block.header.requests_hash = Some(EMPTY_REQUESTS_HASH);
        }
        Ok(Hash(block.header.hash_slow().0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by op-service/eth and op-geth; see tests/vectors/payload/README.md.
    const GO: [&[u8]; 4] = [
        include_bytes!("../../tests/vectors/payload/v3.ssz"),
        include_bytes!("../../tests/vectors/payload/v4.ssz"),
        include_bytes!("../../tests/vectors/payload/v4-3-txs.ssz"),
        include_bytes!("../../tests/vectors/payload/v3-no-txs.ssz"),
    ];

    #[test]
    fn payloads_of_go_decode_encode_and_have_their_hash() {
        for (bytes, transactions) in GO.into_iter().zip([1, 1, 3, 0]) {
            let envelope = Envelope::decode(bytes).unwrap();
            assert_eq!(envelope.encode(), bytes);
            assert_eq!(envelope.transaction_count(), transactions);
            assert_eq!(envelope.check_hash(), Ok(()));
        }
    }

    #[test]
    fn a_changed_block_has_another_hash() {
        let mut bytes = GO[0].to_vec();
        bytes[ROOT_LEN + 404] ^= 1;
        let error = Envelope::decode(&bytes).unwrap().check_hash().unwrap_err();
        assert!(matches!(error, EnvelopeError::Hash { number: 101, .. }), "{error}");
    }

    #[test]
    fn a_child_stands_on_its_parent_and_has_its_own_hash() {
        for bytes in GO {
            let parent = Envelope::decode(bytes).unwrap();
            let child = parent.child().unwrap();
            assert_eq!((child.head().number, child.head().parent_hash), (parent.head().number + 1, parent.head().hash));
            assert_eq!((child.check_hash(), child.transaction_count()), (Ok(()), 0));
            assert_eq!(child.to_json().unwrap()["executionPayload"]["blockHash"], child.head().hash.to_string());
        }
    }

    #[test]
    fn blocks_before_ecotone_are_refused() {
        let mut bytes = GO[0].to_vec();
        bytes[468..472].copy_from_slice(&512_u32.to_le_bytes());
        assert_eq!(Envelope::decode(&bytes), Err(EnvelopeError::BeforeEcotone(Version::V2)));
    }

    proptest! {
        #[test]
        fn damaged_payloads_never_panic(which in 0..4_usize, at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
            let mut bytes = GO[which].to_vec();
            let at = at % bytes.len();
            let changed = bytes[at] != byte;
            bytes[at] = byte;
            let passes = Envelope::decode(&bytes).and_then(|envelope| envelope.check_hash()).is_ok();
            prop_assert_eq!(passes, !changed, "byte {} of {}", at, which);
            bytes.truncate(cut % bytes.len());
            prop_assert!(Envelope::decode(&bytes).is_err());
        }
    }
}
