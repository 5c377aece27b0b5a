//! go-msgpack's bytes: what raft and raft-boltdb write, and what they accept.
//!
//! Written is one form only, which every go-msgpack since 0.5.5 reads: structs as maps with sorted keys, strings and
//! bytes in the old raw family, times as the 15 bytes of `MarshalBinary`. rmp-serde can't write that, rmp's
//! primitives can. Read is everything that go-msgpack/v2 2.1 reads (raft >= 1.6, raft-boltdb >= 2.3.0): entries in
//! the written form by a short walk, all others through rmp-serde.

mod lenient;

use std::borrow::Cow;
use std::io;

use self::lenient::{RawConfiguration, RawLog};
use super::configuration::{Configuration, Server, Suffrage};
use super::error::Error;
use super::log::{AppendedAt, Index, Log, LogType, Term};

const NIL: u8 = 0xc0;

/// Appends an entry's bytes to `out`. (raft-boltdb v2/util.go encodeMsgPack)
pub fn encode_log(log: &Log<'_>, out: &mut Vec<u8>) {
    out.reserve(96 + log.data.as_ref().map_or(0, |data| data.len()));
    write_log(log, out);
}

/// Where encoded bytes go.
trait Sink: io::Write {
    fn bytes(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Compares what it is given with the bytes that it holds.
struct Comparer<'a> {
    rest: Option<&'a [u8]>,
}

impl Sink for Comparer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        // Data that was borrowed from these very bytes need not be compared with itself.
        self.rest = self.rest.and_then(|rest| {
            let (head, tail) = rest.split_at_checked(bytes.len())?;
            (std::ptr::eq(head, bytes) || head == bytes).then_some(tail)
        });
    }
}

impl io::Write for Comparer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_log(log: &Log<'_>, out: &mut impl Sink) {
    out.bytes(&[0x86]);
    key(out, "AppendedAt");
    raw(out, &encode_time(&log.appended_at));
    key(out, "Data");
    raw_or_nil(out, log.data.as_deref());
    key(out, "Extensions");
    raw_or_nil(out, log.extensions.as_deref());
    key(out, "Index");
    uint(out, log.index.0);
    key(out, "Term");
    uint(out, log.term.0);
    key(out, "Type");
    uint(out, u64::from(log.kind.to_byte()));
}

/// Decodes an entry; its data is borrowed where the form allows.
///
/// # Errors
/// When raft-boltdb's GetLog would fail.
pub fn decode_log(bytes: &[u8]) -> Result<Log<'_>, Error> {
    match decode_written(bytes) {
        Some(log) => Ok(log),
        None => RawLog::decode(bytes).map_err(|reason| Error::Log { reason }),
    }
}

/// Whether an entry has the very bytes that raft-boltdb writes.
pub fn is_written_form(bytes: &[u8]) -> bool {
    decode_written(bytes).is_some_and(|log| encodes_to(&log, bytes))
}

/// Whether these are the very bytes that raft-boltdb writes for an entry.
pub(crate) fn encodes_to(log: &Log<'_>, bytes: &[u8]) -> bool {
    let mut comparer = Comparer { rest: Some(bytes) };
    write_log(log, &mut comparer);
    comparer.rest == Some(&[])
}

/// Appends a configuration's bytes to `out`. (hashicorp/raft configuration.go EncodeConfiguration)
pub fn encode_configuration(configuration: &Configuration, out: &mut Vec<u8>) {
    out.push(0x81);
    key(out, "Servers");
    let count = u32::try_from(configuration.servers.len()).expect("fewer than 2^32 servers");
    rmp::encode::write_array_len(out, count).expect("a vector takes all bytes");
    for server in &configuration.servers {
        out.push(0x83);
        key(out, "Address");
        raw(out, server.address.as_bytes());
        key(out, "ID");
        raw(out, server.id.as_bytes());
        key(out, "Suffrage");
        uint(out, u64::from(server.suffrage.to_byte()));
    }
}

/// Decodes a configuration.
///
/// # Errors
/// When raft's DecodeConfiguration would panic, or a suffrage is unknown.
pub fn decode_configuration(bytes: &[u8]) -> Result<Configuration, Error> {
    let fail = |reason| Error::Configuration { reason };
    let raw = RawConfiguration::decode(bytes).map_err(fail)?;
    let server = |raw: lenient::RawServer| {
        let byte = u8::try_from(raw.suffrage).map_err(|_| fail(format!("suffrage {} is unknown", raw.suffrage)))?;
        let suffrage = Suffrage::from_byte(byte);
        Ok(Server { suffrage, id: raw.id, address: raw.address })
    };
    Ok(Configuration { servers: raw.servers.into_iter().map(server).collect::<Result<_, _>>()? })
}

/// The list of peers of legacy entries, and of `Peers` in a snapshot's meta: addresses. (hashicorp/raft
/// configuration.go decodePeers)
pub fn decode_peers(bytes: &[u8]) -> Result<Vec<String>, Error> {
    lenient::decode_peers(bytes).map_err(|reason| Error::Configuration { reason })
}

/// Appends the list of the voters' addresses, nil without voters. (hashicorp/raft configuration.go encodePeers)
pub fn encode_peers(configuration: &Configuration, out: &mut Vec<u8>) {
    let voters: Vec<&Server> = configuration.voters().collect();
    if voters.is_empty() {
        return out.push(NIL);
    }
    let count = u32::try_from(voters.len()).expect("fewer than 2^32 servers");
    rmp::encode::write_array_len(out, count).expect("a vector takes all bytes");
    voters.iter().for_each(|voter| raw(out, voter.address.as_bytes()));
}

fn uint(out: &mut impl Sink, value: u64) {
    rmp::encode::write_uint(out, value).expect("a sink takes all bytes");
}

fn key(out: &mut impl Sink, name: &str) {
    raw(out, name.as_bytes());
}

/// Bytes in the old raw family: fixraw, raw16, raw32; never str8, never bin. (go-msgpack msgpack.go
/// msgpackContainerRawLegacy)
fn raw(out: &mut impl Sink, bytes: &[u8]) {
    match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
        (Ok(len @ 0..=31), _) => out.bytes(&[0xa0 | len]),
        (_, Ok(len)) => {
            out.bytes(&[0xda]);
            out.bytes(&len.to_be_bytes());
        }
        _ => {
            let len = u32::try_from(bytes.len()).expect("bolt's longest value is below 2^31");
            out.bytes(&[0xdb]);
            out.bytes(&len.to_be_bytes());
        }
    }
    out.bytes(bytes);
}

fn raw_or_nil(out: &mut impl Sink, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => raw(out, bytes),
        None => out.bytes(&[NIL]),
    }
}

/// 15 bytes: version 1, seconds i64, nanoseconds u32, zone i16, big endian. (Go time.go MarshalBinary)
fn encode_time(time: &AppendedAt) -> [u8; 15] {
    let mut bytes = [1; 15];
    bytes[1..9].copy_from_slice(&time.seconds.to_be_bytes());
    bytes[9..13].copy_from_slice(&time.nanos.to_be_bytes());
    bytes[13..15].copy_from_slice(&time.zone.to_be_bytes());
    bytes
}

/// Version 1 has 15 bytes; version 2 one more, the seconds of an odd zone.
fn decode_time(bytes: &[u8]) -> Option<AppendedAt> {
    if !matches!((bytes.first()?, bytes.len()), (1, 15) | (2, 16)) {
        return None;
    }
    Some(AppendedAt {
        seconds: i64::from_be_bytes(bytes[1..9].try_into().ok()?),
        nanos: u32::from_be_bytes(bytes[9..13].try_into().ok()?),
        zone: i16::from_be_bytes(bytes[13..15].try_into().ok()?),
    })
}

/// Decodes the form that is written: its keys in their order, no others. None for anything else.
fn decode_written(bytes: &[u8]) -> Option<Log<'_>> {
    let rest = bytes.strip_prefix(b"\x86\xaaAppendedAt\xaf")?;
    let (time, rest) = rest.split_at_checked(15)?;
    let (data, rest) = take_raw(rest.strip_prefix(b"\xa4Data")?)?;
    let (extensions, rest) = take_raw(rest.strip_prefix(b"\xaaExtensions")?)?;
    let (index, rest) = take_uint(rest.strip_prefix(b"\xa5Index")?)?;
    let (term, rest) = take_uint(rest.strip_prefix(b"\xa4Term")?)?;
    let (kind, _) = take_uint(rest.strip_prefix(b"\xa4Type")?)?;
    Some(Log {
        index: Index(index),
        term: Term(term),
        kind: LogType::from_byte(u8::try_from(kind).ok()?),
        data: data.map(Cow::Borrowed),
        extensions: extensions.map(Cow::Borrowed),
        appended_at: decode_time(time)?,
    })
}

fn take_raw(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (marker, rest) = bytes.split_first()?;
    let (len, rest) = match marker {
        &NIL => return Some((None, rest)),
        0xa0..=0xbf => (usize::from(marker & 0x1f), rest),
        0xda => rest.split_first_chunk().map(|(len, rest)| (usize::from(u16::from_be_bytes(*len)), rest))?,
        0xdb => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_be_bytes(*len)).ok()?, rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((Some(value), rest))
}

fn take_uint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = bytes;
    let value = rmp::decode::read_int(&mut rest).ok()?;
    Some((value, rest))
}

#[cfg(test)]
mod tests;
