//! Real hashicorp/raft, in containers, on state that our binary wrote: the named leader leads first.
//!
//! Each test boots clusters of its own on a network of its own, and sees that nothing of them is left.

use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{SLOTS, SplitMix, hex, nothing_left};
use op_conductor_init::gate::{Cluster, Event, Image, Site, Target, What, docker_answers};
use op_conductor_init::raft::{Server, Suffrage};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

/// raft's own timeouts are 1 to 2 s each; a machine under load gets more.
const ELECTION: Duration = Duration::from_secs(30);

/// What is generated, and how it is started.
struct Case {
    n: usize,
    leader: usize,
    nonvoters: usize,
    flags: Vec<&'static str>,
    /// Version of hashicorp/raft.
    raft: &'static str,
}

impl Case {
    fn of(n: usize, leader: usize) -> Case {
        Case { n, leader, nonvoters: 0, flags: Vec::new(), raft: "1.7.3" }
    }

    fn id(number: usize) -> String {
        format!("s{number}")
    }

    fn leader_id(&self) -> String {
        Case::id(self.leader)
    }

    fn ids(&self) -> Vec<String> {
        (1..=self.n + self.nonvoters).map(Case::id).collect()
    }
}

/// A generated cluster with some of its nodes running.
struct Running {
    cluster: Cluster,
    image: Image,
    case: Case,
    directory: TempDir,
    name: String,
    _slot: SemaphorePermit<'static>,
}

impl Running {
    /// Generates the case's state with our binary; no node runs yet.
    async fn generate(case: Case) -> Running {
        let slot = SLOTS.acquire().await.unwrap();
        docker_answers().await.unwrap_or_else(|reason| panic!("{reason}"));
        let image = Image::of(&Target::Raft(case.raft), &|_| ()).await.unwrap();
        let site = Site::create().await.unwrap();
        let name = site.name().to_owned();
        let cluster = Cluster::new(site);
        let directory = tempfile::tempdir().unwrap();
        let addresses: Vec<String> = case.ids().iter().map(|id| Cluster::address(id)).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
        command.args(["generate", "--nodes", &addresses.join(","), "--server-ids", &case.ids().join(",")]);
        command.args(["--initial-leader", &case.leader_id(), "--output-dir", directory.path().to_str().unwrap()]);
        let nonvoters: Vec<String> = (case.n + 1..=case.n + case.nonvoters).map(Case::id).collect();
        command.args(["--nonvoters", &nonvoters.join(",")]).args(&case.flags);
        let output = command.output().unwrap();
        assert!(output.status.success(), "generate: {}", String::from_utf8_lossy(&output.stderr));
        Running { cluster, image, case, directory, name, _slot: slot }
    }

    /// Generates and starts all nodes, in an order that `seed` shuffles.
    async fn start_all(case: Case, seed: u64) -> Running {
        let mut running = Running::generate(case).await;
        let mut random = SplitMix(seed);
        let mut ids = running.case.ids();
        while !ids.is_empty() {
            let id = ids.swap_remove(random.index(ids.len()));
            running.start(&id, &[]).await;
        }
        running
    }

    async fn start(&mut self, id: &str, flags: &[&str]) {
        let directory = self.directory.path().join(id);
        self.start_on(id, &directory, flags).await;
    }

    async fn start_on(&mut self, id: &str, directory: &Path, flags: &[&str]) {
        let started = self.cluster.start(&self.image, id, directory, flags).await;
        self.or_logs(started).await;
    }

    /// Shows all logs when something failed.
    async fn or_logs<T, E: std::fmt::Display>(&self, result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!("{error}\n{}", self.cluster.logs().await),
        }
    }

    async fn wait_for<T>(&self, what: &str, timeout: Duration, found: impl FnMut(&[Event]) -> Option<T>) -> T {
        self.or_logs(self.cluster.wait_for(what, timeout, found).await).await
    }

    async fn first_leader(&self) -> String {
        let leader = |events: &[Event]| events.iter().find(|event| event.is_leader()).map(|event| event.node.clone());
        self.wait_for("a leader", ELECTION, leader).await
    }

    /// The claim: the named leader is the first leader, and nobody else led or even asked for votes before.
    async fn named_leads_first(&self) {
        let leader = self.case.leader_id();
        let first = self.first_leader().await;
        let events = self.or_logs(self.cluster.events().await).await;
        let campaigns: Vec<&Event> = events.iter().filter(|event| event.is_campaign()).collect();
        let before = campaigns.iter().position(|event| event.is_leader()).unwrap();
        let others: Vec<&&Event> = campaigns[..before].iter().filter(|event| event.node != leader).collect();
        if first != leader || !others.is_empty() {
            panic!("first leader {first}, campaigns {campaigns:?}\n{}", self.cluster.logs().await);
        }
    }

    /// Every one of `ids` takes the same members for the latest configuration: all Voters, but the nonvoters.
    async fn all_agree(&self, ids: &[String]) {
        let server = |(number, id): (usize, &String)| Server {
            suffrage: if number < self.case.n { Suffrage::Voter } else { Suffrage::Nonvoter },
            id: id.clone(),
            address: Cluster::address(id),
        };
        let members: Vec<Server> = self.case.ids().iter().enumerate().map(server).collect();
        let agreed = |events: &[Event]| {
            let agrees = |id: &String| {
                let mine = events.iter().rev().filter(|event| event.node == *id);
                mine.filter_map(|event| match &event.what {
                    What::Configuration(servers) => Some(servers == &members),
                    _ => None,
                })
                .next()
                .unwrap_or(false)
            };
            ids.iter().all(agrees).then_some(())
        };
        self.wait_for("the same configuration on all nodes", ELECTION, agreed).await;
    }

    /// A command applied through `leader` reaches every one of `ids`.
    async fn command_reaches(&self, leader: &str, ids: &[String]) {
        let applied = self.cluster.call(leader, "POST", "/apply", r#"{"data":"c0ffee"}"#).await;
        self.or_logs(applied).await;
        let command = hex(&Sha256::digest([0xc0, 0xff, 0xee]));
        let has = |events: &[Event], id: &String| {
            events.iter().any(|event| event.node == *id && event.what == What::Applied(command.clone()))
        };
        let reached = |events: &[Event]| ids.iter().all(|id| has(events, id)).then_some(());
        self.wait_for("the command on all nodes", ELECTION, reached).await;
    }

    /// The whole promise, on all nodes.
    async fn holds(&self) {
        self.named_leads_first().await;
        self.all_agree(&self.case.ids()).await;
        self.command_reaches(&self.case.leader_id(), &self.case.ids()).await;
    }

    async fn end(self) {
        self.cluster.end().await.unwrap();
        nothing_left(&self.name);
    }
}

/// Runs cases side by side and waits for all.
async fn all<F: Future<Output = ()> + Send + 'static>(cases: impl IntoIterator<Item = F>) {
    let tasks: Vec<_> = cases.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn elects(case: Case, seed: u64) {
    let running = Running::start_all(case, seed).await;
    running.holds().await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_named_leader_leads_first_in_every_size() {
    all([1, 2, 5, 7].map(|n| elects(Case::of(n, 1 + n / 2), n as u64))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_elect_the_named_leader_twenty_times() {
    let case = |seed: u64| {
        let leader = 1 + usize::try_from(seed % 3).unwrap();
        let flags =
            if seed.is_multiple_of(2) { vec!["--initial-term", "57", "--page-size", "16384"] } else { Vec::new() };
        elects(Case { flags, ..Case::of(3, leader) }, seed)
    };
    all((1..=20).map(case)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_raft_version_elects_the_named_leader() {
    let case = |(number, raft)| elects(Case { raft, ..Case::of(3, 1 + number % 3) }, number as u64);
    all(["1.6.1", "1.7.1", "1.8.0"].into_iter().enumerate().map(case)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonvoters_receive_and_never_campaign() {
    elects(Case { nonvoters: 2, ..Case::of(3, 2) }, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_leads_before_a_late_leader() {
    let mut running = Running::generate(Case::of(3, 2)).await;
    running.start("s1", &[]).await;
    running.start("s3", &[]).await;
    sleep(Duration::from_secs(3)).await;
    let events = running.cluster.events().await.unwrap();
    assert!(events.iter().any(|event| event.what == What::Started), "{events:?}");
    assert!(!events.iter().any(Event::is_campaign), "{events:?}");
    running.start("s2", &[]).await;
    running.holds().await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_may_be_absent() {
    let mut running = Running::generate(Case::of(3, 1)).await;
    running.start("s2", &[]).await;
    running.start("s1", &[]).await;
    let there = ["s1", "s2"].map(str::to_owned);
    running.named_leads_first().await;
    running.all_agree(&there).await;
    running.command_reaches("s1", &there).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_dies_another_leads() {
    let running = Running::start_all(Case::of(3, 1), 3).await;
    running.named_leads_first().await;
    // A follower that takes itself for a Voter has stored the leader's entries.
    let stored = |events: &[Event]| {
        let is_voter = |event: &Event| match &event.what {
            What::Configuration(servers) => servers.iter().any(|s| s.id == event.node && s.suffrage == Suffrage::Voter),
            _ => false,
        };
        events.iter().any(|event| event.node != "s1" && is_voter(event)).then_some(())
    };
    running.wait_for("a follower with the leader's entries", ELECTION, stored).await;
    running.cluster.kill("s1").await.unwrap();
    let other = |events: &[Event]| {
        events.iter().find(|event| event.is_leader() && event.node != "s1").map(|event| event.node.clone())
    };
    let next = running.wait_for("another leader", Duration::from_secs(10), other).await;
    running.command_reaches(&next, &["s2", "s3"].map(str::to_owned)).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_exits_as_it_wins_is_replaced_or_waited_for() {
    let mut running = Running::generate(Case::of(3, 1)).await;
    for (id, flags) in [("s2", &[][..]), ("s3", &[]), ("s1", &["--exit-on-leader"])] {
        running.start(id, flags).await;
    }
    running.named_leads_first().await;
    let gone = tokio::time::timeout(ELECTION, async {
        while running.cluster.exit_code("s1").await.unwrap().is_none() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    gone.await.expect("the leader exits when it wins");
    assert_eq!(running.cluster.exit_code("s1").await.unwrap(), Some(9));
    sleep(Duration::from_secs(4)).await;
    let directory = tempfile::tempdir().unwrap();
    running.cluster.take_away("s1", directory.path()).await.unwrap();
    let leaders = |events: &[Event]| {
        events.iter().filter(|event| event.is_leader()).map(|event| event.node.clone()).collect::<Vec<_>>()
    };
    let before = leaders(&running.cluster.events().await.unwrap());
    running.start_on("s1", directory.path(), &[]).await;
    // Whoever leads now: s1 a second time, or somebody who had its entries.
    let again = |events: &[Event]| leaders(events).get(before.len().max(1)).or(before.get(1)).cloned();
    let next = running.wait_for("a leader after the restart", ELECTION, again).await;
    assert!(before.len() > 1 || next == "s1", "nobody had led, so s1 must: {next}");
    running.all_agree(&running.case.ids()).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_may_be_stopped_and_started_again() {
    let running = Running::start_all(Case::of(3, 3), 5).await;
    running.holds().await;
    for id in running.case.ids() {
        running.cluster.kill(&id).await.unwrap();
    }
    let led = |events: &[Event]| events.iter().filter(|event| event.is_leader()).count();
    let before = led(&running.cluster.events().await.unwrap());
    for id in running.case.ids() {
        running.cluster.restart(&id).await.unwrap();
    }
    running.wait_for("a leader after the restart", ELECTION, |events| (led(events) > before).then_some(())).await;
    running.all_agree(&running.case.ids()).await;
    running.end().await;
}

/// The negative control: with one configuration on all nodes chance decides, and these tests see it.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_election_elects_somebody_and_not_always_the_named() {
    let mut others = 0;
    for round in 0..6_u64 {
        let pair = [0, 1].map(|half| {
            tokio::spawn(async move {
                let case = Case { flags: vec!["--election", "open"], ..Case::of(3, 1) };
                let running = Running::start_all(case, 2 * round + half).await;
                let first = running.first_leader().await;
                running.all_agree(&running.case.ids()).await;
                running.end().await;
                first
            })
        });
        for first in pair {
            others += u32::from(first.await.unwrap() != "s1");
        }
        if others > 0 {
            return;
        }
    }
    panic!("the named one led first in 12 of 12 open elections: that is not chance, or the test sees nothing");
}
