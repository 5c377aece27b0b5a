//! What a node says of itself: one JSON object a line on its standard output.

use serde::Deserialize;

use crate::raft::{Server, Suffrage};

/// A state of raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for a leader.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Ends.
    Shutdown,
}

/// One event of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, by the clock that all containers share.
    pub time: jiff::Timestamp,
    /// Id of the node.
    pub node: String,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Raft is up.
    Started,
    /// Raft's own log says that it entered this state: the truth about who campaigned and led.
    Entered(State),
    /// The latest configuration is now this.
    Configuration(Vec<Server>),
    /// A command was applied: its sha256.
    Applied(String),
    /// Something that isn't asked for here.
    Other,
}

#[derive(Deserialize)]
struct Line {
    time: jiff::Timestamp,
    node: String,
    event: String,
    source: Option<String>,
    state: Option<State>,
    servers: Option<Vec<LineServer>>,
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct LineServer {
    suffrage: u8,
    id: String,
    address: String,
}

impl Event {
    /// Parses a line; none when it isn't one.
    pub fn parse(line: &str) -> Option<Event> {
        let line: Line = serde_json::from_str(line).ok()?;
        let server = |server: LineServer| {
            Some(Server { suffrage: Suffrage::from_byte(server.suffrage), id: server.id, address: server.address })
        };
        let what = match (line.event.as_str(), line.source.as_deref()) {
            ("started", _) => What::Started,
            ("state", Some("log")) => What::Entered(line.state?),
            ("configuration", _) => What::Configuration(line.servers?.into_iter().filter_map(server).collect()),
            ("applied", _) => What::Applied(line.sha256?),
            _ => What::Other,
        };
        Some(Event { time: line.time, node: line.node, what })
    }

    /// Whether the node led or asked to.
    pub fn is_campaign(&self) -> bool {
        matches!(self.what, What::Entered(State::Candidate | State::Leader))
    }

    /// Whether the node became leader.
    pub fn is_leader(&self) -> bool {
        self.what == What::Entered(State::Leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_raft_s_own_log_tells_states() {
        let line = |source: &str| {
            format!(
                r#"{{"event":"state","ms":1945,"node":"a","source":"{source}","state":"leader","term":2,"time":"2026-11-23T05:28:41.039297379Z"}}"#
            )
        };
        assert!(Event::parse(&line("log")).unwrap().is_leader());
        assert_eq!(Event::parse(&line("observer")).unwrap().what, What::Other);
        assert_eq!(Event::parse("raft: [INFO]"), None);
    }
}
