//! A few containers on a network of their own, each a node with its own state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testcontainers::core::IntoContainerPort;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};
use tokio::time::{Instant, sleep};

use super::event::Event;
use super::{Error, LABEL, http};
use crate::state_dir::{LOG_FILE, STABLE_FILE};

pub(super) const RAFT_PORT: u16 = 50050;
const CONTROL_PORT: u16 = 8080;
/// Where a node's storage dir is in its container.
const DATA: &str = "/data";
/// Between two looks at the logs.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// Which image the nodes run: the oracle with a version of hashicorp/raft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftImage {
    /// Such as `1.7.3`.
    pub version: String,
}

/// Nodes that can reach each other by name.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    nodes: BTreeMap<String, ContainerAsync<GenericImage>>,
    /// Lines of nodes that were taken away.
    past: Vec<Event>,
}

impl Cluster {
    /// A cluster without nodes. Its name must be unique among all that run.
    pub fn new(name: &str) -> Cluster {
        Cluster { name: name.to_owned(), nodes: BTreeMap::new(), past: Vec::new() }
    }

    /// Host name of a node on the cluster's network.
    pub fn host(&self, id: &str) -> String {
        format!("{}-{id}", self.name)
    }

    /// Address of a node's raft transport.
    pub fn address(&self, id: &str) -> String {
        format!("{}:{RAFT_PORT}", self.host(id))
    }

    /// Starts node `id` on a copy of the state in `folder`.
    pub async fn start(&mut self, image: &RaftImage, id: &str, folder: &Path, flags: &[&str]) -> Result<(), Error> {
        let (bind, control) = (format!("0.0.0.0:{RAFT_PORT}"), format!("0.0.0.0:{CONTROL_PORT}"));
        let address = self.address(id);
        let command = ["node", "--id", id, "--dir", DATA, "--bind", &bind, "--advertise", &address, "--http", &control];
        let image = GenericImage::new("op-conductor-init/oracle", &format!("raft-{}", image.version))
            .with_exposed_port(CONTROL_PORT.tcp());
        let mut request = container(image, &self.name, &self.host(id)).with_cmd(command.iter().chain(flags).copied());
        for file in [LOG_FILE, STABLE_FILE] {
            request = request.with_copy_to(format!("{DATA}/{id}/{file}"), folder.join(file));
        }
        let container = request.start().await?;
        self.nodes.insert(id.to_owned(), container);
        Ok(())
    }

    /// Kills a node at once; its state stays in its container.
    pub async fn kill(&self, id: &str) -> Result<(), Error> {
        Ok(self.node(id)?.stop_with_timeout(Some(0)).await?)
    }

    /// Starts a node again on what it left.
    pub async fn restart(&self, id: &str) -> Result<(), Error> {
        Ok(self.node(id)?.start().await?)
    }

    /// Takes a node away; its files are copied to `folder`.
    pub async fn take_away(&mut self, id: &str, folder: &Path) -> Result<(), Error> {
        self.past = self.events().await?;
        let container = self.nodes.remove(id).ok_or_else(|| no_node(id))?;
        for file in [LOG_FILE, STABLE_FILE] {
            let to: PathBuf = folder.join(file);
            container.copy_file_from(format!("{DATA}/{id}/{file}"), to.as_path()).await?;
        }
        Ok(container.rm().await?)
    }

    /// Exit code of a node that has ended.
    pub async fn exit_code(&self, id: &str) -> Result<Option<i64>, Error> {
        let node = self.node(id)?;
        Ok(if node.is_running().await? { None } else { node.exit_code().await? })
    }

    /// All that the nodes said so far, in the order of time.
    pub async fn events(&self) -> Result<Vec<Event>, Error> {
        let mut events = self.past.clone();
        for container in self.nodes.values() {
            let out = container.stdout_to_vec().await?;
            events.extend(String::from_utf8_lossy(&out).lines().filter_map(Event::parse));
        }
        events.sort_by_key(|event| event.time);
        Ok(events)
    }

    /// Looks at the events until `found` finds what it looks for.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut found: impl FnMut(&[Event]) -> Option<T>,
    ) -> Result<T, Error> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(found) = found(&self.events().await?) {
                return Ok(found);
            }
            if Instant::now() > end {
                return Err(Error::Timeout { what: what.to_owned(), seconds: timeout.as_secs() });
            }
            sleep(POLL).await;
        }
    }

    /// Calls a node's control.
    pub async fn call(&self, id: &str, method: &str, path: &str, body: &str) -> Result<Value, Error> {
        let port = self.node(id)?.get_host_port_ipv4(CONTROL_PORT.tcp()).await?;
        let answer = http::call(&format!("127.0.0.1:{port}"), method, path, body).await;
        answer.map_err(|reason| Error::Node { node: id.to_owned(), reason })
    }

    /// What all nodes printed, for a person who wants to know why.
    pub async fn logs(&self) -> String {
        logs_of(&self.nodes).await
    }

    /// Removes all nodes and the network.
    pub async fn end(self) -> Result<(), Error> {
        for container in self.nodes.into_values() {
            container.rm().await?;
        }
        Ok(())
    }

    fn node(&self, id: &str) -> Result<&ContainerAsync<GenericImage>, Error> {
        self.nodes.get(id).ok_or_else(|| no_node(id))
    }
}

/// A container of the cluster `name`, which the others reach as `host`.
pub(super) fn container(image: GenericImage, name: &str, host: &str) -> ContainerRequest<GenericImage> {
    image.with_container_name(host).with_network(name).with_label(LABEL, name)
}

/// What containers printed.
pub(super) async fn logs_of(containers: &BTreeMap<String, ContainerAsync<GenericImage>>) -> String {
    let mut text = String::new();
    for (id, container) in containers {
        for (name, bytes) in [("stdout", container.stdout_to_vec().await), ("stderr", container.stderr_to_vec().await)]
        {
            let bytes = bytes.unwrap_or_else(|error| error.to_string().into_bytes());
            text += &format!("---- {id} {name}\n{}\n", String::from_utf8_lossy(&bytes));
        }
    }
    text
}

pub(super) fn no_node(id: &str) -> Error {
    Error::Node { node: id.to_owned(), reason: "no such node was started".to_owned() }
}

/// Whether a Docker daemon answers; if not, what to do.
pub async fn docker_answers() -> Result<(), String> {
    let hint = |error: String| format!("no Docker daemon answers ({error}): start dockerd, or set DOCKER_HOST");
    let client = docker_client_instance().await.map_err(|error| hint(error.to_string()))?;
    client.version().await.map(|_| ()).map_err(|error| hint(error.to_string()))
}
