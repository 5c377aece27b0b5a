//! Nodes that can reach each other by name, each on a copy of its state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;
use serde_json::Value;

use super::archive::Packer;
use super::container::{Container, Launch, Line};
use super::image::Image;
use super::site::Site;
use super::timeline::{Happened, Moment};
use super::{Error, http, timeline};

/// Where a node's storage dir is in its container.
pub(super) const DATA: &str = "/data";
/// A node that is asked to end gets this long, in seconds.
const PATIENCE: i32 = 10;

/// A node that became candidate or leader, by raft's own log: the truth, which polling would miss.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Campaign {
    /// When, by the clock that all containers share.
    pub time: jiff::Timestamp,
    /// Id of the node.
    pub node: String,
    /// Whether it leads now; otherwise it asked for votes.
    pub leads: bool,
}

/// The nodes of one cluster.
#[derive(Debug)]
pub(super) struct Fleet {
    nodes: BTreeMap<String, Container>,
    /// What containers printed that were removed, by id of the node.
    past: BTreeMap<String, [Vec<Line>; 2]>,
    /// What we did, and when.
    moments: Mutex<Vec<Moment>>,
    /// Removes the nodes, when it is dropped or ends.
    site: Site,
}

/// What a node's container needs besides its image.
#[derive(Debug)]
pub(super) struct NodeLaunch<'a> {
    /// Its id.
    pub id: &'a str,
    /// Name by which the others reach it.
    pub host: &'a str,
    /// Port of its control or RPC.
    pub port: u16,
    /// Arguments.
    pub command: Vec<String>,
    /// The node's directory.
    pub directory: &'a Path,
    /// More files: where, and what.
    pub files: &'a [(&'a str, &'a [u8])],
}

impl Fleet {
    pub(super) fn new(site: Site) -> Fleet {
        Fleet { nodes: BTreeMap::new(), past: BTreeMap::new(), moments: Mutex::default(), site }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// Makes a node and starts it.
    pub(super) async fn start(&mut self, image: &Image, node: NodeLaunch<'_>) -> Result<(), Error> {
        // Without the leading slash: names in archives have none.
        let mut files = Packer::new(image.owner)?.directory(&format!("{}/{}", &DATA[1..], node.id), node.directory)?;
        for (path, bytes) in node.files {
            files = files.bytes(path, bytes)?;
        }
        let files = Some(files.finish()?);
        let launch = Launch { image, command: node.command, host: node.host, port: node.port, files };
        let container = Container::start(&self.site, &self.site.next_name("node"), launch).await?;
        self.nodes.insert(node.id.to_owned(), container);
        self.note(node.id, Happened::Started { image: image.name.clone() });
        Ok(())
    }

    /// Remembers what was just done.
    pub(super) fn note(&self, id: &str, what: Happened) {
        let moment = Moment { time: jiff::Timestamp::now(), server: id.to_owned(), what };
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
    }

    /// What happened to the nodes, in the order of time.
    pub(super) async fn timeline(&self) -> Result<Vec<Moment>, Error> {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for id in self.ids() {
            let lines = self.lines(id).await?;
            let entered = |line: &Line| {
                let what = timeline::entered(line)?;
                Some(Moment { time: line.0, server: id.to_owned(), what })
            };
            moments.extend(lines.iter().flatten().filter_map(entered));
        }
        moments.sort();
        Ok(moments)
    }

    pub(super) fn node(&self, id: &str) -> Result<&Container, Error> {
        self.nodes.get(id).ok_or_else(|| no_node(id))
    }

    /// Stops a node and takes it away; its files are copied to `directory`, and what it printed is kept.
    pub(super) async fn take_away(&mut self, id: &str, directory: &Path) -> Result<(), Error> {
        self.node(id)?.stop(PATIENCE).await?;
        self.note(id, Happened::Stopped);
        self.copy_out(id, directory).await?;
        let printed = self.lines(id).await?;
        self.past.insert(id.to_owned(), printed);
        self.nodes.remove(id).ok_or_else(|| no_node(id))?.remove().await
    }

    /// What node `id` printed on standard output and standard error, in all containers that it had.
    pub(super) async fn lines(&self, id: &str) -> Result<[Vec<Line>; 2], Error> {
        let [mut out, mut err] = self.past.get(id).cloned().unwrap_or_default();
        if let Some(node) = self.nodes.get(id) {
            let [now_out, now_err] = node.lines().await?;
            out.extend(now_out);
            err.extend(now_err);
        }
        Ok([out, err])
    }

    /// Ids of the nodes that are there or were.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let all: BTreeSet<&str> = self.nodes.keys().chain(self.past.keys()).map(String::as_str).collect();
        all.into_iter()
    }

    /// Asks all nodes to end; their state stays in their containers.
    pub(super) async fn stop_all(&self) -> Result<(), Error> {
        try_join_all(self.nodes.values().map(|node| node.stop(PATIENCE))).await?;
        self.nodes.keys().for_each(|id| self.note(id, Happened::Stopped));
        Ok(())
    }

    /// Starts all nodes again on what they left.
    pub(super) async fn start_all(&self) -> Result<(), Error> {
        try_join_all(self.nodes.values().map(Container::start_again)).await?;
        self.nodes.iter().for_each(|(id, node)| self.note(id, Happened::Started { image: node.image().to_owned() }));
        Ok(())
    }

    /// Copies a node's directory to `to`.
    pub(super) async fn copy_out(&self, id: &str, to: &Path) -> Result<(), Error> {
        self.node(id)?.download(&format!("{DATA}/{id}"), to).await
    }

    /// The nodes that became leader or candidate, in the order of time.
    pub(super) async fn campaigns(&self) -> Result<Vec<Campaign>, Error> {
        let mut found = Vec::new();
        for id in self.ids() {
            let lines = self.lines(id).await?;
            found.extend(lines.iter().flatten().filter_map(|line| campaign(id, line)));
        }
        found.sort();
        Ok(found)
    }

    /// The last line in which node `id` complains, or the last one at all.
    pub(super) async fn last_words(&self, id: &str) -> Result<String, Error> {
        let [out, err] = self.lines(id).await?;
        let mut lines: Vec<Line> = out.into_iter().chain(err).filter(|(_, line)| !line.trim().is_empty()).collect();
        lines.sort_by_key(|(time, _)| *time);
        let complains = |line: &str| {
            ["lvl=crit", "lvl=error", "level=error", "[ERROR]", "panic:"].iter().any(|it| line.contains(it))
        };
        let last = lines.iter().rev().find(|(_, line)| complains(line)).or(lines.last());
        // op-conductor's errors bring their stack, in the line and escaped.
        let short = |line: &str| line.split("\\n").next().unwrap_or_default().trim().to_owned();
        Ok(last.map_or_else(|| "nothing".to_owned(), |(_, line)| short(line)))
    }

    /// What all nodes printed, for a person who wants to know why.
    pub(super) async fn logs(&self) -> String {
        let mut text = String::new();
        for id in self.ids() {
            let [out, err] = match self.lines(id).await {
                Ok(printed) => printed,
                Err(error) => [vec![(jiff::Timestamp::UNIX_EPOCH, error.to_string())], Vec::new()],
            };
            for (name, lines) in [("stdout", out), ("stderr", err)] {
                text += &format!("---- {id} {name}\n");
                lines.iter().for_each(|(_, line)| text += &format!("{line}\n"));
            }
        }
        text
    }

    /// Calls a node over HTTP.
    pub(super) async fn call(&self, id: &str, method: &str, path: &str, body: &str) -> Result<Value, Error> {
        let address = self.node(id)?.address().await?;
        let fail = |source| Error::Call { node: id.to_owned(), call: format!("{method} {path}"), source };
        http::call(&address, method, path, body).await.map_err(fail)
    }

    /// Leaves everything as it is.
    pub(super) fn keep(self) {
        self.site.keep();
    }

    /// Removes all nodes and the network.
    pub(super) async fn end(self) -> Result<(), Error> {
        self.site.end().await
    }
}

/// A campaign, by raft's own log.
fn campaign(node: &str, line: &Line) -> Option<Campaign> {
    let leads = match timeline::entered(line)? {
        Happened::Leader => true,
        Happened::Candidate => false,
        _ => return None,
    };
    Some(Campaign { time: line.0, node: node.to_owned(), leads })
}

pub(super) fn no_node(id: &str) -> Error {
    Error::NotStarted { node: id.to_owned() }
}
