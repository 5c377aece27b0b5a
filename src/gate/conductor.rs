//! Unmodified op-conductor, each with a stub that plays its op-node and execution client.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::time::{Instant, sleep};

use super::cluster::{POLL, RAFT_PORT, container, logs_of, no_node};
use super::{Error, http};
use crate::state_dir::{LOG_FILE, STABLE_FILE};

const RPC_PORT: u16 = 8545;
const DATA: &str = "/data";
/// The least that op-conductor accepts as a rollup configuration.
const ROLLUP: &[u8] = include_bytes!("../../oracle/op-conductor/rollup.json");

/// Where the stub's chain stands, seen from the seeded block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainHead {
    /// At it.
    Seeded,
    /// At its parent: op-conductor has to post the payload.
    Parent,
    /// At a child of it: op-conductor never starts.
    Child,
}

impl ChainHead {
    const fn flag(self) -> &'static str {
        match self {
            ChainHead::Seeded => "seeded",
            ChainHead::Parent => "parent",
            ChainHead::Child => "child",
        }
    }
}

/// A call that op-conductor made to its stub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Call {
    /// When.
    pub time: jiff::Timestamp,
    /// The method, such as `admin_startSequencer`.
    pub event: String,
    /// The hash that it was given.
    pub hash: Option<String>,
    /// `ok`, or the error that the stub answered.
    pub result: Option<String>,
}

/// op-conductors that can reach each other, and their stubs.
#[derive(Debug)]
pub struct Conductors {
    name: String,
    nodes: BTreeMap<String, ContainerAsync<GenericImage>>,
    stubs: BTreeMap<String, ContainerAsync<GenericImage>>,
}

impl Conductors {
    /// A cluster without nodes. Its name must be unique among all that run.
    pub fn new(name: &str) -> Conductors {
        Conductors { name: name.to_owned(), nodes: BTreeMap::new(), stubs: BTreeMap::new() }
    }

    /// Address of a node's raft transport.
    pub fn address(&self, id: &str) -> String {
        format!("{}-{id}:{RAFT_PORT}", self.name)
    }

    /// Starts the stub of node `id`; `payload` is the envelope that its chain is built around.
    pub async fn start_stub(&mut self, id: &str, payload: &[u8], head: ChainHead) -> Result<(), Error> {
        let listen = format!("0.0.0.0:{RPC_PORT}");
        let image = GenericImage::new("op-conductor-init/stub", "latest")
            .with_wait_for(WaitFor::message_on_stdout("\"started\""));
        let stub = container(image, &self.name, &self.stub_host(id))
            .with_cmd(["--addr", &listen, "--head-file", "/head.ssz", "--head", head.flag()])
            .with_copy_to("/head.ssz", payload.to_vec())
            .start()
            .await?;
        self.stubs.insert(id.to_owned(), stub);
        Ok(())
    }

    /// Starts op-conductor `release` as node `id` on a copy of the state in `folder`.
    pub async fn start(&mut self, release: &str, id: &str, folder: &Path) -> Result<(), Error> {
        let stub = format!("http://{}:{RPC_PORT}", self.stub_host(id));
        let host = format!("{}-{id}", self.name);
        let mut flags = vec![
            format!("--consensus.port={RAFT_PORT}"),
            format!("--raft.server.id={id}"),
            format!("--raft.storage.dir={DATA}"),
            format!("--node.rpc={stub}"),
            format!("--execution.rpc={stub}"),
            format!("--rpc.port={RPC_PORT}"),
        ];
        // v1.9.3 listens on all addresses and advertises this one; later releases tell the two apart.
        flags.extend(match release {
            "v1.9.3" => vec![format!("--consensus.addr={host}")],
            _ => vec!["--consensus.addr=0.0.0.0".to_owned(), format!("--consensus.advertised={host}:{RAFT_PORT}")],
        });
        let fixed = [
            "--raft.bootstrap=false",
            "--rollup.config=/rollup.json",
            "--healthcheck.interval=1",
            "--healthcheck.unsafe-interval=10",
            "--healthcheck.min-peer-count=1",
            "--rpc.addr=0.0.0.0",
            "--log.level=DEBUG",
            "--log.format=logfmt",
        ];
        flags.extend(fixed.map(str::to_owned));
        let image = GenericImage::new("op-conductor-init/op-conductor", release).with_exposed_port(RPC_PORT.tcp());
        let mut request =
            container(image, &self.name, &host).with_cmd(flags).with_copy_to("/rollup.json", ROLLUP.to_vec());
        for file in [LOG_FILE, STABLE_FILE] {
            request = request.with_copy_to(format!("{DATA}/{id}/{file}"), folder.join(file));
        }
        self.nodes.insert(id.to_owned(), request.start().await?);
        Ok(())
    }

    /// The nodes that became leader or candidate, by raft's own log, in the order of time.
    pub async fn campaigns(&self) -> Result<Vec<(jiff::Timestamp, String, bool)>, Error> {
        let mut found = Vec::new();
        for (id, node) in &self.nodes {
            let log = node.stderr_to_vec().await?;
            found.extend(
                String::from_utf8_lossy(&log)
                    .lines()
                    .filter_map(campaign)
                    .map(|(time, leads)| (time, id.clone(), leads)),
            );
        }
        found.sort();
        Ok(found)
    }

    /// What op-conductor of node `id` told its stub.
    pub async fn calls(&self, id: &str) -> Result<Vec<Call>, Error> {
        let stub = self.stubs.get(id).ok_or_else(|| no_node(id))?;
        let out = stub.stdout_to_vec().await?;
        Ok(String::from_utf8_lossy(&out).lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The nodes whose sequencer was started, each with the hash that it was started on.
    pub async fn sequencing(&self) -> Result<Vec<(String, String)>, Error> {
        let mut found = Vec::new();
        for id in self.stubs.keys() {
            let started = |call: &Call| call.event == "admin_startSequencer" && call.result.as_deref() == Some("ok");
            found.extend(
                self.calls(id).await?.into_iter().filter(started).filter_map(|call| Some((id.clone(), call.hash?))),
            );
        }
        Ok(found)
    }

    /// Waits until some sequencer was started.
    pub async fn wait_for_sequencing(&self, timeout: Duration) -> Result<Vec<(String, String)>, Error> {
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
            if let Some((_, id, _)) = self.campaigns().await?.into_iter().find(|(.., leads)| *leads) {
                return Ok(id);
            }
            if Instant::now() > end {
                return Err(Error::Timeout { what: "a leader".to_owned(), seconds: timeout.as_secs() });
            }
            sleep(POLL).await;
        }
    }

    /// Calls a method of op-conductor's own RPC.
    pub async fn call(&self, id: &str, method: &str) -> Result<serde_json::Value, Error> {
        let node = self.nodes.get(id).ok_or_else(|| no_node(id))?;
        let port = node.get_host_port_ipv4(RPC_PORT.tcp()).await?;
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).to_string();
        let answer = http::call(&format!("127.0.0.1:{port}"), "POST", "/", &body).await;
        answer.map_err(|reason| Error::Node { node: id.to_owned(), reason })
    }

    /// Copies a node's files to `folder`.
    pub async fn copy_out(&self, id: &str, folder: &Path) -> Result<(), Error> {
        let node = self.nodes.get(id).ok_or_else(|| no_node(id))?;
        for file in [LOG_FILE, STABLE_FILE] {
            node.copy_file_from(format!("{DATA}/{id}/{file}"), folder.join(file).as_path()).await?;
        }
        Ok(())
    }

    /// What a node printed on standard output, where op-conductor's own log goes.
    pub async fn stdout(&self, id: &str) -> Result<String, Error> {
        let node = self.nodes.get(id).ok_or_else(|| no_node(id))?;
        Ok(String::from_utf8_lossy(&node.stdout_to_vec().await?).into_owned())
    }

    /// What all nodes and stubs printed, for a person who wants to know why.
    pub async fn logs(&self) -> String {
        logs_of(&self.nodes).await + &logs_of(&self.stubs).await
    }

    /// Removes all containers and the network.
    pub async fn end(self) -> Result<(), Error> {
        for container in self.nodes.into_values().chain(self.stubs.into_values()) {
            container.rm().await?;
        }
        Ok(())
    }

    fn stub_host(&self, id: &str) -> String {
        format!("{}-{id}-stub", self.name)
    }
}

/// Time of a line of raft's log that tells of a campaign, and whether it was won.
fn campaign(line: &str) -> Option<(jiff::Timestamp, bool)> {
    let (time, rest) = line.split_once(' ')?;
    let leads = rest.contains("entering leader state");
    (leads || rest.contains("entering candidate state")).then_some(())?;
    Some((time.parse().ok()?, leads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raft_s_log_tells_who_campaigned() {
        let line =
            "2026-11-23T05:28:41.049Z [INFO]  raft: entering leader state: leader=\"Node at 10.0.0.1:50050 [Leader]\"";
        assert_eq!(campaign(line), Some(("2026-11-23T05:28:41.049Z".parse().unwrap(), true)));
        let line =
            "2026-11-23T05:28:41.049Z [WARN]  raft: heartbeat timeout reached, starting election: last-leader-addr=";
        assert_eq!(campaign(line), None);
    }
}
