//! Unmodified op-conductor, each with a stub that plays its op-node and execution client.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use testcontainers::core::WaitFor;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::time::{Instant, sleep};

use super::cluster::{POLL, RAFT_PORT};
use super::container::{Container, Launch};
use super::fleet::{Campaign, DATA, Fleet, NodeLaunch, no_node};
use super::image::Image;
use super::site::Site;
use super::{Error, LABEL};

const RPC_PORT: u16 = 8545;
/// A program that only prints its help ends within this time.
const HELP_TIMEOUT: Duration = Duration::from_secs(30);
/// The least that op-conductor accepts as a rollup configuration.
const ROLLUP: &[u8] = include_bytes!("../../oracle/op-conductor/rollup.json");
const ROLLUP_PATH: &str = "/rollup.json";

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

impl Call {
    /// Whether it started the sequencer.
    fn starts(&self) -> bool {
        self.event == "admin_startSequencer" && self.result.as_deref() == Some("ok")
    }
}

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

/// An op-conductor that can be started, and the flags that it knows.
#[derive(Debug, Clone)]
pub struct Release {
    image: Image,
    flags: BTreeSet<String>,
}

impl Release {
    /// Asks the image for its `--help`: an unknown flag is fatal, and releases differ in them.
    pub async fn of(image: Image, site: &Site) -> Result<Release, Error> {
        let command = image.prefix.iter().cloned().chain(["--help".to_owned()]).collect();
        let launch = Launch { image: image.name.clone(), command, host: "help".to_owned(), port: RPC_PORT };
        let container = Container::create(site, "help", launch).await?;
        container.start().await?;
        let end = Instant::now() + HELP_TIMEOUT;
        while container.exit_code().await?.is_none() && Instant::now() < end {
            sleep(POLL).await;
        }
        let lines = container.lines().await?;
        container.remove().await?;
        let flags: BTreeSet<String> = lines.iter().flatten().flat_map(|(_, line)| flags_in(line)).collect();
        if flags.contains("raft.server.id") {
            Ok(Release { image, flags })
        } else {
            let reason = "its --help has no --raft.server.id: it is no op-conductor".to_owned();
            Err(Error::NoImage { image: image.name, reason })
        }
    }

    /// Arguments of node `id`, those that this release knows.
    fn arguments(&self, id: &str, (host, port): (&str, u16), stub: &str, more: &[&str]) -> Vec<String> {
        // Without --consensus.advertised, it listens on all addresses and advertises --consensus.addr.
        let advertises = self.flags.contains("consensus.advertised");
        let wanted = [
            ("consensus.addr", if advertises { "0.0.0.0" } else { host }.to_owned()),
            ("consensus.advertised", format!("{host}:{port}")),
            ("consensus.port", port.to_string()),
            ("raft.server.id", id.to_owned()),
            ("raft.storage.dir", DATA.to_owned()),
            ("raft.bootstrap", "false".to_owned()),
            ("node.rpc", stub.to_owned()),
            ("execution.rpc", stub.to_owned()),
            ("rpc.addr", "0.0.0.0".to_owned()),
            ("rpc.port", RPC_PORT.to_string()),
            ("rollup.config", ROLLUP_PATH.to_owned()),
            ("healthcheck.interval", "1".to_owned()),
            ("healthcheck.unsafe-interval", "10".to_owned()),
            ("healthcheck.min-peer-count", "1".to_owned()),
            ("log.level", "DEBUG".to_owned()),
            ("log.format", "logfmt".to_owned()),
        ];
        let known = wanted.into_iter().filter(|(flag, _)| self.flags.contains(*flag));
        known.map(|(flag, value)| format!("--{flag}={value}")).chain(more.iter().map(ToString::to_string)).collect()
    }
}

/// The flags that a line of help tells of, without their dashes.
fn flags_in(line: &str) -> impl Iterator<Item = String> + '_ {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    line.split([' ', '\t', ',', '[', '(']).filter_map(move |word| {
        let name = word.strip_prefix("--")?;
        let name = &name[..name.find(|c| !is_part(c)).unwrap_or(name.len())];
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// op-conductors that can reach each other, and their stubs.
#[derive(Debug)]
pub struct Conductors {
    stubs: BTreeMap<String, Stub>,
    fleet: Fleet,
}

#[derive(Debug)]
struct Stub {
    /// Name by which its op-conductor reaches it.
    host: String,
    container: ContainerAsync<GenericImage>,
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
        let host = format!("{}-stub-{}", self.fleet.site().name(), self.stubs.len() + 1);
        self.start_stub_at(image, id, host, payload, head).await
    }

    async fn start_stub_at(
        &mut self,
        image: &Image,
        id: &str,
        host: String,
        payload: &[u8],
        head: ChainHead,
    ) -> Result<(), Error> {
        let listen = format!("0.0.0.0:{RPC_PORT}");
        let (name, tag) = image.name.rsplit_once(':').unwrap_or((&image.name, "latest"));
        let site = self.fleet.site().name().to_owned();
        let container = GenericImage::new(name, tag)
            .with_wait_for(WaitFor::message_on_stdout("\"started\""))
            .with_container_name(&host)
            .with_network(&site)
            .with_label(LABEL, &site)
            .with_cmd(["--addr", &listen, "--head-file", "/head.ssz", "--head", head.flag()])
            .with_copy_to("/head.ssz", payload.to_vec())
            .start()
            .await?;
        self.stubs.insert(id.to_owned(), Stub { host, container });
        Ok(())
    }

    /// Replaces the stub of node `id` by one whose chain has gone on to another block.
    pub async fn replace_stub(
        &mut self,
        image: &Image,
        id: &str,
        payload: &[u8],
        head: ChainHead,
    ) -> Result<(), Error> {
        let old = self.stubs.remove(id).ok_or_else(|| no_node(id))?;
        old.container.rm().await?;
        self.start_stub_at(image, id, old.host, payload, head).await
    }

    /// Address of a node's raft transport, when its host name is its id.
    pub fn address(id: &str) -> String {
        format!("{id}:{RAFT_PORT}")
    }

    /// Starts op-conductor as node `id` at [`Conductors::address`] on a copy of the state in `directory`. Its stub must
    /// run.
    pub async fn start(&mut self, release: &Release, id: &str, directory: &Path, flags: &[&str]) -> Result<(), Error> {
        self.start_at(release, id, (id, RAFT_PORT), directory, flags).await
    }

    /// Starts op-conductor as node `id`, which the others reach at `address`, on a copy of the state in `directory`.
    pub(super) async fn start_at(
        &mut self,
        release: &Release,
        id: &str,
        address: (&str, u16),
        directory: &Path,
        flags: &[&str],
    ) -> Result<(), Error> {
        let stub = format!("http://{}:{RPC_PORT}", self.stubs.get(id).ok_or_else(|| no_node(id))?.host);
        let command = release.arguments(id, address, &stub, flags);
        let files: &[(&str, &[u8])] = &[(&ROLLUP_PATH[1..], ROLLUP)];
        let node = NodeLaunch { id, host: address.0, port: RPC_PORT, command, directory, files };
        self.fleet.start(&release.image, node).await
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
        let stub = self.stubs.get(id).ok_or_else(|| no_node(id))?;
        let out = stub.container.stdout_to_vec().await?;
        Ok(String::from_utf8_lossy(&out).lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
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
            let last = calls.iter().rev().find(|call| call.starts() || call.event == "admin_stopSequencer");
            if last.is_some_and(Call::starts) {
                found.push(node.clone());
            }
        }
        Ok(found)
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
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let mut answer = self.fleet.call(id, "POST", "/", &body).await?;
        match answer.get("error") {
            Some(error) => Err(Error::Node { node: id.to_owned(), reason: format!("{method}: {error}") }),
            None => Ok(answer["result"].take()),
        }
    }

    /// Copies a node's directory to `to`.
    pub async fn copy_out(&self, id: &str, to: &Path) -> Result<(), Error> {
        self.fleet.copy_out(id, to).await
    }

    /// What a node printed on standard output, where op-conductor's own log goes.
    pub async fn stdout(&self, id: &str) -> Result<String, Error> {
        let [out, _] = self.fleet.node(id)?.lines().await?;
        Ok(out.into_iter().map(|(_, line)| line + "\n").collect())
    }

    /// What all nodes and stubs printed, for a person who wants to know why.
    pub async fn logs(&self) -> String {
        let mut text = self.fleet.logs().await;
        for (id, stub) in &self.stubs {
            let out = stub.container.stdout_to_vec().await.unwrap_or_default();
            text += &format!("---- stub of {id}\n{}\n", String::from_utf8_lossy(&out));
        }
        text
    }

    /// Leaves everything as it is.
    pub(super) fn keep(self) {
        // testcontainers removes what it drops.
        std::mem::forget(self.stubs);
        self.fleet.keep();
    }

    /// Removes all containers and the network.
    pub async fn end(self) -> Result<(), Error> {
        for stub in self.stubs.into_values() {
            stub.container.rm().await?;
        }
        self.fleet.end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_help() {
        let line =
            "   --consensus.addr value, --old.name=x    Address (--rpc.port) to listen ($OP_CONDUCTOR_CONSENSUS_ADDR)";
        assert_eq!(flags_in(line).collect::<Vec<_>>(), ["consensus.addr", "old.name", "rpc.port"]);
        assert_eq!(flags_in("-- no flag -x").count(), 0);
    }
}
