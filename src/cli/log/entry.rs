//! One entry, as a line for people or for programs.

#[cfg(feature = "payload")]
use op_conductor_init::payload::Envelope;
use op_conductor_init::payload::Head;
use op_conductor_init::raft::codec::decode_configuration;
use op_conductor_init::raft::{Configuration, Index, Log, LogType, Suffrage};
use serde_json::Value;

use crate::cli::text::bytes;

/// Columns of a table whose rows come one after the other: their widths are known before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    index: usize,
}

impl Columns {
    /// For indexes up to `last`.
    pub(super) fn up_to(last: Index) -> Columns {
        Columns { index: last.0.to_string().len().max(5) }
    }

    pub(super) fn header(self) -> String {
        let index = self.index;
        format!("{:>index$}  {:>4}  {:<13}  {:>7}  {:<19}  CONTENT", "INDEX", "TERM", "TYPE", "DATA", "APPENDED (UTC)")
    }

    pub(super) fn row(self, log: &Log<'_>) -> String {
        let index = self.index;
        let data = log.data.as_deref().unwrap_or_default();
        let time = log.appended_at.timestamp();
        let time = time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
        let row = format!(
            "{:>index$}  {:>4}  {:<13}  {:>7}  {time:<19}  {}",
            log.index,
            log.term,
            log.kind,
            bytes(data.len() as u64),
            content(log.kind, data)
        );
        row.trim_end().to_owned()
    }
}

/// What an entry carries, in a few words.
pub(in crate::cli) fn content(kind: LogType, data: &[u8]) -> String {
    match kind {
        LogType::Configuration => decode_configuration(data).map_or_else(|error| error.to_string(), |it| members(&it)),
        LogType::Command => Head::peek(data).map_or_else(
            |error| error.to_string(),
            |head| format!("block {} {:.10}..", head.number, head.hash.to_string()),
        ),
        _ => String::new(),
    }
}

fn members(configuration: &Configuration) -> String {
    let member = |server: &op_conductor_init::raft::Server| match server.suffrage {
        Suffrage::Voter => server.id.clone(),
        other => format!("{} ({other})", server.id),
    };
    configuration.servers.iter().map(member).collect::<Vec<_>>().join(", ")
}

/// The block in full, as the engine API writes it.
#[cfg(feature = "payload")]
pub(super) fn whole(data: &[u8]) -> Result<Value, String> {
    let envelope = Envelope::decode(data).map_err(|error| error.to_string())?;
    envelope.to_json().map_err(|error| error.to_string())
}

#[cfg(not(feature = "payload"))]
pub(super) fn whole(_: &[u8]) -> Result<Value, String> {
    Err("this build can't decode payloads: build it with --features payload".to_owned())
}
