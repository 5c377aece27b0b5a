//! Where an unsafe head comes from: a file, standard input, or an execution client.

mod block_id;
mod json;
mod rpc;
mod transaction;

use std::io::{self, Read};
use std::path::PathBuf;

pub use block_id::BlockId;
pub use json::JsonError;
pub use rpc::{Endpoint, RpcError};

use crate::payload::{Envelope, EnvelopeError, Head, RightHash};
use crate::report::{TextError, decode_text};

/// More bytes than this aren't read. The largest blocks have a few MiB, and as JSON ten times as many.
const MAX_LEN: u64 = 256 << 20;

/// A place that a block can be had from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file in one of the known forms.
    File(PathBuf),
    /// The same from standard input.
    Stdin,
    /// An execution client's JSON-RPC.
    Rpc(Endpoint, BlockId),
}

/// Why no head could be had. Which file it was is the caller's to say.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("can't be read")]
    Read(#[source] io::Error),
    /// It is too large to be a block.
    #[error("more than {MAX_LEN} bytes: no block is that large")]
    TooLarge,
    /// It is in none of the known forms.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is compressed.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The execution client could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// It is no block that op-conductor can hold, or its hash is wrong.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// An unsafe head, encoded as op-conductor's log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsafeHead {
    /// The envelope's bytes.
    pub bytes: Vec<u8>,
    /// Which block it is.
    pub head: Head,
    /// What recomputing its hash gave, unless that was not wanted.
    pub hash: Option<RightHash>,
}

/// Gets the block, once, and checks its hash unless told not to.
pub fn load(source: &Source, check_hash: bool) -> Result<UnsafeHead, Error> {
    let envelope = match source {
        Source::File(path) => decode(&read(std::fs::File::open(path).map_err(Error::Read)?)?)?,
        Source::Stdin => decode(&read(io::stdin().lock())?)?,
        Source::Rpc(endpoint, block) => endpoint.block(*block)?,
    };
    let hash = if check_hash { Some(envelope.check_hash()?) } else { None };
    let bytes = envelope.encode();
    // Encoding can change the form.
    let head = Head::peek(&bytes).map_err(EnvelopeError::from)?;
    Ok(UnsafeHead { bytes, head, hash })
}

fn read(source: impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    source.take(MAX_LEN + 1).read_to_end(&mut bytes).map_err(Error::Read)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(Error::TooLarge);
    }
    Ok(bytes)
}

/// SSZ, SSZ as hexadecimal text, or JSON.
fn decode(bytes: &[u8]) -> Result<Envelope, Error> {
    let text = match decode_text(bytes) {
        Err(error @ TextError::Compressed { .. }) => return Err(error.into()),
        text => text.unwrap_or_default(),
    };
    match text.trim() {
        text if text.starts_with(['{', '[']) => json::envelope(text.as_bytes()),
        text if text.starts_with("0x") => {
            let bytes = alloy_primitives::hex::decode(text).map_err(|error| JsonError::Hex(error.to_string()))?;
            Ok(Envelope::decode(&bytes)?)
        }
        _ => Ok(Envelope::decode(bytes)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/payload").join(name)
    }

    fn from_file(name: &str) -> Result<UnsafeHead, Error> {
        load(&Source::File(vector(name)), true)
    }

    /// The three forms of each block were made by op-service/eth and op-geth; see tests/vectors/payload/README.md.
    #[test]
    fn every_form_of_a_block_gives_the_bytes_of_go() {
        for block in ["v3", "v4", "v4-3-txs", "v3-no-txs", "v3-isthmus", "v4-tx-types", "v4-base-fee"] {
            let ssz = std::fs::read(vector(&format!("{block}.ssz"))).unwrap();
            for form in ["ssz", "engine.json", "block.json"] {
                let head =
                    from_file(&format!("{block}.{form}")).unwrap_or_else(|error| panic!("{block}.{form}: {error}"));
                assert_eq!(head.bytes, ssz, "{block}.{form}");
            }
            let hex = format!("0x{}\n", alloy_primitives::hex::encode(&ssz));
            assert_eq!(decode(hex.as_bytes()).unwrap().encode(), ssz, "{block} as hex");
            let json = std::fs::read_to_string(vector(&format!("{block}.block.json"))).unwrap();
            let utf16: Vec<u8> = format!("\u{feff}{json}").encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert_eq!(decode(&utf16).unwrap().encode(), ssz, "{block} in UTF-16");
        }
    }

    #[test]
    fn blocks_before_ecotone_are_refused_with_the_reason() {
        for form in ["engine.json", "block.json"] {
            let error = from_file(&format!("v2.{form}")).unwrap_err().to_string();
            assert!(error.contains("before Ecotone"), "{form}: {error}");
        }
    }

    #[test]
    fn a_block_with_another_hash_is_refused_unless_told_otherwise() {
        let text = std::fs::read_to_string(vector("v3.block.json")).unwrap();
        let changed = text.replace("\"gasUsed\": \"0xb741\"", "\"gasUsed\": \"0xb742\"");
        assert_ne!(text, changed);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("block.json");
        std::fs::write(&path, changed).unwrap();
        let error = load(&Source::File(path.clone()), true).unwrap_err();
        assert!(matches!(error, Error::Envelope(EnvelopeError::Hash { number: 100, .. })), "{error}");
        assert!(load(&Source::File(path), false).is_ok());
    }

    #[test]
    fn what_is_no_block_is_named() {
        let error = |text: &str| decode(text.as_bytes()).unwrap_err().to_string();
        assert!(error("hello").contains("not an execution payload"), "{}", error("hello"));
        assert!(error("{").contains("JSON"), "{}", error("{"));
        assert!(error("{\"a\": 1}").contains("engine_getPayload"), "{}", error("{\"a\": 1}"));
        assert!(error("0xzz").contains("hexadecimal"), "{}", error("0xzz"));
        assert!(error(r#"{"jsonrpc":"2.0","id":1,"result":null}"#).contains("no such block"));
        assert!(error(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"boom"}}"#).contains("boom"));
    }

    #[test]
    fn a_block_with_hashes_only_says_what_to_ask_for() {
        let text = std::fs::read_to_string(vector("v3.block.json")).unwrap();
        let mut block: serde_json::Value = serde_json::from_str(&text).unwrap();
        block["transactions"] = serde_json::json!([block["transactions"][0]["hash"]]);
        let error = decode(block.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains("with true"), "{error}");
    }
}
