//! A transaction of `eth_getBlockByNumber`, encoded again as the block holds it.
//!
//! Clients differ in what they print beside the fields that are encoded, and in whether they leave out what is zero or
//! false: op-geth and op-erigon print `isSystemTx` only if it is true, op-reth and Nethermind always; op-reth and
//! Nethermind print a `mint` of zero, op-erigon no `yParity`. So nothing is required that has a value by default, null
//! is the same as absent, and other fields are not looked at. A wrong guess would show in the block's hash.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_rlp::{BufMut, Encodable, RlpEncodable, encode_list};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::payload::MAX_TRANSACTIONS;

/// The transactions of a block or of a payload, encoded as the block has them. (EIP-2718)
#[derive(Debug)]
pub(super) struct Transactions {
    pub(super) encoded: Vec<Bytes>,
    /// They came as text and not as objects: in a payload they are so encoded, in a block these are only hashes.
    pub(super) are_text: bool,
}

/// Numbers are quantities of up to 256 bits: as many as Go's encoder takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    r#type: Option<U64>,
    chain_id: Option<U256>,
    nonce: Option<U64>,
    gas: Option<U64>,
    gas_price: Option<U256>,
    max_fee_per_gas: Option<U256>,
    max_priority_fee_per_gas: Option<U256>,
    to: Option<Address>,
    value: Option<U256>,
    input: Option<Bytes>,
    access_list: Option<Vec<Access>>,
    authorization_list: Option<Vec<Authorization>>,
    y_parity: Option<U256>,
    v: Option<U256>,
    r: Option<U256>,
    s: Option<U256>,
    // Of deposits.
    source_hash: Option<B256>,
    from: Option<Address>,
    mint: Option<U256>,
    #[serde(default)]
    is_system_tx: Flag,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Access {
    address: Address,
    storage_keys: Option<Vec<B256>>,
}

#[derive(Debug, Deserialize, RlpEncodable)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    chain_id: U256,
    address: Address,
    nonce: U64,
    y_parity: U64,
    r: U256,
    s: U256,
}

/// A boolean, or a number that is not zero.
#[derive(Debug, Default)]
struct Flag(bool);

impl Transaction {
    /// (op-geth core/types: tx_legacy.go and its siblings, deposit_tx.go, post_exec_tx.go)
    fn encode(&self) -> Result<Bytes, String> {
        let to = self.to.map_or(TxKind::Create, TxKind::Call);
        let input = self.input.as_ref().ok_or("missing field `input`")?;
        let zero = U256::ZERO;
        let no_list = Vec::new();
        let access_list = self.access_list.as_ref().unwrap_or(&no_list);
        let value = self.value.as_ref().unwrap_or(&zero);
        let kind = self.r#type.unwrap_or_default().to::<u64>();
        match kind {
            0 => {
                let price = need(&self.gas_price, "gasPrice")?;
                let (nonce, gas) = (need(&self.nonce, "nonce")?, need(&self.gas, "gas")?);
                let v = need(&self.v, "v")?;
                Ok(encode(None, &[nonce, price, gas, &to, value, input, v, self.r()?, self.s()?]))
            }
            1 => {
                let price = need(&self.gas_price, "gasPrice")?;
                let (chain, nonce, gas) = self.chain_nonce_gas()?;
                let parity = self.parity()?;
                let fields: [&dyn Encodable; 11] =
                    [chain, nonce, price, gas, &to, value, input, access_list, parity, self.r()?, self.s()?];
                Ok(encode(Some(1), &fields))
            }
            2 | 4 => {
                let (tip, most) = (
                    need(&self.max_priority_fee_per_gas, "maxPriorityFeePerGas")?,
                    need(&self.max_fee_per_gas, "maxFeePerGas")?,
                );
                let (chain, nonce, gas) = self.chain_nonce_gas()?;
                let mut fields: Vec<&dyn Encodable> =
                    vec![chain, nonce, tip, most, gas, &to, value, input, access_list];
                if kind == 4 {
                    fields.push(need(&self.authorization_list, "authorizationList")?);
                }
                fields.extend([self.parity()?, self.r()?, self.s()?] as [&dyn Encodable; 3]);
                Ok(encode(self.type_byte(), &fields))
            }
            0x7e => {
                let (source, from) = (need(&self.source_hash, "sourceHash")?, need(&self.from, "from")?);
                let mint = self.mint.as_ref().unwrap_or(&zero);
                let gas = need(&self.gas, "gas")?;
                Ok(encode(self.type_byte(), &[source, from, &to, mint, value, gas, &self.is_system_tx.0, input]))
            }
            0x7d => Ok([&[0x7d], &input[..]].concat().into()),
            other => Err(format!(
                "type {other:#x} is not known here: give the block as an SSZ envelope or as the answer of engine_getPayload, which hold transactions encoded"
            )),
        }
    }

    fn type_byte(&self) -> Option<u8> {
        self.r#type.and_then(|kind| kind.try_into().ok())
    }

    fn chain_nonce_gas(&self) -> Result<(&U256, &U64, &U64), String> {
        Ok((need(&self.chain_id, "chainId")?, need(&self.nonce, "nonce")?, need(&self.gas, "gas")?))
    }

    fn parity(&self) -> Result<&U256, String> {
        need(if self.y_parity.is_some() { &self.y_parity } else { &self.v }, "yParity")
    }

    fn r(&self) -> Result<&U256, String> {
        need(&self.r, "r")
    }

    fn s(&self) -> Result<&U256, String> {
        need(&self.s, "s")
    }
}

fn need<'a, T>(field: &'a Option<T>, name: &str) -> Result<&'a T, String> {
    field.as_ref().ok_or_else(|| format!("missing field `{name}`"))
}

fn encode(type_byte: Option<u8>, fields: &[&dyn Encodable]) -> Bytes {
    let mut bytes = Vec::from_iter(type_byte);
    encode_list::<_, dyn Encodable>(fields, &mut bytes);
    bytes.into()
}

impl Encodable for Access {
    fn encode(&self, out: &mut dyn BufMut) {
        let no_keys = Vec::new();
        let fields: [&dyn Encodable; 2] = [&self.address, self.storage_keys.as_ref().unwrap_or(&no_keys)];
        encode_list::<_, dyn Encodable>(&fields, out);
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        struct FlagVisitor;

        impl Visitor<'_> for FlagVisitor {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_unit<E: Error>(self) -> Result<Flag, E> {
                Ok(Flag(false))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    "0x0" => Ok(Flag(false)),
                    "0x1" => Ok(Flag(true)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(FlagVisitor)
    }
}

/// Each is encoded as soon as it is read: the JSON of a block is many times as long as the block.
impl<'de> Deserialize<'de> for Transactions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Transactions, D::Error> {
        struct TransactionsVisitor;

        impl<'de> Visitor<'de> for TransactionsVisitor {
            type Value = Transactions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of transactions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Transactions, A::Error> {
                let mut transactions = Transactions { encoded: Vec::new(), are_text: false };
                loop {
                    let number = transactions.encoded.len();
                    let next = list.next_element::<Element>();
                    let next = next.map_err(|error| A::Error::custom(format_args!("transaction {number}: {error}")))?;
                    let Some(Element { encoded, is_text }) = next else { return Ok(transactions) };
                    if number == MAX_TRANSACTIONS {
                        return Err(A::Error::custom(format_args!("expected at most {MAX_TRANSACTIONS} transactions")));
                    }
                    transactions.encoded.push(encoded);
                    transactions.are_text |= is_text;
                }
            }
        }

        deserializer.deserialize_seq(TransactionsVisitor)
    }
}

struct Element {
    encoded: Bytes,
    is_text: bool,
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Element, D::Error> {
        struct ElementVisitor;

        impl<'de> Visitor<'de> for ElementVisitor {
            type Value = Element;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a transaction")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Element, E> {
                let encoded = text.parse().map_err(|error| E::custom(format_args!("not hexadecimal: {error}")))?;
                Ok(Element { encoded, is_text: true })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Element, A::Error> {
                let transaction = Transaction::deserialize(MapAccessDeserializer::new(map))?;
                let encoded = transaction.encode().map_err(A::Error::custom)?;
                Ok(Element { encoded, is_text: false })
            }
        }

        deserializer.deserialize_any(ElementVisitor)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use serde_json::{Value, json};

    use super::*;

    /// One transaction of each type, by op-geth; see tests/vectors/payload/README.md.
    const BLOCK: &str = include_str!("../../tests/vectors/payload/v4-tx-types.block.json");
    const PAYLOAD: &str = include_str!("../../tests/vectors/payload/v4-tx-types.engine.json");

    fn set(transaction: &mut Value, fields: &Value) {
        transaction.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }

    fn remove(transaction: &mut Value, fields: &[&str]) {
        transaction.as_object_mut().unwrap().retain(|name, _| !fields.contains(&name.as_str()));
    }

    /// The transactions as `print` changes what op-geth prints, encoded.
    fn encoded(print: impl Fn(&mut Value, bool)) -> Vec<Value> {
        let mut block: Value = serde_json::from_str(BLOCK).unwrap();
        let list = &mut block["transactions"];
        for transaction in list.as_array_mut().unwrap() {
            let is_deposit = transaction["type"] == "0x7e";
            print(transaction, is_deposit);
        }
        let transactions: Transactions = serde_json::from_str(&list.to_string()).unwrap();
        assert!(!transactions.are_text);
        transactions.encoded.iter().map(|bytes| json!(hex::encode_prefixed(bytes))).collect()
    }

    #[test]
    fn what_each_client_prints_is_encoded_as_the_payload_has_it() {
        let payload: Value = serde_json::from_str(PAYLOAD).unwrap();
        let go = payload["executionPayload"]["transactions"].as_array().unwrap();
        let is_system = |transaction: &Value| transaction["isSystemTx"] == true;
        let geth = encoded(|transaction, _| set(transaction, &json!({"blockTimestamp": "0x6553f100"})));
        assert_eq!(&geth, go);
        // alloy: op-alloy rpc-types transaction.rs, as op-reth prints it.
        let reth = encoded(|transaction, is_deposit| {
            if is_deposit {
                let mint = transaction.get("mint").cloned().unwrap_or(json!("0x0"));
                let flag = is_system(transaction);
                set(transaction, &json!({"mint": mint, "isSystemTx": flag, "yParity": "0x0", "accessList": null}));
            }
        });
        assert_eq!(&reth, go);
        // op-erigon: turbo/jsonrpc/eth_api.go newRPCTransaction.
        let erigon = encoded(|transaction, _| remove(transaction, &["yParity", "depositReceiptVersion"]));
        assert_eq!(&erigon, go);
        // Nethermind: Nethermind.Optimism DepositTransactionForRpc.
        let nethermind = encoded(|transaction, is_deposit| {
            if is_deposit {
                let to = transaction["to"].clone();
                let flag = is_system(transaction);
                remove(transaction, &["v", "r", "s", "gasPrice"]);
                set(transaction, &json!({"to": to, "isSystemTx": flag}));
            }
        });
        assert_eq!(&nethermind, go);
        let with_nulls = encoded(|transaction, _| {
            for field in
                ["to", "mint", "isSystemTx", "chainId", "accessList", "authorizationList", "blobVersionedHashes"]
            {
                if transaction.get(field).is_none() {
                    transaction[field] = Value::Null;
                }
            }
            set(transaction, &json!({"unknown": {"a": [1, "b"]}}));
        });
        assert_eq!(&with_nulls, go);
    }

    #[test]
    fn a_transaction_that_no_block_of_an_op_stack_chain_has_is_named() {
        let error = |json: Value| serde_json::from_str::<Transactions>(&json.to_string()).unwrap_err().to_string();
        let blob = error(
            json!([{"type": "0x7e", "sourceHash": B256::ZERO, "from": Address::ZERO, "gas": "0x0", "input": "0x"},
            {"type": "0x3", "input": "0x"}]),
        );
        assert!(blob.starts_with("transaction 1: type 0x3 is not known here"), "{blob}");
        assert!(error(json!([{"input": "0x"}])).starts_with("transaction 0: missing field `gasPrice`"));
        assert!(error(json!([{"isSystemTx": "0x2"}])).contains("expected true or false"));
        assert!(error(json!([7])).contains("expected a transaction"));
    }

    #[test]
    fn more_transactions_than_go_decodes_are_refused() {
        let json = format!("[{}\"0x\"]", "\"0x\",".repeat(MAX_TRANSACTIONS));
        let error = serde_json::from_str::<Transactions>(&json).unwrap_err().to_string();
        assert!(error.contains("expected at most 1048576 transactions"), "{error}");
    }

    /// Its data is its encoding. (op-geth core/types/post_exec_tx.go)
    #[test]
    fn a_post_exec_transaction_is_its_input_behind_its_type() {
        let transactions: Transactions = serde_json::from_str(r#"[{"type": "0x7d", "input": "0xc20101"}]"#).unwrap();
        assert_eq!(transactions.encoded, [vec![0x7d, 0xc2, 1, 1]]);
    }
}
