//! What raft would make of a log and of the stable keys at its start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{decode_log, decode_peers, encodes_to};
use super::configuration::{Configuration, Server, Suffrage};
use super::log::{Index, Log, LogType, Term};
use super::shared::decode_shared;
use super::stable_store::StableState;
use crate::report::{Finding, Findings, Severity};

/// An index or a term above this one leaves no room for those to come.
pub(crate) const LAST_NUMBER: u64 = u64::MAX - (1 << 32);

/// A configuration and the entry that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationAt {
    /// Index of the entry.
    pub index: Index,
    /// Term of the entry.
    pub term: Term,
    /// The members; servers that have the same hold them together.
    pub configuration: Arc<Configuration>,
}

/// A log in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSummary {
    /// Index and term of the first entry.
    pub first: Option<(Index, Term)>,
    /// Index and term of the last entry.
    pub last: Option<(Index, Term)>,
    /// How many there are.
    pub count: u64,
    /// Bytes of all values.
    pub value_bytes: u64,
    /// How many of each type, by [`LogType::to_byte`].
    pub by_type: BTreeMap<u8, u64>,
    /// Entries that a leader appended: their time is not zero.
    pub dated: u64,
    /// The first configuration.
    pub first_configuration: Option<ConfigurationAt>,
    /// The last, which raft acts by.
    pub latest_configuration: Option<ConfigurationAt>,
}

/// Looks at the pairs of the bucket `logs`, one after the other.
#[derive(Debug, Default)]
pub struct LogChecker {
    summary: LogSummary,
    findings: Findings,
}

impl LogChecker {
    /// Takes the next pair, in key order; gives the entry when it can be decoded.
    pub fn push<'a>(&mut self, key: &[u8], value: &'a [u8]) -> Option<Log<'a>> {
        self.summary.value_bytes += value.len() as u64;
        let index = match Index::from_key(key) {
            Ok(index) => index,
            Err(error) => {
                self.findings.add(Finding::new(
                    "RAFT-001",
                    Severity::Error,
                    format!("{error}: raft-boltdb panics on it or reads another index"),
                ));
                return None;
            }
        };
        let log = match decode_log(value) {
            Ok(log) => log,
            Err(error) => {
                self.add(index, "RAFT-002", Severity::Error, format!("{error}: raft panics at its start"));
                self.count(index, None);
                return None;
            }
        };
        self.check_position(index, &log);
        self.check_content(index, value, &log);
        self.count(index, Some(&log));
        Some(log)
    }

    /// What was seen, and what is wrong with it.
    pub fn finish(self) -> (LogSummary, Vec<Finding>) {
        (self.summary, self.findings.finish())
    }

    fn add(&mut self, index: Index, id: &'static str, severity: Severity, message: String) {
        self.findings.add(Finding::new(id, severity, message).at_index(index.0));
    }

    fn check_position(&mut self, index: Index, log: &Log<'_>) {
        if log.index != index {
            let message = format!(
                "the entry says that it is index {}: raft takes that number and looks for entries that are not there",
                log.index
            );
            self.add(index, "RAFT-003", Severity::Error, message);
        }
        if index == Index(0) {
            self.add(
                index,
                "RAFT-004",
                Severity::Error,
                "an entry at index 0: raft takes a log that begins there for empty".to_owned(),
            );
        }
        if index.0 > LAST_NUMBER || log.term.0 > LAST_NUMBER {
            let message = format!(
                "index {index} of term {}: so high that none is left for what comes next, and raft begins at 0 again",
                log.term
            );
            self.add(index, "RAFT-018", Severity::Error, message);
        }
        let Some((last, term)) = self.summary.last else { return };
        if last.0.checked_add(1) != Some(index.0) {
            let message = format!("a gap: the entry before is {last}; raft panics with \"log not found\"");
            self.add(index, "RAFT-005", Severity::Error, message);
        }
        if log.term < term {
            let message = format!("the term goes back from {term} to {}: no raft log does that", log.term);
            self.add(index, "RAFT-006", Severity::Error, message);
        }
    }

    fn check_content(&mut self, index: Index, value: &[u8], log: &Log<'_>) {
        let data = log.data.as_deref().unwrap_or_default();
        match log.kind {
            LogType::Unknown(byte) => {
                let message = format!("unknown type {byte}: raft panics when it applies the entry");
                self.add(index, "RAFT-007", Severity::Error, message);
            }
            LogType::Configuration => match decode_shared(data) {
                Ok(configuration) => self.add_configuration(index, log.term, configuration),
                Err(error) => {
                    self.add(index, "RAFT-008", Severity::Error, format!("{error}: raft panics at its start"));
                }
            },
            LogType::AddPeerDeprecated | LogType::RemovePeerDeprecated => match decode_peers(data) {
                Ok(peers) => self.add_configuration(index, log.term, Arc::new(legacy_configuration(peers))),
                Err(error) => {
                    self.add(index, "RAFT-008", Severity::Error, format!("{error}: raft refuses to start"));
                }
            },
            LogType::Command | LogType::Noop | LogType::Barrier => {}
        }
        if !encodes_to(log, value) {
            let message = "not in the form that raft-boltdb writes, though raft >= 1.6 reads it".to_owned();
            self.add(index, "RAFT-010", Severity::Note, message);
        }
    }

    fn add_configuration(&mut self, index: Index, term: Term, configuration: Arc<Configuration>) {
        if let Err(error) = configuration.check() {
            self.add(index, "RAFT-009", Severity::Error, format!("the configuration breaks raft's own rules: {error}"));
        }
        let taken = ConfigurationAt { index, term, configuration };
        if self.summary.first_configuration.is_none() {
            self.summary.first_configuration = Some(taken.clone());
        }
        self.summary.latest_configuration = Some(taken);
    }

    fn count(&mut self, index: Index, log: Option<&Log<'_>>) {
        let summary = &mut self.summary;
        let term = log.map_or(summary.last.map(|last| last.1).unwrap_or_default(), |log| log.term);
        summary.first.get_or_insert((index, term));
        summary.last = Some((index, term));
        summary.count += 1;
        if let Some(log) = log {
            *summary.by_type.entry(log.kind.to_byte()).or_default() += 1;
            summary.dated += u64::from(!log.appended_at.is_zero());
        }
    }
}

/// The members that a list of peers stands for: voters whose ids are their addresses. (hashicorp/raft configuration.go
/// decodePeers)
fn legacy_configuration(peers: Vec<String>) -> Configuration {
    let server = |address: String| Server { suffrage: Suffrage::Voter, id: address.clone(), address };
    Configuration { servers: peers.into_iter().map(server).collect() }
}

/// Judges the stable keys against the last entry's term.
pub fn check_stable(stable: &StableState, last: Option<(Index, Term)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |id, severity, message: String| findings.push(Finding::new(id, severity, message));
    let current = stable.term();
    if current.0 > LAST_NUMBER {
        let message = format!("CurrentTerm is {current}: so high that none is left for the next elections");
        add("RAFT-018", Severity::Error, message);
    }
    if let Some((index, term)) = last
        && current < term
    {
        let message = format!(
            "CurrentTerm is {current}, below the term {term} of entry {index}: the node would take part in elections that are over"
        );
        add("RAFT-011", Severity::Error, message);
    }
    if let Some(vote) = stable.last_vote_term
        && vote > current
    {
        let message =
            format!("LastVoteTerm is {vote}, above CurrentTerm {current}: the node voted in a term that it forgot");
        add("RAFT-012", Severity::Error, message);
    }
    match (&stable.last_vote_term, &stable.last_vote_cand) {
        (None, Some(_)) => {
            add(
                "RAFT-013",
                Severity::Warning,
                "LastVoteCand without LastVoteTerm: raft writes the term first".to_owned(),
            );
        }
        (Some(_), None) => {
            let message =
                "LastVoteTerm without LastVoteCand: what a crash between raft's two writes of a vote leaves".to_owned();
            add("RAFT-013", Severity::Note, message);
        }
        _ => {}
    }
    if !stable.other.is_empty() {
        let message = format!("{} key(s) that raft up to 1.8.0 doesn't have: it ignores them", stable.other.len());
        add("RAFT-014", Severity::Note, message);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::codec::{encode_configuration, encode_log};
    use super::super::log::AppendedAt;
    use super::*;

    fn entry(index: u64, term: u64, kind: LogType, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let log = Log {
            index: Index(index),
            term: Term(term),
            kind,
            data: Some(data.into()),
            extensions: None,
            appended_at: AppendedAt::ZERO,
        };
        encode_log(&log, &mut bytes);
        bytes
    }

    fn configuration(ids: &[&str]) -> Vec<u8> {
        let server = |id: &&str| Server { suffrage: Suffrage::Voter, id: (*id).to_owned(), address: format!("{id}:1") };
        let mut bytes = Vec::new();
        encode_configuration(&Configuration { servers: ids.iter().map(server).collect() }, &mut bytes);
        bytes
    }

    /// The ids of what is found when these are pushed under keys 1, 2, ...
    fn found(values: &[Vec<u8>]) -> Vec<&'static str> {
        let mut checker = LogChecker::default();
        for (key, value) in (1_u64..).zip(values) {
            checker.push(&key.to_be_bytes(), value);
        }
        checker.finish().1.iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn a_sound_log_has_no_finding_and_its_numbers() {
        let mut checker = LogChecker::default();
        let values = [
            entry(1, 1, LogType::Configuration, &configuration(&["a", "b"])),
            entry(2, 1, LogType::Command, b"payload"),
            entry(3, 4, LogType::Configuration, &configuration(&["a"])),
        ];
        for (key, value) in (1_u64..).zip(&values) {
            assert!(checker.push(&key.to_be_bytes(), value).is_some());
        }
        let (summary, findings) = checker.finish();
        assert_eq!(findings, []);
        assert_eq!((summary.count, summary.dated), (3, 0));
        assert_eq!(summary.last, Some((Index(3), Term(4))));
        assert_eq!(summary.first_configuration.unwrap().index, Index(1));
        assert_eq!(summary.latest_configuration.unwrap().configuration.servers.len(), 1);
        assert_eq!(summary.by_type, BTreeMap::from([(0, 1), (5, 2)]));
    }

    #[test]
    fn a_legacy_list_of_peers_is_a_configuration() {
        let mut checker = LogChecker::default();
        let peers = b"\x92\xa3x:1\xa3y:1";
        checker.push(&1_u64.to_be_bytes(), &entry(1, 1, LogType::Configuration, &configuration(&["a"])));
        checker.push(&2_u64.to_be_bytes(), &entry(2, 1, LogType::RemovePeerDeprecated, peers));
        let (summary, findings) = checker.finish();
        assert_eq!(findings, []);
        let latest = summary.latest_configuration.unwrap();
        let members: Vec<_> = latest.configuration.voters().map(|it| (&*it.id, &*it.address)).collect();
        assert_eq!((latest.index, members), (Index(2), vec![("x:1", "x:1"), ("y:1", "y:1")]));
    }

    #[test]
    fn each_way_to_break_a_log_has_its_finding() {
        let noop = |index, term| entry(index, term, LogType::Noop, b"");
        assert_eq!(found(&[b"junk".to_vec()]), ["RAFT-002"]);
        assert_eq!(found(&[noop(7, 1)]), ["RAFT-003"]);
        assert_eq!(found(&[noop(1, 2), noop(2, 1)]), ["RAFT-006"]);
        assert_eq!(found(&[entry(1, 1, LogType::Unknown(9), b"")]), ["RAFT-007"]);
        assert_eq!(found(&[entry(1, 1, LogType::Configuration, b"junk")]), ["RAFT-008"]);
        assert_eq!(found(&[entry(1, 1, LogType::AddPeerDeprecated, b"junk")]), ["RAFT-008"]);
        assert_eq!(found(&[entry(1, 1, LogType::Configuration, &configuration(&["a", "a"]))]), ["RAFT-009"]);
        assert_eq!(found(&[[noop(1, 1), vec![0]].concat()]), ["RAFT-010"]);
        let ids = |key: &[u8], value: &[u8]| {
            let mut checker = LogChecker::default();
            checker.push(&1_u64.to_be_bytes(), &noop(1, 1));
            checker.push(key, value);
            checker.finish().1.iter().map(|finding| finding.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(b"short", &noop(2, 1)), ["RAFT-001"]);
        assert_eq!(ids(&3_u64.to_be_bytes(), &noop(3, 1)), ["RAFT-005"]);
        let mut zero = LogChecker::default();
        zero.push(&0_u64.to_be_bytes(), &noop(0, 1));
        assert_eq!(zero.finish().1[0].id, "RAFT-004");
    }

    #[test]
    fn each_way_to_break_the_stable_keys_has_its_finding() {
        let ids = |stable: &StableState| {
            check_stable(stable, Some((Index(9), Term(5)))).iter().map(|f| (f.id, f.severity)).collect::<Vec<_>>()
        };
        let sound = StableState {
            current_term: Some(Term(5)),
            last_vote_term: Some(Term(5)),
            last_vote_cand: Some(b"a:1".to_vec()),
            other: Vec::new(),
        };
        assert_eq!(ids(&sound), []);
        assert_eq!(ids(&StableState { last_vote_cand: None, ..sound.clone() }), [("RAFT-013", Severity::Note)]);
        assert_eq!(ids(&StableState { last_vote_term: None, ..sound.clone() }), [("RAFT-013", Severity::Warning)]);
        assert_eq!(
            ids(&StableState { last_vote_term: Some(Term(6)), ..sound.clone() }),
            [("RAFT-012", Severity::Error)]
        );
        assert_eq!(
            ids(&StableState {
                current_term: Some(Term(4)),
                last_vote_term: None,
                last_vote_cand: None,
                ..sound.clone()
            }),
            [("RAFT-011", Severity::Error)]
        );
        assert_eq!(ids(&StableState { other: vec![(vec![1], vec![2])], ..sound }), [("RAFT-014", Severity::Note)]);
    }
}
