//! Answer of `generate`.

use std::path::Path;

use op_conductor_init::cluster::ClusterFile;
use op_conductor_init::generate::{Change, Outcome};
use op_conductor_init::payload::Head;
use op_conductor_init::plan::{NodePlan, Plan, Role};
use op_conductor_init::raft::{Index, Suffrage, Term};
use serde::Serialize;

use super::shown;

/// `generate`.
#[derive(Serialize)]
pub(in crate::cli) struct Answer {
    dry_run: bool,
    output_dir: String,
    /// What cluster.json says.
    cluster: ClusterFile,
    /// The block at index 2, or null.
    unsafe_head: Option<Head>,
    /// "written" or "unchanged"; null after a dry run.
    cluster_file: Option<Change>,
    nodes: Vec<Node>,
    /// Where the state from before is, or null.
    replaced: Option<String>,
    /// What else is in the output directory.
    foreign: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Node {
    id: String,
    address: String,
    suffrage: Suffrage,
    role: &'static str,
    path: String,
    /// "written", "unchanged" or "skipped"; null after a dry run.
    change: Option<Change>,
    entries: Vec<Entry>,
    current_term: Term,
    last_vote_term: Option<Term>,
    last_vote_cand: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    index: Index,
    term: Term,
    r#type: String,
    data_len: usize,
}

impl Answer {
    pub(in crate::cli) fn new(
        plan: &Plan<'_>,
        output_dir: &Path,
        page_size: usize,
        outcome: Option<&Outcome>,
    ) -> Answer {
        let mut changes = outcome.into_iter().flat_map(|outcome| outcome.nodes.iter().copied());
        Answer {
            dry_run: outcome.is_none(),
            output_dir: shown(output_dir),
            cluster: ClusterFile::new(plan.spec(), plan.final_term(), page_size),
            unsafe_head: plan.payload().and_then(|payload| Head::peek(payload).ok()),
            cluster_file: outcome.map(|outcome| outcome.cluster_file),
            nodes: plan.nodes().map(|plan| node(&plan, output_dir, changes.next())).collect(),
            replaced: outcome.and_then(|outcome| outcome.replaced.as_deref()).map(shown),
            foreign: outcome.map(|outcome| outcome.foreign.clone()).unwrap_or_default(),
            warnings: plan.spec().warnings().iter().map(ToString::to_string).collect(),
        }
    }
}

fn node(plan: &NodePlan<'_>, output_dir: &Path, change: Option<Change>) -> Node {
    let stable = plan.stable_state();
    let vote = stable.vote();
    Node {
        id: plan.server.id.clone(),
        address: plan.server.address.clone(),
        suffrage: plan.server.suffrage,
        role: match plan.role {
            Role::Leader => "leader",
            Role::Follower(_) => "follower",
            Role::Nonvoter => "nonvoter",
        },
        path: shown(&output_dir.join(&plan.server.id)),
        change,
        entries: plan.entries.iter().map(entry).collect(),
        current_term: stable.term(),
        last_vote_term: vote.as_ref().map(|(term, _)| *term),
        last_vote_cand: vote.map(|(_, candidate)| candidate),
    }
}

fn entry(log: &op_conductor_init::raft::Log<'_>) -> Entry {
    let data_len = log.data.as_ref().map_or(0, |data| data.len());
    Entry { index: log.index, term: log.term, r#type: log.kind.to_string(), data_len }
}
