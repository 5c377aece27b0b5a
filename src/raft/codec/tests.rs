//! Bytes of the real go-msgpack, and everything that it accepts.

use proptest::prelude::*;

use super::*;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn three_voters() -> Configuration {
    let server = |i: usize| Server {
        suffrage: Suffrage::Voter,
        id: format!("sequencer-{i}"),
        address: format!("127.0.0.1:5005{i}"),
    };
    Configuration { servers: (0..3).map(server).collect() }
}

fn first_entry(data: &[u8]) -> Log<'_> {
    Log {
        index: Index(1),
        term: Term(1),
        kind: LogType::Configuration,
        data: Some(Cow::Borrowed(data)),
        extensions: None,
        appended_at: AppendedAt::ZERO,
    }
}

/// raft.Log{Index: 1, Term: 1, Type: LogConfiguration, Data: EncodeConfiguration(three voters)} as raft-boltdb/v2
/// 2.3.1 stores it.
const GO_ENTRY: &str = "
    86 aa417070656e6465644174 af010000000000000000 00000000 ffff a444617461 da00a0
    81 a753657276657273 93
    83 a741646472657373 af3132372e302e302e313a3530303530 a24944 ab73657175656e6365722d30 a85375666672616765 00
    83 a741646472657373 af3132372e302e302e313a3530303531 a24944 ab73657175656e6365722d31 a85375666672616765 00
    83 a741646472657373 af3132372e302e302e313a3530303532 a24944 ab73657175656e6365722d32 a85375666672616765 00
    aa457874656e73696f6e73 c0 a5496e646578 01 a45465726d 01 a454797065 05";

#[test]
fn the_first_entry_of_a_cluster_has_gos_227_bytes() {
    let mut data = Vec::new();
    encode_configuration(&three_voters(), &mut data);
    let mut bytes = Vec::new();
    encode_log(&first_entry(&data), &mut bytes);
    assert_eq!(bytes.len(), 227);
    assert_eq!(bytes, unhex(GO_ENTRY));
    assert_eq!(decode_log(&bytes).unwrap(), first_entry(&data));
    assert_eq!(decode_configuration(&data).unwrap(), three_voters());
    assert!(is_written_form(&bytes));
}

/// An entry {Index 7, Term 3, Type Command, Data "ab"} as a map with `fields` more or other fields.
fn entry(fields: &str) -> Vec<u8> {
    unhex(fields)
}

const INDEX: &str = "a5496e646578 07";
const TERM: &str = "a45465726d 03";
const TYPE: &str = "a454797065 00";
const DATA: &str = "a444617461 a26162";

/// Every row of go-msgpack/v2 2.1's column of what it accepts, as run with the real decoder.
#[test]
fn every_form_that_go_accepts_gives_the_same_entry() {
    let time = "aa417070656e6465644174";
    let forms = [
        format!("84 {DATA} {INDEX} {TERM} {TYPE}"),
        format!("85 {time} c0 {DATA} {INDEX} {TERM} {TYPE}"),
        format!("84 a444617461 c4026162 {INDEX} {TERM} {TYPE}"),
        format!("84 a444617461 d9026162 {INDEX} {TERM} {TYPE}"),
        format!("84 a444617461 92 61 62 {INDEX} {TERM} {TYPE}"),
        format!("84 {TYPE} {TERM} {INDEX} {DATA}"),
        format!("85 a178 83 a161 90 a162 c0 a163 cb4000000000000000 {DATA} {INDEX} {TERM} {TYPE}"),
        format!("de0004 {DATA} {INDEX} {TERM} {TYPE}"),
        format!("84 {DATA} a5496e646578 cf0000000000000007 a45465726d d30000000000000003 a454797065 cc00"),
        format!("84 {DATA} c405496e646578 07 {TERM} {TYPE}"),
        "96 07 03 00 a26162 c0 c0".to_owned(),
        "94 07 03 00 a26162".to_owned(),
        "97 07 03 00 a26162 c0 c0 2a".to_owned(),
        format!("84 {DATA} {INDEX} {TERM} {TYPE} ffff"),
        format!("85 a5496e646578 01 {DATA} {INDEX} {TERM} {TYPE}"),
    ];
    for form in &forms {
        let bytes = entry(form);
        let log = decode_log(&bytes).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!((log.index, log.term, log.kind), (Index(7), Term(3), LogType::Command), "{form}");
        assert_eq!(log.data.as_deref(), Some(&b"ab"[..]), "{form}");
        assert!(log.appended_at.is_zero(), "{form}");
        assert!(!is_written_form(&bytes), "{form}");
    }
}

#[test]
fn times_are_read_in_both_forms_and_only_so() {
    let with = |time: &str| entry(&format!("85 aa417070656e6465644174 {time} {DATA} {INDEX} {TERM} {TYPE}"));
    let at = |time: &str| decode_log(&with(time)).map(|log| log.appended_at);
    let expected = AppendedAt::from_unix(1_700_000_000, 123_456_789);
    // time.Unix(1700000000, 123456789) in a container without TZ, where Local has offset 0.
    assert_eq!(at("af 01 0000000edce5e800 075bcd15 0000"), Ok(AppendedAt { zone: 0, ..expected }));
    assert_eq!(at("a4 6553f100"), Ok(AppendedAt { nanos: 0, ..expected }));
    assert_eq!(at("a8 1d6f34546553f100"), Ok(expected));
    assert_eq!(at("ac 075bcd15 000000006553f100"), Ok(expected));
    assert_eq!(at("d6ff 6553f100"), Ok(AppendedAt { nanos: 0, ..expected }));
    assert_eq!(at("d7ff 1d6f34546553f100"), Ok(expected));
    // go-msgpack tries MarshalBinary only for a fixstr.
    assert!(at("c40f 01 0000000edce5e800 075bcd15 0000").is_err());
    assert!(at("d90f 01 0000000edce5e800 075bcd15 0000").is_err());
    assert!(at("d601 6553f100").is_err());
    assert_eq!(expected.timestamp().unwrap().to_string(), "2023-11-14T22:13:20.123456789Z");
}

#[test]
fn nil_and_empty_data_stay_what_they_are() {
    for (data, byte) in [(None, 0xc0), (Some(Cow::Borrowed(&b""[..])), 0xa0)] {
        let log = Log { data, ..first_entry(b"") };
        let mut bytes = Vec::new();
        encode_log(&log, &mut bytes);
        assert_eq!(bytes[33], byte);
        assert_eq!(decode_log(&bytes).unwrap(), log);
    }
}

#[test]
fn what_is_no_entry_is_refused() {
    for bytes in ["", "c0", "07", "a3616263", "85", "84 a444617461 c6ffffffff", "81 a5496e646578 ff", "dfffffffff"] {
        assert!(decode_log(&unhex(bytes)).is_err(), "{bytes}");
    }
    let deep = [&unhex("81 a178")[..], &[0x91; 100_000], &[0xc0]].concat();
    assert!(decode_log(&deep).is_err());
}

#[test]
fn configurations_of_go_are_read_in_every_form() {
    assert_eq!(decode_configuration(&unhex("81 a753657276657273 90")).unwrap(), Configuration::default());
    assert_eq!(decode_configuration(&unhex("81 a753657276657273 c0")).unwrap(), Configuration::default());
    let array = unhex("91 91 93 01 a161 a162");
    let server = Server { suffrage: Suffrage::Nonvoter, id: "a".to_owned(), address: "b".to_owned() };
    assert_eq!(decode_configuration(&array).unwrap().servers, [server]);
    // A suffrage that raft doesn't have is read all the same, and counts as a nonvoter's.
    let odd = decode_configuration(&unhex("91 91 93 07 a161 a162")).unwrap();
    assert_eq!((odd.servers[0].suffrage, odd.voters().count()), (Suffrage::Unknown(7), 0));
    assert!(odd.check().is_err());
    assert!(decode_configuration(b"").is_err());
}

#[test]
fn peers_are_the_voters_addresses() {
    let mut configuration = three_voters();
    configuration.servers[1].suffrage = Suffrage::Nonvoter;
    let mut bytes = Vec::new();
    encode_peers(&configuration, &mut bytes);
    assert_eq!(bytes, unhex("92 af3132372e302e302e313a3530303530 af3132372e302e302e313a3530303532"));
    assert_eq!(decode_peers(&bytes).unwrap(), ["127.0.0.1:50050", "127.0.0.1:50052"]);
    let mut none = Vec::new();
    encode_peers(&Configuration::default(), &mut none);
    assert_eq!((none.as_slice(), decode_peers(&none).unwrap().len()), (&[0xc0][..], 0));
}

fn any_log() -> impl Strategy<Value = Log<'static>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)).prop_map(|b| b.map(Cow::Owned));
    (any::<u64>(), any::<u64>(), any::<u8>(), bytes(), bytes(), any::<(i64, u32, i16)>()).prop_map(
        |(index, term, kind, data, extensions, (seconds, nanos, zone))| Log {
            index: Index(index),
            term: Term(term),
            kind: LogType::from_byte(kind),
            data,
            extensions,
            appended_at: AppendedAt { seconds, nanos, zone },
        },
    )
}

proptest! {
    #[test]
    fn what_was_encoded_decodes_to_itself_by_both_decoders(log in any_log()) {
        let mut bytes = Vec::new();
        encode_log(&log, &mut bytes);
        let (written, lenient) = (decode_written(&bytes), RawLog::decode(&bytes).ok());
        prop_assert_eq!(written.as_ref(), Some(&log));
        prop_assert_eq!(lenient, Some(log));
    }

    #[test]
    fn damaged_entries_decode_alike_or_not_at_all(log in any_log(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = Vec::new();
        encode_log(&log, &mut bytes);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Some(fast) = decode_written(&bytes) {
            prop_assert_eq!(RawLog::decode(&bytes), Ok(fast));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode_log(&bytes).is_ok() || !is_written_form(&bytes));
        prop_assert!(decode_configuration(&bytes).is_ok_and(|c| c.servers.len() <= bytes.len()) || decode_configuration(&bytes).is_err());
    }
}
