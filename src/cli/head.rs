//! The options that say where the unsafe head comes from.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;

use op_conductor_init::head::{BlockId, Endpoint, Source, UnsafeHead, load};
use op_conductor_init::payload::RightHash;

use super::failure::Failure;
use super::talk;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Unsafe head")]
pub(super) struct HeadOptions {
    /// File with the chain's unsafe head, or - for standard input: an SSZ envelope, or the JSON answer of
    /// engine_getPayloadV3, engine_getPayloadV4 or eth_getBlockByNumber (with full transactions).
    #[arg(
        long,
        value_name = "FILE",
        env = "OP_CONDUCTOR_INIT_UNSAFE_HEAD",
        hide_env_values = true,
        conflicts_with = "execution_rpc"
    )]
    unsafe_head: Option<PathBuf>,

    /// URL of an execution client that has it. It is asked once, for all servers.
    #[arg(long, value_name = "URL", env = "OP_CONDUCTOR_INIT_EXECUTION_RPC", hide_env_values = true)]
    execution_rpc: Option<String>,

    /// Which block of the execution client: latest, a number or a hash.
    #[arg(
        long,
        value_name = "BLOCK",
        default_value = "latest",
        env = "OP_CONDUCTOR_INIT_BLOCK",
        hide_env_values = true
    )]
    block: BlockId,

    /// Header for the execution client, as 'Name: value'. Repeatable.
    #[arg(long, value_name = "HEADER", value_parser = header, env = "OP_CONDUCTOR_INIT_RPC_HEADER", hide_env_values = true)]
    rpc_header: Vec<(String, String)>,

    /// Take the block even if its content doesn't have the hash that it claims.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        env = "OP_CONDUCTOR_INIT_NO_HASH_CHECK",
        hide_env_values = true,
        hide_possible_values = true,
        value_parser = BoolishValueParser::new()
    )]
    no_hash_check: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected 'Name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl HeadOptions {
    /// The block, when one was asked for.
    pub(super) fn load(&self) -> Result<Option<UnsafeHead>, Failure> {
        let (flag, source) = match (&self.unsafe_head, &self.execution_rpc) {
            (Some(path), _) if path.as_os_str() == "-" => ("--unsafe-head", Source::Stdin),
            (Some(path), _) => ("--unsafe-head", Source::File(path.clone())),
            (None, Some(url)) => {
                let endpoint = Endpoint { url: url.clone(), headers: self.rpc_header.clone() };
                ("--execution-rpc", Source::Rpc(endpoint, self.block))
            }
            (None, None) => return Ok(None),
        };
        let fail = |error| Failure::unable(anyhow::Error::new(error).context(flag));
        let head = load(&source, !self.no_hash_check).map_err(fail)?;
        if head.hash == Some(RightHash::OnlyAsIsthmus) {
            talk(
                "warning: nothing was ever withdrawn from this chain, and op-conductor can't store all of such a block of \
                 Isthmus: each execution client must be at it. op-node refuses it when op-conductor posts it to one that \
                 is at its parent",
            );
        }
        Ok(Some(head))
    }
}
