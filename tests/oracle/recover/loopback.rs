//! Nodes of real raft as processes on loopback.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::{hex, oracle};

/// How long something that must happen may take on a machine under load.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// raft's timeouts: short, so that a history takes seconds.
const TIMEOUTS: [&str; 3] = ["--heartbeat-timeout=200ms", "--election-timeout=200ms", "--lease-timeout=150ms"];
/// Little is kept after a snapshot.
const SNAPSHOTS: [&str; 3] = ["--trailing-logs=2", "--snapshot-interval=1h", "--snapshot-like-op-conductor"];

/// One node. Its process is killed when this is dropped.
pub(super) struct Node {
    pub(super) id: String,
    /// Where the others dial it.
    pub(super) address: String,
    control: String,
    child: Option<Child>,
    /// What it printed.
    events: PathBuf,
}

/// An address on loopback that no other node has. The system's own choice could be given twice, or to a connection.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let first = u16::try_from(std::process::id() % 64).unwrap() * 256;
        let address = format!("127.0.0.1:{}", 12_000 + (first + number) % 16_384);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

impl Node {
    /// A node that doesn't run yet; what it prints goes to a file in `logs`.
    pub(super) fn new(id: &str, logs: &Path) -> Node {
        let events = logs.join(format!("{id}.events"));
        Node { id: id.to_owned(), address: free_address(), control: free_address(), child: None, events }
    }

    /// Starts it on `dir`/`id`.
    pub(super) fn start(&mut self, version: &str, dir: &Path) {
        assert!(self.child.is_none(), "{} runs", self.id);
        let append = || File::options().create(true).append(true).open(&self.events).unwrap();
        let mut command = Command::new(oracle(version));
        command.args(["node", "--id", &self.id, "--bind", &self.address, "--http", &self.control]);
        command.arg("--dir").arg(dir).args(TIMEOUTS).args(SNAPSHOTS);
        command.stdin(Stdio::null()).stdout(append()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    pub(super) fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Kills it at once.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops its clock, or lets it go on.
    pub(super) fn freeze(&self, frozen: bool) {
        if let Some(child) = &self.child {
            let signal = if frozen { Signal::STOP } else { Signal::CONT };
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    /// The answer of its control; none when it refused, or didn't answer in time.
    pub(super) fn call(&self, method: &str, path: &str, body: &str, timeout: Duration) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.control).ok()?;
        stream.set_read_timeout(Some(timeout)).ok()?;
        let head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.lines().next()?.contains(" 200 ").then(|| serde_json::from_str(body).ok())?
    }

    /// Whether a block was acknowledged.
    pub(super) fn apply(&self, block: &[u8], timeout: Duration) -> bool {
        let body = format!(r#"{{"data": "{}"}}"#, hex(block));
        self.call("POST", "/apply", &body, timeout).is_some()
    }

    pub(super) fn leads(&self) -> bool {
        let stats = self.call("GET", "/stats", "", Duration::from_millis(500));
        stats.is_some_and(|stats| stats["state"] == "Leader")
    }

    /// The last command that its state machine has applied.
    pub(super) fn last(&self) -> Option<String> {
        let fsm = self.call("GET", "/fsm", "", Duration::from_millis(500))?;
        fsm["last"].as_str().map(str::to_owned)
    }

    /// The states that it entered as a candidate or a leader: when, and which.
    pub(super) fn campaigns(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(&self.events).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let entered = lines.filter(|it| it["event"] == "state" && it["source"] == "log" && it["state"] != "follower");
        entered.map(|it| (it["time"].as_str().unwrap().to_owned(), it["state"].as_str().unwrap().to_owned())).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something is there.
pub(super) fn wait_for<T>(timeout: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(found) = found() {
            return Some(found);
        }
        if Instant::now() > end {
            return None;
        }
        sleep(POLL);
    }
}
