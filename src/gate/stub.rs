//! The stub that plays op-node and execution client of one op-conductor.

use std::time::Duration;

use serde::Deserialize;

use super::Error;
use super::archive::Packer;
use super::container::{Container, Launch};
use super::image::Image;
use super::site::Site;

/// Port of its JSON-RPC.
const PORT: u16 = 8545;
/// A stub that starts answers within this time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the stub's chain is, seen from the seeded block.
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
    pub(super) fn starts(&self) -> bool {
        self.event == "admin_startSequencer" && self.result.as_deref() == Some("ok")
    }

    /// Whether it stopped the sequencer.
    pub(super) fn stops(&self) -> bool {
        self.event == "admin_stopSequencer"
    }
}

#[derive(Debug)]
pub(super) struct Stub {
    /// Name by which its op-conductor reaches it.
    host: String,
    container: Container,
}

impl Stub {
    /// Starts a stub with this name, unique on the site; `payload` is the envelope that its chain is built around.
    pub(super) async fn start(
        site: &Site,
        host: String,
        image: &Image,
        payload: &[u8],
        head: ChainHead,
    ) -> Result<Stub, Error> {
        let listen = format!("0.0.0.0:{PORT}");
        let command = ["--addr", &listen, "--head-file", "/head.ssz", "--head", head.flag()].map(str::to_owned).into();
        let files = Some(Packer::new(image.owner)?.bytes("head.ssz", payload)?.finish()?);
        let container =
            Container::start(site, &host, Launch { image, command, host: &host, port: PORT, files }).await?;
        container.wait_for_line("\"started\"", START_TIMEOUT).await?;
        Ok(Stub { host, container })
    }

    /// Where its op-conductor finds both op-node and execution client.
    pub(super) fn url(&self) -> String {
        format!("http://{}:{PORT}", self.host)
    }

    /// Where we reach it.
    pub(super) async fn address(&self) -> Result<String, Error> {
        self.container.address().await
    }

    /// What its op-conductor asked it, in the order of time.
    pub(super) async fn calls(&self) -> Result<Vec<Call>, Error> {
        let [out, _] = self.container.lines().await?;
        Ok(out.iter().filter_map(|(_, line)| serde_json::from_str(line).ok()).collect())
    }

    /// What it printed.
    pub(super) async fn log(&self) -> Result<String, Error> {
        let [out, _] = self.container.lines().await?;
        Ok(out.into_iter().map(|(_, line)| line + "\n").collect())
    }

    /// Removes it; its name is free again.
    pub(super) async fn remove(self) -> Result<String, Error> {
        self.container.remove().await?;
        Ok(self.host)
    }
}
