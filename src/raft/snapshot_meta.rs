//! meta.json of a snapshot, as raft's FileSnapshotStore writes and reads it. (hashicorp/raft file_snapshot.go)

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::configuration::{Configuration, Server, Suffrage};
use super::error::Error;
use super::log::{Index, Term};

/// What raft says of a snapshot. (hashicorp/raft file_snapshot.go metaFilePath)
pub const META_FILE: &str = "meta.json";
/// The state machine's state. (hashicorp/raft file_snapshot.go stateFilePath)
pub const STATE_FILE: &str = "state.bin";

/// What `meta.json` says of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// Name of its directory, which should be its id.
    pub directory: String,
    /// `<term>-<index>-<unix milliseconds>`.
    pub id: String,
    /// Last index that it covers.
    pub index: Index,
    /// Term of the entry at that index.
    pub term: Term,
    /// Members at that index.
    pub configuration: Configuration,
    /// Index of the entry that they come from.
    pub configuration_index: Index,
    /// Bytes of `state.bin`.
    pub size: u64,
    /// CRC-64 of `state.bin`, 8 bytes big endian; empty while it is being written.
    pub crc: Vec<u8>,
    /// The voters' addresses, as raft before version 1 of the format had them.
    pub peers: Vec<u8>,
    /// 0 or 1.
    pub version: i64,
}

/// Decodes the meta.json of the snapshot directory `name`, as leniently as Go does.
///
/// # Errors
/// Why raft passes over the snapshot.
pub fn decode_meta(text: &[u8], name: &str) -> Result<SnapshotMeta, Error> {
    // Go reads bytes that are no UTF-8 as U+FFFD.
    let meta = GoMeta::parse(&String::from_utf8_lossy(text));
    let meta = meta.map_err(|error| Error::SnapshotMeta { reason: error.to_string() })?;
    if !matches!(meta.version, 0 | 1) {
        return Err(Error::SnapshotVersion { version: meta.version });
    }
    let server = |server: GoServer| {
        // Go has an int here, and takes whatever it doesn't know for a nonvoter.
        let suffrage = u8::try_from(server.suffrage).map_or(Suffrage::Unknown(u8::MAX), Suffrage::from_byte);
        Server { suffrage, id: server.id, address: server.address }
    };
    let servers = meta.configuration.servers.unwrap_or_default();
    Ok(SnapshotMeta {
        directory: name.to_owned(),
        id: meta.id,
        index: Index(meta.index),
        term: Term(meta.term),
        configuration: Configuration {
            servers: servers.into_iter().map(|it| server(it.unwrap_or_default())).collect(),
        },
        configuration_index: Index(meta.configuration_index),
        // No file has a size below 0.
        size: u64::try_from(meta.size).unwrap_or_default(),
        crc: meta.crc,
        peers: meta.peers,
        version: meta.version,
    })
}

/// Encodes a meta.json as Go does: one line, `<`, `>` and `&` escaped. (hashicorp/raft file_snapshot.go writeMeta)
pub fn encode_meta(meta: &SnapshotMeta) -> Vec<u8> {
    let server = |server: &Server| GoServer {
        suffrage: i64::from(server.suffrage.to_byte()),
        id: server.id.clone(),
        address: server.address.clone(),
    };
    let base64 = |bytes: &[u8]| (!bytes.is_empty()).then(|| BASE64_STANDARD.encode(bytes));
    let go = GoMetaOut {
        version: meta.version,
        id: &meta.id,
        index: meta.index.0,
        term: meta.term.0,
        peers: base64(&meta.peers),
        configuration: GoConfiguration {
            servers: Some(meta.configuration.servers.iter().map(server).map(Some).collect()),
        },
        configuration_index: meta.configuration_index.0,
        size: meta.size,
        crc: base64(&meta.crc),
    };
    let text = serde_json::to_string(&go).expect("it has only strings and numbers");
    let escaped = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    (escaped + "\n").into_bytes()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GoMetaOut<'a> {
    version: i64,
    #[serde(rename = "ID")]
    id: &'a str,
    index: u64,
    term: u64,
    peers: Option<String>,
    configuration: GoConfiguration,
    configuration_index: u64,
    size: u64,
    #[serde(rename = "CRC")]
    crc: Option<String>,
}

/// raft's fileSnapshotMeta, as encoding/json's Decoder reads it: a key in any case, null for what isn't said, nothing required,
/// and no look at what comes behind it. Keys are in lower case here.
#[derive(Deserialize, Default)]
struct GoMeta {
    #[serde(default, deserialize_with = "or_null")]
    version: i64,
    #[serde(default, deserialize_with = "or_null")]
    id: String,
    #[serde(default, deserialize_with = "or_null")]
    index: u64,
    #[serde(default, deserialize_with = "or_null")]
    term: u64,
    #[serde(default, deserialize_with = "or_null")]
    configuration: GoConfiguration,
    #[serde(default, deserialize_with = "or_null", rename = "configurationindex")]
    configuration_index: u64,
    #[serde(default, deserialize_with = "or_null")]
    size: i64,
    #[serde(default, deserialize_with = "bytes")]
    crc: Vec<u8>,
    #[serde(default, deserialize_with = "bytes")]
    peers: Vec<u8>,
}

impl GoMeta {
    fn parse(text: &str) -> serde_json::Result<GoMeta> {
        let LowerKeys(value) = LowerKeys::deserialize(&mut serde_json::Deserializer::from_str(text))?;
        Ok(Option::<GoMeta>::deserialize(value)?.unwrap_or_default())
    }
}

/// A value whose keys are in lower case; of those that differ in case alone, or not at all, the last in the text counts.
struct LowerKeys(Value);

impl<'de> Deserialize<'de> for LowerKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LowerKeys, D::Error> {
        deserializer.deserialize_any(LowerKeysVisitor).map(LowerKeys)
    }
}

struct LowerKeysVisitor;

impl<'de> Visitor<'de> for LowerKeysVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(LowerKeys(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, LowerKeys(value))) = entries.next_entry::<String, LowerKeys>()? {
            map.insert(key.to_ascii_lowercase(), value);
        }
        Ok(Value::Object(map))
    }
}

fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Go's []byte in JSON: base64, in which line ends don't count, or null.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let mut text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    text.retain(|letter| !matches!(letter, '\r' | '\n'));
    BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
}

#[derive(Deserialize, Serialize, Default)]
#[serde(rename_all(serialize = "PascalCase"))]
struct GoConfiguration {
    servers: Option<Vec<Option<GoServer>>>,
}

#[derive(Deserialize, Serialize, Default)]
#[serde(rename_all(serialize = "PascalCase"))]
struct GoServer {
    #[serde(default, deserialize_with = "or_null")]
    suffrage: i64,
    #[serde(default, deserialize_with = "or_null", rename(serialize = "ID"))]
    id: String,
    #[serde(default, deserialize_with = "or_null")]
    address: String,
}
