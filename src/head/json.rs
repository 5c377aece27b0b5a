//! Blocks as JSON: the answers of engine_getPayloadV3/V4 and of eth_getBlockByNumber, with or without their
//! JSON-RPC wrapper.
//!
//! Only what is asked for is kept while reading, so that a long answer of something else takes no memory.

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bloom, Bytes, U64, U256};
use alloy_rpc_types_engine::{ExecutionPayloadV1, ExecutionPayloadV2, ExecutionPayloadV3};
use alloy_trie::root::ordered_trie_root;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Error;
use super::transaction::Transactions;
use crate::payload::{Envelope, EnvelopeError, Version};

/// So much of a node's own words is repeated.
const MAX_MESSAGE_CHARS: usize = 200;

/// Why JSON is no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not even JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// Hexadecimal text with other characters.
    #[error("not hexadecimal: {0}")]
    Hex(String),
    /// JSON of something else.
    #[error(
        "JSON of no known form: expected the answer of engine_getPayloadV3, engine_getPayloadV4 or eth_getBlockByNumber"
    )]
    Unknown,
    /// The node answered with an error.
    #[error("the node answered error {code}: {message}")]
    Answer {
        /// JSON-RPC's code.
        code: i64,
        /// What it says.
        message: String,
    },
    /// The node has no such block.
    #[error("the node answered null: no such block")]
    NoBlock,
    /// The block lists hashes instead of transactions.
    #[error(
        "the block lists only the hashes of its transactions: ask eth_getBlockByNumber for it with true as second parameter"
    )]
    HashesOnly,
    /// A field is missing or of another form.
    #[error("{what}: {reason}")]
    Field {
        /// Which part of the block.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// What tells one form from another. The rest of it stays text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "some")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    execution_payload: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_beacon_block_root: Option<&'a RawValue>,
    #[serde(borrow)]
    transactions: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "some")]
    hash: Option<&'a RawValue>,
}

/// JSON-RPC's error.
#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

/// A block by the names of eth_getBlockByNumber, or of the engine API where these differ.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    #[serde(alias = "blockHash")]
    hash: B256,
    parent_hash: B256,
    #[serde(alias = "feeRecipient")]
    miner: Address,
    state_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    #[serde(alias = "prevRandao")]
    mix_hash: B256,
    #[serde(alias = "blockNumber")]
    number: U64,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    extra_data: Bytes,
    base_fee_per_gas: U256,
    transactions: Transactions,
    withdrawals: Option<Vec<Withdrawal>>,
    withdrawals_root: Option<B256>,
    blob_gas_used: Option<U64>,
    excess_blob_gas: Option<U64>,
    parent_beacon_block_root: Option<B256>,
}

/// An envelope from either answer.
pub(super) fn envelope(json: &[u8]) -> Result<Envelope, Error> {
    let document = Document::parse(json)?;
    if let Some(refusal) = document.error {
        return Err(answer_of(refusal).into());
    }
    let Some(result) = document.result else { return document.envelope(json) };
    let result = result.get().as_bytes();
    match result {
        b"null" => Err(JsonError::NoBlock.into()),
        _ => Document::parse(result)?.envelope(result),
    }
}

/// Whether it is the answer of a JSON-RPC server that tells why there is none.
pub(super) fn refusal(json: &[u8]) -> Option<JsonError> {
    Document::parse(json).ok()?.error.map(answer_of)
}

fn answer_of(error: &RawValue) -> JsonError {
    let Refusal { code, message } =
        serde_json::from_str(error.get()).unwrap_or_else(|_| Refusal { code: 0, message: error.get().to_owned() });
    JsonError::Answer { code, message: first_words(&message) }
}

/// The first line, cut when it is long.
pub(super) fn first_words(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(MAX_MESSAGE_CHARS).collect()
}

impl<'a> Document<'a> {
    fn parse(json: &'a [u8]) -> Result<Document<'a>, JsonError> {
        let document: Result<Document<'_>, _> = serde_json::from_slice(json);
        // A list would do for serde, each element for a field.
        let is_list = json.trim_ascii_start().starts_with(b"[");
        document.map_err(|error| match error.classify() {
            Category::Syntax | Category::Eof if !is_list => JsonError::Syntax(error.to_string()),
            _ => JsonError::Unknown,
        })
    }

    /// `json` is the whole of it.
    fn envelope(&self, json: &[u8]) -> Result<Envelope, Error> {
        match (self.execution_payload, self.transactions, self.hash) {
            (Some(payload), ..) => envelope_of_payload(payload, self.parent_beacon_block_root),
            (None, Some(_), Some(_)) => envelope_of_block(json),
            _ => Err(JsonError::Unknown.into()),
        }
    }
}

fn envelope_of_payload(payload: &RawValue, root: Option<&RawValue>) -> Result<Envelope, Error> {
    let payload: Block = field("executionPayload", payload.get().as_bytes())?;
    let root = match root {
        Some(root) => field("parentBeaconBlockRoot", root.get().as_bytes())?,
        None if payload.blob_gas_used.is_none() => return Err(payload.before_ecotone().into()),
        None => {
            let reason = "missing: take it from eth_getBlockByHash, or give that block itself".to_owned();
            return Err(JsonError::Field { what: "parentBeaconBlockRoot", reason }.into());
        }
    };
    // Here only blocks of Isthmus have one. (op-geth beacon/engine/types.go BlockToExecutableData)
    let withdrawals_root = payload.withdrawals_root;
    payload.envelope(root, withdrawals_root)
}

fn envelope_of_block(json: &[u8]) -> Result<Envelope, Error> {
    let block: Block = field("the block", json)?;
    if block.transactions.are_text {
        return Err(JsonError::HashesOnly.into());
    }
    let root = block.parent_beacon_block_root.ok_or_else(|| block.before_ecotone())?;
    // A header has one since Canyon: before Isthmus it is made of the withdrawals.
    let listed = ordered_trie_root(block.withdrawals.as_deref().unwrap_or_default());
    let withdrawals_root = block.withdrawals_root.filter(|root| *root != listed);
    block.envelope(root, withdrawals_root)
}

impl Block {
    fn before_ecotone(&self) -> EnvelopeError {
        let has_withdrawals = self.withdrawals.is_some() || self.withdrawals_root.is_some();
        EnvelopeError::BeforeEcotone(if has_withdrawals { Version::V2 } else { Version::V1 })
    }

    fn envelope(self, beacon_root: B256, withdrawals_root: Option<B256>) -> Result<Envelope, Error> {
        let needed = |what, gas: Option<U64>| match gas {
            Some(gas) => Ok(gas.to()),
            None => Err(JsonError::Field { what, reason: "missing".to_owned() }),
        };
        let payload = ExecutionPayloadV3 {
            blob_gas_used: needed("blobGasUsed", self.blob_gas_used)?,
            excess_blob_gas: needed("excessBlobGas", self.excess_blob_gas)?,
            payload_inner: ExecutionPayloadV2 {
                withdrawals: self.withdrawals.unwrap_or_default(),
                payload_inner: ExecutionPayloadV1 {
                    parent_hash: self.parent_hash,
                    fee_recipient: self.miner,
                    state_root: self.state_root,
                    receipts_root: self.receipts_root,
                    logs_bloom: self.logs_bloom,
                    prev_randao: self.mix_hash,
                    block_number: self.number.to(),
                    gas_limit: self.gas_limit.to(),
                    gas_used: self.gas_used.to(),
                    timestamp: self.timestamp.to(),
                    extra_data: self.extra_data,
                    base_fee_per_gas: self.base_fee_per_gas,
                    block_hash: self.hash,
                    transactions: self.transactions.encoded,
                },
            },
        };
        Ok(Envelope::new(beacon_root, payload, withdrawals_root)?)
    }
}

fn field<'a, T: Deserialize<'a>>(what: &'static str, json: &'a [u8]) -> Result<T, JsonError> {
    serde_json::from_slice(json).map_err(|error| JsonError::Field { what, reason: error.to_string() })
}

/// Keeps null apart from what isn't there.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
