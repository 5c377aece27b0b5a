//! One server's state, read for a plan.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::facts::{ContentHash, Damage, Facts, History, MembersAt, Position, Vote};
use super::head::{Replay, WhichHead, read_head};
use crate::durable::{self, IoError, REPLACED_PREFIX};
use crate::raft::{ConfigurationAt, Index, Log, LogType, Term};
use crate::report::Severity;
use crate::state::{Depth, Node, Servers, snapshots};
use crate::state::{StateDir, lock_shared};

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The server's own directory.
    Directory,
    /// A backup. Its server may have gone on after it was made.
    Backup,
    /// Facts that were collected on another machine.
    Collected,
}

/// One server's state, as far as a plan needs it.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where it comes from.
    pub origin: Origin,
    /// The path that it was read from, as it was asked for.
    pub path: PathBuf,
    /// What is known of it.
    pub facts: Facts,
    pub(super) heads: Heads,
}

/// Where the blocks of an input are.
#[derive(Debug, Clone)]
pub(super) enum Heads {
    /// In the stores of this directory.
    Stored { directory: PathBuf },
    /// In the file with the facts: the highest, and the last one where that is another.
    Collected { highest: Option<Vec<u8>>, last: Option<Vec<u8>> },
}

impl Input {
    /// Reads the server's directory `dir`. Nothing is changed, and a node that runs is read too.
    pub fn read(dir: &StateDir) -> Result<Input, Error> {
        let unlocked = lock_shared(dir)?;
        let mut input = Input::read_as(dir, Origin::Directory, dir.path())?;
        input.facts.running = unlocked.is_none();
        input.facts.damage.extend(interrupted(dir)?);
        input.facts.set_back = set_back(dir, &input.facts)?;
        Ok(input)
    }

    /// Reads the server of a backup, which is unpacked at `dir`; `path` is the backup.
    pub(super) fn read_backup(dir: &StateDir, id: &str, path: &Path) -> Result<Input, Error> {
        let mut input = Input::read_as(dir, Origin::Backup, path)?;
        input.facts.id = id.to_owned();
        Ok(input)
    }

    fn read_as(dir: &StateDir, origin: Origin, path: &Path) -> Result<Input, Error> {
        let snapshots_path = dir.snapshots_path();
        let listed = snapshots::list(&snapshots_path).map_err(IoError::when("reading", &snapshots_path))?;
        let snapshot = listed.listed.first().map_or(Index(0), |meta| meta.index);
        let mut seen = Seen::new(snapshot);
        let node = Node::read(dir, Depth::Pages, &mut |log| match log {
            Some(log) => seen.add(log),
            None => seen = Seen::new(snapshot),
        })?;
        let facts = seen.facts(&node);
        let heads = Heads::Stored { directory: dir.path().to_owned() };
        Ok(Input { origin, path: path.to_owned(), facts, heads })
    }

    /// The bytes of one of its heads; none when it has none.
    pub(super) fn head(&self, which: WhichHead) -> Result<Option<Vec<u8>>, Error> {
        match &self.heads {
            Heads::Stored { directory } => read_head(directory, which),
            Heads::Collected { highest, last } => Ok(match which {
                WhichHead::Highest => highest.clone(),
                WhichHead::Last => last.clone().or_else(|| highest.clone()),
            }),
        }
    }
}

/// What is gathered while a log is read.
struct Seen {
    hash: ContentHash,
    highest_term: Term,
    replay: Replay,
}

impl Seen {
    fn new(snapshot: Index) -> Seen {
        Seen { hash: ContentHash::default(), highest_term: Term(0), replay: Replay::new(snapshot) }
    }

    fn add(&mut self, log: &Log<'_>) {
        self.hash.add(log);
        self.highest_term = self.highest_term.max(log.term);
        if log.kind == LogType::Command {
            self.replay.add(log.index, log.term, log.data.as_deref().unwrap_or_default());
        }
    }

    fn facts(self, node: &Node) -> Facts {
        let (highest, last) = self.replay.finish(node.head_of_snapshot());
        let vote = node.stable.vote().map(|(term, candidate)| Vote { term, candidate });
        let snapshots = || node.snapshots.listed.iter();
        let terms = snapshots().map(|meta| meta.term).chain(node.stable.last_vote_term).chain([node.stable.term()]);
        let indexes = snapshots().map(|meta| meta.index).chain(node.log.last.map(|(index, _)| index));
        let errors = node.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let position = |(index, term)| Position { term, index };
        Facts {
            id: node.id.clone(),
            history: History::of(node),
            current_term: node.stable.term(),
            vote,
            last: last_entry(node).map(position),
            highest_term: terms.fold(self.highest_term, Ord::max),
            highest_index: indexes.max().unwrap_or_default(),
            configuration: configuration(node),
            snapshot: snapshots().next().map(|meta| position((meta.index, meta.term))),
            head: highest.map(Into::into),
            last_head: last.filter(|last| highest.is_none_or(|highest| highest.head != last.head)).map(Into::into),
            damage: errors.map(|it| Damage { id: it.id.to_owned(), message: it.message.clone() }).collect(),
            running: false,
            set_back: None,
            sha256: self.hash.finish(node),
        }
    }
}

/// The last entry as raft has it: a snapshot counts when it is above the log. (hashicorp/raft state.go getLastEntry)
fn last_entry(node: &Node) -> Option<(Index, Term)> {
    let snapshot = node.snapshots.listed.first().map(|meta| (meta.index, meta.term));
    match (node.log.last, snapshot) {
        (Some(log), Some(snapshot)) if log.0 >= snapshot.0 => Some(log),
        (log, None) => log,
        (_, snapshot) => snapshot,
    }
}

/// The latest configuration, but of planned state that of all members: what follows it never counts.
fn configuration(node: &Node) -> Option<MembersAt> {
    let planned = node.log.first_configuration.clone().filter(|_| node.is_planned());
    let at = |at: ConfigurationAt| MembersAt { index: at.index, servers: at.configuration.servers.clone() };
    planned.or_else(|| node.latest_configuration()).map(at)
}

/// Whether a replacement of the directory was interrupted: then it may be the old one or the new one.
fn interrupted(dir: &StateDir) -> Result<Option<Damage>, Error> {
    let pending = durable::pending(durable::parent(dir.path()))?;
    // What a journal that can't be read decides is unknown.
    let names_it = |journal: &durable::Journal| journal.entries.iter().any(|entry| entry.name == dir.id());
    let concerned = pending.iter().any(|it| it.may_be_half() && it.journal().is_none_or(names_it));
    Ok(concerned.then(|| Damage {
        id: "NODE-004".to_owned(),
        message: "a replacement of this directory was interrupted: run that command again first".to_owned(),
    }))
}

/// Whether state that was replaced beside the directory knew more than what is there now.
fn set_back(dir: &StateDir, now: &Facts) -> Result<Option<String>, Error> {
    let root = durable::parent(dir.path());
    let Ok(entries) = std::fs::read_dir(root) else { return Ok(None) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(REPLACED_PREFIX)).collect();
    names.sort();
    for name in names {
        // Not through a symbolic link, and no state in it is fine.
        let Ok(servers) = Servers::find(&root.join(&name).join(dir.id())) else { continue };
        for old in servers.dirs() {
            let Ok(node) = Node::read(old, Depth::Content, &mut |_| {}) else { continue };
            let then = last_entry(&node).map(|(index, term)| (term, index));
            let ended = now.last.map(|last| (last.term, last.index));
            if node.stable.term() > now.current_term || then > ended {
                return Ok(Some(format!("{name}/{} had a higher term or more entries", dir.id())));
            }
        }
    }
    Ok(None)
}
