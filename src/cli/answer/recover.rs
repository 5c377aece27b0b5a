//! The answers of `recover`.

use op_conductor_init::recover::{Applied, Change, CollectedFile, PlanFile, Planned};
use op_conductor_init::report::Finding;
use serde::Serialize;
use std::path::Path;

use super::shown;

/// Whether a plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlanStatus {
    Planned,
    Refused,
}

/// `recover plan`.
#[derive(Debug, Serialize)]
pub(crate) struct RecoverPlan<'a> {
    status: PlanStatus,
    /// Ids of the findings that refuse it.
    refused_by: &'a [&'static str],
    findings: &'a [Finding],
    /// As in the file that --output writes.
    plan: &'a PlanFile,
    /// The file that was written.
    output: Option<String>,
}

/// `recover apply`.
#[derive(Debug, Serialize)]
pub(crate) struct RecoverApply {
    directory: String,
    /// Id of the server that leads first.
    leader: String,
    servers: Vec<AppliedServer>,
    /// Where the state from before is now.
    replaced: Option<String>,
}

#[derive(Debug, Serialize)]
struct AppliedServer {
    id: String,
    change: Change,
}

/// `recover collect`.
#[derive(Debug, Serialize)]
pub(crate) struct RecoverCollect {
    output: String,
    /// Ids of the servers.
    servers: Vec<String>,
}

impl<'a> RecoverPlan<'a> {
    pub(crate) fn new(planned: &'a Planned, output: Option<&Path>) -> RecoverPlan<'a> {
        let status = if planned.refused_by.is_empty() { PlanStatus::Planned } else { PlanStatus::Refused };
        let output = output.filter(|_| status == PlanStatus::Planned).map(shown);
        let Planned { file: plan, findings, refused_by } = planned;
        RecoverPlan { status, refused_by, findings, plan, output }
    }
}

impl RecoverApply {
    pub(crate) fn new(plan: &PlanFile, applied: &Applied, directory: &Path) -> RecoverApply {
        let server = |(id, change): &(String, Change)| AppliedServer { id: id.clone(), change: *change };
        RecoverApply {
            directory: shown(directory),
            leader: plan.leader.clone(),
            servers: applied.servers.iter().map(server).collect(),
            replaced: applied.replaced.as_deref().map(shown),
        }
    }
}

impl RecoverCollect {
    pub(crate) fn new(collected: &CollectedFile, output: &Path) -> RecoverCollect {
        let servers = collected.servers.iter().map(|server| server.facts.id.clone()).collect();
        RecoverCollect { output: shown(output), servers }
    }
}
