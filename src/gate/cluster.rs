//! A few nodes of the oracle: real hashicorp/raft without op-conductor.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::event::Event;
use super::fleet::{Campaign, DATA, Fleet, NodeLaunch};
use super::image::Image;
use super::site::Site;
use super::{Error, POLL};

/// Port of raft's transport, where a test doesn't care.
pub(super) const RAFT_PORT: u16 = 50050;
const CONTROL_PORT: u16 = 8080;
/// Nodes that can reach each other by name.
#[derive(Debug)]
pub struct Cluster {
    fleet: Fleet,
}

impl Cluster {
    /// A cluster without nodes.
    pub fn new(site: Site) -> Cluster {
        Cluster { fleet: Fleet::new(site) }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(super) fn into_fleet(self) -> Fleet {
        self.fleet
    }

    /// Address of a node's raft transport, when its host name is its id.
    pub fn address(id: &str) -> String {
        format!("{id}:{RAFT_PORT}")
    }

    /// Starts node `id` at [`Cluster::address`] on a copy of the state in `directory`.
    pub async fn start(&mut self, image: &Image, id: &str, directory: &Path, flags: &[&str]) -> Result<(), Error> {
        self.start_at(image, id, (id, RAFT_PORT), directory, flags).await
    }

    /// Starts node `id`, which the others reach at `host` and `port`, on a copy of the state in `directory`.
    pub(super) async fn start_at(
        &mut self,
        image: &Image,
        id: &str,
        (host, port): (&str, u16),
        directory: &Path,
        flags: &[&str],
    ) -> Result<(), Error> {
        let (bind, control) = (format!("0.0.0.0:{port}"), format!("0.0.0.0:{CONTROL_PORT}"));
        let address = format!("{host}:{port}");
        let command = ["node", "--id", id, "--dir", DATA, "--bind", &bind, "--advertise", &address, "--http", &control];
        let command = command.iter().chain(flags).map(ToString::to_string).collect();
        self.fleet.start(image, NodeLaunch { id, host, port: CONTROL_PORT, command, directory, files: &[] }).await
    }

    /// Kills a node at once; its state stays in its container.
    pub async fn kill(&self, id: &str) -> Result<(), Error> {
        self.fleet.node(id)?.stop(0).await
    }

    /// Starts a node again on what it left.
    pub async fn restart(&self, id: &str) -> Result<(), Error> {
        self.fleet.node(id)?.start_again().await
    }

    /// Stops a node and takes it away; its files are copied to `directory`.
    pub async fn take_away(&mut self, id: &str, directory: &Path) -> Result<(), Error> {
        self.fleet.take_away(id, directory).await
    }

    /// Exit code of a node that has ended.
    pub async fn exit_code(&self, id: &str) -> Result<Option<i64>, Error> {
        self.fleet.node(id)?.exit_code().await
    }

    /// The nodes that became leader or candidate, in the order of time.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, Error> {
        self.fleet.campaigns().await
    }

    /// All that the nodes said so far, in the order of time.
    pub async fn events(&self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for id in self.fleet.ids() {
            let [out, _] = self.fleet.lines(id).await?;
            events.extend(out.iter().filter_map(|(_, line)| Event::parse(line)));
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
        self.fleet.call(id, method, path, body).await
    }

    /// What all nodes printed, for a person who wants to know why.
    pub async fn logs(&self) -> String {
        self.fleet.logs().await
    }

    /// Removes all nodes and the network.
    pub async fn end(self) -> Result<(), Error> {
        self.fleet.end().await
    }
}
