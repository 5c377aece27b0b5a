//! What happened to each server, in the order of time: for those who want to see a run.

use serde::Serialize;

use super::container::Line;

/// One moment of one server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Moment {
    /// When, by the clock of the one who saw it: the daemon's, or ours for what we did.
    pub time: jiff::Timestamp,
    /// Id of the server.
    pub server: String,
    /// What happened.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened to a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Happened {
    /// Its container was started, of this image.
    Started {
        /// Name of the image.
        image: String,
    },
    /// Its container was stopped.
    Stopped,
    /// Raft waits for a leader, or follows one.
    Follower,
    /// Raft asks for votes.
    Candidate,
    /// Raft leads.
    Leader,
    /// Its sequencer was started.
    Sequencing,
    /// Its sequencer was stopped.
    SequencingStopped,
    /// It committed this block.
    Committed {
        /// Number of the block.
        block: u64,
    },
}

/// The state that a line of raft's own log says that raft entered: the truth, which polling would miss.
pub(super) fn entered(line: &Line) -> Option<Happened> {
    // The oracle's events say the same again.
    let text = line.1.as_str();
    let state = text.split_once("entering ")?.1.split_once(" state")?.0;
    match state {
        _ if text.starts_with('{') => None,
        "follower" => Some(Happened::Follower),
        "candidate" => Some(Happened::Candidate),
        "leader" => Some(Happened::Leader),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raft_s_log_says_who_entered_which_state() {
        let time: jiff::Timestamp = "2026-11-23T05:28:41.049Z".parse().unwrap();
        let state = |text: &str| entered(&(time, format!("2026-11-23T05:28:41.049Z {text}")));
        assert_eq!(state("[INFO]  raft: entering leader state: leader=\"Node\""), Some(Happened::Leader));
        assert_eq!(state("[INFO]  raft: entering candidate state: node=\"Node\""), Some(Happened::Candidate));
        assert_eq!(state("[INFO]  raft: entering follower state: follower=\"Node\""), Some(Happened::Follower));
        assert_eq!(state("[WARN]  raft: heartbeat timeout reached, starting election"), None);
        assert_eq!(entered(&(time, "{\"event\":\"entering leader state\"}".to_owned())), None);
    }

    #[test]
    fn a_moment_is_flat_in_json() {
        let time = "2026-11-23T05:28:41Z".parse().unwrap();
        let moment = Moment { time, server: "a".to_owned(), what: Happened::Committed { block: 7 } };
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(json, r#"{"time":"2026-11-23T05:28:41Z","server":"a","event":"committed","block":7}"#);
    }
}
