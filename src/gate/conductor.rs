//! Unmodified op-conductors, each with a stub that plays its op-node and execution client.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cluster::RAFT_PORT;
use super::flags::{ConductorImage, ROLLUP_PATH, RPC_PORT};
use super::fleet::{Campaign, Fleet, NodeLaunch, no_node};
use super::http::{self, CallError};
use super::image::Image;
use super::site::Site;
use super::stub::{Call, ChainHead, Stub};
use super::timeline::{Happened, Moment};
use super::{Error, POLL};

/// The least that op-conductor accepts as a rollup configuration.
const ROLLUP: &[u8] = include_bytes!("../../oracle/op-conductor/rollup.json");
const POST: &str = "admin_postUnsafePayload";

/// A sequencer that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Id of the node.
    pub node: String,
    /// When.
    pub time: jiff::Timestamp,
    /// On which block.
    pub hash: String,
}

/// op-conductors that can reach each other, and their stubs.
#[derive(Debug)]
pub struct Conductors {
    stubs: BTreeMap<String, Stub>,
    fleet: Fleet,
}

impl Conductors {
    /// A cluster without nodes.
    pub fn new(site: Site) -> Conductors {
        Conductors { stubs: BTreeMap::new(), fleet: Fleet::new(site) }
    }

    /// The network.
    pub fn site(&self) -> &Site {
        self.fleet.site()
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Starts the stub of node `id`; `payload` is the envelope that its chain is built around.
    pub async fn start_stub(&mut self, image: &Image, id: &str, payload: &[u8], head: ChainHead) -> Result<(), Error> {
        let name = self.site().next_name("stub");
        let stub = Stub::start(self.fleet.site(), name, image, payload, head).await?;
        self.stubs.insert(id.to_owned(), stub);
        Ok(())
    }

    /// Replaces the stub of node `id` by one whose chain has gone on to another block, at the same address.
    pub async fn replace_stub(
        &mut self,
        image: &Image,
        id: &str,
        payload: &[u8],
        head: ChainHead,
    ) -> Result<(), Error> {
        let name = self.stubs.remove(id).ok_or_else(|| no_node(id))?.remove().await?;
        let stub = Stub::start(self.fleet.site(), name, image, payload, head).await?;
        self.stubs.insert(id.to_owned(), stub);
        Ok(())
    }

    /// Address of a node's raft transport, when its host name is its id.
    pub fn address(id: &str) -> String {
        format!("{id}:{RAFT_PORT}")
    }

    /// Starts op-conductor as node `id` at [`Conductors::address`] on a copy of the state in `directory`. Its stub must
    /// run.
    pub async fn start(
        &mut self,
        image: &ConductorImage,
        id: &str,
        directory: &Path,
        flags: &[&str],
    ) -> Result<(), Error> {
        self.start_at(image, id, (id, RAFT_PORT), directory, flags).await
    }

    /// Starts op-conductor as node `id`, which the others reach at `address`, on a copy of the state in `directory`.
    pub(super) async fn start_at(
        &mut self,
        image: &ConductorImage,
        id: &str,
        address: (&str, u16),
        directory: &Path,
        flags: &[&str],
    ) -> Result<(), Error> {
        let stub = self.stub(id)?.url();
        let command = image.arguments(id, address, &stub, flags);
        let files: &[(&str, &[u8])] = &[(&ROLLUP_PATH[1..], ROLLUP)];
        let node = NodeLaunch { id, host: address.0, port: RPC_PORT, command, directory, files };
        self.fleet.start(&image.image, node).await
    }

    /// Stops a node and takes it away; its files are copied to `directory`, and its stub goes on.
    pub(super) async fn take_away(&mut self, id: &str, directory: &Path) -> Result<(), Error> {
        self.fleet.take_away(id, directory).await
    }

    /// Asks all op-conductors to end; their state stays in their containers, and the stubs go on.
    pub async fn stop_all(&self) -> Result<(), Error> {
        self.fleet.stop_all().await
    }

    /// Starts all op-conductors again on what they left.
    pub async fn start_all(&self) -> Result<(), Error> {
        self.fleet.start_all().await
    }

    /// The nodes that became leader or candidate, in the order of time.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, Error> {
        self.fleet.campaigns().await
    }

    /// What op-conductor of node `id` told its stub.
    pub async fn calls(&self, id: &str) -> Result<Vec<Call>, Error> {
        self.stub(id)?.calls().await
    }

    fn stub(&self, id: &str) -> Result<&Stub, Error> {
        self.stubs.get(id).ok_or_else(|| no_node(id))
    }

    /// The sequencers that were started, in the order of time.
    pub async fn sequencing(&self) -> Result<Vec<Started>, Error> {
        let mut found = Vec::new();
        for node in self.stubs.keys() {
            for call in self.calls(node).await?.into_iter().filter(Call::starts) {
                let hash = call.hash.unwrap_or_default();
                found.push(Started { node: node.clone(), time: call.time, hash });
            }
        }
        found.sort_by_key(|started| started.time);
        Ok(found)
    }

    /// The nodes whose sequencer was started and not stopped since.
    pub async fn active(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for node in self.stubs.keys() {
            let calls = self.calls(node).await?;
            let last = calls.iter().rev().find(|call| call.starts() || call.stops());
            if last.is_some_and(Call::starts) {
                found.push(node.clone());
            }
        }
        Ok(found)
    }

    /// What happened to the nodes and their sequencers, in the order of time.
    pub(super) async fn timeline(&self) -> Result<Vec<Moment>, Error> {
        let mut moments = self.fleet.timeline().await?;
        for id in self.stubs.keys() {
            for call in self.calls(id).await? {
                let what = match &call {
                    call if call.starts() => Happened::Sequencing,
                    call if call.stops() => Happened::SequencingStopped,
                    _ => continue,
                };
                moments.push(Moment { time: call.time, server: id.clone(), what });
            }
        }
        moments.sort();
        Ok(moments)
    }

    /// The node that leads, when its sequencer is the only one that is active.
    pub(super) async fn sequencing_leader(&self) -> Result<Option<String>, Error> {
        let active = self.active().await?;
        let last = self.campaigns().await?.into_iter().rfind(|campaign| campaign.leads);
        Ok(last.filter(|last| active == [last.node.as_str()]).map(|last| last.node))
    }

    /// Gives a block to the execution clients of all nodes, as gossip does.
    pub(super) async fn post_to_stubs(&self, block: &Value) -> Result<(), Error> {
        for (id, stub) in &self.stubs {
            let fail = |source| Error::Call { node: format!("stub of {id}"), call: POST.to_owned(), source };
            let answer = http::call(&stub.address().await?, "POST", "/", &request(POST, &json!([block]))).await;
            result(answer.map_err(fail)?).map_err(fail)?;
        }
        Ok(())
    }

    /// Waits until some sequencer was started.
    pub async fn wait_for_sequencing(&self, timeout: Duration) -> Result<Vec<Started>, Error> {
        let end = Instant::now() + timeout;
        loop {
            let found = self.sequencing().await?;
            if !found.is_empty() {
                return Ok(found);
            }
            if Instant::now() > end {
                let what = "a sequencer that is started".to_owned();
                return Err(Error::Timeout { what, seconds: timeout.as_secs() });
            }
            sleep(POLL).await;
        }
    }

    /// Waits until some node leads.
    pub async fn wait_for_leader(&self, timeout: Duration) -> Result<String, Error> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(leader) = self.campaigns().await?.into_iter().find(|campaign| campaign.leads) {
                return Ok(leader.node);
            }
            if Instant::now() > end {
                return Err(Error::Timeout { what: "a leader".to_owned(), seconds: timeout.as_secs() });
            }
            sleep(POLL).await;
        }
    }

    /// Calls a method of op-conductor's own RPC; its result.
    pub async fn call(&self, id: &str, method: &str, params: &Value) -> Result<Value, Error> {
        let answer = self.fleet.call(id, "POST", "/", &request(method, params)).await?;
        let fail = |source| Error::Call { node: id.to_owned(), call: method.to_owned(), source };
        result(answer).map_err(fail)
    }

    /// Copies a node's directory to `to`.
    pub async fn copy_out(&self, id: &str, to: &Path) -> Result<(), Error> {
        self.fleet.copy_out(id, to).await
    }

    /// What a node printed on standard output, where op-conductor's own log goes.
    pub async fn stdout(&self, id: &str) -> Result<String, Error> {
        let [out, _] = self.fleet.lines(id).await?;
        Ok(out.into_iter().map(|(_, line)| line + "\n").collect())
    }

    /// What all nodes and stubs printed, for a person who wants to know why.
    pub async fn logs(&self) -> String {
        let mut text = self.fleet.logs().await;
        for (id, stub) in &self.stubs {
            let log = stub.log().await.unwrap_or_else(|error| error.to_string());
            text += &format!("---- stub of {id}\n{log}\n");
        }
        text
    }

    /// Leaves everything as it is.
    pub(super) fn keep(self) {
        self.fleet.keep();
    }

    /// Removes all containers and the network.
    pub async fn end(self) -> Result<(), Error> {
        self.fleet.end().await
    }
}

/// A request of JSON-RPC.
fn request(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

/// The result in an answer of JSON-RPC.
fn result(mut answer: Value) -> Result<Value, CallError> {
    match answer.get("error") {
        Some(error) => Err(CallError::Refused { message: error.to_string() }),
        None => Ok(answer["result"].take()),
    }
}
