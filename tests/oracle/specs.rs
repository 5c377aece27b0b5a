//! Random clusters: our files are those that raft-boltdb writes by the same calls, bbolt 1.4.3 finds nothing wrong with
//! them, and every version of raft-boltdb reads from them what was planned.
//!
//! SPECS_COUNT and SPECS_SEED in the environment run more, or others.

use std::fs;
use std::path::Path;

use crate::common::{SplitMix, ask, hex, number};
use op_conductor_init::cluster::{ClusterSpec, Election, SpecText};
use op_conductor_init::plan::{NodePlan, Plan};
use op_conductor_init::raft::LogType;
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use serde_json::{Value, json};

/// A cluster, and how its files are made.
struct Cluster {
    spec: ClusterSpec,
    page_size: usize,
    payload: Option<Vec<u8>>,
}

fn word(random: &mut SplitMix, most: usize) -> String {
    let len = 1 + random.skewed(most - 1);
    (0..len).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap())).collect()
}

impl Cluster {
    fn random(seed: u64) -> Cluster {
        let mut random = SplitMix(seed);
        let n = 1 + random.skewed(39);
        let ids: Vec<String> = (0..n).map(|number| format!("{}-{number}", word(&mut random, 60))).collect();
        let addresses: Vec<String> = (0..n)
            .map(|number| match random.below(3) {
                0 => format!("10.0.{}.{}:{}", number / 250, number % 250, 1 + random.below(65535)),
                1 => format!("[2001:db8::{number:x}]:50050"),
                _ => format!("{}.n{number}.example:50050", word(&mut random, 120)),
            })
            .collect();
        let leader = random.index(n);
        let nonvoters =
            (0..n).filter(|number| *number != leader && random.below(5) == 0).map(|number| ids[number].as_str());
        let nonvoters = nonvoters.collect::<Vec<_>>().join(",");
        let spec = ClusterSpec::parse(&SpecText {
            nodes: &addresses.join(","),
            server_ids: &ids.join(","),
            nonvoters: &nonvoters,
            initial_leader: &ids[leader],
            initial_term: 1 + random.next() % (1 << random.below(60)),
            network: None,
            election: if random.below(4) == 0 { Election::Open } else { Election::Named },
        });
        let len = random.skewed(300_000);
        let payload = (random.below(2) == 0).then(|| random.bytes(len));
        Cluster { spec: spec.unwrap(), page_size: [4096, 4096, 16384, 65536][random.index(4)], payload }
    }

    fn plan(&self) -> Plan<'_> {
        match &self.payload {
            Some(payload) => Plan::new(&self.spec).with_payload(payload),
            None => Plan::new(&self.spec),
        }
    }
}

/// The calls for the oracle's `write`.
fn calls(node: &NodePlan<'_>, dir: &Path) -> Value {
    let log = node.entries.iter().map(|log| {
        json!({"index": log.index, "term": log.term, "type": log.kind.to_byte(), "data": log.data.as_deref().map(hex)})
    });
    let stable = node.stable.iter().map(|(key, value)| match *key {
        "LastVoteCand" => json!({"key": key, "bytes": hex(value)}),
        _ => json!({"key": key, "uint64": u64::from_be_bytes(value.as_slice().try_into().unwrap())}),
    });
    json!({"dir": dir, "log": log.collect::<Vec<_>>(), "stable": stable.collect::<Vec<_>>()})
}

fn write_ours(node: &NodePlan<'_>, page_size: usize, dir: &Path) {
    fs::create_dir(dir).unwrap();
    let files = node.files(page_size).unwrap();
    fs::write(dir.join(LOG_FILE), files.log).unwrap();
    fs::write(dir.join(STABLE_FILE), files.stable).unwrap();
}

#[test]
fn files_of_random_clusters_are_those_of_go() {
    let (count, base) = (number("SPECS_COUNT", 200), number("SPECS_SEED", 1));
    println!("{count} clusters, seeds {base}..={}", base + count - 1);
    for seed in base..base + count {
        let cluster = Cluster::random(seed);
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let plan = cluster.plan();
        let (mut calls_of_all, mut files) = (Vec::new(), Vec::new());
        for node in plan.nodes() {
            let dir = ours.path().join(&node.server.id);
            write_ours(&node, cluster.page_size, &dir);
            files.extend([LOG_FILE, STABLE_FILE].map(|name| dir.join(name).to_str().unwrap().to_owned()));
            calls_of_all.push(calls(&node, &theirs.path().join(&node.server.id)));
        }
        let request = json!({"page_size": cluster.page_size, "no_sync": true, "nodes": calls_of_all});
        ask(&["write"], "1.7.3", &[request.to_string()]);
        for file in &files {
            let relative = Path::new(file).strip_prefix(ours.path()).unwrap();
            let same = fs::read(file).unwrap() == fs::read(theirs.path().join(relative)).unwrap();
            assert!(same, "seed {seed}: {} differs from what Go wrote", relative.display());
        }
        let verb: Vec<&str> = ["check"].into_iter().chain(files.iter().map(String::as_str)).collect();
        for answer in ask(&verb, "1.8.0", &[]) {
            assert_eq!(answer["ok"], true, "seed {seed}: bbolt check: {answer}");
        }
    }
}

#[test]
fn every_raft_boltdb_reads_what_was_planned() {
    for (seed, version) in [(1, "1.6.1"), (2, "1.7.1"), (3, "1.7.3"), (4, "1.8.0"), (5, "1.6.1"), (6, "1.8.0")] {
        let cluster = Cluster::random(seed);
        let directory = tempfile::tempdir().unwrap();
        for node in cluster.plan().nodes() {
            let dir = directory.path().join(&node.server.id);
            write_ours(&node, cluster.page_size, &dir);
            let read = ask(&["read", "--dir", dir.to_str().unwrap()], version, &[]).remove(0);
            let entries = read["log"]["entries"].as_array().unwrap();
            assert_eq!(entries.len(), node.entries.len(), "seed {seed}, raft {version}");
            for (read, log) in entries.iter().zip(&node.entries) {
                assert_eq!((&read["index"], &read["term"]), (&json!(log.index), &json!(log.term)));
                assert_eq!(read["type"], log.kind.to_byte());
                assert_eq!(read["data"], json!(log.data.as_deref().map(hex)), "index {}", log.index);
                let configuration = read["configuration"]["servers"].as_array();
                let expected =
                    (log.kind == LogType::Configuration).then_some(cluster.spec.configuration().servers.len());
                assert_eq!(configuration.map(Vec::len), expected);
            }
            let stable = read["stable"].to_string();
            for (key, value) in &node.stable {
                assert!(stable.contains(key) && stable.contains(&hex(value)), "{key} in {stable}");
            }
        }
    }
}
