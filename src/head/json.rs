//! Blocks as JSON: the answers of engine_getPayloadV3/V4 and of eth_getBlockByNumber, with or without their
//! JSON-RPC wrapper.

use alloy_consensus::Header;
use alloy_primitives::B256;
use alloy_rpc_types_engine::ExecutionPayloadV3;
use op_alloy_consensus::OpTxEnvelope;
use op_alloy_rpc_types_engine::{OpExecutionPayload, OpExecutionPayloadV4};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;
use crate::payload::{Envelope, EnvelopeError, Version};

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
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// An envelope from the text of either answer.
pub(super) fn envelope(text: &str) -> Result<Envelope, Error> {
    let value: Value = serde_json::from_str(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
    let value = unwrap(value)?;
    if value.get("executionPayload").is_some() {
        return envelope_of_payload(&value);
    }
    if value.get("transactions").is_some() && value.get("hash").is_some() {
        return envelope_of_block(&value);
    }
    Err(JsonError::Unknown.into())
}

/// The result of a JSON-RPC answer; anything else is what it is.
pub(super) fn unwrap(mut value: Value) -> Result<Value, JsonError> {
    if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
        let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
        let message = error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned();
        return Err(JsonError::Answer { code, message });
    }
    match value.get_mut("result") {
        Some(Value::Null) => Err(JsonError::NoBlock),
        Some(result) => Ok(result.take()),
        None => Ok(value),
    }
}

fn envelope_of_payload(value: &Value) -> Result<Envelope, Error> {
    let payload = &value["executionPayload"];
    let root = value.get("parentBeaconBlockRoot").filter(|root| !root.is_null());
    let root: B256 = match root {
        Some(root) => field("parentBeaconBlockRoot", root)?,
        None if payload.get("blobGasUsed").is_none_or(Value::is_null) => {
            return Err(EnvelopeError::BeforeEcotone(Version::V2).into());
        }
        None => {
            let reason = "missing: take it from eth_getBlockByHash, or give that block itself".to_owned();
            return Err(JsonError::Field { what: "parentBeaconBlockRoot".to_owned(), reason }.into());
        }
    };
    let has_root = payload.get("withdrawalsRoot").is_some_and(|root| !root.is_null());
    let payload = match has_root {
        true => OpExecutionPayload::V4(field::<OpExecutionPayloadV4>("executionPayload", payload)?),
        false => OpExecutionPayload::V3(field::<ExecutionPayloadV3>("executionPayload", payload)?),
    };
    Ok(Envelope::new(root, &payload)?)
}

/// An envelope from a block with full transactions.
pub(super) fn envelope_of_block(block: &Value) -> Result<Envelope, Error> {
    let transactions = block["transactions"].as_array().map_or(&[][..], Vec::as_slice);
    if transactions.iter().any(Value::is_string) {
        return Err(JsonError::HashesOnly.into());
    }
    let hash: B256 = field("hash", &block["hash"])?;
    let header: Header = field("the block's header", block)?;
    let transaction = |(index, value): (usize, &Value)| field(&format!("transaction {index}"), value);
    let transactions: Vec<OpTxEnvelope> = transactions.iter().enumerate().map(transaction).collect::<Result<_, _>>()?;
    Ok(Envelope::from_block(hash, header, transactions)?)
}

fn field<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, JsonError> {
    T::deserialize(value).map_err(|error| JsonError::Field { what: what.to_owned(), reason: error.to_string() })
}
