//! Unmodified op-conductor, in containers, on state that our binary wrote: the named node leads first and starts its
//! sequencer on the seeded block.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::common::{SLOTS, SplitMix, nothing_left};
use op_conductor_init::gate::{ChainHead, ConductorImage, Conductors, Image, Site, Target, docker_answers};
use op_conductor_init::payload::{Envelope, Head};
use op_conductor_init::raft::Index;
use op_conductor_init::report::Severity;
use op_conductor_init::state::{Depth, Node, StateDir};
use op_conductor_init::verify::verify;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(40);

/// What is generated, and on what it runs.
#[derive(Clone, Copy)]
struct Case {
    release: &'static str,
    n: usize,
    leader: usize,
    /// The seeded block; none is a state without a head.
    payload: Option<&'static str>,
    chain: ChainHead,
    flags: &'static [&'static str],
}

impl Case {
    const fn of(release: &'static str) -> Case {
        Case { release, n: 3, leader: 2, payload: Some("v3"), chain: ChainHead::Seeded, flags: &[] }
    }

    fn ids(self) -> Vec<String> {
        (1..=self.n).map(|number| format!("s{number}")).collect()
    }

    fn leader_id(self) -> String {
        format!("s{}", self.leader)
    }

    fn file(self) -> PathBuf {
        let name = self.payload.unwrap_or("v3");
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/payload/{name}.ssz"))
    }

    fn head(self) -> Head {
        Head::peek(&std::fs::read(self.file()).unwrap()).unwrap()
    }
}

struct Running {
    conductors: Conductors,
    image: ConductorImage,
    case: Case,
    directory: TempDir,
    name: String,
    _slot: SemaphorePermit<'static>,
}

impl Running {
    /// Generates the case's state with our binary and starts the stubs.
    async fn generate(case: Case) -> Running {
        let slot = SLOTS.acquire_many(2).await.unwrap();
        docker_answers().await.unwrap_or_else(|reason| panic!("{reason}"));
        let site = Site::create().await.unwrap();
        let name = site.name().to_owned();
        let target: Target = format!("op-conductor:{}", case.release).parse().unwrap();
        let image = ConductorImage::of(Image::of(&target, &|_| ()).await.unwrap(), &site).await.unwrap();
        let stub = Image::stub(&|_| ()).await.unwrap();
        let mut conductors = Conductors::new(site);
        let directory = tempfile::tempdir().unwrap();
        let addresses: Vec<String> = case.ids().iter().map(|id| Conductors::address(id)).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
        command.args(["generate", "--nodes", &addresses.join(","), "--server-ids", &case.ids().join(",")]);
        command.args(["--initial-leader", &case.leader_id(), "--output-dir", directory.path().to_str().unwrap()]);
        if case.payload.is_some() {
            command.args(["--unsafe-head", case.file().to_str().unwrap()]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "generate: {}", String::from_utf8_lossy(&output.stderr));
        let payload = std::fs::read(case.file()).unwrap();
        for id in case.ids() {
            conductors.start_stub(&stub, &id, &payload, case.chain).await.unwrap();
        }
        Running { conductors, image, case, directory, name, _slot: slot }
    }

    async fn start(&mut self, id: &str) {
        let directory = self.directory.path().join(id);
        let started = self.conductors.start(&self.image, id, &directory, self.case.flags).await;
        self.or_logs(started).await;
    }

    async fn start_all(case: Case) -> Running {
        let mut running = Running::generate(case).await;
        let mut random = SplitMix(case.leader as u64);
        let mut ids = case.ids();
        while !ids.is_empty() {
            let id = ids.swap_remove(random.index(ids.len()));
            running.start(&id).await;
        }
        running
    }

    async fn or_logs<T, E: std::fmt::Display>(&self, result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!("{error}\n{}", self.conductors.logs().await),
        }
    }

    /// The named node was the first leader, and nobody else even asked for votes before.
    async fn named_leads_first(&self) {
        let leads = self.conductors.wait_for_leader(PATIENCE).await;
        self.or_logs(leads).await;
        let campaigns = self.or_logs(self.conductors.campaigns().await).await;
        let before = campaigns.iter().position(|campaign| campaign.leads).unwrap();
        let named = self.case.leader_id();
        assert!(campaigns[..=before].iter().all(|campaign| campaign.node == named), "{campaigns:?}");
    }

    /// The sequencer of the named node was started on the seeded block, and nobody else's.
    async fn sequences(&self) {
        self.named_leads_first().await;
        let started = self.or_logs(self.conductors.wait_for_sequencing(PATIENCE).await).await;
        let started: Vec<_> = started.into_iter().map(|started| (started.node, started.hash)).collect();
        assert_eq!(started, [(self.case.leader_id(), self.case.head().hash.to_string())]);
    }

    /// After some time under a leader, no sequencer was started.
    async fn never_sequences(&self) {
        self.named_leads_first().await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(self.or_logs(self.conductors.sequencing().await).await, []);
    }

    async fn end(self) {
        self.conductors.end().await.unwrap();
        nothing_left(&self.name);
    }
}

async fn sequences(case: Case) {
    let running = Running::start_all(case).await;
    running.sequences().await;
    running.end().await;
}

async fn without_a_head_nobody_sequences(release: &'static str) {
    let running = Running::start_all(Case { payload: None, ..Case::of(release) }).await;
    running.never_sequences().await;
    let log = running.conductors.stdout(&running.case.leader_id()).await.unwrap();
    assert!(log.contains("no unsafe head"), "op-conductor says why");
    running.end().await;
}

async fn on_a_client_that_is_ahead_nobody_sequences(release: &'static str) {
    let running = Running::start_all(Case { chain: ChainHead::Child, ..Case::of(release) }).await;
    running.never_sequences().await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v0_1_0_sequences_on_the_seeded_block_and_only_so() {
    sequences(Case::of("v0.1.0-rc.1")).await;
    without_a_head_nobody_sequences("v0.1.0-rc.1").await;
    on_a_client_that_is_ahead_nobody_sequences("v0.1.0-rc.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v0_7_3_sequences_on_the_seeded_block_and_only_so() {
    sequences(Case::of("v0.7.3")).await;
    without_a_head_nobody_sequences("v0.7.3").await;
    on_a_client_that_is_ahead_nobody_sequences("v0.7.3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v0_9_4_sequences_on_the_seeded_block_and_only_so() {
    sequences(Case::of("v0.9.4")).await;
    without_a_head_nobody_sequences("v0.9.4").await;
    on_a_client_that_is_ahead_nobody_sequences("v0.9.4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isthmus_block_needs_a_newer_release() {
    let v4 = |release| Case { payload: Some("v4"), ..Case::of(release) };
    sequences(v4("v0.9.4")).await;
    let running = Running::start_all(v4("v0.1.0-rc.1")).await;
    running.never_sequences().await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_one_behind_is_given_the_block() {
    let running = Running::start_all(Case { chain: ChainHead::Parent, ..Case::of("v0.9.4") }).await;
    running.sequences().await;
    let calls = running.conductors.calls(&running.case.leader_id()).await.unwrap();
    assert!(calls.iter().any(|call| call.event == "admin_postUnsafePayload"), "{calls:?}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_with_a_late_leader_and_one_absent_sequence() {
    let mut running = Running::generate(Case { n: 5, leader: 4, ..Case::of("v0.9.4") }).await;
    for id in ["s1", "s3", "s5"] {
        running.start(id).await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(running.conductors.campaigns().await.unwrap(), [], "nobody campaigns before the leader comes");
    running.start("s4").await;
    running.sequences().await;
    running.end().await;
}

/// The state that the nodes left, each read as info reads it; verify finds nothing worth a warning.
async fn left_behind(running: &Running) -> Vec<Node> {
    let directory = tempfile::tempdir().unwrap();
    for id in running.case.ids() {
        let to = directory.path().join(&id);
        std::fs::create_dir(&to).unwrap();
        let copied = running.conductors.copy_out(&id, &to).await;
        running.or_logs(copied).await;
    }
    let report = verify(directory.path(), None, &()).unwrap();
    let bad: Vec<_> = report.findings.iter().filter(|finding| finding.severity > Severity::Note).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let read =
        |id: &String| Node::read(&StateDir::new(directory.path().join(id)), Depth::Content, &mut |_| {}).unwrap();
    running.case.ids().iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_has_run_passes_verify() {
    let running = Running::start_all(Case::of("v0.9.4")).await;
    running.sequences().await;
    sleep(Duration::from_secs(2)).await;
    for node in left_behind(&running).await {
        assert!(node.has_run() && node.candidacy().will, "{}: all are voters now", node.id);
        assert_eq!(node.head.unwrap().head, running.case.head());
    }
    running.end().await;
}

/// Fifty blocks later, with snapshots taken and the log cut, the state is still sound, and the cluster goes on with it.
async fn goes_on_after_fifty_blocks_and_a_snapshot(release: &'static str) {
    let flags = &["--raft.snapshot-interval=1s", "--raft.snapshot-threshold=8", "--raft.trailing-logs=8"];
    let mut running = Running::start_all(Case { flags, ..Case::of(release) }).await;
    running.sequences().await;
    let leader = running.case.leader_id();
    let mut block = Envelope::decode(&std::fs::read(running.case.file()).unwrap()).unwrap();
    for _ in 0..50 {
        block = block.child().unwrap();
        let params = serde_json::json!([block.to_json().unwrap()]);
        let committed = running.conductors.call(&leader, "conductor_commitUnsafePayload", &params).await;
        running.or_logs(committed).await;
    }
    // A check is due after one to two intervals.
    sleep(Duration::from_secs(3)).await;
    running.conductors.stop_all().await.unwrap();
    for node in left_behind(&running).await {
        assert!(
            !node.snapshots.listed.is_empty() && node.log.first.unwrap().0 > Index(1),
            "{}: {:?}",
            node.id,
            node.log
        );
        assert_eq!(node.head.unwrap().head, block.head(), "{}", node.id);
    }
    let stub = Image::stub(&|_| ()).await.unwrap();
    for id in running.case.ids() {
        running.conductors.replace_stub(&stub, &id, &block.encode(), ChainHead::Seeded).await.unwrap();
    }
    running.conductors.start_all().await.unwrap();
    let again = async {
        loop {
            let active = running.conductors.active().await.unwrap();
            let last = running.conductors.campaigns().await.unwrap().into_iter().rfind(|campaign| campaign.leads);
            if active == [last.unwrap().node] {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    running.or_logs(tokio::time::timeout(PATIENCE, again).await).await;
    let hash = running.conductors.sequencing().await.unwrap().pop().unwrap().hash;
    assert_eq!(hash, block.head().hash.to_string());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_with_a_snapshot_goes_on() {
    goes_on_after_fifty_blocks_and_a_snapshot("v0.9.4").await;
    goes_on_after_fifty_blocks_and_a_snapshot("v0.1.0-rc.1").await;
}
