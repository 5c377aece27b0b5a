//! One target on one state: boots it and looks whether all is as it should be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, POLL};
use super::conductor::{ChainHead, Conductors, Release};
use super::fleet::{Campaign, Fleet};
use super::image::Image;
use super::report::{Check, Outcome, TargetReport};
use super::site::Site;
use super::staged::Staged;
use super::target::Target;
use super::{Error, SAMPLE_HEAD, Talk};
use crate::payload::{Envelope, Head};
use crate::raft::{Server, Suffrage};
use crate::report::Severity;
use crate::{payload, verify};

/// What others may still do after all looks right: a second sequencer would come with the next health check.
const SETTLE: Duration = Duration::from_secs(2);
/// The checks, in their order; the last column tells whether they need op-conductor.
const CHECKS: [(&str, bool); 7] = [
    ("boot", false),
    ("first-leader", false),
    ("members", false),
    ("sequencing", true),
    ("next-block", false),
    ("restart", false),
    ("state-left", false),
];

/// How a target is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long to wait for each thing that should happen.
    pub timeout: Duration,
    /// Leave the containers and their network as they are.
    pub keep: bool,
}

/// Boots `target` on a copy of the state and reports. Containers and network are removed, unless they are to be kept.
pub async fn run(staged: &Staged, target: &Target, options: Options, talk: Talk<'_>) -> TargetReport {
    let started = Instant::now();
    let mut record = Record::new(target);
    if let Err(error) = record.fill(staged, target, options, talk).await {
        record.report.reason = Some(chain(&error));
    }
    record.finish(started)
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Fills a report, check by check.
struct Record {
    report: TargetReport,
    has_conductor: bool,
    since: Instant,
}

/// Words for what was seen, good or bad.
type Seen = Result<String, String>;

impl Record {
    fn new(target: &Target) -> Record {
        let report = TargetReport {
            target: target.to_string(),
            image: None,
            outcome: Outcome::Unknown,
            reason: None,
            seconds: 0.0,
            checks: Vec::new(),
            logs: None,
            kept: None,
        };
        Record { report, has_conductor: !matches!(target, Target::Raft(_)), since: Instant::now() }
    }

    async fn fill(&mut self, staged: &Staged, target: &Target, options: Options, talk: Talk<'_>) -> Result<(), Error> {
        let image = Image::of(target, talk).await?;
        self.report.image = Some(image.name.clone());
        let nodes = Nodes::boot(staged, target, image, talk).await?;
        self.since = Instant::now();
        let ran = Run { staged, target, options, nodes: &nodes }.checks(self, talk).await;
        if ran.is_err() || self.has_failed() {
            self.report.logs = Some(nodes.logs().await);
        }
        if options.keep {
            self.report.kept = Some(nodes.fleet().site().name().to_owned());
            nodes.keep();
            return ran;
        }
        let ended = nodes.end().await;
        ran.and(ended)
    }

    fn add(&mut self, name: &'static str, seen: Seen, talk: Talk<'_>) {
        let (outcome, detail) = match seen {
            Ok(detail) => (Outcome::Passed, detail),
            Err(detail) => (Outcome::Failed, detail),
        };
        talk(&format!("{}: {name}: {}: {detail}", self.report.target, outcome.word()));
        let seconds = tenths(self.since.elapsed());
        self.since = Instant::now();
        self.report.checks.push(Check { name, outcome, detail, seconds });
    }

    fn has_failed(&self) -> bool {
        self.report.checks.iter().any(|check| check.outcome == Outcome::Failed)
    }

    fn finish(mut self, started: Instant) -> TargetReport {
        self.report.outcome = match (&self.report.reason, self.has_failed()) {
            (_, true) => Outcome::Failed,
            (Some(_), false) => Outcome::Unknown,
            (None, false) => Outcome::Passed,
        };
        let done: BTreeSet<&str> = self.report.checks.iter().map(|check| check.name).collect();
        let missing = CHECKS.into_iter().filter(|(name, conductor)| {
            !done.contains(name) && (self.has_conductor || !conductor) && !self.report.checks.is_empty()
        });
        let skipped = missing.map(|(name, _)| Check {
            name,
            outcome: Outcome::Skipped,
            detail: "not looked at: what it builds on failed".to_owned(),
            seconds: 0.0,
        });
        let skipped: Vec<Check> = skipped.collect();
        self.report.checks.extend(skipped);
        self.report.seconds = tenths(started.elapsed());
        self.report
    }
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

/// The nodes of either kind.
enum Nodes {
    Raft(Cluster),
    Conductor(Conductors),
}

impl Nodes {
    async fn boot(staged: &Staged, target: &Target, image: Image, talk: Talk<'_>) -> Result<Nodes, Error> {
        talk(&format!("{target}: starting {} servers", staged.nodes.len()));
        if let Target::Raft(_) = target {
            let mut cluster = Cluster::new(Site::create().await?);
            for id in &staged.nodes {
                cluster.start_at(&image, id, address(staged, id)?, &staged.directory(id), &[]).await?;
            }
            return Ok(Nodes::Raft(cluster));
        }
        let stub = Image::stub(talk).await?;
        let mut conductors = Conductors::new(Site::create().await?);
        let release = Release::of(image, conductors.site()).await?;
        // Without a head there is nothing to sequence on, but op-conductor needs somebody to talk to.
        let head = staged.head.as_ref().map_or(SAMPLE_HEAD, |(_, bytes)| bytes);
        for id in &staged.nodes {
            conductors.start_stub(&stub, id, head, ChainHead::Seeded).await?;
        }
        for id in &staged.nodes {
            conductors.start_at(&release, id, address(staged, id)?, &staged.directory(id), &[]).await?;
        }
        Ok(Nodes::Conductor(conductors))
    }

    fn fleet(&self) -> &Fleet {
        match self {
            Nodes::Raft(cluster) => cluster.fleet(),
            Nodes::Conductor(conductors) => conductors.fleet(),
        }
    }

    async fn logs(&self) -> String {
        match self {
            Nodes::Raft(cluster) => cluster.logs().await,
            Nodes::Conductor(conductors) => conductors.logs().await,
        }
    }

    fn keep(self) {
        match self {
            Nodes::Raft(cluster) => cluster.into_fleet().keep(),
            Nodes::Conductor(conductors) => conductors.keep(),
        }
    }

    async fn end(self) -> Result<(), Error> {
        match self {
            Nodes::Raft(cluster) => cluster.end().await,
            Nodes::Conductor(conductors) => conductors.end().await,
        }
    }

    /// The members as node `id` sees them.
    async fn members(&self, id: &str) -> Result<BTreeSet<Member>, Error> {
        let members = match self {
            Nodes::Raft(cluster) => cluster.call(id, "GET", "/configuration", "").await?,
            // An older release answers with the list itself.
            Nodes::Conductor(conductors) => conductors.call(id, "conductor_clusterMembership", &json!([])).await?,
        };
        let list = members.get("servers").unwrap_or(&members);
        let parsed: Result<BTreeSet<Member>, _> = BTreeSet::deserialize(list);
        parsed.map_err(|error| Error::Node { node: id.to_owned(), reason: format!("{error} in {members}") })
    }
}

fn address<'a>(staged: &'a Staged, id: &str) -> Result<(&'a str, u16), Error> {
    let fail = || Error::Node { node: id.to_owned(), reason: "it has no address".to_owned() };
    staged.address(id).ok_or_else(fail)
}

/// A member as a node tells of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Member {
    id: String,
    #[serde(alias = "addr")]
    address: String,
    suffrage: u8,
}

impl Member {
    fn of(server: &Server) -> Member {
        let suffrage = u8::from(server.suffrage != Suffrage::Voter);
        Member { id: server.id.clone(), address: server.address.clone(), suffrage }
    }
}

/// One run of one target.
struct Run<'a> {
    staged: &'a Staged,
    target: &'a Target,
    options: Options,
    nodes: &'a Nodes,
}

impl Run<'_> {
    /// Looks at one thing after the other, until one is wrong.
    async fn checks(&self, record: &mut Record, talk: Talk<'_>) -> Result<(), Error> {
        let leader = match self.first_leader().await? {
            Err(reason) => {
                record.add("boot", Err(reason), talk);
                return Ok(());
            }
            Ok(leader) => leader,
        };
        record.add("boot", Ok(format!("{} servers run", self.staged.nodes.len())), talk);
        let Some(leader) = leader else {
            let seconds = self.options.timeout.as_secs();
            record.add("first-leader", Err(format!("nobody led within {seconds} s")), talk);
            return Ok(());
        };
        record.add("first-leader", self.judge_leader(&leader).await?, talk);
        if record.has_failed() {
            return Ok(());
        }
        record.add("members", self.members().await?, talk);
        if let Nodes::Conductor(conductors) = self.nodes
            && !record.has_failed()
        {
            record.add("sequencing", self.sequencing(conductors, &leader).await?, talk);
        }
        if record.has_failed() {
            return Ok(());
        }
        let next = match self.next_block(&leader).await? {
            Ok((detail, next)) => {
                record.add("next-block", Ok(detail), talk);
                next
            }
            Err(reason) => {
                record.add("next-block", Err(reason), talk);
                return Ok(());
            }
        };
        record.add("restart", self.restart().await?, talk);
        if !record.has_failed() {
            record.add("state-left", self.state_left(&next).await?, talk);
        }
        Ok(())
    }

    /// The release, when it is one whose payloads are known.
    fn release(&self) -> Option<payload::Release> {
        match self.target {
            Target::Conductor(tag) => payload::Release::find(tag),
            Target::Raft(_) | Target::Image(_) => None,
        }
    }

    /// Looks until `found` finds what it looks for; none when the time is over.
    async fn until<T, F: Future<Output = Result<Option<T>, Error>>>(
        &self,
        mut found: impl FnMut() -> F,
    ) -> Result<Option<T>, Error> {
        let end = Instant::now() + self.options.timeout;
        loop {
            if let Some(found) = found().await? {
                return Ok(Some(found));
            }
            if Instant::now() > end {
                return Ok(None);
            }
            sleep(POLL).await;
        }
    }

    /// The first leader; a reason when a node ended instead of running.
    async fn first_leader(&self) -> Result<Result<Option<Campaign>, String>, Error> {
        let fleet = self.nodes.fleet();
        let look = || async {
            for id in &self.staged.nodes {
                if let Some(code) = fleet.node(id)?.exit_code().await? {
                    let last = fleet.last_words(id).await?;
                    return Ok(Some(Err(format!("{id} ended with exit code {code}: {last}"))));
                }
            }
            let leader = fleet.campaigns().await?.into_iter().find(|campaign| campaign.leads);
            Ok(leader.map(Ok))
        };
        Ok(self.until(look).await?.transpose())
    }

    async fn judge_leader(&self, leader: &Campaign) -> Result<Seen, Error> {
        let fleet = self.nodes.fleet();
        let after = match fleet.node(&leader.node)?.started().await? {
            Some(started) => format!("{:.1} s after its start", leader.time.duration_since(started).as_secs_f64()),
            None => "at an unknown time".to_owned(),
        };
        let told = format!("{} led first, {after}", leader.node);
        let candidates = &self.staged.candidates;
        if candidates.is_empty() {
            return Ok(Err(format!("{told}, but by the state nobody can win")));
        }
        if !candidates.contains(&leader.node) {
            return Ok(Err(format!("{told}, but by the state only {} can win", candidates.join(", "))));
        }
        let [named] = candidates.as_slice() else {
            return Ok(Ok(format!("{told}; {} could by the state", candidates.join(", "))));
        };
        let before = fleet.campaigns().await?;
        let others: BTreeSet<String> =
            before.into_iter().filter(|it| it.time <= leader.time && it.node != *named).map(|it| it.node).collect();
        if others.is_empty() {
            return Ok(Ok(format!("{told}, as named, and nobody else had asked for votes")));
        }
        let others: Vec<String> = others.into_iter().collect();
        Ok(Err(format!("{told}, but {} had asked for votes before", others.join(", "))))
    }

    async fn members(&self) -> Result<Seen, Error> {
        let expected: BTreeSet<Member> = self.staged.members.servers.iter().map(Member::of).collect();
        let mut last = BTreeMap::new();
        let end = Instant::now() + self.options.timeout;
        loop {
            for id in &self.staged.nodes {
                match self.nodes.members(id).await {
                    Ok(members) => last.insert(id.as_str(), Ok(members)),
                    // Its RPC comes up a moment after raft.
                    Err(error) => last.insert(id.as_str(), Err(error.to_string())),
                };
            }
            let differs = last.iter().find(|(_, members)| members.as_ref().ok() != Some(&expected));
            let Some((id, members)) = differs else {
                let voters = self.staged.members.voters().count();
                return Ok(Ok(format!("all {} servers see the same members, {voters} of them voters", last.len())));
            };
            if Instant::now() > end {
                return Ok(Err(match members {
                    Ok(members) => format!("{id} sees {}, expected {}", list(members), list(&expected)),
                    Err(error) => error.clone(),
                }));
            }
            sleep(POLL).await;
        }
    }

    async fn sequencing(&self, conductors: &Conductors, leader: &Campaign) -> Result<Seen, Error> {
        let Some((head, _)) = &self.staged.head else {
            return Ok(Err(
                "the state has no unsafe head, so nobody sequences: generate it with --unsafe-head or --execution-rpc"
                    .to_owned(),
            ));
        };
        let first = self.until(|| async { Ok(conductors.sequencing().await?.into_iter().next()) }).await?;
        let Some(first) = first else {
            let seconds = self.options.timeout.as_secs();
            let last = conductors.fleet().last_words(&leader.node).await?;
            let release = self.release().filter(|release| !release.can_read(head.version));
            let why =
                release.map_or_else(String::new, |it| format!(": {} can't read a {} payload", it.tag, head.version));
            let said = format!("{} said last: {last}", leader.node);
            return Ok(Err(format!("no sequencer was started within {seconds} s{why}; {said}")));
        };
        sleep(SETTLE).await;
        let all = conductors.sequencing().await?;
        if let Some(other) = all.iter().find(|started| started.node != leader.node) {
            return Ok(Err(format!("the sequencer of {} was started, but {} leads", other.node, leader.node)));
        }
        if first.hash != head.hash.to_string() {
            return Ok(Err(format!("started on {}, expected block {} {}", first.hash, head.number, head.hash)));
        }
        let after = first.time.duration_since(leader.time).as_secs_f64();
        let block = format!("block {} {}", head.number, head.hash);
        Ok(Ok(format!("on {} and nobody else, on {block}, {after:.1} s after it led", leader.node)))
    }

    /// Commits a block on top of the head; its envelope.
    async fn next_block(&self, leader: &Campaign) -> Result<Result<(String, Vec<u8>), String>, Error> {
        let head = self.staged.head.as_ref().map_or(SAMPLE_HEAD, |(_, bytes)| bytes);
        let next = match Envelope::decode(head).and_then(|envelope| envelope.child()) {
            Ok(next) => next,
            Err(error) => return Ok(Err(format!("no block can be put on top of the head: {error}"))),
        };
        let bytes = next.encode();
        let committed = match self.nodes {
            Nodes::Raft(cluster) => {
                let body = json!({"data": const_hex::encode(&bytes)}).to_string();
                cluster.call(&leader.node, "POST", "/apply", &body).await.map(drop)
            }
            Nodes::Conductor(conductors) => {
                let block = next.to_json().map_err(|error| Error::Node {
                    node: leader.node.clone(),
                    reason: format!("the next block as JSON: {error}"),
                })?;
                conductors.call(&leader.node, "conductor_commitUnsafePayload", &json!([block])).await.map(drop)
            }
        };
        if let Err(error) = committed {
            return Ok(Err(error.to_string()));
        }
        let number = next.head().number;
        Ok(Ok((format!("{} committed block {number} on top of it", leader.node), bytes)))
    }

    /// Stops all and starts all again: somebody must lead, and sequence if it did before.
    async fn restart(&self) -> Result<Seen, Error> {
        // What was committed has to reach the others first.
        sleep(SETTLE).await;
        let fleet = self.nodes.fleet();
        fleet.stop_all().await?;
        // Counted, because the daemon's clock may not be ours.
        let leaders = |campaigns: Vec<Campaign>| campaigns.into_iter().filter(|campaign| campaign.leads);
        let before = leaders(fleet.campaigns().await?).count();
        fleet.start_all().await?;
        let look = || async { Ok(leaders(fleet.campaigns().await?).nth(before)) };
        let seconds = self.options.timeout.as_secs();
        let Some(leader) = self.until(look).await? else {
            return Ok(Err(format!("after all were stopped and started again, nobody led within {seconds} s")));
        };
        let Nodes::Conductor(conductors) = self.nodes else {
            return Ok(Ok(format!("all were stopped and started again, and {} led", leader.node)));
        };
        let look = || async {
            let active = conductors.active().await?;
            let last = fleet.campaigns().await?.into_iter().rfind(|campaign| campaign.leads);
            Ok(last.filter(|last| active == [last.node.as_str()]).map(|last| last.node))
        };
        Ok(match self.until(look).await? {
            Some(node) => Ok(format!("all were stopped and started again, and {node} leads and sequences")),
            None => Err(format!(
                "after all were stopped and started again, {} leads, but the active sequencers are {:?} after {seconds} s",
                leader.node,
                conductors.active().await?
            )),
        })
    }

    /// Stops all and looks at what they leave.
    async fn state_left(&self, next: &[u8]) -> Result<Seen, Error> {
        sleep(SETTLE).await;
        let fleet = self.nodes.fleet();
        fleet.stop_all().await?;
        let temp = |source| Error::Io { path: std::env::temp_dir(), source };
        let directory = tempfile::Builder::new().prefix("op-conductor-init-gate-").tempdir().map_err(temp)?;
        for id in &self.staged.nodes {
            let to = directory.path().join(id);
            std::fs::create_dir(&to).map_err(temp)?;
            fleet.copy_out(id, &to).await?;
        }
        let report = match verify::verify(directory.path(), self.release(), &()) {
            Ok(report) => report,
            Err(error) => return Ok(Err(chain(&error))),
        };
        if let Some(bad) = report.findings.iter().find(|finding| finding.severity == Severity::Error) {
            return Ok(Err(format!("verify: {} {}: {}", bad.id, bad.place, bad.message)));
        }
        let Ok(expected) = Head::peek(next) else { return Ok(Err("the next block is none".to_owned())) };
        let lacks = report.nodes.iter().find(|node| node.head.is_none_or(|stored| stored.head != expected));
        Ok(match lacks {
            Some(node) => Err(format!("block {} is not the highest in the log of {}", expected.number, node.id)),
            None => Ok(format!(
                "verify finds no error in it, and block {} is the highest in all {} logs",
                expected.number,
                report.nodes.len()
            )),
        })
    }
}

fn list(members: &BTreeSet<Member>) -> String {
    let word = |suffrage| if suffrage == 0 { "voter" } else { "nonvoter" };
    let told = members.iter().map(|it| format!("{} {} {}", word(it.suffrage), it.id, it.address));
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_in_either_form() {
        let raft: Member = serde_json::from_value(json!({"suffrage": 0, "id": "a", "address": "a:1"})).unwrap();
        let conductor: Member = serde_json::from_value(json!({"suffrage": 0, "id": "a", "addr": "a:1"})).unwrap();
        assert_eq!(raft, conductor);
    }
}
