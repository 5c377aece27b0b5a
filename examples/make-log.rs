//! Makes a server's directory with a long log, for load tests: `cargo run --release --example make-log -- N SIZE OUT`.
//!
//! OUT is the directory of the server; its name is the server's id. The log has a configuration with that server alone,
//! then N commands of SIZE pseudo-random bytes: the same in every run. Real raft starts on it and applies them.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use op_conductor_init::bolt::BulkWriter;
use op_conductor_init::raft::codec::{encode_configuration, encode_log};
use op_conductor_init::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LOGS_BUCKET, Log, LogType, Server, Suffrage, Term,
};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};

#[derive(Parser)]
pub(crate) struct Options {
    /// How many commands
    count: u64,
    /// Bytes of each
    size: usize,
    /// Directory of the server, which must not exist; its name is the server's id
    out: PathBuf,
    /// Address of the server in the configuration
    #[arg(long, default_value = "127.0.0.1:50050")]
    address: String,
    /// Bytes of a page
    #[arg(long, default_value_t = 4096)]
    page_size: usize,
}

/// splitmix64: quick, and the same everywhere.
fn fill(bytes: &mut [u8], seed: u64) {
    let mut state = seed;
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
    }
}

fn create(options: &Options, file: &str) -> anyhow::Result<BulkWriter<File>> {
    let path = options.out.join(file);
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    Ok(BulkWriter::new(file.with_context(|| path.display().to_string())?, options.page_size)?)
}

fn main() -> anyhow::Result<()> {
    make(&Options::parse())
}

pub(crate) fn make(options: &Options) -> anyhow::Result<()> {
    fs::create_dir(&options.out).with_context(|| options.out.display().to_string())?;
    let id = options.out.file_name().context("OUT has no name")?.to_string_lossy().into_owned();
    let server = Server { suffrage: Suffrage::Voter, id, address: options.address.clone() };
    let mut data = Vec::new();
    encode_configuration(&Configuration { servers: vec![server] }, &mut data);

    let mut writer = create(options, LOG_FILE)?;
    let mut logs = writer.bucket(LOGS_BUCKET, 0)?;
    let mut encoded = Vec::new();
    for index in 1..=options.count + 1 {
        let kind = if index == 1 { LogType::Configuration } else { LogType::Command };
        if index > 1 {
            data.resize(options.size, 0);
            fill(&mut data, index);
        }
        let log = Log {
            index: Index(index),
            term: Term(1),
            kind,
            data: Some(data.as_slice().into()),
            extensions: None,
            appended_at: AppendedAt::ZERO,
        };
        encoded.clear();
        encode_log(&log, &mut encoded);
        logs.push(&index.to_be_bytes(), &encoded)?;
    }
    logs.finish()?;
    writer.bucket(CONF_BUCKET, 0)?.finish()?;
    writer.finish()?;

    let mut writer = create(options, STABLE_FILE)?;
    let mut conf = writer.bucket(CONF_BUCKET, 0)?;
    conf.push(CURRENT_TERM.as_bytes(), &1_u64.to_be_bytes())?;
    conf.finish()?;
    writer.bucket(LOGS_BUCKET, 0)?.finish()?;
    writer.finish()?;
    Ok(())
}
