//! The nodes of either kind: raft alone, or op-conductors with their stubs.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::cluster::Cluster;
use super::conductor::Conductors;
use super::flags::ConductorImage;
use super::fleet::Fleet;
use super::http::CallError;
use super::image::Image;
use super::site::Site;
use super::staged::Staged;
use super::stub::ChainHead;
use super::target::Target;
use super::timeline::Moment;
use super::{Error, Progress, SAMPLE_HEAD};
use crate::payload::Envelope;
use crate::raft::{Server, Suffrage};

/// Nodes that were started on a state.
pub(super) enum Nodes {
    Raft(Cluster),
    Conductor(Conductors),
}

/// What a node is started from.
#[derive(Debug)]
pub(super) enum Program {
    Raft(Image),
    Conductor(ConductorImage),
}

impl Program {
    /// Of a target; its image is built or pulled when it isn't there.
    pub(super) async fn of(target: &Target, site: &Site, progress: Progress<'_>) -> Result<Program, Error> {
        let image = Image::of(target, progress).await?;
        Ok(match target {
            Target::Raft(_) => Program::Raft(image),
            Target::Conductor(_) | Target::Image(_) => Program::Conductor(ConductorImage::of(image, site).await?),
        })
    }

    pub(super) fn image(&self) -> &Image {
        match self {
            Program::Raft(image) => image,
            Program::Conductor(conductor) => &conductor.image,
        }
    }

    /// What it says that it is.
    pub(super) fn version(&self) -> Option<String> {
        match self {
            Program::Raft(_) => None,
            Program::Conductor(conductor) => conductor.version.clone(),
        }
    }
}

/// A member as a node describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Member {
    pub id: String,
    #[serde(alias = "addr")]
    pub address: String,
    pub suffrage: u8,
}

impl Member {
    pub(super) fn of(server: &Server) -> Member {
        let suffrage = u8::from(server.suffrage != Suffrage::Voter);
        Member { id: server.id.clone(), address: server.address.clone(), suffrage }
    }
}

impl Nodes {
    /// Starts all servers of the state.
    pub(super) async fn boot(
        staged: &Staged,
        program: &Program,
        site: Site,
        flags: &[&str],
        progress: Progress<'_>,
    ) -> Result<Nodes, Error> {
        let mut nodes = match program {
            Program::Raft(_) => Nodes::Raft(Cluster::new(site)),
            Program::Conductor(_) => Nodes::Conductor(with_stubs(staged, site, progress).await?),
        };
        for id in &staged.nodes {
            nodes.start(program, id, address(staged, id)?, &staged.directory(id), flags).await?;
        }
        Ok(nodes)
    }

    /// Starts node `id` on a copy of the state in `directory`. Flags are op-conductor's; those that it doesn't know are
    /// left out.
    pub(super) async fn start(
        &mut self,
        program: &Program,
        id: &str,
        address: (&str, u16),
        directory: &Path,
        flags: &[&str],
    ) -> Result<(), Error> {
        match (self, program) {
            (Nodes::Raft(cluster), program) => cluster.start_at(program.image(), id, address, directory, &[]).await,
            (Nodes::Conductor(conductors), Program::Conductor(image)) => {
                conductors.start_at(image, id, address, directory, &image.known(flags)).await
            }
            // A job's targets are of one kind.
            (Nodes::Conductor(_), Program::Raft(_)) => Err(Error::NotStarted { node: id.to_owned() }),
        }
    }

    /// Stops a node and takes it away; its files are copied to `directory`.
    pub(super) async fn take_away(&mut self, id: &str, directory: &Path) -> Result<(), Error> {
        match self {
            Nodes::Raft(cluster) => cluster.take_away(id, directory).await,
            Nodes::Conductor(conductors) => conductors.take_away(id, directory).await,
        }
    }

    /// The node that became leader last, if any did.
    pub(super) async fn leader(&self) -> Result<Option<String>, Error> {
        let campaigns = self.fleet().campaigns().await?;
        Ok(campaigns.into_iter().rfind(|campaign| campaign.leads).map(|campaign| campaign.node))
    }

    /// Lets node `id`, which leads, give leadership to another one.
    pub(super) async fn transfer_leadership(&self, id: &str) -> Result<(), Error> {
        match self {
            Nodes::Raft(cluster) => cluster.call(id, "POST", "/transfer", "").await.map(drop),
            Nodes::Conductor(conductors) => conductors.call(id, "conductor_transferLeader", &json!([])).await.map(drop),
        }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        match self {
            Nodes::Raft(cluster) => cluster.fleet(),
            Nodes::Conductor(conductors) => conductors.fleet(),
        }
    }

    /// What happened to the nodes, in the order of time.
    pub(super) async fn timeline(&self) -> Result<Vec<Moment>, Error> {
        match self {
            Nodes::Raft(cluster) => cluster.fleet().timeline().await,
            Nodes::Conductor(conductors) => conductors.timeline().await,
        }
    }

    pub(super) async fn logs(&self) -> String {
        match self {
            Nodes::Raft(cluster) => cluster.logs().await,
            Nodes::Conductor(conductors) => conductors.logs().await,
        }
    }

    pub(super) fn keep(self) {
        match self {
            Nodes::Raft(cluster) => cluster.into_fleet().keep(),
            Nodes::Conductor(conductors) => conductors.keep(),
        }
    }

    pub(super) async fn end(self) -> Result<(), Error> {
        match self {
            Nodes::Raft(cluster) => cluster.end().await,
            Nodes::Conductor(conductors) => conductors.end().await,
        }
    }

    /// The members as node `id` sees them.
    pub(super) async fn members(&self, id: &str) -> Result<BTreeSet<Member>, Error> {
        let members = match self {
            Nodes::Raft(cluster) => cluster.call(id, "GET", "/configuration", "").await?,
            // An older release answers with the list itself.
            Nodes::Conductor(conductors) => conductors.call(id, "conductor_clusterMembership", &json!([])).await?,
        };
        let list = members.get("servers").unwrap_or(&members);
        let parsed: Result<BTreeSet<Member>, _> = BTreeSet::deserialize(list);
        parsed.map_err(|_| Error::Call {
            node: id.to_owned(),
            call: "membership".to_owned(),
            source: CallError::Unexpected { expected: "members", found: members.to_string() },
        })
    }

    /// Commits a block through node `id`, which must lead, and gives it to all execution clients.
    pub(super) async fn commit(&self, id: &str, block: &Envelope) -> Result<(), Error> {
        match self {
            Nodes::Raft(cluster) => {
                let body = json!({"data": const_hex::encode(block.encode())}).to_string();
                cluster.call(id, "POST", "/apply", &body).await.map(drop)
            }
            Nodes::Conductor(conductors) => {
                let block = block.to_json().map_err(|error| Error::Call {
                    node: id.to_owned(),
                    call: "conductor_commitUnsafePayload".to_owned(),
                    source: CallError::Unexpected { expected: "a block", found: error.to_string() },
                })?;
                conductors.call(id, "conductor_commitUnsafePayload", &json!([block])).await?;
                conductors.post_to_stubs(&block).await
            }
        }
    }
}

/// A stub for each server of the state, and no op-conductor yet.
async fn with_stubs(staged: &Staged, site: Site, progress: Progress<'_>) -> Result<Conductors, Error> {
    let stub = Image::stub(progress).await?;
    let mut conductors = Conductors::new(site);
    // Without a head there is nothing to sequence on, but op-conductor needs somebody to talk to.
    let head = staged.head.as_ref().map_or(SAMPLE_HEAD, |(_, bytes)| bytes);
    for id in &staged.nodes {
        conductors.start_stub(&stub, id, head, ChainHead::Seeded).await?;
    }
    Ok(conductors)
}

pub(super) fn address<'a>(staged: &'a Staged, id: &str) -> Result<(&'a str, u16), Error> {
    staged.address(id).ok_or_else(|| Error::NoAddress { node: id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_in_either_form() {
        let raft: Member = serde_json::from_value(json!({"suffrage": 0, "id": "a", "address": "a:1"})).unwrap();
        let conductor: Member = serde_json::from_value(json!({"suffrage": 0, "id": "a", "addr": "a:1"})).unwrap();
        assert_eq!(raft, conductor);
    }
}
