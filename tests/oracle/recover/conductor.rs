//! Recovery of clusters of unmodified op-conductor: the named leader leads first and sequences on the planned head.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use op_conductor_init::gate::{ChainHead, ConductorImage, Conductors, Image, Site, Target, docker_answers};
use op_conductor_init::payload::{Envelope, Head};
use op_conductor_init::raft::{Configuration, Server, Suffrage};
use op_conductor_init::recover::{
    AppliedState, HeadChoice, Input, MemberChanges, Members, PlanFile, PlanOptions, applied_state, plan,
};
use op_conductor_init::state::{Depth, Node, StateDir};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::apply;
use crate::common::nothing_left;

/// Clusters at a time.
static SLOTS: Semaphore = Semaphore::const_new(2);
const PATIENCE: Duration = Duration::from_secs(60);
const BLOCK_100: &[u8] = include_bytes!("../../vectors/payload/v3.ssz");
const V4: &[u8] = include_bytes!("../../vectors/payload/v4.ssz");

/// op-conductors on a network of their own.
struct Booted {
    conductors: Conductors,
    name: String,
}

impl Booted {
    /// Starts `ids` on their directories in `state`, each with an execution client at `head`.
    async fn start(release: &str, state: &Path, ids: &[String], head: &[u8]) -> Booted {
        docker_answers().await.unwrap_or_else(|reason| panic!("{reason}"));
        let site = Site::create().await.unwrap();
        let name = site.name().to_owned();
        let target: Target = format!("op-conductor:{release}").parse().unwrap();
        let release = ConductorImage::of(Image::of(&target, &|_| ()).await.unwrap(), &site).await.unwrap();
        let stub = Image::stub(&|_| ()).await.unwrap();
        let mut conductors = Conductors::new(site);
        for id in ids {
            conductors.start_stub(&stub, id, head, ChainHead::Seeded).await.unwrap();
            conductors.start(&release, id, &state.join(id), &[]).await.unwrap();
        }
        Booted { conductors, name }
    }

    /// `leader` leads first, nobody else asked for votes before, and it sequences on `head`.
    async fn sequences(&self, what: &str, leader: &str, head: &[u8]) {
        let started = match self.conductors.wait_for_sequencing(PATIENCE).await {
            Ok(started) => started,
            Err(error) => panic!("{what}: {error}\n{}", self.conductors.logs().await),
        };
        let campaigns = self.conductors.campaigns().await.unwrap();
        let before = campaigns.iter().position(|campaign| campaign.leads).unwrap();
        assert!(campaigns[..=before].iter().all(|campaign| campaign.node == leader), "{what}: {campaigns:?}");
        let started: Vec<_> = started.into_iter().map(|started| (started.node, started.hash)).collect();
        assert_eq!(started, [(leader.to_owned(), hash(head))], "{what}");
    }

    /// Commits a block after `block`, and returns it.
    async fn commit_child(&self, leader: &str, block: &[u8]) -> Vec<u8> {
        let child = Envelope::decode(block).unwrap().child().unwrap();
        let params = serde_json::json!([child.to_json().unwrap()]);
        if let Err(error) = self.conductors.call(leader, "conductor_commitUnsafePayload", &params).await {
            panic!("{error}\n{}", self.conductors.logs().await);
        }
        child.encode()
    }

    /// Stops all, and copies what they left to `to`.
    async fn end(self, ids: &[String], to: &Path) {
        self.conductors.stop_all().await.unwrap();
        for id in ids {
            let directory = to.join(id);
            std::fs::create_dir_all(&directory).unwrap();
            self.conductors.copy_out(id, &directory).await.unwrap();
        }
        self.conductors.end().await.unwrap();
        nothing_left(&self.name);
    }
}

fn hash(block: &[u8]) -> String {
    Head::peek(block).unwrap().hash.to_string()
}

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn member(id: &str) -> (String, String) {
    (id.to_owned(), Conductors::address(id))
}

/// What s1, s2 and s3 left after some blocks on `release`: their directories, and the last block.
async fn left(release: &str, head: &[u8]) -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let (state, file) = (dir.path().join("generated"), dir.path().join("head.ssz"));
    std::fs::write(&file, head).unwrap();
    let nodes = ["s1", "s2", "s3"].map(Conductors::address).join(",");
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
    command.args(["generate", "--nodes", &nodes, "--server-ids", "s1,s2,s3", "--initial-leader", "s2"]);
    command.arg("--unsafe-head").arg(&file).arg("--output-dir").arg(&state).env_clear();
    assert!(command.output().unwrap().status.success());
    let servers = ids(&["s1", "s2", "s3"]);
    let booted = Booted::start(release, &state, &servers, head).await;
    booted.sequences("generated", "s2", head).await;
    let mut block = head.to_vec();
    for _ in 0..5 {
        block = booted.commit_child("s2", &block).await;
    }
    booted.end(&servers, &dir.path().join("left")).await;
    (dir, block)
}

/// A recovery: from which directories, to whom, with which head.
struct Case<'a> {
    what: &'a str,
    release: &'a str,
    from: Vec<PathBuf>,
    members: Members,
    leader: &'a str,
    head: HeadChoice,
}

impl Case<'_> {
    fn plan(&self) -> PlanFile {
        let inputs = self.from.iter().map(|path| Input::read(&StateDir::resolve(path).unwrap()).unwrap()).collect();
        let allow = ["RECOVER-003".to_owned()];
        let mut options = PlanOptions::new(&self.members, &self.head);
        options.leader = Some(self.leader);
        options.allow = &allow;
        let planned = plan(inputs, &options).unwrap();
        assert_eq!(planned.refused_by, [""; 0], "{}: {:?}", self.what, planned.findings);
        planned.file
    }

    /// Plans, applies and boots; the cluster goes on by a block, and again after a restart of all.
    async fn holds(&self) -> TempDir {
        let _slot = SLOTS.acquire().await.unwrap();
        let file = self.plan();
        let dir = tempfile::tempdir().unwrap();
        let (state, after) = (dir.path().join("recovered"), dir.path().join("after"));
        apply(&file, &state);
        let head = file.head.bytes().unwrap();
        let booted = Booted::start(self.release, &state, &file.ids(), &head).await;
        booted.sequences(self.what, self.leader, &head).await;
        booted.commit_child(self.leader, &head).await;
        // The last follower gets it after the quorum.
        sleep(Duration::from_secs(2)).await;
        booted.end(&file.ids(), &after).await;
        for id in file.ids() {
            let node = Node::read(&StateDir::resolve(&after.join(&id)).unwrap(), Depth::Pages, &mut |_| {}).unwrap();
            assert_eq!(applied_state(&file, &node).unwrap(), AppliedState::GoneOn, "{}: {id}", self.what);
        }
        dir
    }
}

fn as_they_are() -> Members {
    Members::Changed(MemberChanges::default())
}

fn given(bytes: &[u8]) -> HeadChoice {
    HeadChoice::Given { bytes: bytes.to_vec(), source: "a test".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_19_0_sequences_after_each_kind_of_recovery() {
    let release = "v1.19.0";
    let (dir, last) = left(release, BLOCK_100).await;
    let (dir, last) = (dir.path(), last.as_slice());
    let from = |ids: &[&str]| ids.iter().map(|id| dir.join("left").join(id)).collect::<Vec<_>>();
    let two = || from(&["s1", "s3"]);
    let stored = || HeadChoice::Base(None);
    let same =
        Case { what: "same members", release, from: two(), members: as_they_are(), leader: "s3", head: stored() };
    assert_eq!(same.plan().head.hash, hash(last), "nothing is lost");
    let lower = Case { what: "lower head", head: given(BLOCK_100), ..case(&same, "s1", as_they_are()) };
    let higher = Envelope::decode(last).unwrap().child().unwrap().encode();
    let higher = Case { what: "higher head", head: given(&higher), ..case(&same, "s2", as_they_are()) };
    let renamed = ["n1", "n2", "n3"].map(member).map(|(id, address)| Server { suffrage: Suffrage::Voter, id, address });
    let renamed = Members::List(Configuration { servers: renamed.to_vec() });
    let renamed = Case { what: "new ids and addresses", ..case(&same, "n2", renamed) };
    let remove = MemberChanges { remove: ids(&["s1", "s2"]), ..MemberChanges::default() };
    let to_one = Case { what: "three to one", ..case(&same, "s3", Members::Changed(remove)) };
    let one = async {
        let left = to_one.holds().await;
        let add = MemberChanges { add: vec![member("s4"), member("s5")], ..MemberChanges::default() };
        let from = vec![left.path().join("after/s3")];
        let to_three = Case { what: "one to three", from, ..case(&same, "s5", Members::Changed(add)) };
        to_three.holds().await;
    };
    tokio::join!(same.holds(), lower.holds(), higher.holds(), renamed.holds(), one);
}

/// The same cluster and head, for another leader and other members.
fn case<'a>(like: &Case<'a>, leader: &'a str, members: Members) -> Case<'a> {
    Case { what: like.what, release: like.release, from: like.from.clone(), members, leader, head: like.head.clone() }
}

async fn same_members(release: &str, head: &[u8]) {
    let (dir, last) = left(release, head).await;
    let from = ["s1", "s2"].map(|id| dir.path().join("left").join(id)).to_vec();
    let case =
        Case { what: release, release, from, members: as_they_are(), leader: "s1", head: HeadChoice::Base(None) };
    assert_eq!(case.plan().head.hash, hash(&last));
    case.holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_9_3_sequences_after_a_recovery() {
    same_members("v1.9.3", BLOCK_100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_13_7_sequences_after_a_recovery_on_an_isthmus_block() {
    same_members("v1.13.7", V4).await;
}
