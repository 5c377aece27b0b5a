//! What a plan needs of servers whose directories can't be brought: facts and heads, no log.

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};

use super::Error;
use super::facts::Facts;
use super::head::WhichHead;
use super::input::{Heads, Input, Origin};
use crate::state::Servers;
use std::path::Path;

/// The facts about the servers of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedFile {
    /// [`CollectedFile::FORMAT`].
    pub format: String,
    /// 1; another number means other fields.
    pub format_version: u32,
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// The servers.
    pub servers: Vec<CollectedServer>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedServer {
    /// What is known of it.
    #[serde(flatten)]
    pub facts: Facts,
    /// Its highest block: the envelope, SSZ in hexadecimal with `0x`.
    pub head_ssz: Option<String>,
    /// The block that was stored last, where that is another one.
    pub last_head_ssz: Option<String>,
}

/// Collects the facts about the servers in `path`: one server's directory, or one of several. Nothing is changed.
pub fn collect(path: &Path) -> Result<CollectedFile, Error> {
    let servers = Servers::find(path)?;
    let collected = servers.dirs().iter().map(|dir| {
        let input = Input::read(dir)?;
        let ssz = |which| Ok::<_, Error>(input.head(which)?.map(hex::encode_prefixed));
        let last_head_ssz = if input.facts.last_head.is_some() { ssz(WhichHead::Last)? } else { None };
        Ok(CollectedServer { head_ssz: ssz(WhichHead::Highest)?, last_head_ssz, facts: input.facts })
    });
    Ok(CollectedFile {
        format: CollectedFile::FORMAT.to_owned(),
        format_version: CollectedFile::VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        servers: collected.collect::<Result<_, Error>>()?,
    })
}

impl CollectedFile {
    /// What the file says of itself.
    pub const FORMAT: &'static str = "op-conductor-init recover facts";
    /// The version of its fields.
    pub const VERSION: u32 = 1;

    /// Decodes a file.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<CollectedFile, String> {
        let file: CollectedFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if file.format != CollectedFile::FORMAT {
            return Err(format!("expected the format {:?}, found {:?}", CollectedFile::FORMAT, file.format));
        }
        match file.format_version {
            CollectedFile::VERSION => Ok(file),
            found => Err(format!("expected format version {}, found {found}", CollectedFile::VERSION)),
        }
    }

    /// Encodes it, for people to read too.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("it has only strings and numbers");
        bytes.push(b'\n');
        bytes
    }

    /// The servers as inputs of a plan; `path` is the file.
    pub(super) fn inputs(self, path: &Path) -> Result<Vec<Input>, Error> {
        let decode = |ssz: Option<String>| {
            let fail = |error: hex::FromHexError| Error::Format { path: path.to_owned(), reason: error.to_string() };
            ssz.map(hex::decode).transpose().map_err(fail)
        };
        let input = |server: CollectedServer| {
            let heads = Heads::Collected { highest: decode(server.head_ssz)?, last: decode(server.last_head_ssz)? };
            Ok(Input { origin: Origin::Collected, path: path.to_owned(), facts: server.facts, heads })
        };
        self.servers.into_iter().map(input).collect()
    }
}
