use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::cluster::{ClusterSpec, Election, SpecText};
use crate::plan::Role;
use crate::raft::{Log, Suffrage, Term, codec};
use crate::state::dir;

const THREE: SpecText<'_> = SpecText {
    nodes: "sequencer-1.namespace.svc.cluster.local:50050,sequencer-2.namespace.svc.cluster.local:50050,\
            sequencer-3.namespace.svc.cluster.local:50050",
    server_ids: "sequencer-1,sequencer-2,sequencer-3",
    nonvoters: "",
    initial_leader: "sequencer-1",
    initial_term: 1,
    network: None,
    election: Election::Named,
};

fn spec(text: &SpecText<'_>) -> ClusterSpec {
    ClusterSpec::parse(text).unwrap()
}

const OPTIONS: WriteOptions<'_> =
    WriteOptions { only: None, force: false, page_size: 4096, lock_timeout: Duration::ZERO };

fn write_all(text: &SpecText<'_>, dir: &Path, options: &WriteOptions<'_>) -> Result<Outcome, Error> {
    let root = Root::open(dir, None, Duration::ZERO)?;
    write(&Plan::new(&spec(text)), root, options)
}

/// Entries as `index/term type`, then the stable keys.
fn lines(node: &NodePlan<'_>) -> Vec<String> {
    let entry = |log: &Log<'_>| format!("{}/{} {}", log.index, log.term, log.kind);
    let stable = |(key, value): &(&str, Vec<u8>)| match <[u8; 8]>::try_from(value.as_slice()) {
        Ok(term) => format!("{key} {}", u64::from_be_bytes(term)),
        Err(_) => format!("{key} {}", String::from_utf8_lossy(value)),
    };
    node.entries.iter().map(entry).chain(node.stable.iter().map(stable)).collect()
}

fn configuration(log: &Log<'_>) -> Vec<(String, Suffrage)> {
    let configuration = codec::decode_configuration(log.data.as_deref().unwrap()).unwrap();
    configuration.servers.into_iter().map(|server| (server.id, server.suffrage)).collect()
}

#[test]
fn the_files_have_the_bytes_that_raft_boltdb_writes() {
    // Written by raft-boltdb/v2 2.3.1 with bbolt 1.3.6: NewBoltStore, one StoreLogs; NewBoltStore, SetUint64 CurrentTerm,
    // SetUint64 LastVoteTerm, Set LastVoteCand; page size 4096.
    let stable = "ab58da5c3d801a7b99c18fd6f21a559dfb8c83b2b4442a8f298d954197dab264";
    let logs = [
        "cd139815e8c68d8331175f6afa9ed80ca8fd5a7849a8b459230559d991ecc85d",
        "ab0dffd81a294459dc515bd75d9ce4e584d629246084ef55de9ebebd707257f5",
        "3d2322f253c177bb0a482d8645d08cd086cd59a495cd80c3318eedd0f5f801bf",
    ];
    let sha256 = |bytes: &[u8]| const_hex::encode(Sha256::digest(bytes));
    let spec = spec(&THREE);
    let hashes: Vec<_> = Plan::new(&spec)
        .nodes()
        .map(|node| node.files(4096).unwrap())
        .map(|files| (sha256(&files.log), sha256(&files.stable)))
        .collect();
    assert_eq!(hashes, logs.map(|log| (log.to_owned(), stable.to_owned())));
}

#[test]
fn the_named_leader_has_the_best_log_and_followers_have_no_vote_of_their_own() {
    use Suffrage::{Nonvoter, Voter};
    let text = SpecText {
        nodes: "a:1,b:2,c:3,d:4",
        server_ids: "a,b,c,d",
        nonvoters: "c",
        initial_leader: "b",
        initial_term: 57,
        ..THREE
    };
    let spec = spec(&text);
    let plan = Plan::new(&spec);
    let nodes: Vec<_> = plan.nodes().collect();
    let stable = ["CurrentTerm 60", "LastVoteTerm 60", "LastVoteCand b:2"];
    let first = "1/57 Configuration";
    assert_eq!(lines(&nodes[0]), [&[first, "2/58 Configuration"], &stable[..]].concat());
    assert_eq!(lines(&nodes[1]), [&[first, "2/60 Noop"], &stable[..]].concat());
    assert_eq!(lines(&nodes[2]), [&[first], &stable[..]].concat());
    assert_eq!(lines(&nodes[3]), [&[first, "2/59 Configuration"], &stable[..]].concat());
    let roles: Vec<Role> = nodes.iter().map(|node| node.role).collect();
    assert_eq!(roles, [Role::Follower(1), Role::Leader, Role::Nonvoter, Role::Follower(2)]);

    let all = |suffrages: [Suffrage; 4]| ["a", "b", "c", "d"].map(str::to_owned).into_iter().zip(suffrages).collect();
    let members: Vec<_> = all([Voter, Voter, Nonvoter, Voter]);
    assert!(nodes.iter().all(|node| configuration(&node.entries[0]) == members));
    let demoted: Vec<_> = all([Nonvoter, Voter, Nonvoter, Voter]);
    assert_eq!(configuration(&nodes[0].entries[1]), demoted);
}

#[test]
fn one_server_alone_follows_the_same_rule() {
    let spec = spec(&SpecText { nodes: "a:1", server_ids: "a", initial_leader: "a", ..THREE });
    let nodes: Vec<_> = Plan::new(&spec).nodes().map(|node| lines(&node)).collect();
    let stable = ["CurrentTerm 2", "LastVoteTerm 2", "LastVoteCand a:1"];
    assert_eq!(nodes, [[&["1/1 Configuration", "2/2 Noop"], &stable[..]].concat()]);
}

#[test]
fn an_open_election_has_one_entry_and_no_votes_but_the_leaders() {
    let spec = spec(&SpecText {
        nodes: "a:1,b:2",
        server_ids: "a,b",
        initial_leader: "b",
        initial_term: 5,
        election: Election::Open,
        ..THREE
    });
    let nodes: Vec<_> = Plan::new(&spec).nodes().map(|node| lines(&node)).collect();
    let leader = ["1/5 Configuration", "CurrentTerm 5", "LastVoteTerm 5", "LastVoteCand b:2"];
    assert_eq!(nodes, [vec!["1/5 Configuration", "CurrentTerm 5"], leader.to_vec()]);
}

#[test]
fn terms_of_the_plan_are_distinct_and_the_highest_is_the_leaders() {
    let ids: Vec<String> = (0..101).map(|i| format!("n{i}")).collect();
    let nodes: Vec<String> = (0..101).map(|i| format!("n{i}:1")).collect();
    let spec = spec(&SpecText { nodes: &nodes.join(","), server_ids: &ids.join(","), initial_leader: "n70", ..THREE });
    let plan = Plan::new(&spec);
    let mut terms: Vec<u64> = plan.nodes().map(|node| node.entries[1].term.0).collect();
    assert_eq!(Term(terms[70]), plan.final_term());
    terms.sort_unstable();
    assert_eq!(terms, (2..=102).collect::<Vec<_>>());
}

#[test]
fn every_page_size_makes_sound_stores() {
    let spec = spec(&THREE);
    for page_size in [1024, 2048, 4096, 8192, 16384, 32768, 65536] {
        for node in Plan::new(&spec).nodes() {
            let files = node.files(page_size).unwrap();
            for bytes in [&files.log, &files.stable] {
                let check = crate::bolt::check(bytes);
                assert!(check.is_ok_and(|check| check.problems.is_empty()), "page size {page_size}");
            }
        }
    }
}

#[test]
fn cluster_json_is_documented_by_this_example() {
    let spec = spec(&SpecText { nodes: "a:1,b:2", server_ids: "a,b", nonvoters: "b", initial_leader: "a", ..THREE });
    let plan = Plan::new(&spec);
    let file = ClusterFile::new(plan.spec(), plan.final_term(), 4096);
    let text = String::from_utf8(file.encode()).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(text, @r#"
    {
      "format_version": 1,
      "network": null,
      "servers": [
        {
          "suffrage": "voter",
          "id": "a",
          "address": "a:1"
        },
        {
          "suffrage": "nonvoter",
          "id": "b",
          "address": "b:2"
        }
      ],
      "leader": "a",
      "election": "named",
      "initial_term": 1,
      "current_term": 2,
      "page_size": 4096,
      "tool_version": "VERSION"
    }
    "#);
    assert_eq!(ClusterFile::decode(&file.encode()).unwrap(), file);
}

/// A generated cluster in a directory of its own.
fn generated() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_all(&THREE, dir.path(), &OPTIONS).unwrap();
    dir
}

#[test]
fn the_same_again_changes_nothing() {
    let dir = generated();
    let outcome = write_all(&THREE, dir.path(), &OPTIONS).unwrap();
    assert_eq!((outcome.nodes, outcome.cluster_file), (vec![Change::Unchanged; 3], Change::Unchanged));
    let names = dir::StateDir::new(dir.path()).contents().unwrap().unwrap();
    assert_eq!(names, ["cluster.json", "sequencer-1", "sequencer-2", "sequencer-3"]);
}

#[test]
fn a_file_from_another_version_of_the_tool_is_the_same_state() {
    let dir = generated();
    let path = dir.path().join(CLUSTER_FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(env!("CARGO_PKG_VERSION"), "99.0.0")).unwrap();
    assert_eq!(write_all(&THREE, dir.path(), &OPTIONS).unwrap().cluster_file, Change::Unchanged);
}

#[test]
fn missing_nodes_and_files_are_added() {
    let dir = generated();
    fs::remove_dir_all(dir.path().join("sequencer-2")).unwrap();
    fs::remove_file(dir.path().join("sequencer-3/raft-log.db")).unwrap();
    let outcome = write_all(&THREE, dir.path(), &OPTIONS).unwrap();
    assert_eq!(outcome.nodes, [Change::Unchanged, Change::Written, Change::Written]);
    assert_eq!(write_all(&THREE, dir.path(), &OPTIONS).unwrap().nodes, [Change::Unchanged; 3]);
}

#[test]
fn an_empty_directory_of_a_server_is_no_state() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sequencer-1")).unwrap();
    let outcome = write_all(&THREE, dir.path(), &OPTIONS).unwrap();
    assert_eq!((outcome.nodes, outcome.replaced), (vec![Change::Written; 3], None));
}

#[test]
fn other_state_is_refused_with_its_files() {
    let dir = generated();
    fs::write(dir.path().join("sequencer-1/raft-stable.db"), "x").unwrap();
    fs::create_dir(dir.path().join("sequencer-2/snapshots")).unwrap();
    let error = write_all(&THREE, dir.path(), &OPTIONS).unwrap_err();
    let Error::Existing { files, .. } = error else { panic!("{error:?}") };
    assert_eq!(files, ["sequencer-1/raft-stable.db", "sequencer-2/snapshots"].map(|file| dir.path().join(file)));
}

#[test]
fn force_replaces_and_never_merges() {
    let dir = generated();
    fs::create_dir(dir.path().join("sequencer-2/snapshots")).unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::write(dir.path().join("notes"), "mine").unwrap();
    let outcome = write_all(&THREE, dir.path(), &WriteOptions { force: true, ..OPTIONS }).unwrap();
    assert_eq!(outcome.nodes, [Change::Unchanged, Change::Written, Change::Unchanged]);
    assert_eq!(outcome.foreign, ["notes"]);
    assert!(!dir.path().join("sequencer-2/snapshots").exists());
    assert!(outcome.replaced.unwrap().join("sequencer-2/snapshots").exists());
    assert_eq!(fs::read_to_string(dir.path().join("notes")).unwrap(), "mine");
}

#[test]
fn state_of_another_plan_is_refused_whole() {
    let dir = generated();
    let text = SpecText { initial_leader: "sequencer-2", ..THREE };
    let error = write_all(&text, dir.path(), &OPTIONS).unwrap_err();
    let Error::Existing { files, .. } = error else { panic!("{error:?}") };
    // sequencer-3 is follower 2 in both plans, so its log is the same.
    assert_eq!(files.len(), 6, "two of sequencer-1 and sequencer-2 each, raft-stable.db, cluster.json: {files:?}");
}

#[test]
fn only_writes_one_directory_of_the_plan_for_all() {
    let (all, one) = (generated(), tempfile::tempdir().unwrap());
    let outcome = write_all(&THREE, one.path(), &WriteOptions { only: Some("sequencer-2"), ..OPTIONS }).unwrap();
    assert_eq!(outcome.nodes, [Change::Skipped, Change::Written, Change::Skipped]);
    for file in ["sequencer-2/raft-log.db", "sequencer-2/raft-stable.db", "cluster.json"] {
        assert_eq!(fs::read(one.path().join(file)).unwrap(), fs::read(all.path().join(file)).unwrap());
    }
    assert!(!one.path().join("sequencer-1").exists());
    let unknown = write_all(&THREE, one.path(), &WriteOptions { only: Some("x"), ..OPTIONS });
    assert!(matches!(unknown, Err(Error::UnknownServer { id }) if id == "x"));
}

#[test]
fn a_running_node_is_not_replaced() {
    let dir = generated();
    let text = SpecText { initial_term: 2, ..THREE };
    let stable = File::open(dir.path().join("sequencer-3/raft-stable.db")).unwrap();
    rustix::fs::flock(&stable, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let before = fs::read(dir.path().join("sequencer-1/raft-log.db")).unwrap();
    let forced = WriteOptions { force: true, ..OPTIONS };
    let error = write_all(&text, dir.path(), &forced).unwrap_err();
    assert!(matches!(error, Error::State(dir::Error::Locked { .. })));
    assert_eq!(fs::read(dir.path().join("sequencer-1/raft-log.db")).unwrap(), before);
    drop(stable);
    write_all(&text, dir.path(), &forced).unwrap();
}

#[test]
fn a_payload_is_index_2_of_every_node() {
    let three = spec(&THREE);
    let payload = vec![7; 600];
    let plan = Plan::new(&three).with_payload(&payload);
    let logs: Vec<Vec<String>> = plan.nodes().map(|node| lines(&node)[..3].to_vec()).collect();
    let first = ["1/1 Configuration", "2/1 Command"];
    let with = |last: &'static str| [&first[..], &[last]].concat();
    assert_eq!(logs, [with("3/4 Noop"), with("3/2 Configuration"), with("3/3 Configuration")]);
    assert!(plan.nodes().all(|node| node.entries[1].data.as_deref() == Some(&payload[..])));
}
