//! The hash of the block that a payload describes.

use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B64, B256, U256, b256, keccak256};
use alloy_rlp::{Encodable, encode_list};
use alloy_rpc_types_engine::ExecutionPayloadV3;
use alloy_trie::EMPTY_ROOT_HASH;
use alloy_trie::root::{ordered_trie_root, ordered_trie_root_encoded};

/// Root of no withdrawals, which is that of an empty trie. (go-ethereum core/types/hashes.go EmptyWithdrawalsHash)
pub(crate) const EMPTY_WITHDRAWALS_ROOT: B256 = EMPTY_ROOT_HASH;
/// keccak256(rlp([])): a block has no uncles since the merge.
const EMPTY_UNCLES_HASH: B256 = b256!("0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// The hash as op-node recomputes it: with a withdrawals root it is a block of Isthmus, which lists no requests.
/// (op-service/eth/types.go CheckBlockHash)
///
/// The base fee has 256 bits here, as in a payload; a header of alloy has room for 64.
pub(super) fn block_hash(beacon_root: B256, v3: &ExecutionPayloadV3, withdrawals_root: Option<B256>) -> B256 {
    let v2 = &v3.payload_inner;
    let v1 = &v2.payload_inner;
    let transactions_root = ordered_trie_root_encoded(&v1.transactions);
    let is_isthmus = withdrawals_root.is_some();
    let withdrawals_root = withdrawals_root.unwrap_or_else(|| ordered_trie_root(&v2.withdrawals));
    let mut fields: Vec<&dyn Encodable> = vec![
        &v1.parent_hash,
        &EMPTY_UNCLES_HASH,
        &v1.fee_recipient,
        &v1.state_root,
        &transactions_root,
        &v1.receipts_root,
        &v1.logs_bloom,
        // The difficulty, and below the nonce: nothing since the merge.
        &U256::ZERO,
        &v1.block_number,
        &v1.gas_limit,
        &v1.gas_used,
        &v1.timestamp,
        &v1.extra_data,
        &v1.prev_randao,
        &B64::ZERO,
        &v1.base_fee_per_gas,
        &withdrawals_root,
        &v3.blob_gas_used,
        &v3.excess_blob_gas,
        &beacon_root,
    ];
    if is_isthmus {
        fields.push(&EMPTY_REQUESTS_HASH);
    }
    let mut header = Vec::new();
    encode_list::<_, dyn Encodable>(&fields, &mut header);
    keccak256(header)
}
