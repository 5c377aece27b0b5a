//! What to do, made from the whole situation: which servers are sound, whether they are a quorum, whether anything ran.
//!
//! The rule: never advice that loses more than is lost already. Generating anew is for state that never ran, adding a
//! server again for a cluster whose quorum is sound, and recovery for one whose quorum isn't.

use std::collections::BTreeSet;

use super::Report;
use super::cluster::{ahead, members};
use super::quorum::usable;
use crate::raft::Server;
use crate::report::{Finding, Severity};
use crate::state::Node;

/// Findings that compare with what the operator named, and say nothing against a server's directory.
const OF_EXPECTATIONS: [&str; 7] =
    ["NODE-008", "NODE-009", "NODE-010", "NODE-011", "PAY-005", "RECOVER-009", "RECOVER-010"];
/// A replacement of this tool that was interrupted half-way.
const INTERRUPTED: &str = "NODE-004";
/// The two databases of a server have each other's names.
const EXCHANGED: &str = "NODE-012";
/// More servers were set back than a majority leaves.
const SET_BACK: &str = "CLUSTER-014";
/// Fewer than a quorum is here.
const TOO_FEW: &str = "CLUSTER-013";
/// A server that was removed or demoted and doesn't know.
const REMOVED: &str = "CLUSTER-016";
/// The end of the log is on fewer than a quorum.
const END_OF_LOG: &str = "CLUSTER-015";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing: the servers that were looked at are sound.
    Nothing,
    /// Nothing at once: warnings to be read, and what to know before a start.
    ReadWarnings {
        /// A server whose log has entries that fewer than a quorum have, which must be started with the others.
        newest: Option<String>,
        /// Servers that the cluster has removed or demoted.
        removed: Vec<String>,
    },
    /// Run the interrupted command again.
    Settle,
    /// Give the databases of these servers each other's names.
    Exchange {
        /// Ids of the servers.
        servers: Vec<String>,
    },
    /// Look at the other servers too: these alone are not a quorum, and are sound.
    LookAtOthers {
        /// Ids of the members without a directory here.
        absent: Vec<String>,
    },
    /// Generate all servers anew: nothing can have been committed on this state.
    Generate,
    /// Add these servers again, one after the other, with empty directories: a quorum of the others is sound.
    AddAgain {
        /// The servers whose directories are not sound.
        servers: Vec<Server>,
        /// The sound voters.
        sound: Vec<String>,
        /// How many voters a quorum is.
        quorum: usize,
    },
    /// Recover the cluster: a quorum can't go on by itself.
    Recover {
        /// Servers whose state can be read.
        readable: Vec<String>,
        /// Servers whose state can't be used as it is.
        broken: Vec<String>,
        /// Ids of the members without a directory here.
        absent: Vec<String>,
        /// The server that has the newest log of those that can be read.
        newest: Option<String>,
    },
    /// What was expected differs from what is there: change one of them.
    Compare,
}

/// The advice for all findings together.
pub(super) fn advise(report: &Report) -> Advice {
    let has = |id: &str| report.findings.iter().any(|finding| finding.id == id);
    if has(INTERRUPTED) {
        return Advice::Settle;
    }
    if has(EXCHANGED) {
        return Advice::Exchange { servers: named(report, EXCHANGED) };
    }
    let situation = Situation::of(report);
    let is_against_state = |finding: &Finding| {
        finding.severity == Severity::Error && !OF_EXPECTATIONS.contains(&finding.id) && !is_of_heads(finding)
    };
    let has_errors = report.findings.iter().any(is_against_state);
    if !has_errors {
        return without_errors(report, &situation);
    }
    if situation.never_ran {
        return Advice::Generate;
    }
    if has(SET_BACK) || situation.sound.len() < situation.quorum || situation.broken.is_empty() {
        return situation.recover();
    }
    let Situation { servers, sound, quorum, broken, .. } = situation;
    let known = |id: &String| servers.iter().find(|server| server.id == *id).cloned();
    Advice::AddAgain { servers: broken.iter().filter_map(known).collect(), sound, quorum }
}

/// What only the head is about, which more of raft's state doesn't mend.
fn is_of_heads(finding: &Finding) -> bool {
    finding.id.starts_with("PAY-") && finding.id != "PAY-001"
}

fn without_errors(report: &Report, situation: &Situation) -> Advice {
    let has = |severity| report.findings.iter().any(|finding| finding.severity == severity);
    let too_few = report.findings.iter().find(|finding| finding.id == TOO_FEW);
    if has(Severity::Error) {
        return Advice::Compare;
    }
    match too_few {
        Some(finding) if finding.severity == Severity::Warning => situation.clone().recover(),
        Some(_) => Advice::LookAtOthers { absent: situation.absent.clone() },
        None if has(Severity::Warning) => Advice::ReadWarnings {
            newest: named(report, END_OF_LOG).into_iter().next(),
            removed: named(report, REMOVED),
        },
        None => Advice::Nothing,
    }
}

/// The servers that have a finding of this kind.
fn named(report: &Report, id: &str) -> Vec<String> {
    let of_kind = report.findings.iter().filter(|finding| finding.id == id);
    let names: BTreeSet<String> = of_kind.filter_map(|finding| finding.place.node.clone()).collect();
    names.into_iter().collect()
}

#[derive(Debug, Clone)]
struct Situation {
    servers: Vec<Server>,
    quorum: usize,
    /// Voters that can be read and have no error.
    sound: Vec<String>,
    /// Servers with an error, members or not.
    broken: Vec<String>,
    absent: Vec<String>,
    readable: Vec<String>,
    newest: Option<String>,
    /// A quorum of the voters is as it was generated, so nothing can have been committed.
    never_ran: bool,
}

impl Situation {
    fn of(report: &Report) -> Situation {
        let is_error = |finding: &&Finding| {
            finding.severity == Severity::Error && !OF_EXPECTATIONS.contains(&finding.id) && !is_of_heads(finding)
        };
        let with_errors = report.findings.iter().filter(is_error).filter_map(|finding| finding.place.node.clone());
        let broken: BTreeSet<String> = with_errors.collect();
        let nodes = &report.nodes;
        let is_readable = |node: &&Node| node.known_log().is_some() && node.known_stable().is_some();
        let readable: Vec<Node> = nodes.iter().filter(is_readable).cloned().collect();
        // The members of those that are sound; of all, when none is.
        let sound: Vec<Node> = readable.iter().filter(|node| !broken.contains(&node.id)).cloned().collect();
        let at = [&sound, &readable, nodes].into_iter().find_map(|nodes| ahead(nodes).and_then(members));
        let configuration = at.map(|at| at.configuration).unwrap_or_default();
        let is_voter = |id: &str| configuration.voters().any(|voter| voter.id == id);
        let untouched = nodes.iter().filter(|node| node.is_untouched() && is_voter(&node.id)).count();
        let absent = configuration.servers.iter().filter(|server| nodes.iter().all(|node| node.id != server.id));
        Situation {
            quorum: configuration.quorum(),
            sound: usable(&sound, &configuration).into_iter().map(str::to_owned).collect(),
            absent: absent.map(|server| server.id.clone()).collect(),
            never_ran: !nodes.iter().any(Node::has_run) && untouched >= configuration.quorum(),
            newest: ahead(&readable).map(|node| node.id.clone()),
            readable: readable.iter().map(|node| node.id.clone()).collect(),
            broken: broken.into_iter().collect(),
            servers: configuration.servers.clone(),
        }
    }

    fn recover(self) -> Advice {
        let Situation { readable, broken, absent, newest, .. } = self;
        Advice::Recover { readable, broken, absent, newest }
    }
}
