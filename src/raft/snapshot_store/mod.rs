//! The folder `snapshots/` of a server, as raft's FileSnapshotStore lists it. (hashicorp/raft file_snapshot.go)

mod check;

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use check::{StateFile, check};

use super::configuration::{Configuration, Server, Suffrage};
use super::log::{Index, Term};
use crate::open::open_file;

/// What raft says of a snapshot. (hashicorp/raft file_snapshot.go metaFilePath)
pub const META_FILE: &str = "meta.json";
/// The state machine's state. (hashicorp/raft file_snapshot.go stateFilePath)
pub const STATE_FILE: &str = "state.bin";
/// A meta.json above this length isn't read: a configuration of 100,000 servers is shorter.
const MAX_META_LEN: u64 = 16 << 20;

/// What `meta.json` says of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// Name of its folder, which should be its id.
    pub folder: String,
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

/// What is in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshots {
    /// Those that raft lists, newest first.
    pub listed: Vec<SnapshotMeta>,
    /// Folders that raft passes over, and why.
    pub ignored: Vec<(String, String)>,
}

/// Lists the snapshots in `folder`; none when it doesn't exist.
///
/// raft passes over names that end in `.tmp`, metas that it can't read and versions but 0 and 1, and sorts by term,
/// index and id, newest first. (List, getSnapshots)
pub fn list(folder: &Path) -> io::Result<Snapshots> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshots::default()),
        entries => entries?,
    };
    let mut found = Snapshots::default();
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        match read_meta(&entry.path(), &name) {
            Ok(meta) => found.listed.push(meta),
            Err(reason) => found.ignored.push((name, reason)),
        }
    }
    found.listed.sort_by(|a, b| (b.term, b.index, &b.id).cmp(&(a.term, a.index, &a.id)));
    found.ignored.sort();
    Ok(found)
}

fn read_meta(folder: &Path, name: &str) -> Result<SnapshotMeta, String> {
    if name.ends_with(".tmp") {
        return Err("being made, or left over from a snapshot that was never finished".to_owned());
    }
    let path: PathBuf = folder.join(META_FILE);
    let file = open_file(&path).map_err(|error| format!("meta.json: {error}"))?;
    let mut text = Vec::new();
    file.take(MAX_META_LEN).read_to_end(&mut text).map_err(|error| format!("meta.json: {error}"))?;
    // Go reads bytes that are no UTF-8 as U+FFFD.
    let meta = GoMeta::parse(&String::from_utf8_lossy(&text)).map_err(|error| format!("meta.json: {error}"))?;
    if !matches!(meta.version, 0 | 1) {
        return Err(format!("meta.json: expected version 0 or 1, found {}", meta.version));
    }
    let server = |server: GoServer| {
        // Go has an int here, and takes whatever it doesn't know for a nonvoter.
        let suffrage = u8::try_from(server.suffrage).map_or(Suffrage::Unknown(u8::MAX), Suffrage::from_byte);
        Server { suffrage, id: server.id, address: server.address }
    };
    let servers = meta.configuration.servers.unwrap_or_default();
    Ok(SnapshotMeta {
        folder: name.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One line that hashicorp/raft 1.7.3 wrote, with a snapshot of 9 bytes.
    const GO_META: &str = r#"{"Version":1,"ID":"3-77-1795395401949","Index":77,"Term":3,"Peers":"kalhZGRyZXNzLTA=","Configuration":{"Servers":[{"Suffrage":0,"ID":"a","Address":"address-0"}]},"ConfigurationIndex":2,"Size":9,"CRC":"mV3Jux85Gfo="}"#;

    fn add(folder: &Path, name: &str, meta: &str) {
        fs::create_dir_all(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("meta.json"), meta).unwrap();
    }

    #[test]
    fn snapshots_are_listed_as_raft_lists_them() {
        let folder = tempfile::tempdir().unwrap();
        let named =
            |id: &str, index: u64| GO_META.replace("3-77-1795395401949", id).replace(":77,", &format!(":{index},"));
        add(folder.path(), "3-9-1", &named("3-9-1", 9));
        add(folder.path(), "3-77-1", &named("3-77-1", 77));
        add(folder.path(), "3-78-1.tmp", &named("3-78-1", 78));
        add(folder.path(), "3-79-1", "{");
        add(folder.path(), "3-80-1", &named("3-80-1", 80).replace("\"Version\":1", "\"Version\":2"));
        let found = list(folder.path()).unwrap();
        let ids: Vec<&str> = found.listed.iter().map(|meta| meta.id.as_str()).collect();
        assert_eq!(ids, ["3-77-1", "3-9-1"]);
        let ignored: Vec<&str> = found.ignored.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(ignored, ["3-78-1.tmp", "3-79-1", "3-80-1"]);
        assert_eq!(found.listed[0].configuration.servers[0].address, "address-0");
        assert_eq!((found.listed[0].size, found.listed[0].configuration_index), (9, Index(2)));
    }

    #[test]
    fn a_meta_is_read_as_leniently_as_go_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let lenient = GO_META.replace("Index\":77", "iNDEX\":77").replace("\"Size\":9", "\"Size\":null,\"New\":{}");
        add(folder.path(), "3-77-1", &lenient);
        let found = list(folder.path()).unwrap();
        let [meta] = found.listed.as_slice() else { panic!("{found:?}") };
        assert_eq!((meta.index, meta.configuration_index, meta.size), (Index(77), Index(2), 0));
    }

    #[test]
    fn a_meta_is_encoded_as_go_does() {
        let folder = tempfile::tempdir().unwrap();
        let text = GO_META.replace("address-0", "a\\u003cb") + "\n";
        add(folder.path(), "3-77-1795395401949", &text);
        let listed = list(folder.path()).unwrap().listed;
        assert_eq!(String::from_utf8(encode_meta(&listed[0])).unwrap(), text);
    }

    /// Each of these was put before raft 1.8.0, which read all but the last two.
    #[test]
    fn what_go_reads_is_listed_and_what_it_passes_over_is_not() {
        let listed = |change: &dyn Fn(&str) -> String| {
            let folder = tempfile::tempdir().unwrap();
            add(folder.path(), "3-77-1", &change(GO_META));
            list(folder.path()).unwrap().listed.into_iter().next()
        };
        let same = listed(&str::to_owned);
        assert_eq!(listed(&|meta| format!("{meta}\0garbage")), same);
        assert_eq!(listed(&|meta| meta.replace("mV3J", "mV\\r\\n3J")), same);
        assert_eq!(listed(&|meta| meta.replace("\"Size\":9", "\"Size\":-1")).unwrap().size, 0);
        let last = listed(&|meta| meta.replace("\"Term\":3", "\"Term\":3,\"INDEX\":5")).unwrap();
        assert_eq!(last.index, Index(5), "the last of two keys");
        let suffrage = |text: &str| {
            let meta = listed(&|meta| meta.replace("\"Suffrage\":0", &format!("\"Suffrage\":{text}")));
            meta.unwrap().configuration.servers[0].suffrage
        };
        assert_eq!([suffrage("300"), suffrage("-1")], [Suffrage::Unknown(u8::MAX); 2]);
        let nobody = listed(&|meta| meta.replace("[{", "[null,{")).unwrap();
        assert_eq!(nobody.configuration.servers.len(), 2);
        assert_eq!(listed(&|_| "null".to_owned()).unwrap().id, "");
        assert_eq!(listed(&|meta| meta.replace("\"Version\":1", "\"Version\":-1")), None);
        assert_eq!(listed(&|_| String::new()), None);
    }

    #[test]
    fn no_folder_is_no_snapshot() {
        assert_eq!(list(Path::new("/nonexistent/snapshots")).unwrap(), Snapshots::default());
    }
}
