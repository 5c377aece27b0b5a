//! One directory, or all of a cluster: does it hold together?

mod access;
mod members;

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

use crate::cluster::Election;
use crate::cluster::{CLUSTER_FILE, ClusterFile};
use crate::durable;
use crate::durable::open_file;
use crate::payload::Release;
use crate::raft::{Configuration, Log};
use crate::report::Progress;
use crate::report::{Finding, Severity};
use crate::state::dir::{SNAPSHOTS_DIR, STABLE_FILE};
use crate::state::{Depth, Error, Node, Servers, StateDir, stable_state};

pub use members::{Error as MembersError, Expected};

/// Entries of so many indexes are compared at a time: this bounds the memory.
const WINDOW: u64 = 1 << 16;
/// So many members without a directory are named, each in a finding; more are counted.
const MOST_ABSENT: usize = 100;
/// A description of more bytes isn't read: one of 10,000 servers is shorter.
const MAX_DESCRIPTION_LEN: u64 = 4 << 20;

/// What was looked at, and what was found.
#[derive(Debug)]
pub struct Report {
    /// The servers' directories, by name.
    pub nodes: Vec<Node>,
    /// All findings, worst first.
    pub findings: Vec<Finding>,
    /// Who can win the next election, when several nodes were looked at.
    pub winners: Option<Vec<String>>,
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

    /// How many findings of each severity.
    pub fn counts(&self) -> Counts {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        Counts { errors: count(Severity::Error), warnings: count(Severity::Warning), notes: count(Severity::Note) }
    }
}

/// Verifies the server's directory `path`, or all servers' directories in it; with a release, whether that could live on it.
pub fn verify(path: &Path, release: Option<Release>, progress: &dyn Progress) -> Result<Report, Error> {
    verify_to(path, Depth::Structure, release, progress)
}

/// The same, no deeper than `depth`.
pub fn verify_to(
    path: &Path,
    depth: Depth,
    release: Option<Release>,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let mut contents = Contents::default();
    let mut nodes: Vec<Node> = Vec::new();
    let mut findings = Vec::new();
    let servers = Servers::find_any(path)?;
    // A first call may have been interrupted before anything was in its place.
    if servers.dirs().is_empty() && !has_interrupted(path) {
        return Err(Error::NoState { path: path.to_owned() });
    }
    for dir in servers.dirs() {
        progress.expect(dir.log_path().metadata().map_or(0, |metadata| metadata.len()));
    }
    let compares = servers.dirs().len() > 1;
    for dir in servers.dirs() {
        let node = nodes.len();
        contents.begin(node, 0);
        let read = Node::read(dir, depth, &mut |log| match log {
            Some(log) => {
                progress.advance(log.data.as_ref().map_or(0, |data| data.len() as u64));
                if compares {
                    contents.add(log);
                }
            }
            None => contents.begin(node, 0),
        });
        nodes.push(read?);
        findings.extend(access::check(dir));
    }
    findings.extend(nodes.iter().flat_map(|node| node.findings.iter().cloned()));
    let mut winners = None;
    if compares {
        compare_entries(&nodes, servers.dirs(), contents, &mut findings)?;
        compare_nodes(&nodes, &mut findings);
        winners = Some(next_leaders(&nodes, &mut findings));
    }
    // Who has the last entry has the members that will count.
    let ahead = nodes.iter().max_by_key(|node| {
        let (index, term) = node.last();
        (term, index)
    });
    ahead.into_iter().for_each(|node| even_voters(node, &mut findings));
    check_heads(&nodes, release, &mut findings);
    interrupted(path, &mut findings);
    let above = servers.is_one().then(|| servers.root());
    if let Some(above) = above.filter(|above| has_interrupted(above)) {
        interrupted(above, &mut findings);
    }
    if let Some((path, text)) = description(path, above)? {
        match serde_json::from_str(&text) {
            Ok(description) => compare_description(&description, &nodes, winners.as_deref(), &mut findings),
            Err(error) => {
                let message =
                    format!("can't be read as a description of the cluster, and was not compared with: {error}");
                findings.push(Finding::new("CLUSTER-009", Severity::Warning, message).in_file(&path));
            }
        }
    }
    deduplicate(&mut findings);
    let mut report = Report { nodes, findings: Vec::new(), winners };
    report.add(findings);
    Ok(report)
}

/// The distinct entries at the indexes of one window: equal ones of several nodes are kept once.
#[derive(Debug, Default)]
struct Contents {
    /// By index and term: the entry of the first node that has it.
    known: HashMap<(u64, u64), Known>,
    node: usize,
    /// Index and term of the node's entry that was seen last.
    previous: Option<(u64, u64)>,
    /// First index of the window.
    start: u64,
    /// The lowest index behind the window, where the next one begins: hostile entries can be 2^63 apart.
    next: Option<u64>,
    /// (index, term, node, node that differs)
    different: Vec<(u64, u64, usize, usize)>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// A hash.
    content: u64,
    /// Term of the entry right before it, when a node has that.
    before: Option<u64>,
    node: usize,
}

impl Contents {
    fn begin(&mut self, node: usize, start: u64) {
        self.node = node;
        self.previous = None;
        self.start = start;
        self.different.retain(|(.., second)| *second != node);
        self.known.retain(|_, known| known.node != node);
    }

    fn add(&mut self, log: &Log<'_>) {
        let (index, term) = (log.index.0, log.term.0);
        let previous = self.previous.replace((index, term));
        let before = previous.filter(|(last, _)| last.checked_add(1) == Some(index)).map(|(_, term)| term);
        match index.checked_sub(self.start) {
            None => return,
            Some(0..WINDOW) => {}
            Some(_) => {
                self.next = Some(self.next.map_or(index, |next| next.min(index)));
                return;
            }
        }
        // Without AppendedAt: raft compares neither, but a leader's clock is no difference.
        let mut hasher = DefaultHasher::new();
        (log.kind, log.data.as_deref(), log.extensions.as_deref()).hash(&mut hasher);
        let content = hasher.finish();
        let node = self.node;
        let known = self.known.entry((index, term)).or_insert(Known { content, before, node });
        let differs = known.content != content || matches!((known.before, before), (Some(a), Some(b)) if a != b);
        known.before = known.before.or(before);
        if differs && self.different.len() < 100 {
            self.different.push((index, term, known.node, node));
        }
    }
}

/// Log matching: entries of the same index and term must be the same. (raft paper 5.3)
fn compare_entries(
    nodes: &[Node],
    dirs: &[StateDir],
    mut contents: Contents,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    // So many windows hold all logs without gaps. A log with more gaps is told of elsewhere (RAFT-005), and would take
    // a look at all files for each.
    let windows: u64 = nodes.iter().map(|node| node.log.count / WINDOW + 2).sum();
    for _ in 0..windows {
        let Some(start) = contents.next.take() else { break };
        contents.known.clear();
        for (node, state) in nodes.iter().enumerate() {
            if state.log.last.is_none_or(|(last, _)| last.0 < start) {
                continue;
            }
            contents.begin(node, start);
            Node::read(&dirs[node], Depth::Content, &mut |log| match log {
                Some(log) => contents.add(log),
                None => contents.begin(node, start),
            })?;
        }
    }
    for (index, term, first, second) in contents.different {
        let (first, second) = (&nodes[first].id, &nodes[second].id);
        let message = format!(
            "the entry of term {term}, or the term of the one before it, differs from that of {first}: raft compares only index and term here and would never notice"
        );
        findings.push(Finding::new("CLUSTER-001", Severity::Error, message).in_node(second).at_index(index).hint(
            "the directories are not of one cluster, or one was edited alone: generate or restore all nodes together",
        ));
    }
    Ok(())
}

fn compare_nodes(nodes: &[Node], findings: &mut Vec<Finding>) {
    let mut first: Option<(&str, &Configuration)> = None;
    for node in nodes {
        let Some(at_one) = node.log.first_configuration.as_ref().filter(|at| at.index.0 == 1) else { continue };
        match first {
            None => first = Some((&node.id, &at_one.configuration)),
            Some((id, known)) if *known != at_one.configuration => {
                let message = format!("the configuration at index 1 differs from that of {id}: these are two clusters");
                findings.push(
                    Finding::new("CLUSTER-002", Severity::Error, message)
                        .in_node(&node.id)
                        .at_index(1)
                        .hint("generate all nodes with one call, or with the same flags"),
                );
            }
            Some(_) => {}
        }
    }
    if let (Some(ran), Some(_)) =
        (nodes.iter().find(|node| node.has_run()), nodes.iter().find(|node| node.is_untouched()))
    {
        for node in nodes.iter().filter(|node| node.is_untouched()) {
            let message = format!(
                "generated state that never ran, while {} has run: if this node ran before, it has forgotten votes and committed entries, and can help to elect a leader that lacks them",
                ran.id
            );
            findings.push(
                Finding::new("CLUSTER-003", Severity::Error, message)
                    .in_node(&node.id)
                    .hint("remove the node from the cluster and add it again with an empty directory; only a node that was down ever since the generation may be started as it is"),
            );
        }
    }
    forgotten_candidacies(nodes, findings);
    two_heads(nodes, findings);
    two_states(nodes, findings);
    let ids: HashSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let members = nodes.iter().filter_map(Node::latest_configuration).max_by_key(|at| at.index);
    let servers = members.iter().flat_map(|at| &at.configuration.servers);
    let absent: Vec<&str> = servers.map(|server| server.id.as_str()).filter(|id| !ids.contains(id)).collect();
    for id in absent.iter().take(MOST_ABSENT) {
        let message = "a member of the configuration has no directory here: it was not looked at";
        findings.push(Finding::new("CLUSTER-004", Severity::Note, message).in_node(id));
    }
    if let Some(more @ 1..) = absent.len().checked_sub(MOST_ABSENT) {
        let message = format!("{more} more members have no directory here: they were not looked at");
        findings.push(Finding::new("CLUSTER-004", Severity::Note, message));
    }
}

/// Whether a node has forgotten a term in which another one voted for it: who asks for votes has stored the term before.
/// (hashicorp/raft raft.go electSelf, setCurrentTerm)
fn forgotten_candidacies(nodes: &[Node], findings: &mut Vec<Finding>) {
    for voter in nodes {
        let Some((term, address)) = voter.stable.vote() else { continue };
        let Some(known) = voter.latest_configuration() else { continue };
        let candidate = known.configuration.servers.iter().find(|server| server.address == address);
        let Some(node) = candidate.and_then(|server| nodes.iter().find(|node| node.id == server.id)) else { continue };
        // A running node may have gone on since it was read.
        let current = || stable_state(&node.path).map_or(node.stable.term(), |stable| stable.term());
        if node.stable.term() < term && current() < term {
            let message = format!(
                "CurrentTerm is {}, but {} voted for it in term {term}: this node was set back, and could vote or lead twice in one term",
                node.stable.term(),
                voter.id
            );
            findings.push(
                Finding::new("CLUSTER-010", Severity::Error, message)
                    .in_node(&node.id)
                    .in_file(STABLE_FILE)
                    .hint("remove the node from the cluster and add it again with an empty directory, or restore all nodes from one backup"),
            );
        }
    }
}

/// Whether the highest stored heads of two nodes are different blocks of one number.
fn two_heads(nodes: &[Node], findings: &mut Vec<Finding>) {
    let heads = || nodes.iter().filter_map(|node| Some((node, node.head?.head)));
    let Some((first, head)) = heads().next() else { return };
    for (node, other) in heads().filter(|(_, other)| other.number == head.number && other.hash != head.hash) {
        let message = format!(
            "the highest stored block is {} ({}), that of {} is another one of this number ({}): one of them was never committed",
            other.number, other.hash, first.id, head.hash
        );
        findings.push(Finding::new("CLUSTER-011", Severity::Warning, message).in_node(&node.id));
    }
}

/// Whether two nodes' snapshots of one entry hold different states: entries are applied in one order, so they can't.
fn two_states(nodes: &[Node], findings: &mut Vec<Finding>) {
    let mut known: HashMap<_, (&str, &[u8])> = HashMap::new();
    for node in nodes {
        for meta in &node.snapshots.listed {
            let (first, crc) = *known.entry((meta.index, meta.term)).or_insert((&node.id, &meta.crc));
            if crc != meta.crc {
                let message = format!(
                    "the snapshot of entry {} (term {}) holds another state than that of {first}: the state machines have parted",
                    meta.index, meta.term
                );
                findings.push(
                    Finding::new("CLUSTER-012", Severity::Error, message)
                        .in_node(&node.id)
                        .in_file(&format!("{SNAPSHOTS_DIR}/{}", meta.directory))
                        .hint("find out by the chain which block is right (snapshot show); add the other node again"),
                );
            }
        }
    }
}

/// Who can win the next election among these nodes: voters whose last entry a quorum finds as good as its own, and
/// whom that quorum takes for a voter. (hashicorp/raft raft.go requestVote, runCandidate)
fn next_leaders(nodes: &[Node], findings: &mut Vec<Finding>) -> Vec<String> {
    let states: Vec<_> = nodes.iter().map(|node| (node, node.latest_configuration(), node.last())).collect();
    // The voters that each node knows, to look up: configurations can have thousands.
    let known: Vec<Option<HashSet<&str>>> = states
        .iter()
        .map(|(_, own, _)| own.as_ref().map(|at| at.configuration.voters().map(|voter| voter.id.as_str()).collect()))
        .collect();
    let knows = |node: usize, id: &str| known[node].as_ref().is_none_or(|voters| voters.contains(id));
    let by_id: HashMap<&str, usize> = nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
    let wins = |number: &usize| {
        let (candidate, own, last) = &states[*number];
        let Some(own) = own.as_ref().map(|at| &at.configuration) else { return false };
        if !knows(*number, &candidate.id) {
            return false;
        }
        let (index, term): (crate::raft::Index, crate::raft::Term) = *last;
        let grants = own.voters().filter(|voter| {
            // A voter without a directory here is counted as if it would grant: it was not looked at.
            by_id.get(voter.id.as_str()).is_none_or(|at| {
                let (.., (their_index, their_term)) = &states[*at];
                knows(*at, &candidate.id) && (term, index) >= (*their_term, *their_index)
            })
        });
        grants.count() >= own.quorum()
    };
    let winners: Vec<String> = (0..nodes.len()).filter(wins).map(|number| nodes[number].id.clone()).collect();
    if winners.is_empty() {
        let message = "no node can win an election: none is a voter whose log a quorum finds as good as its own";
        findings.push(
            Finding::new("CLUSTER-005", Severity::Error, message)
                .hint("compare the nodes with info; generate or restore all nodes together"),
        );
    }
    winners
}

fn has_interrupted(path: &Path) -> bool {
    durable::pending(path).is_ok_and(|pending| !pending.is_empty())
}

/// A replacement that was begun and neither finished nor undone. What it would do is the next writing command's to do.
fn interrupted(path: &Path, findings: &mut Vec<Finding>) {
    let hint = "run the command that was interrupted again: a command that writes settles this first";
    let found = match durable::pending(path) {
        Ok(pending) => pending,
        Err(error) => {
            findings.push(Finding::new(
                "NODE-005",
                Severity::Warning,
                format!("what an interrupted call left can't be read: {error}"),
            ));
            return;
        }
    };
    for pending in found {
        let stage = pending.stage.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let finding = match pending.journal {
            Some(journal) => {
                let entries: Vec<&str> = journal.entries.iter().map(|entry| entry.name.as_str()).collect();
                let message = format!(
                    "a replacement was interrupted half-way: some of {} may be old and some new",
                    entries.join(", ")
                );
                Finding::new("NODE-004", Severity::Error, message)
            }
            None => Finding::new(
                "NODE-005",
                Severity::Warning,
                "a call was interrupted before it changed anything, or is at work just now",
            ),
        };
        findings.push(finding.in_file(&stage).hint(hint));
    }
}

/// Whether sequencing could start on what the nodes hold.
fn check_heads(nodes: &[Node], release: Option<Release>, findings: &mut Vec<Finding>) {
    let headless: Vec<&Node> = nodes.iter().filter(|node| node.log.count > 0 && node.head.is_none()).collect();
    let message = "no payload and no snapshot: op-conductor finds \"no unsafe head\" and nobody sequences; releases before the fix crash at their first snapshot (optimism #13363)";
    let finding = || {
        Finding::new("PAY-002", Severity::Warning, message)
            .hint("generate again with --unsafe-head or --execution-rpc, or call admin_startSequencer on the leader's op-node by hand")
    };
    if headless.len() == nodes.len() && !headless.is_empty() {
        findings.push(finding());
    } else {
        findings.extend(headless.iter().map(|node| finding().in_node(&node.id)));
    }
    let Some(release) = release else { return };
    for node in nodes {
        let in_snapshot = node.head_of_snapshot().map(|stored| stored.head.version);
        let versions = node.payload_versions.iter().map(|version| (*version, false));
        let versions = versions.chain(in_snapshot.map(|version| (version, true)));
        for (version, is_snapshot) in versions.filter(|(version, _)| !release.can_read(*version)) {
            let tag = release.tag;
            let message = if is_snapshot {
                format!(
                    "the snapshot's payload is of form {version}, which op-conductor {tag} can't decode: it doesn't start"
                )
            } else {
                format!(
                    "payloads of form {version}, which op-conductor {tag} can't decode: it never starts sequencing on them, and says nothing"
                )
            };
            findings.push(
                Finding::new("PAY-005", Severity::Error, message)
                    .in_node(&node.id)
                    .hint(format!("releases that read {version}: {}", Release::that_read(version).join(", "))),
            );
        }
    }
}

/// `cluster.json` of the directory, or beside a single server's directory.
fn description(path: &Path, above: Option<&Path>) -> Result<Option<(String, String)>, Error> {
    for file in [Some(path), above].into_iter().flatten().map(|directory| directory.join(CLUSTER_FILE)) {
        match open_file(&file) {
            Ok(open) => {
                let mut text = String::new();
                let read = open.take(MAX_DESCRIPTION_LEN).read_to_string(&mut text);
                return match read {
                    Ok(_) => Ok(Some((CLUSTER_FILE.to_owned(), text))),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        Ok(Some((CLUSTER_FILE.to_owned(), String::new())))
                    }
                    Err(source) => Err(Error::Io { path: file, source }),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Io { path: file, source }),
        }
    }
    Ok(None)
}

/// Whether the state is what `cluster.json` says was generated.
fn compare_description(
    description: &ClusterFile,
    nodes: &[Node],
    winners: Option<&[String]>,
    findings: &mut Vec<Finding>,
) {
    let described = Configuration { servers: description.servers.clone() };
    for node in nodes {
        let first = node.log.first_configuration.as_ref().filter(|first| first.index.0 == 1);
        if first.is_some_and(|first| first.configuration != described) {
            let message = format!(
                "the configuration at index 1 is not that of {CLUSTER_FILE}: this is the state of another cluster"
            );
            findings.push(
                Finding::new("CLUSTER-007", Severity::Error, message)
                    .in_node(&node.id)
                    .at_index(1)
                    .hint("generate all nodes together, or remove the description that belongs to other state"),
            );
        }
    }
    let whole = nodes.iter().all(Node::is_untouched) && nodes.len() == description.servers.len();
    if let Some(winners) = winners
        && whole
        && description.election == Election::Named
        && winners != [description.leader.clone()]
    {
        let message = format!(
            "{CLUSTER_FILE} names {:?} as the first leader, but the election is open to: {}",
            description.leader,
            winners.join(", ")
        );
        findings.push(
            Finding::new("CLUSTER-008", Severity::Error, message).hint("generate all nodes again, with one call"),
        );
    }
}

fn even_voters(node: &Node, findings: &mut Vec<Finding>) {
    // What the named plan puts behind the first one on followers never counts.
    let generated = node.log.first_configuration.as_ref().filter(|_| node.is_untouched()).cloned();
    let members = generated.or_else(|| node.latest_configuration());
    let voters = members.map_or(0, |at| at.configuration.voters().count());
    if voters > 0 && voters.is_multiple_of(2) {
        let message = format!("{voters} voters: an even number survives no more failures than {}", voters - 1);
        findings.push(Finding::new("CLUSTER-006", Severity::Warning, message));
    }
}

/// Keeps one of the findings that say the same of the cluster.
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
