//! A private copy of the state that is booted, with addresses that work on a network of containers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::moved::{Moved, moves, split};
use crate::bolt::Reader;
use crate::durable::{IoError, temp_dir};
use crate::payload::{Head, StoredHead};
use crate::raft::codec::decode_log;
use crate::raft::{Configuration, LOGS_BUCKET, STATE_FILE, Server};
use crate::state;
use crate::state::copy::copy_state;
use crate::state::dir::{self, LOG_FILE, SNAPSHOTS_DIR};
use crate::state::rename::{self, NewNames as _, rename};
use crate::state::{Node, Servers, StateDir};
use crate::verify::{self, verify};

/// Why state can't be booted.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// It can't be read.
    #[error(transparent)]
    Read(#[from] state::Error),
    /// A node is running on it.
    #[error(transparent)]
    Locked(#[from] dir::Error),
    /// It can't be copied.
    #[error(transparent)]
    Copy(#[from] IoError),
    /// The copy can't be given other addresses.
    #[error(transparent)]
    Rename(#[from] rename::Error),
    /// Nobody knows who belongs to the cluster.
    #[error("{}: no configuration in any directory: raft would start without members", path.display())]
    NoMembers {
        /// The directory.
        path: PathBuf,
    },
    /// The directory and the members don't match.
    #[error("{}: no directory has the id of a member ({members})", path.display())]
    NoNode {
        /// The directory.
        path: PathBuf,
        /// The members' ids.
        members: String,
    },
}

/// The copy, ready to be booted.
#[derive(Debug)]
pub struct Staged {
    copy: TempDir,
    /// The members, with the addresses of the copy.
    pub members: Configuration,
    /// Members that have a directory: those that are started.
    pub nodes: Vec<String>,
    /// Servers with another address in the copy.
    pub moved: Vec<Moved>,
    /// Ids of the servers that may lead first.
    pub candidates: Vec<String>,
    /// The highest unsafe head, and its bytes.
    pub head: Option<(Head, Vec<u8>)>,
    /// Errors that `verify` finds before anything is started.
    pub errors: Vec<String>,
}

impl Staged {
    /// Copies the state in `path`, a directory with a directory for each server, or one server's. The original is locked
    /// meanwhile and not changed.
    pub fn copy(path: &Path) -> Result<Staged, StageError> {
        let servers = Servers::find(path)?;
        let copy = temp_dir("gate")?;
        let locked = state::lock(servers.dirs(), Duration::ZERO)?;
        for dir in servers.dirs() {
            copy_state(dir, &copy.path().join(dir.id()))?;
        }
        drop(locked);
        let report = verify(copy.path(), None, &())?;
        let members = members(&report).ok_or_else(|| StageError::NoMembers { path: path.to_owned() })?;
        let moved = moves(&members);
        let staged = Staged::new(copy, &report, &members, moved);
        if staged.nodes.is_empty() {
            let members = staged.members.servers.iter().map(|server| server.id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(StageError::NoNode { path: path.to_owned(), members });
        }
        staged.move_all()?;
        Ok(staged)
    }

    fn new(copy: TempDir, report: &verify::Report, members: &Configuration, moved: Vec<Moved>) -> Staged {
        let has_directory = |server: &&Server| report.nodes.iter().any(|node| node.id == server.id);
        let nodes: Vec<String> = members.servers.iter().filter(has_directory).map(|server| server.id.clone()).collect();
        let will_campaign = || report.nodes.iter().filter(|node| node.candidacy().will).map(|node| node.id.clone());
        let candidates = report.winners.clone().unwrap_or_else(|| will_campaign().collect());
        let is_error = |finding: &&crate::report::Finding| finding.severity == crate::report::Severity::Error;
        let told = |finding: &crate::report::Finding| format!("{} {}: {}", finding.id, finding.place, finding.message);
        let errors = report.findings.iter().filter(is_error).map(told).collect();
        let head = highest_head(&report.nodes);
        let servers = members.servers.iter().map(|server| moved.as_slice().server(server)).collect();
        let members = Configuration { servers };
        Staged { copy, members, nodes, moved, candidates, head, errors }
    }

    /// The directory of a node in the copy.
    pub fn directory(&self, id: &str) -> PathBuf {
        self.copy.path().join(id)
    }

    /// Host and port of a member.
    pub(super) fn address(&self, id: &str) -> Option<(&str, u16)> {
        split(&self.members.server(id)?.address)
    }

    fn move_all(&self) -> Result<(), StageError> {
        if !self.moved.is_empty() {
            for id in &self.nodes {
                rename(&StateDir::new(self.directory(id)), self.moved.as_slice())?;
            }
        }
        Ok(())
    }
}

/// The members as the node sees them that is furthest: everybody else will follow it.
fn members(report: &verify::Report) -> Option<Configuration> {
    let furthest = report.nodes.iter().filter(|node| node.latest_configuration().is_some());
    let furthest = furthest.max_by_key(|node| {
        let (index, term) = node.last();
        (term, index)
    })?;
    furthest.latest_configuration().map(|latest| latest.configuration.as_ref().clone())
}

/// The bytes of the highest unsafe head of all nodes.
fn highest_head(nodes: &[Node]) -> Option<(Head, Vec<u8>)> {
    let heads = nodes.iter().filter_map(|node| Some((node, node.head?)));
    let (node, stored) = heads.max_by_key(|(_, stored)| stored.head.number)?;
    let bytes = if stored.in_snapshot { state_of_snapshot(node) } else { entry(node, stored) };
    Some((stored.head, bytes?))
}

fn entry(node: &Node, stored: StoredHead) -> Option<Vec<u8>> {
    let reader = Reader::open(File::open(node.path.join(LOG_FILE)).ok()?).ok()?;
    let value = reader.bucket(LOGS_BUCKET).ok()??.get(&stored.index.to_be_bytes()).ok()??;
    Some(decode_log(&value).ok()?.data?.into_owned())
}

fn state_of_snapshot(node: &Node) -> Option<Vec<u8>> {
    let newest = node.snapshots.listed.first()?;
    fs::read(node.path.join(SNAPSHOTS_DIR).join(&newest.id).join(STATE_FILE)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ClusterSpec, Election, SpecText};
    use crate::generate::{self, WriteOptions};
    use crate::plan::Plan;
    use crate::raft::META_FILE;

    fn generated(nodes: &str) -> TempDir {
        let text = SpecText {
            nodes,
            server_ids: "a,b,c",
            nonvoters: "",
            initial_leader: "b",
            initial_term: 1,
            network: None,
            election: Election::Named,
        };
        let spec = ClusterSpec::parse(&text).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let root = crate::durable::Root::open(directory.path(), None, Duration::ZERO).unwrap();
        let options = WriteOptions { only: None, force: false, page_size: 4096, lock_timeout: Duration::ZERO };
        generate::write(&Plan::new(&spec).with_payload(crate::gate::SAMPLE_HEAD), root, &options).unwrap();
        directory
    }

    #[test]
    fn a_moved_copy_is_the_same_cluster_and_the_original_is_as_it_was() {
        let directory = generated("10.0.0.1:50050,10.0.0.2:50051,c.example:50052");
        let before = fs::read(directory.path().join("b").join(LOG_FILE)).unwrap();
        let staged = Staged::copy(directory.path()).unwrap();
        assert_eq!(fs::read(directory.path().join("b").join(LOG_FILE)).unwrap(), before);
        assert_eq!((staged.candidates.clone(), staged.errors.clone()), (vec!["b".to_owned()], vec![]));
        assert_eq!(staged.head.as_ref().unwrap().1, crate::gate::SAMPLE_HEAD);
        assert_eq!(staged.address("b"), Some(("server-2.gate.test", 50051)));
        let report = verify(staged.copy.path(), None, &()).unwrap();
        for node in &report.nodes {
            let latest = node.latest_configuration().unwrap().configuration;
            let addresses: Vec<&str> = latest.servers.iter().map(|server| server.address.as_str()).collect();
            assert_eq!(addresses, ["server-1.gate.test:50050", "server-2.gate.test:50051", "c.example:50052"]);
            assert_eq!(node.stable.vote().unwrap().1, "server-2.gate.test:50051");
        }
        assert_eq!(report.winners, Some(vec!["b".to_owned()]));
    }

    #[test]
    fn snapshots_are_moved_too() {
        let directory = generated("10.0.0.1:50050,10.0.0.2:50050,10.0.0.3:50050");
        let snapshot = directory.path().join("a").join(SNAPSHOTS_DIR).join("1-2-3");
        fs::create_dir_all(&snapshot).unwrap();
        let meta = r#"{"Version":1,"ID":"1-2-3","Index":2,"Term":1,"Peers":"","Configuration":{"Servers":[{"Suffrage":0,"ID":"a","Address":"10.0.0.1:50050"}]},"ConfigurationIndex":1,"Size":1,"CRC":"AAAAAAAAAAA="}"#;
        fs::write(snapshot.join(META_FILE), meta).unwrap();
        fs::write(snapshot.join(STATE_FILE), "x").unwrap();
        let staged = Staged::copy(directory.path()).unwrap();
        let copied = crate::state::snapshots::list(&staged.directory("a").join(SNAPSHOTS_DIR)).unwrap();
        assert_eq!(copied.listed[0].configuration.servers[0].address, "server-1.gate.test:50050");
        assert_eq!(fs::read_to_string(snapshot.join(META_FILE)).unwrap(), meta);
    }

    #[test]
    fn a_running_node_is_refused() {
        let directory = generated("a:1,b:1,c:1");
        let held = state::lock(&[StateDir::new(directory.path().join("c"))], Duration::ZERO).unwrap();
        assert!(matches!(Staged::copy(directory.path()), Err(StageError::Locked(dir::Error::Locked { .. }))));
        drop(held);
        assert!(Staged::copy(directory.path()).is_ok());
    }
}
