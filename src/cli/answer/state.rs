//! Answers of `info` and `verify`.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use op_conductor_init::bolt::PageCounts;
use op_conductor_init::payload::{Release, StoredHead, Tried, Version};
use op_conductor_init::raft::{ConfigurationAt, Index, LogType, Server, SnapshotMeta, StableState, Term};
use op_conductor_init::report::Finding;
use op_conductor_init::state::{Candidacy, Node, Store};
use op_conductor_init::verify::{Counts, Report};
use serde::Serialize;

use super::shown;
use crate::cli::failure::Verdict;

/// More members than any cluster has: a damaged entry can have one a byte.
const MOST_MEMBERS: usize = 10_000;

/// `info`.
#[derive(Serialize)]
pub(in crate::cli) struct Info<'a> {
    pub(in crate::cli) nodes: Vec<NodeInfo<'a>>,
}

/// A release, and the release that was tried instead of it, when it was not tried itself.
#[derive(Serialize)]
struct CheckedFor {
    release: &'static str,
    reads: &'static [Version],
    like: Option<&'static str>,
}

/// One server. What could not be read is null.
#[derive(Serialize)]
pub(in crate::cli) struct NodeInfo<'a> {
    id: &'a str,
    path: String,
    current_term: Option<Term>,
    vote: Option<Vote>,
    first_index: Option<Index>,
    last_index: Option<Index>,
    last_term: Option<Term>,
    entry_count: Option<u64>,
    entries_by_type: BTreeMap<String, u64>,
    /// The highest that is stored.
    unsafe_head: Option<StoredHead>,
    configuration: Option<Configuration>,
    campaign: Candidacy,
    /// Newest first.
    snapshots: Vec<Snapshot<'a>>,
    log_store: StoreInfo,
    stable_store: StoreInfo,
    finding_count: usize,
    /// The last ones, of a single server.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<&'a VecDeque<Entry>>,
}

#[derive(Serialize)]
struct Vote {
    term: Term,
    /// Its address.
    candidate: String,
}

fn vote(stable: Option<&StableState>) -> Option<Vote> {
    stable.and_then(StableState::vote).map(|(term, candidate)| Vote { term, candidate })
}

/// The members at an index.
#[derive(Serialize)]
struct Configuration {
    index: Index,
    servers: Vec<Server>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers_omitted: Option<usize>,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    id: &'a str,
    index: Index,
    term: Term,
    size: u64,
}

#[derive(Serialize)]
struct StoreInfo {
    file_len: Option<u64>,
    page_size: usize,
    page_count: u64,
    free_pages: Option<u64>,
    txid: u64,
}

/// An entry of the list.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Entry {
    pub(in crate::cli) index: u64,
    pub(in crate::cli) term: u64,
    #[serde(rename = "type")]
    pub(in crate::cli) kind: String,
    pub(in crate::cli) data_len: usize,
    pub(in crate::cli) appended_at: Option<String>,
    pub(in crate::cli) content: Option<String>,
}

impl NodeInfo<'_> {
    /// Of a node, with its last entries when it is the only one.
    pub(in crate::cli) fn new<'a>(node: &'a Node, entries: Option<&'a VecDeque<Entry>>) -> NodeInfo<'a> {
        let (log, stable) = (node.known_log(), node.known_stable());
        let by_type = node.log.by_type.iter().map(|(kind, count)| (LogType::from_byte(*kind).to_string(), *count));
        NodeInfo {
            id: &node.id,
            path: shown(&node.path),
            current_term: stable.map(StableState::term),
            vote: vote(stable),
            first_index: log.and_then(|log| log.first).map(|first| first.0),
            last_index: log.and_then(|log| log.last).map(|last| last.0),
            last_term: node.known_last().map(|(_, term)| term),
            entry_count: log.map(|log| log.count),
            entries_by_type: by_type.collect(),
            unsafe_head: node.head,
            configuration: node.latest_configuration().map(|at| configuration(&at)),
            campaign: node.candidacy(),
            snapshots: node.snapshots.listed.iter().map(snapshot).collect(),
            log_store: store(&node.log_store),
            stable_store: store(&node.stable_store),
            finding_count: node.findings.len(),
            entries,
        }
    }
}

fn configuration(at: &ConfigurationAt) -> Configuration {
    let (servers, omitted) = members(&at.configuration.servers);
    let servers_omitted = (omitted > 0).then_some(omitted);
    Configuration { index: at.index, servers: servers.to_vec(), servers_omitted }
}

fn checked_for(release: Release) -> CheckedFor {
    let like = match release.tried {
        Tried::Like { release } => Some(release),
        _ => None,
    };
    CheckedFor { release: release.name, reads: release.reads, like }
}

/// The members to show, and how many are left out.
pub(in crate::cli) fn members(servers: &[Server]) -> (&[Server], usize) {
    let shown = servers.len().min(MOST_MEMBERS);
    (&servers[..shown], servers.len() - shown)
}

fn snapshot(meta: &SnapshotMeta) -> Snapshot<'_> {
    Snapshot { id: &meta.id, index: meta.index, term: meta.term, size: meta.size }
}

fn store(store: &Store) -> StoreInfo {
    StoreInfo {
        file_len: store.file_len,
        page_size: store.page_size,
        page_count: store.page_count,
        free_pages: store.free_pages,
        txid: store.txid.0,
    }
}

/// `verify`.
#[derive(Serialize)]
pub(in crate::cli) struct Verification<'a, T> {
    state_dir: String,
    verdict: Verdict,
    counts: Counts,
    /// Findings that --ignore left out.
    ignored: usize,
    /// Who can win the next election; null for a single server.
    next_leaders: Option<&'a [String]>,
    /// The release of --for; null without one.
    checked_for: Option<CheckedFor>,
    /// The members of the cluster; null when no server knows them.
    configuration: Option<Configuration>,
    nodes: Vec<VerifiedNode<'a>>,
    /// Worst first.
    findings: &'a [Finding],
    what_to_do: &'a T,
}

/// One server. What could not be read is null.
#[derive(Serialize)]
struct VerifiedNode<'a> {
    id: &'a str,
    path: String,
    current_term: Option<Term>,
    vote: Option<Vote>,
    first_index: Option<Index>,
    last_index: Option<Index>,
    entry_count: Option<u64>,
    unsafe_head: Option<StoredHead>,
    log_pages: Pages,
    stable_pages: Pages,
}

#[derive(Serialize)]
struct Pages {
    page_size: usize,
    total: u64,
    branch: u64,
    leaf: u64,
    overflow: u64,
    free: u64,
    freelist: u64,
}

impl<'a, T> Verification<'a, T> {
    pub(in crate::cli) fn new(
        state_dir: &Path,
        report: &'a Report,
        ignored: usize,
        what_to_do: &'a T,
        verdict: Verdict,
    ) -> Verification<'a, T> {
        Verification {
            state_dir: shown(state_dir),
            verdict,
            counts: report.counts(),
            ignored,
            next_leaders: report.winners.as_deref(),
            checked_for: report.release.map(checked_for),
            configuration: report.members().map(|at| configuration(&at)),
            nodes: report.nodes.iter().map(verified).collect(),
            findings: &report.findings,
            what_to_do,
        }
    }
}

fn verified(node: &Node) -> VerifiedNode<'_> {
    let (log, stable) = (node.known_log(), node.known_stable());
    VerifiedNode {
        id: &node.id,
        path: shown(&node.path),
        current_term: stable.map(StableState::term),
        vote: vote(stable),
        first_index: log.and_then(|log| log.first).map(|first| first.0),
        last_index: log.and_then(|log| log.last).map(|last| last.0),
        entry_count: log.map(|log| log.count),
        unsafe_head: node.head,
        log_pages: pages(&node.log_store.pages),
        stable_pages: pages(&node.stable_store.pages),
    }
}

fn pages(pages: &PageCounts) -> Pages {
    let PageCounts { page_size, total, branch, leaf, overflow, free, freelist } = *pages;
    Pages { page_size, total, branch, leaf, overflow, free, freelist }
}
