//! The options that say where the unsafe head comes from.

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use anyhow::anyhow;
use op_conductor_init::head::{BlockId, Endpoint, Error, JsonError, RpcError, Source, UnsafeHead, load};
use op_conductor_init::payload::{EnvelopeError, Head, RightHash};

use super::failure::Failure;
use super::output::notice;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Unsafe head")]
pub(super) struct HeadOptions {
    /// File with the chain's unsafe head, or - for standard input: an SSZ envelope, or the JSON answer of
    /// engine_getPayloadV3, engine_getPayloadV4 or eth_getBlockByNumber (with full transactions).
    #[arg(long, value_name = "FILE", conflicts_with = "execution_rpc")]
    unsafe_head: Option<PathBuf>,

    /// URL of an execution client that has it. It is asked once, for all servers, with a timeout of 10 s. A user name and
    /// a password in the URL are sent. ALL_PROXY, HTTPS_PROXY, HTTP_PROXY and NO_PROXY apply, except for this machine.
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

    /// Accept the block even if its content does not have the hash that it claims.
    // No variable: one that is left in an environment would turn the check off for good.
    #[arg(long)]
    no_hash_check: bool,
}

/// The options of an execution client that a stored head is compared with.
#[derive(Debug, clap::Args)]
pub(super) struct ClientOptions {
    /// URL of an execution client: refuse when it is neither at the restored head nor at its parent
    #[arg(long, value_name = "URL")]
    execution_rpc: Option<Secret>,

    /// Header for the execution client, as 'Name: value'. Repeatable
    #[arg(long, value_name = "HEADER", requires = "execution_rpc")]
    rpc_header: Vec<Secret>,
}

impl ClientOptions {
    /// The latest block of the client, when there is one to ask.
    pub(super) fn latest(&self) -> Result<Option<Head>, Failure> {
        let Some(endpoint) = endpoint(self.execution_rpc.as_ref(), &self.rpc_header)? else { return Ok(None) };
        let latest = load(&Source::Rpc(endpoint, BlockId::Latest), true);
        let fail = |error| Failure::unable(anyhow::Error::new(error).context("--execution-rpc"));
        latest.map(|latest| Some(latest.head)).map_err(fail)
    }
}

/// The execution client of a URL and headers, which no message repeats.
fn endpoint(url: Option<&Secret>, headers: &[Secret]) -> Result<Option<Endpoint>, Failure> {
    let Some(url) = url else { return Ok(None) };
    let endpoint = Endpoint::new(&url.0, headers.iter().map(|header| header.0.as_str())).map_err(|error| {
        let flag = if matches!(error, RpcError::Header { .. }) { "--rpc-header" } else { "--execution-rpc" };
        Failure::unable(anyhow::Error::new(error).context(flag))
    })?;
    Ok(Some(endpoint))
}

/// Text that is never shown in a message.
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
        let source = match (&self.unsafe_head, self.endpoint()?) {
            (Some(path), _) if path.as_os_str() == "-" => Source::Stdin,
            // What a shell opens for <(command) is a link to a pipe that has its writer; a named pipe would be waited for.
            (Some(path), _) if path.symlink_metadata().is_ok_and(|it| it.file_type().is_fifo()) => {
                let error = anyhow!("--unsafe-head: {}: expected a regular file", path.display());
                return Err(Failure::unable(error).with_hint(Some("- reads standard input")));
            }
            (Some(path), _) => Source::File(path.clone()),
            (None, Some(endpoint)) => Source::Rpc(endpoint, self.block),
            (None, None) => return Ok(None),
        };
        self.load_from(&source).map(Some)
    }

    /// The latest block of the execution client, when there is one to ask.
    pub(super) fn latest(&self) -> Result<Option<UnsafeHead>, Failure> {
        let Some(endpoint) = self.endpoint()? else { return Ok(None) };
        self.load_from(&Source::Rpc(endpoint, BlockId::Latest)).map(Some)
    }

    /// Whether the head is the latest block of the execution client.
    pub(super) fn takes_latest(&self) -> bool {
        self.unsafe_head.is_none() && self.execution_rpc.is_some() && self.block == BlockId::Latest
    }

    /// Where the block comes from, in words that hold no secret.
    pub(super) fn place(&self) -> String {
        match &self.unsafe_head {
            Some(path) => format!("--unsafe-head {}", path.display()),
            None => "--execution-rpc".to_owned(),
        }
    }

    fn endpoint(&self) -> Result<Option<Endpoint>, Failure> {
        endpoint(self.execution_rpc.as_ref(), &self.rpc_header)
    }

    fn load_from(&self, source: &Source) -> Result<UnsafeHead, Failure> {
        let head = load(source, !self.no_hash_check).map_err(|error| {
            let hint = hint(&error);
            Failure::unable(anyhow::Error::new(error).context(self.place())).with_hint(hint)
        })?;
        if head.hash == Some(RightHash::OnlyAsIsthmus) {
            notice(
                "warning: nothing was ever withdrawn from this chain, and op-conductor can't store all of such a block of \
                 Isthmus: each execution client must be at it. op-node refuses it when op-conductor posts it to one that \
                 is at its parent",
            );
        }
        Ok(head)
    }
}

fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Envelope(EnvelopeError::Hash { .. }) => Some(
            "the block was changed, or is of a fork that this release does not know; --no-hash-check accepts it as it is",
        ),
        Error::Envelope(EnvelopeError::BeforeEcotone(_)) => {
            Some("generate without a head, and start op-conductor as the answer says")
        }
        Error::Envelope(_) | Error::Json(JsonError::Unknown | JsonError::Syntax(_) | JsonError::Hex(_)) => Some(
            "give an SSZ envelope, or the JSON answer of engine_getPayloadV3, engine_getPayloadV4 or eth_getBlockByNumber",
        ),
        _ => None,
    }
}
