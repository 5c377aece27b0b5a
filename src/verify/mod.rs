//! Checks that need the directories of several servers, and the findings of each: does the cluster hold together?

mod access;
mod advice;
mod cluster;
mod described;
mod election;
mod heads;
mod history;
mod interrupted;
mod joining;
mod log_matching;
mod members;
mod membership;
mod quorum;
mod snapshot_log;

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use crate::durable::ReadError;
use crate::payload::Release;
use crate::raft::ConfigurationAt;
use crate::report::{Finding, Progress, Severity};
use crate::state::{ClusterFileError, Depth, Error, Node, Servers};
use history::History;
use log_matching::Contents;
use quorum::Quorums;

pub use advice::Advice;
pub use members::compare as compare_members;

/// What was looked at, and what was found.
#[derive(Debug)]
pub struct Report {
    /// The servers' directories, by name.
    pub nodes: Vec<Node>,
    /// All findings, worst first.
    pub findings: Vec<Finding>,
    /// Who can win the next election, when several nodes were looked at.
    pub winners: Option<Vec<String>>,
    /// The release whose reading of the payloads was checked.
    pub release: Option<Release>,
}

/// How many findings of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// raft or op-conductor would fail, or lose or fork data.
    pub errors: usize,
    /// Works, but not as people would expect.
    pub warnings: usize,
    /// Worth knowing.
    pub notes: usize,
}

impl Report {
    /// Adds findings; the worst stay first.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.findings.sort_by(|a, b| (b.severity, a.id, &a.place).cmp(&(a.severity, b.id, &b.place)));
    }

    /// The members of the cluster: the configuration that the server with the last entry acts by.
    pub fn members(&self) -> Option<ConfigurationAt> {
        cluster::ahead(&self.nodes).and_then(cluster::members)
    }

    /// What to do, made from all findings and servers together.
    pub fn advice(&self) -> Advice {
        advice::advise(self)
    }

    /// How many findings of each severity.
    pub fn counts(&self) -> Counts {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        Counts { errors: count(Severity::Error), warnings: count(Severity::Warning), notes: count(Severity::Note) }
    }
}

/// Verifies the server's directory `path`, or all servers' directories in it; with a release, also whether that release
/// can read the payloads.
pub fn verify(path: &Path, release: Option<Release>, progress: &dyn Progress) -> Result<Report, Error> {
    let servers = Servers::find_any(path)?;
    let mut report = verify_servers(path, &servers, Depth::Structure, release, progress)?;
    report.add(quorum::too_few(&report.nodes, servers.is_one()));
    Ok(report)
}

/// The same, no deeper than `depth`, of servers that need not be a whole cluster, such as those in a backup.
pub fn verify_to(
    path: &Path,
    depth: Depth,
    release: Option<Release>,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    verify_servers(path, &Servers::find_any(path)?, depth, release, progress)
}

fn verify_servers(
    path: &Path,
    servers: &Servers,
    depth: Depth,
    release: Option<Release>,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let mut contents = Contents::default();
    let mut nodes: Vec<Node> = Vec::new();
    let mut histories: Vec<History> = Vec::new();
    let mut findings = Vec::new();
    // A first call may have been interrupted before anything was in its place.
    if servers.dirs().is_empty() && !interrupted::is_pending(path) {
        return Err(Error::NoState { path: path.to_owned() });
    }
    for dir in servers.dirs() {
        progress.expect(dir.log_path().metadata().map_or(0, |metadata| metadata.len()));
    }
    let compares = servers.dirs().len() > 1;
    for dir in servers.dirs() {
        let node = nodes.len();
        contents.begin(node, 0);
        let mut history = History::default();
        let read = Node::read(dir, depth, &mut |log| match log {
            Some(log) => {
                history.add(log);
                progress.advance(log.data.as_ref().map_or(0, |data| data.len() as u64));
                if compares {
                    contents.add(log);
                }
            }
            None => {
                history = History::default();
                contents.begin(node, 0);
            }
        });
        nodes.push(read?);
        histories.push(history);
        findings.extend(access::check(dir));
    }
    findings.extend(nodes.iter().flat_map(|node| node.findings.iter().cloned()));
    let mut winners = None;
    if compares {
        log_matching::check(&nodes, contents, &mut findings)?;
        cluster::check(&nodes, &mut findings);
        membership::compare(&nodes, &histories, &mut findings);
        membership::check(&nodes, &histories, &mut findings);
        joining::check(&nodes, &histories, &mut findings);
        heads::highest_blocks(&nodes, &mut findings);
        heads::snapshot_states(&nodes, &mut findings);
        winners = Some(election::next_leaders(&nodes, &mut findings));
    }
    snapshot_log::check(&nodes, servers.dirs(), &histories, &mut findings);
    Quorums::new(&nodes, &histories).check(&mut findings);
    cluster::ahead(&nodes).into_iter().for_each(|node| cluster::even_voters(node, &mut findings));
    heads::check(&nodes, release, &mut findings);
    interrupted::check(path, &mut findings);
    let above = servers.is_one().then(|| servers.root());
    if let Some(above) = above.filter(|above| interrupted::is_pending(above)) {
        interrupted::check(above, &mut findings);
    }
    match described::read(path, above) {
        Ok(None) => {}
        Ok(Some(description)) => described::compare(&description, &nodes, winners.as_deref(), &mut findings),
        Err(ClusterFileError::Read(ReadError::Io(error))) => {
            return Err(Error::Io { path: error.path, source: error.source });
        }
        Err(error) => findings.push(described::unreadable(&error)),
    }
    deduplicate(&mut findings);
    let mut report = Report { nodes, findings: Vec::new(), winners, release };
    report.add(findings);
    Ok(report)
}

/// Keeps one of several findings that say the same about the cluster.
fn deduplicate(findings: &mut Vec<Finding>) {
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    let mut seen = HashSet::new();
    for finding in findings.drain(..) {
        if finding.place.node.is_some() || seen.insert((finding.id, finding.message.clone())) {
            kept.push(finding);
        }
    }
    *findings = kept;
}
