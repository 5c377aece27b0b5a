//! Everything that go-msgpack/v2 2.1 decodes, through rmp-serde: the only file that names it.
//!
//! Structs may be maps (any order, unknown keys, str or bin keys, the last of equal keys counts) or arrays in the
//! order of Go's declaration; bytes may be str, bin, nil or an array of integers; bytes after the value are ignored.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_bytes::ByteBuf;

use super::decode_time;
use crate::raft::{AppendedAt, Index, Log, LogType, Term};

/// Deeper nesting than this is only found in hostile bytes; the real entries have four levels.
const MAX_DEPTH: usize = 32;

/// Reasons are cut off here.
const MOST_REASON_CHARS: usize = 200;

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut deserializer).map_err(|error| shortened(error.to_string()))
}

/// serde quotes what it finds where it doesn't belong, which may be megabytes.
fn shortened(mut reason: String) -> String {
    if let Some((at, _)) = reason.char_indices().nth(MOST_REASON_CHARS) {
        reason.truncate(at);
        reason.push_str("...");
    }
    reason
}

/// A Go struct: where each field goes, by position and by name.
trait Fields<'de>: Default {
    const NAMES: &'static [&'static str];
    fn map_value<A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error>;
    fn seq_value<A: SeqAccess<'de>>(&mut self, field: usize, seq: &mut A) -> Result<bool, A::Error>;
}

struct FieldsVisitor<T>(PhantomData<T>);

impl<'de, T: Fields<'de>> Visitor<'de> for FieldsVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map or an array with {}", T::NAMES.join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut value = T::default();
        while let Some(Bytes(name)) = map.next_key::<Bytes<'de>>()? {
            let name = name.unwrap_or_default();
            // It looks at a name's first byte before it asks for the length, and gives up.
            if name.is_empty() {
                return Err(A::Error::custom("a key without a name: go-msgpack fails on it"));
            }
            match T::NAMES.iter().position(|known| known.as_bytes() == name.as_ref()) {
                Some(field) => value.map_value(field, &mut map)?,
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let mut value = T::default();
        for field in 0..T::NAMES.len() {
            if !value.seq_value(field, &mut seq)? {
                return Ok(value);
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

/// Implements [`Fields`] and Deserialize: struct, then its fields in Go's order as "Name" => member.
macro_rules! go_struct {
    ($name:ident $(<$life:lifetime>)?, $($go:literal => $member:ident),+) => {
        impl<'de> Fields<'de> for go_struct!(@ty $name $($life)?) {
            const NAMES: &'static [&'static str] = &[$($go),+];

            fn map_value<A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error> {
                match Self::NAMES[field] {
                    $($go => self.$member = map.next_value::<Option<_>>()?.unwrap_or_default(),)+
                    _ => {}
                }
                Ok(())
            }

            fn seq_value<A: SeqAccess<'de>>(&mut self, field: usize, seq: &mut A) -> Result<bool, A::Error> {
                match Self::NAMES[field] {
                    $($go => match seq.next_element::<Option<_>>()? {
                        Some(value) => self.$member = value.unwrap_or_default(),
                        None => return Ok(false),
                    },)+
                    _ => {}
                }
                Ok(true)
            }
        }

        impl<'de> Deserialize<'de> for go_struct!(@ty $name $($life)?) {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(FieldsVisitor(PhantomData))
            }
        }
    };
    (@ty $name:ident) => { $name };
    (@ty $name:ident $life:lifetime) => { $name<'de> };
}

/// Bytes in any form; `None` is nil.
#[derive(Debug, Default)]
struct Bytes<'a>(Option<Cow<'a, [u8]>>);

impl<'de> Deserialize<'de> for Bytes<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, a string, nil, or an array of integers below 256")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
        Ok(Bytes(Some(Cow::Borrowed(bytes))))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Bytes<'de>, E> {
        Ok(Bytes(Some(Cow::Borrowed(text.as_bytes()))))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes<'de>, E> {
        Ok(Bytes(Some(Cow::Owned(bytes.to_vec()))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Bytes<'de>, E> {
        Ok(Bytes(Some(Cow::Owned(text.as_bytes().to_vec()))))
    }

    fn visit_unit<E>(self) -> Result<Bytes<'de>, E> {
        Ok(Bytes(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes<'de>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(Bytes(Some(Cow::Owned(bytes))))
    }
}

/// A time before it is known how its bytes were marked.
#[derive(Debug, Default)]
enum RawTime<'a> {
    #[default]
    Zero,
    Bytes(&'a [u8]),
    Ext(Vec<u8>),
}

impl<'de> Deserialize<'de> for RawTime<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = RawTime<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time: bytes, a string, nil or extension -1")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<RawTime<'de>, E> {
        Ok(RawTime::Bytes(bytes))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<RawTime<'de>, E> {
        Ok(RawTime::Bytes(text.as_bytes()))
    }

    fn visit_unit<E>(self) -> Result<RawTime<'de>, E> {
        Ok(RawTime::Zero)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawTime<'de>, D::Error> {
        let (tag, bytes) = <(i8, ByteBuf)>::deserialize(deserializer)?;
        if tag != -1 {
            return Err(D::Error::custom(format!("expected extension -1 as a time, found {tag}")));
        }
        Ok(RawTime::Ext(bytes.into_vec()))
    }
}

impl RawTime<'_> {
    /// `whole` is what `self` was borrowed from. (go-msgpack v2 msgpack.go DecodeTime)
    fn resolve(&self, whole: &[u8]) -> Result<AppendedAt, String> {
        let bytes: &[u8] = match self {
            RawTime::Zero => return Ok(AppendedAt::ZERO),
            RawTime::Bytes(bytes) => bytes,
            RawTime::Ext(bytes) => bytes,
        };
        // Only a fixstr is tried as MarshalBinary: its marker, the byte before it, holds the length.
        if let RawTime::Bytes(bytes) = self {
            let start = (bytes.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
            let marker = start.checked_sub(1).and_then(|at| whole.get(at));
            let is_fixstr =
                marker.is_some_and(|marker| marker & 0xe0 == 0xa0 && usize::from(marker & 0x1f) == bytes.len());
            if is_fixstr && let Some(time) = decode_time(bytes) {
                return Ok(time);
            }
        }
        match *bytes {
            [a, b, c, d] => Ok(AppendedAt::from_unix(i64::from(u32::from_be_bytes([a, b, c, d])), 0)),
            [n0, n1, n2, n3, ref seconds @ ..] if seconds.len() == 8 => {
                let seconds = seconds.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
                Ok(AppendedAt::from_unix(seconds, u32::from_be_bytes([n0, n1, n2, n3])))
            }
            _ if bytes.len() == 8 => {
                let both = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
                let nanos = u32::try_from(both >> 34).map_err(|error| error.to_string())?;
                let seconds = i64::try_from(both & 0x3_ffff_ffff).map_err(|error| error.to_string())?;
                Ok(AppendedAt::from_unix(seconds, nanos))
            }
            _ => Err(format!("expected a time of 4, 8, 12 or 15 bytes, found {}", bytes.len())),
        }
    }
}

/// raft.Log. (hashicorp/raft log.go; its fields in their order there)
#[derive(Debug, Default)]
pub(super) struct RawLog<'a> {
    index: u64,
    term: u64,
    kind: u8,
    data: Bytes<'a>,
    extensions: Bytes<'a>,
    appended_at: RawTime<'a>,
}

go_struct!(RawLog<'de>, "Index" => index, "Term" => term, "Type" => kind, "Data" => data,
    "Extensions" => extensions, "AppendedAt" => appended_at);

impl<'a> RawLog<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Log<'a>, String> {
        let raw: RawLog<'a> = decode(bytes)?;
        Ok(Log {
            index: Index(raw.index),
            term: Term(raw.term),
            kind: LogType::from_byte(raw.kind),
            appended_at: raw.appended_at.resolve(bytes)?,
            data: raw.data.0,
            extensions: raw.extensions.0,
        })
    }
}

/// raft.Configuration.
#[derive(Debug, Default)]
pub(super) struct RawConfiguration {
    pub(super) servers: Vec<RawServer>,
}

go_struct!(RawConfiguration, "Servers" => servers);

impl RawConfiguration {
    pub(super) fn decode(bytes: &[u8]) -> Result<RawConfiguration, String> {
        decode(bytes)
    }
}

/// raft.Server. (hashicorp/raft configuration.go)
#[derive(Debug, Default)]
pub(super) struct RawServer {
    pub(super) suffrage: i64,
    pub(super) id: String,
    pub(super) address: String,
}

#[derive(Debug, Default)]
struct ServerFields<'a> {
    suffrage: i64,
    id: Bytes<'a>,
    address: Bytes<'a>,
}

go_struct!(ServerFields<'de>, "Suffrage" => suffrage, "ID" => id, "Address" => address);

impl<'de> Deserialize<'de> for RawServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = ServerFields::deserialize(deserializer)?;
        Ok(RawServer { suffrage: raw.suffrage, id: text(raw.id), address: text(raw.address) })
    }
}

/// Go strings may hold any bytes; ids and addresses that aren't UTF-8 could not be typed or dialled anyway.
fn text(bytes: Bytes<'_>) -> String {
    bytes.0.map_or_else(String::new, |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A list of addresses, or nil.
pub(super) fn decode_peers(bytes: &[u8]) -> Result<Vec<String>, String> {
    let peers: Option<Vec<Bytes<'_>>> = decode(bytes)?;
    Ok(peers.unwrap_or_default().into_iter().map(text).collect())
}
