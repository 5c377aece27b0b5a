//! The whole envelope, through op-alloy: the only file that decodes a payload in full.

use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_engine::ExecutionPayloadV3;
use op_alloy_rpc_types_engine::{OpExecutionPayload, OpExecutionPayloadV4};
use ssz::{Decode, Encode};

use super::block_hash::{EMPTY_WITHDRAWALS_ROOT, block_hash};
use super::{Hash, Head, NotAPayload, ROOT_LEN, Version};

/// What Go decodes at most. (op-service/eth/ssz.go UnmarshalSSZ, maxTransactionsPerPayload, maxWithdrawalsPerPayload)
const MAX_EXTRA_DATA_LEN: usize = 32;
pub(crate) const MAX_TRANSACTIONS: usize = 1 << 20;
const MAX_WITHDRAWALS: usize = 16;

/// A parent beacon block root and a payload of Ecotone or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    root: B256,
    /// V3 or V4.
    payload: OpExecutionPayload,
    head: Head,
}

/// A block's hash that was recomputed and is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightHash {
    /// It is what op-node recomputes from the payload.
    ForAll,
    /// It is right for a block of Isthmus from whose chain nothing was ever withdrawn. Go encodes such a block as if it
    /// were older (op-service/eth/ssz.go inferVersion), and what it reads back has another hash to op-node.
    OnlyAsIsthmus,
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
    /// Decodes an envelope of Ecotone or later: all that op-conductor decodes, and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
        let head = Head::peek(bytes)?;
        if matches!(head.version, Version::V1 | Version::V2) {
            return Err(EnvelopeError::BeforeEcotone(head.version));
        }
        let (root, payload_bytes) = bytes.split_at(ROOT_LEN);
        let payload = OpExecutionPayload::from_ssz_bytes(payload_bytes)
            .map_err(|error| EnvelopeError::Undecodable(format!("{error:?}")))?;
        // SSZ has one encoding of a value: anything else would be another block to op-conductor.
        if payload.as_ssz_bytes() != payload_bytes {
            return Err(EnvelopeError::Undecodable("its bytes are not those that its content encodes to".to_owned()));
        }
        let envelope = Envelope { root: B256::from_slice(root), payload, head };
        envelope.check_limits()?;
        Ok(envelope)
    }

    /// The bytes as op-conductor's state machine stores them: in the form V3 if nothing was ever withdrawn from the
    /// chain, even of a payload that was decoded as V4. (op-service/eth/ssz.go inferVersion, MarshalSSZ)
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ROOT_LEN + self.payload.ssz_bytes_len());
        bytes.extend_from_slice(self.root.as_slice());
        if self.withdrawals_root() == Some(EMPTY_WITHDRAWALS_ROOT) {
            self.v3().ssz_append(&mut bytes);
        } else {
            self.payload.ssz_append(&mut bytes);
        }
        bytes
    }

    /// From a payload as the engine API has it, and its root; `withdrawals_root` for Isthmus.
    pub(crate) fn new(
        root: B256,
        payload: ExecutionPayloadV3,
        withdrawals_root: Option<B256>,
    ) -> Result<Envelope, EnvelopeError> {
        let v1 = &payload.payload_inner.payload_inner;
        let head = Head {
            version: if withdrawals_root.is_some() { Version::V4 } else { Version::V3 },
            number: v1.block_number,
            hash: Hash(v1.block_hash.0),
            parent_hash: Hash(v1.parent_hash.0),
            timestamp: v1.timestamp,
        };
        let payload = match withdrawals_root {
            Some(root) => {
                OpExecutionPayload::V4(OpExecutionPayloadV4 { payload_inner: payload, withdrawals_root: root })
            }
            None => OpExecutionPayload::V3(payload),
        };
        let envelope = Envelope { root, payload, head };
        envelope.check_limits()?;
        Ok(envelope)
    }

    /// An empty block on top of this one, with its hash, for tests and the gate: no chain has executed it.
    pub fn child(&self) -> Result<Envelope, EnvelopeError> {
        let (mut payload, withdrawals_root) = (self.v3().clone(), self.withdrawals_root());
        let block = &mut payload.payload_inner.payload_inner;
        block.parent_hash = B256::new(self.head.hash.0);
        block.block_number = block.block_number.saturating_add(1);
        block.timestamp = block.timestamp.saturating_add(2);
        block.transactions.clear();
        let hash = block_hash(self.root, &payload, withdrawals_root);
        payload.payload_inner.payload_inner.block_hash = hash;
        Envelope::new(self.root, payload, withdrawals_root)
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

    /// The transactions, each encoded.
    pub fn transactions(&self) -> &[Bytes] {
        self.payload.transactions()
    }

    /// Recomputes the block's hash from its content and compares it with what it claims.
    pub fn check_hash(&self) -> Result<RightHash, EnvelopeError> {
        let hash = |withdrawals_root| Hash(block_hash(self.root, self.v3(), withdrawals_root).0);
        let claimed = self.head.hash;
        let computed = hash(self.withdrawals_root());
        if computed == claimed {
            return Ok(RightHash::ForAll);
        }
        if self.head.version == Version::V3 && hash(Some(EMPTY_WITHDRAWALS_ROOT)) == claimed {
            return Ok(RightHash::OnlyAsIsthmus);
        }
        Err(EnvelopeError::Hash { number: self.head.number, claimed, computed })
    }

    fn v3(&self) -> &ExecutionPayloadV3 {
        self.payload.as_v3().expect("both constructors take only V3 and V4")
    }

    fn withdrawals_root(&self) -> Option<B256> {
        self.payload.as_v4().map(|payload| payload.withdrawals_root)
    }

    fn check_limits(&self) -> Result<(), EnvelopeError> {
        let payload = &self.v3().payload_inner;
        let at_most = |what: &str, found: usize, most: usize| match found <= most {
            true => Ok(()),
            false => Err(EnvelopeError::Undecodable(format!("{what}: expected at most {most}, found {found}"))),
        };
        at_most("bytes of extra data", payload.payload_inner.extra_data.len(), MAX_EXTRA_DATA_LEN)?;
        at_most("transactions", self.transactions().len(), MAX_TRANSACTIONS)?;
        at_most("withdrawals", payload.withdrawals.len(), MAX_WITHDRAWALS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by op-service/eth and op-geth; see tests/vectors/payload/README.md.
    const GO: [&[u8]; 6] = [
        include_bytes!("../../tests/vectors/payload/v3.ssz"),
        include_bytes!("../../tests/vectors/payload/v4.ssz"),
        include_bytes!("../../tests/vectors/payload/v4-3-txs.ssz"),
        include_bytes!("../../tests/vectors/payload/v3-no-txs.ssz"),
        include_bytes!("../../tests/vectors/payload/v4-tx-types.ssz"),
        include_bytes!("../../tests/vectors/payload/v4-base-fee.ssz"),
    ];
    /// A block of Isthmus that Go encodes as V3.
    const V3_ISTHMUS: &[u8] = include_bytes!("../../tests/vectors/payload/v3-isthmus.ssz");
    /// Where the fixed parts of V3 and V4 differ.
    const WITHDRAWALS_ROOT: usize = ROOT_LEN + 528;

    /// The same block with the root in it that Go leaves out.
    fn isthmus_as_v4() -> Vec<u8> {
        let mut bytes = V3_ISTHMUS.to_vec();
        bytes.splice(WITHDRAWALS_ROOT..WITHDRAWALS_ROOT, EMPTY_WITHDRAWALS_ROOT);
        for offset in [436, 504, 508].map(|at| ROOT_LEN + at) {
            let moved = u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap()) + 32;
            bytes[offset..offset + 4].copy_from_slice(&moved.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_child_stands_on_its_parent_and_has_its_own_hash() {
        for bytes in GO {
            let parent = Envelope::decode(bytes).unwrap();
            let child = parent.child().unwrap();
            assert_eq!((child.head().number, child.head().parent_hash), (parent.head().number + 1, parent.head().hash));
            assert_eq!((child.check_hash(), child.transactions().len()), (Ok(RightHash::ForAll), 0));
            assert_eq!(child.to_json().unwrap()["executionPayload"]["blockHash"], child.head().hash.to_string());
        }
    }

    #[test]
    fn payloads_of_go_decode_encode_and_have_their_hash() {
        for (bytes, transactions) in GO.into_iter().zip([1, 1, 3, 0, 9, 1]) {
            let envelope = Envelope::decode(bytes).unwrap();
            assert_eq!(envelope.encode(), bytes);
            assert_eq!(envelope.transactions().len(), transactions);
            assert_eq!(envelope.check_hash(), Ok(RightHash::ForAll));
        }
    }

    /// op-service/eth CheckBlockHash finds another hash in these bytes: see the recipe.
    #[test]
    fn an_isthmus_block_without_withdrawals_has_its_hash_though_go_stores_it_as_v3() {
        let envelope = Envelope::decode(V3_ISTHMUS).unwrap();
        assert_eq!(envelope.head().version, Version::V3);
        assert_eq!(envelope.encode(), V3_ISTHMUS);
        assert_eq!(envelope.check_hash(), Ok(RightHash::OnlyAsIsthmus));
    }

    #[test]
    fn v4_with_the_root_of_no_withdrawals_decodes_and_is_encoded_as_v3() {
        let envelope = Envelope::decode(&isthmus_as_v4()).unwrap();
        assert_eq!(envelope.head().version, Version::V4);
        assert_eq!(envelope.check_hash(), Ok(RightHash::ForAll));
        assert_eq!(envelope.encode(), V3_ISTHMUS);
    }

    #[test]
    fn what_go_finds_too_much_is_undecodable() {
        let with = |change: fn(&mut ExecutionPayloadV3)| {
            let mut envelope = Envelope::decode(GO[0]).unwrap();
            change(envelope.payload.as_v3_mut().unwrap());
            Envelope::decode(&envelope.encode()).map(|_| ()).map_err(|error| error.to_string())
        };
        let undecodable = |what: &str| Err(format!("an execution payload that can't be decoded: {what}"));
        assert_eq!(with(|payload| payload.payload_inner.payload_inner.extra_data = vec![1; 32].into()), Ok(()));
        assert_eq!(
            with(|payload| payload.payload_inner.payload_inner.extra_data = vec![1; 33].into()),
            undecodable("bytes of extra data: expected at most 32, found 33")
        );
        assert_eq!(with(|payload| payload.payload_inner.withdrawals = vec![Default::default(); 16]), Ok(()));
        assert_eq!(
            with(|payload| payload.payload_inner.withdrawals = vec![Default::default(); 17]),
            undecodable("withdrawals: expected at most 16, found 17")
        );
    }

    #[test]
    fn a_changed_block_has_another_hash() {
        let mut bytes = GO[0].to_vec();
        bytes[ROOT_LEN + 404] ^= 1;
        let error = Envelope::decode(&bytes).unwrap().check_hash().unwrap_err();
        assert!(matches!(error, EnvelopeError::Hash { number: 101, .. }), "{error}");
    }

    #[test]
    fn blocks_before_ecotone_are_refused() {
        let mut bytes = GO[0].to_vec();
        bytes[468..472].copy_from_slice(&512_u32.to_le_bytes());
        assert_eq!(Envelope::decode(&bytes), Err(EnvelopeError::BeforeEcotone(Version::V2)));
    }

    proptest! {
        #[test]
        fn damaged_payloads_never_panic(which in 0..GO.len(), at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
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
