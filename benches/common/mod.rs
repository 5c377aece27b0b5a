//! What the benches share: entries whose bytes the oracle's `bench` makes too.
#![allow(dead_code, reason = "each bench uses its part")]

use std::borrow::Cow;

use op_conductor_init::raft::{AppendedAt, Configuration, Index, Log, LogType, Server, Suffrage, Term};

/// Entry `index` of term 1 with a command of `len` bytes. (oracle/bench.go benchLogs)
pub(crate) fn entry(index: u64, len: usize) -> Log<'static> {
    Log {
        index: Index(index),
        term: Term(1),
        kind: LogType::Command,
        data: Some(Cow::Owned(stream_bytes(index, len))),
        extensions: None,
        appended_at: AppendedAt::ZERO,
    }
}

/// `count` Voters, of about 60 encoded bytes each.
pub(crate) fn configuration(count: usize) -> Configuration {
    let server = |number| {
        let id = format!("sequencer-{number}");
        Server { suffrage: Suffrage::Voter, address: format!("{id}:50050"), id }
    };
    Configuration { servers: (1..=count).map(server).collect() }
}

/// splitmix64, 8 little-endian bytes a number. (oracle/splitmix.go streamBytes)
fn stream_bytes(mut state: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
