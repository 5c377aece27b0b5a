//! The codec: one entry, or one configuration, of 0.1, 1, 10 and 100 KiB.
//!
//! Throughput is in encoded bytes. Encoding appends to one buffer that is kept, as in a loop over a log. Decoding
//! borrows an entry's data, so its time does not grow with that.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod common;

use std::hint::black_box;
use std::time::Duration;

use common::{configuration, entry};
use criterion::{BenchmarkId, Criterion, Throughput};
use op_conductor_init::raft::Log;
use op_conductor_init::raft::codec::{
    decode_configuration, decode_log, encode_configuration, encode_log, is_written_form,
};

/// Bytes of an entry's command.
const DATA_LENS: [(&str, usize); 4] = [("0.1KiB", 102), ("1KiB", 1 << 10), ("10KiB", 10 << 10), ("100KiB", 100 << 10)];
/// Servers that make a configuration about as long.
const SERVER_COUNTS: [(&str, usize); 4] = [("0.1KiB", 2), ("1KiB", 17), ("10KiB", 165), ("100KiB", 1620)];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    encode_entry(&mut criterion);
    decode_entry(&mut criterion);
    decode_odd_entry(&mut criterion);
    configurations(&mut criterion);
    criterion.final_summary();
}

fn encode_entry(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("raft/entry/encode");
    for (name, len) in DATA_LENS {
        let log = entry(1, len);
        let mut out = encoded(&log);
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_log(black_box(&log), &mut out);
                black_box(&out);
            });
        });
    }
}

fn decode_entry(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("raft/entry/decode written");
    for (name, len) in DATA_LENS {
        let bytes = encoded(&entry(1, len));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| decode_log(black_box(&bytes)).unwrap());
        });
    }
}

fn decode_odd_entry(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("raft/entry/decode odd");
    for (name, len) in DATA_LENS {
        let log = entry(1, len);
        let bytes = odd_form(&log);
        assert!(!is_written_form(&bytes), "it must go through rmp-serde");
        assert_eq!(decode_log(&bytes).unwrap(), log, "it must mean the same");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| decode_log(black_box(&bytes)).unwrap());
        });
    }
}

fn configurations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("raft/configuration");
    for (name, count) in SERVER_COUNTS {
        let servers = configuration(count);
        let mut out = Vec::new();
        encode_configuration(&servers, &mut out);
        let bytes = out.clone();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("encode", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_configuration(black_box(&servers), &mut out);
                black_box(&out);
            });
        });
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| decode_configuration(black_box(&bytes)).unwrap());
        });
    }
}

fn encoded(log: &Log<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_log(log, &mut out);
    out
}

/// The same entry as no store writes it, but raft reads it: fields in the order of Go's declaration, data as bin.
fn odd_form(log: &Log<'_>) -> Vec<u8> {
    use rmp::encode::{write_bin, write_map_len, write_nil, write_str, write_uint};
    let mut out = Vec::new();
    write_map_len(&mut out, 5).unwrap();
    for (name, number) in [("Index", log.index.0), ("Term", log.term.0), ("Type", 0)] {
        write_str(&mut out, name).unwrap();
        write_uint(&mut out, number).unwrap();
    }
    write_str(&mut out, "Data").unwrap();
    write_bin(&mut out, log.data.as_deref().unwrap()).unwrap();
    write_str(&mut out, "Extensions").unwrap();
    write_nil(&mut out).unwrap();
    out
}
