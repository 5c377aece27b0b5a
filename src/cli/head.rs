//! The options that say where the unsafe head comes from.

use std::fmt;
use std::path::PathBuf;

use op_conductor_init::head::{BlockId, Endpoint, Error, JsonError, RpcError, Source, UnsafeHead, load};
use op_conductor_init::payload::{EnvelopeError, RightHash};

use super::failure::Failure;
use super::output::notice;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Unsafe head")]
pub(super) struct HeadOptions {
    /// File with the chain's unsafe head, or - for standard input: an SSZ envelope, or the JSON answer of
    /// engine_getPayloadV3, engine_getPayloadV4 or eth_getBlockByNumber (with full transactions).
    #[arg(long, value_name = "FILE", conflicts_with = "execution_rpc")]
    unsafe_head: Option<PathBuf>,

    /// URL of an execution client that has it. It is asked once, for all servers, within 10 s. A name and a password
    /// in it are sent. ALL_PROXY, HTTPS_PROXY, HTTP_PROXY and NO_PROXY are heeded, except for this machine.
    #[arg(long, value_name = "URL")]
    execution_rpc: Option<Secret>,

    /// Which block of the execution client: latest, a number or a hash.
    #[arg(
        long,
        value_name = "BLOCK",
        default_value = "latest",
        requires = "execution_rpc",
        conflicts_with = "unsafe_head"
    )]
    block: BlockId,

    /// Header for the execution client, as 'Name: value'. Repeatable.
    #[arg(long, value_name = "HEADER", requires = "execution_rpc", conflicts_with = "unsafe_head")]
    rpc_header: Vec<Secret>,

    /// Take the block even if its content doesn't have the hash that it claims.
    // No variable: one that is left in an environment would turn the check off for good.
    #[arg(long)]
    no_hash_check: bool,
}

/// Text that no message repeats.
#[derive(Clone)]
struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

impl HeadOptions {
    /// The block, when one was asked for.
    pub(super) fn load(&self) -> Result<Option<UnsafeHead>, Failure> {
        let (place, source) = match (&self.unsafe_head, &self.execution_rpc) {
            (Some(path), _) if path.as_os_str() == "-" => ("--unsafe-head -".to_owned(), Source::Stdin),
            (Some(path), _) => (format!("--unsafe-head {}", path.display()), Source::File(path.clone())),
            (None, Some(url)) => {
                let headers = self.rpc_header.iter().map(|header| header.0.as_str());
                let endpoint = Endpoint::new(&url.0, headers).map_err(|error| {
                    let flag =
                        if matches!(error, RpcError::Header { .. }) { "--rpc-header" } else { "--execution-rpc" };
                    Failure::unable(anyhow::Error::new(error).context(flag))
                })?;
                ("--execution-rpc".to_owned(), Source::Rpc(endpoint, self.block))
            }
            (None, None) => return Ok(None),
        };
        let head = load(&source, !self.no_hash_check).map_err(|error| {
            let hint = hint(&error);
            Failure::unable(anyhow::Error::new(error).context(place)).with_hint(hint)
        })?;
        if head.hash == Some(RightHash::OnlyAsIsthmus) {
            notice(
                "warning: nothing was ever withdrawn from this chain, and op-conductor can't store all of such a block of \
                 Isthmus: each execution client must be at it. op-node refuses it when op-conductor posts it to one that \
                 is at its parent",
            );
        }
        Ok(Some(head))
    }
}

fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Envelope(EnvelopeError::Hash { .. }) => Some(
            "the block was changed, or is of a fork that this release doesn't know; --no-hash-check takes it as it is",
        ),
        Error::Envelope(EnvelopeError::BeforeEcotone(_)) => {
            Some("generate without a head, and start op-conductor as it then says")
        }
        Error::Envelope(_) | Error::Json(JsonError::Unknown | JsonError::Syntax(_) | JsonError::Hex(_)) => Some(
            "give an SSZ envelope, or the JSON answer of engine_getPayloadV3, engine_getPayloadV4 or eth_getBlockByNumber",
        ),
        _ => None,
    }
}
