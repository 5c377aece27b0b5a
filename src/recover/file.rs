//! The plan as a file: JSON, with everything that `apply` needs. (docs/schema/recover-plan-file.json)

use std::collections::BTreeMap;

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Error;
use super::coverage::Coverage;
use super::facts::Facts;
use super::input::Origin;
use crate::cluster::ClusterSpec;
use crate::payload::{Envelope, Head};
use crate::plan::{NodePlan, Plan, Role};
use crate::raft::{Configuration, Index, Log, Server, Term};
use crate::state::dir::{LOG_FILE, SNAPSHOTS_DIR, STABLE_FILE};

/// A recovery that is decided: what each server will start from, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFile {
    /// [`PlanFile::FORMAT`].
    pub format: String,
    /// 1; another number means other fields.
    pub format_version: u32,
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// What was looked at, the highest last entry first.
    pub inputs: Vec<PlannedInput>,
    /// Whose log counts.
    pub base: PlannedBase,
    /// What can be lost.
    pub coverage: Coverage,
    /// The members by the base's latest configuration.
    pub members_before: Vec<Server>,
    /// The members of the recovered cluster.
    pub members: Vec<Server>,
    /// Id of the server that leads first.
    pub leader: String,
    /// The unsafe head.
    pub head: PlannedHead,
    /// Index of the snapshot: above everything.
    pub index: Index,
    /// Term of the snapshot: above everything.
    pub term: Term,
    /// Page size of the stores in bytes.
    pub page_size: usize,
    /// The release of op-conductor that it is for, when one was named.
    pub release: Option<String>,
    /// What spoke against it, and was allowed.
    pub overrides: Vec<Override>,
    /// Each server's state, in the order of the members.
    pub servers: Vec<PlannedServer>,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInput {
    /// Where it comes from.
    pub origin: Origin,
    /// Its path, as it was asked for; what isn't UTF-8 is shown as U+FFFD.
    pub path: String,
    /// Why it doesn't count as a witness of what was committed; null when it does.
    pub uncounted: Option<String>,
    /// What is known of it.
    #[serde(flatten)]
    pub facts: Facts,
}

/// Whose log counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBase {
    /// Id of the server.
    pub id: String,
    /// Path of the input.
    pub path: String,
    /// Term of its last entry.
    pub term: Term,
    /// Index of its last entry.
    pub index: Index,
}

/// The unsafe head that all servers start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedHead {
    /// Where it comes from.
    pub source: String,
    /// Number of the block.
    pub number: u64,
    /// Its hash: `0x` and 64 digits.
    pub hash: String,
    /// Hash of its parent.
    pub parent_hash: String,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Its form: V3 or V4.
    pub form: String,
    /// The envelope, SSZ in hexadecimal with `0x`.
    pub ssz: String,
}

/// Something that spoke against the plan, and was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Id of the finding.
    pub id: String,
    /// What it said.
    pub message: String,
}

/// A server's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedServer {
    /// Id of the server, which is the name of its directory.
    pub id: String,
    /// `leader`, `follower` or `nonvoter`.
    pub role: String,
    /// Its entries: index/term and type.
    pub entries: Vec<String>,
    /// SHA-256 of each file, by its path in the server's directory.
    pub files: BTreeMap<String, String>,
}

impl PlannedHead {
    pub(super) fn new(head: &Head, bytes: &[u8], source: String) -> PlannedHead {
        PlannedHead {
            source,
            number: head.number,
            hash: head.hash.to_string(),
            parent_hash: head.parent_hash.to_string(),
            timestamp: head.timestamp,
            form: head.version.to_string(),
            ssz: hex::encode_prefixed(bytes),
        }
    }

    /// The envelope's bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        let fail = |reason: String| Error::Inconsistent { reason: format!("head: {reason}") };
        let bytes = hex::decode(&self.ssz).map_err(|error| fail(error.to_string()))?;
        Envelope::decode(&bytes).map_err(|error| fail(error.to_string()))?;
        let head = Head::peek(&bytes).map_err(|error| fail(error.to_string()))?;
        if (head.number, head.hash.to_string()) != (self.number, self.hash.clone()) {
            return Err(fail(format!("expected block {} {}, found {}", self.number, self.hash, head)));
        }
        Ok(bytes)
    }
}

impl PlanFile {
    /// What the file says of itself.
    pub const FORMAT: &'static str = "op-conductor-init recover plan";
    /// The version of its fields.
    pub const VERSION: u32 = 1;
    /// Page size of the stores in bytes.
    pub const PAGE_SIZE: usize = 4096;

    /// Decodes a plan.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<PlanFile, String> {
        if !PlanFile::is_one(bytes) {
            return Err(format!("expected the format {:?}", PlanFile::FORMAT));
        }
        let plan: PlanFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match plan.format_version {
            PlanFile::VERSION => Ok(plan),
            found => Err(format!("expected format version {}, found {found}", PlanFile::VERSION)),
        }
    }

    /// Whether a file says that it is a plan.
    pub fn is_one(bytes: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Format {
            format: String,
        }
        serde_json::from_slice::<Format>(bytes).is_ok_and(|it| it.format == PlanFile::FORMAT)
    }

    /// Encodes it, for people to read too.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("it has only strings and numbers");
        bytes.push(b'\n');
        bytes
    }

    /// The cluster that is planned, checked as if it were new.
    pub fn cluster(&self) -> Result<ClusterSpec, Error> {
        let members = Configuration { servers: self.members.clone() };
        ClusterSpec::from_members(&members, &self.leader, self.term).map_err(Error::Members)
    }

    /// Ids of its servers.
    pub fn ids(&self) -> Vec<String> {
        self.members.iter().map(|server| server.id.clone()).collect()
    }

    /// Checks that a plan which is made again has the same files.
    pub(super) fn check(&self, plan: &Plan<'_>) -> Result<(), Error> {
        let made = planned_servers(plan)?;
        let differs = self.servers.iter().zip(&made).find(|(written, made)| written != made);
        let reason = match differs {
            Some((written, _)) => format!("other files would be made for {:?}", written.id),
            None if self.servers.len() != made.len() => "its servers are not its members".to_owned(),
            None if self.page_size != PlanFile::PAGE_SIZE => {
                format!("expected pages of {} bytes, found {}", PlanFile::PAGE_SIZE, self.page_size)
            }
            None => return Ok(()),
        };
        Err(Error::Inconsistent { reason })
    }
}

/// Each server of a plan as the file says it.
pub(super) fn planned_servers(plan: &Plan<'_>) -> Result<Vec<PlannedServer>, Error> {
    plan.nodes().map(|node| planned_server(plan, &node)).collect()
}

fn planned_server(plan: &Plan<'_>, node: &NodePlan<'_>) -> Result<PlannedServer, Error> {
    let role = match node.role {
        Role::Leader => "leader",
        Role::Follower(_) => "follower",
        Role::Nonvoter => "nonvoter",
    };
    let entry = |log: &Log<'_>| format!("{}/{} {}", log.index, log.term, log.kind);
    let files = server_files(plan, node)?;
    Ok(PlannedServer {
        id: node.server.id.clone(),
        role: role.to_owned(),
        entries: node.entries.iter().map(entry).collect(),
        files: files.into_iter().map(|(path, bytes)| (path, const_hex::encode(Sha256::digest(&bytes)))).collect(),
    })
}

/// The files of a server, by their path in its directory.
pub(super) fn server_files(plan: &Plan<'_>, node: &NodePlan<'_>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let fail = |source| Error::Bolt { id: node.server.id.clone(), source };
    let stores = node.files(PlanFile::PAGE_SIZE).map_err(fail)?;
    let mut files = vec![(LOG_FILE.to_owned(), stores.log), (STABLE_FILE.to_owned(), stores.stable)];
    if let Some(snapshot) = plan.snapshot() {
        let directory = format!("{SNAPSHOTS_DIR}/{}", snapshot.meta.directory);
        files.extend(snapshot.files().map(|(name, bytes)| (format!("{directory}/{name}"), bytes)));
    }
    Ok(files)
}
