//! What a restored head means for the execution clients.

use std::path::Path;

use op_conductor_init::backup::HeadInfo;
use op_conductor_init::payload::Head;
use op_conductor_init::restore::Plan;

use super::failure::Failure;
use super::text::wrapped;

/// The highest block that the servers would have.
fn restored(plan: &Plan) -> Option<&HeadInfo> {
    let heads = plan.nodes.iter().filter_map(|node| node.after.as_ref()?.unsafe_head.as_ref());
    heads.max_by_key(|head| head.number)
}

/// The head that a restore brings, and where the execution clients must be; empty without a head.
pub(super) fn text(plan: &Plan) -> String {
    let Some(HeadInfo { number, hash }) = restored(plan) else { return String::new() };
    let client = "Every execution client must be at it or at its parent: on one that is ahead op-conductor leads and never sequences.";
    let backup = plan.backup.display();
    let way =
        format!("If the cluster went on after the backup: op-conductor-init recover plan {backup} --execution-rpc URL");
    wrapped(&format!("Head: block {number} {hash}. {client}")) + &wrapped(&way) + "\n"
}

/// Refuses when the client is elsewhere.
pub(super) fn check(plan: &Plan, backup: &Path, client: Option<Head>) -> Result<(), Failure> {
    let (Some(client), Some(HeadInfo { number, hash })) = (client, restored(plan)) else { return Ok(()) };
    let at_parent = client.number.checked_add(1) == Some(*number);
    if client.hash.to_string() == *hash || at_parent {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "the execution client is at block {} ({}), and the restored head is block {number} ({hash}): op-conductor would lead and never sequence; nothing was changed",
        client.number,
        client.hash
    );
    let hint = format!("op-conductor-init recover plan {} --execution-rpc URL", backup.display());
    Err(Failure::refused(error).with_hint(Some(hint)))
}
