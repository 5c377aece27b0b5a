use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::bolt::Db;
use crate::plan::{NodePlan, Plan, Role};
use crate::raft::{
    AppendedAt, CONF_BUCKET, CURRENT_TERM, Configuration, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, Log, LogType, Server,
    Suffrage, Term, codec,
};
use crate::report::Severity;
use crate::state::dir::{LOG_FILE, STABLE_FILE, StateDir};
use crate::state::{Depth, Node};

const BLOCK_100: &[u8] = include_bytes!("../../tests/vectors/payload/v3.ssz");
const BLOCK_101: &[u8] = include_bytes!("../../tests/vectors/payload/v4.ssz");

fn members(ids: &[&str]) -> Configuration {
    let server =
        |id: &&str| Server { suffrage: Suffrage::Voter, id: (*id).to_owned(), address: format!("{id}.example:50050") };
    Configuration { servers: ids.iter().map(server).collect() }
}

/// An entry that a leader appended.
fn entry(index: u64, term: u64, kind: LogType, data: Option<&[u8]>) -> Log<'static> {
    let data = data.map(|data| data.to_vec().into());
    let (index, term) = (Index(index), Term(term));
    Log { index, term, kind, data, extensions: None, appended_at: AppendedAt::from_unix(1_700_000_000, 0) }
}

fn configuration(index: u64, term: u64, ids: &[&str]) -> Log<'static> {
    let mut data = Vec::new();
    codec::encode_configuration(&members(ids), &mut data);
    entry(index, term, LogType::Configuration, Some(&data))
}

fn block(index: u64, term: u64, ssz: &[u8]) -> Log<'static> {
    entry(index, term, LogType::Command, Some(ssz))
}

fn noop(index: u64, term: u64) -> Log<'static> {
    entry(index, term, LogType::Noop, None)
}

/// A cluster in a directory: what its servers have left.
struct Left {
    dir: TempDir,
}

impl Left {
    fn new() -> Left {
        Left { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes what a server that ran has left: entries, CurrentTerm, and whom it voted for in that term.
    fn server(&self, id: &str, entries: Vec<Log<'static>>, term: u64, vote: Option<&str>) -> &Left {
        let server = &members(&[id]).servers[0];
        let term = term.to_be_bytes().to_vec();
        let mut stable = vec![(CURRENT_TERM, term.clone())];
        if let Some(candidate) = vote {
            stable.push((LAST_VOTE_TERM, term));
            stable.push((LAST_VOTE_CAND, format!("{candidate}.example:50050").into_bytes()));
        }
        let files = NodePlan { server, role: Role::Leader, entries, stable }.files(4096).unwrap();
        let directory = self.path().join(id);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(LOG_FILE), files.log).unwrap();
        fs::write(directory.join(STABLE_FILE), files.stable).unwrap();
        self
    }

    fn inputs(&self, ids: &[&str]) -> Vec<Input> {
        let read = |id: &&str| Input::read(&StateDir::new(self.path().join(id))).unwrap();
        ids.iter().map(read).collect()
    }

    fn node(&self, id: &str) -> Node {
        Node::read(&StateDir::new(self.path().join(id)), Depth::Pages, &mut |_| {}).unwrap()
    }
}

/// Three servers; a and b have block 100 at index 3, c only what came before.
fn three() -> Left {
    let left = Left::new();
    let first = || vec![configuration(1, 1, &["a", "b", "c"]), noop(2, 5)];
    let all = || [first(), vec![block(3, 5, BLOCK_100)]].concat();
    left.server("a", all(), 5, Some("a")).server("b", all(), 5, Some("a")).server("c", first(), 6, Some("b"));
    left
}

fn as_they_are() -> Members {
    Members::Changed(MemberChanges::default())
}

fn planned(inputs: Vec<Input>, change: impl FnOnce(&mut PlanOptions<'_>)) -> Result<Planned, Error> {
    let (members, head) = (as_they_are(), HeadChoice::Base(None));
    let mut options = PlanOptions::new(&members, &head);
    change(&mut options);
    plan(inputs, &options)
}

fn plan_of(inputs: Vec<Input>) -> Planned {
    planned(inputs, |_| {}).unwrap()
}

#[test]
fn the_base_has_the_highest_last_term_and_not_the_highest_index() {
    let left = three();
    left.server(
        "c",
        vec![configuration(1, 1, &["a", "b", "c"]), noop(2, 2), noop(3, 2), noop(4, 2), noop(9, 2)],
        5,
        None,
    );
    let Planned { file, .. } = plan_of(left.inputs(&["c", "b", "a"]));
    assert_eq!((file.base.id.as_str(), file.base.term, file.base.index), ("a", Term(5), Index(3)));
    assert_eq!((file.index, file.term), (Index(10), Term(6)), "above the tail of c too");
    assert_eq!(file.leader, "a");
}

#[test]
fn terms_that_were_only_voted_in_count() {
    let left = three();
    let file = plan_of(left.inputs(&["a", "c"])).file;
    assert_eq!((file.index, file.term), (Index(4), Term(7)));
}

#[test]
fn a_majority_of_the_bases_own_configuration_covers() {
    let Planned { file, refused_by, .. } = plan_of(three().inputs(&["a", "c"]));
    assert!(file.coverage.covered && refused_by.is_empty(), "{refused_by:?}");
    assert_eq!(
        file.coverage.sentence,
        "No committed entry can be lost: a, c are 2 of the 3 voters of configuration 1, the base's latest. They could have elected this log themselves."
    );
}

#[test]
fn one_of_three_does_not_cover_and_says_who_may_have_more() {
    let Planned { file, refused_by, .. } = plan_of(three().inputs(&["a"]));
    assert_eq!(refused_by, ["RECOVER-001", "RECOVER-002"]);
    assert_eq!(
        file.coverage.sentence,
        "Entries after 3 may be lost: only 1 of 3 voters is here. b, c may have committed more, and can still elect a leader between them."
    );
}

#[test]
fn half_of_four_voters_does_not_cover() {
    let left = Left::new();
    let log = || vec![configuration(1, 1, &["a", "b", "c", "d"]), block(2, 1, BLOCK_100)];
    left.server("a", log(), 1, None).server("b", log(), 1, None);
    let file = plan_of(left.inputs(&["a", "b"])).file;
    assert_eq!(
        file.coverage.sentence,
        "Entries after 2 may be lost: only 2 of 4 voters are here. c, d may have committed more, together with one that is here."
    );
}

/// A removal that the base has not heard of was committed by others; one that it has heard of counts at once.
#[test]
fn only_the_bases_own_configuration_counts_though_it_may_not_be_committed() {
    let left = Left::new();
    let old = || vec![configuration(1, 1, &["a", "b", "c"]), block(2, 1, BLOCK_100)];
    left.server("a", [old(), vec![configuration(3, 1, &["a", "d", "e"])]].concat(), 1, None).server(
        "b",
        old(),
        1,
        None,
    );
    let file = plan_of(left.inputs(&["a", "b"])).file;
    assert!(!file.coverage.covered, "a and b are two of the three that b knows, and one of the three that a knows");
    assert_eq!((file.coverage.configuration, file.coverage.counted), (Index(3), vec!["a".to_owned()]));
}

#[test]
fn generated_state_is_neither_a_witness_nor_the_base() {
    let left = three();
    let spec = crate::cluster::ClusterSpec::from_members(&members(&["a", "b", "c"]), "c", Term(40)).unwrap();
    let made = Plan::new(&spec);
    let files = made.nodes().last().unwrap().files(4096).unwrap();
    fs::write(left.path().join("c").join(LOG_FILE), files.log).unwrap();
    fs::write(left.path().join("c").join(STABLE_FILE), files.stable).unwrap();
    let Planned { file, refused_by, findings } = plan_of(left.inputs(&["a", "c"]));
    assert_eq!((file.base.id.as_str(), file.coverage.counted), ("a", vec!["a".to_owned()]));
    assert_eq!(refused_by, ["RECOVER-001", "RECOVER-002", "RECOVER-004"], "{findings:?}");
    assert_eq!(file.term, Term(44), "its terms count all the same");
}

#[test]
fn a_server_that_forgot_its_own_candidacy_was_set_back() {
    let left = three();
    left.server("b", vec![configuration(1, 1, &["a", "b", "c"]), block(2, 1, BLOCK_100)], 2, None);
    let Planned { file, refused_by, .. } = plan_of(left.inputs(&["a", "b", "c"]));
    let reason = file.coverage.uncounted.iter().find(|it| it.id == "b").unwrap().reason.clone();
    assert_eq!(reason, "restored: c voted for it in term 6, and its own term is 2");
    assert!(refused_by.contains(&"RECOVER-004"));
}

#[test]
fn a_server_whose_replaced_state_had_more_was_set_back() {
    let left = three();
    let old = left.path().join(".replaced-20260131-235959/a");
    fs::create_dir_all(&old).unwrap();
    for name in [LOG_FILE, STABLE_FILE] {
        fs::copy(left.path().join("a").join(name), old.join(name)).unwrap();
    }
    assert_eq!(left.inputs(&["a"])[0].facts.set_back, None, "the same is not more");
    left.server("a", vec![configuration(1, 1, &["a", "b", "c"]), noop(2, 5)], 5, Some("a"));
    assert!(left.inputs(&["a"])[0].facts.set_back.is_some());
}

#[test]
fn the_head_is_the_highest_block_of_the_base_and_must_be_the_last_one() {
    let left = three();
    let log = |blocks: [&[u8]; 2]| {
        vec![configuration(1, 1, &["a", "b", "c"]), noop(2, 5), block(3, 5, blocks[0]), block(4, 5, blocks[1])]
    };
    left.server("a", log([BLOCK_100, BLOCK_101]), 5, None);
    assert_eq!(plan_of(left.inputs(&["a", "b"])).file.head.number, 101);
    left.server("a", log([BLOCK_101, BLOCK_100]), 5, None);
    let error = planned(left.inputs(&["a", "b"]), |_| {}).unwrap_err();
    assert!(matches!(error, Error::UnclearHead { highest: 101, last: 100 }), "{error}");
    for (which, number) in [(WhichHead::Highest, 101), (WhichHead::Last, 100)] {
        let (members, head) = (as_they_are(), HeadChoice::Base(Some(which)));
        let file = plan(left.inputs(&["a", "b"]), &PlanOptions::new(&members, &head)).unwrap().file;
        assert_eq!(file.head.number, number);
    }
}

#[test]
fn a_block_that_op_conductor_cannot_decode_is_passed_over() {
    let left = three();
    let cut = &BLOCK_101[..BLOCK_101.len() - 1];
    let log = vec![configuration(1, 1, &["a", "b", "c"]), block(2, 5, BLOCK_100), block(3, 5, cut)];
    left.server("a", log, 5, None);
    let head = left.inputs(&["a"])[0].head(WhichHead::Highest).unwrap().unwrap();
    assert_eq!(head, BLOCK_100);
}

#[test]
fn no_head_anywhere_is_an_error() {
    let left = Left::new();
    left.server("a", vec![configuration(1, 1, &["a"]), noop(2, 1)], 1, None);
    let error = planned(left.inputs(&["a"]), |_| {}).unwrap_err();
    assert!(matches!(error, Error::NoHead), "{error}");
}

#[test]
fn each_refusal_can_be_allowed_and_is_a_warning_then() {
    let left = three();
    let lower = HeadChoice::Given { bytes: BLOCK_100.to_vec(), source: "a file".to_owned() };
    let log = vec![configuration(1, 1, &["a", "b", "c"]), block(2, 5, BLOCK_101)];
    left.server("a", log.clone(), 5, None).server("b", log, 5, None);
    let members = as_they_are();
    let release = crate::payload::Release::find("v1.9.3");
    let higher = HeadChoice::Base(None);
    let client = Client { head: crate::payload::Head::peek(BLOCK_101).unwrap() };
    let refused = |options: &PlanOptions<'_>| plan(left.inputs(&["a", "b"]), options).unwrap().refused_by;
    assert_eq!(refused(&PlanOptions::new(&members, &lower)), ["RECOVER-003"]);
    assert_eq!(refused(&PlanOptions { release, ..PlanOptions::new(&members, &higher) }), ["RECOVER-006"]);
    let ahead = PlanOptions { client: Some(client), ..PlanOptions::new(&members, &lower) };
    assert_eq!(refused(&ahead), ["RECOVER-003", "RECOVER-007"]);
    let allow = ["recover-003".to_owned(), "RECOVER-007".to_owned()];
    let allowed = plan(left.inputs(&["a", "b"]), &PlanOptions { allow: &allow, ..ahead }).unwrap();
    assert!(allowed.refused_by.is_empty() && allowed.findings.iter().all(|it| it.severity == Severity::Warning));
    let ids: Vec<&str> = allowed.file.overrides.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["RECOVER-003", "RECOVER-007"]);
    let child = PlanOptions {
        client: Some(Client { head: crate::payload::Head::peek(BLOCK_100).unwrap() }),
        ..PlanOptions::new(&members, &higher)
    };
    assert_eq!(refused(&child), [""; 0], "the head's parent is fine");
}

#[test]
fn new_addresses_for_all_leave_nothing_to_reach() {
    let set = ["a", "b", "c"].map(|id| (id.to_owned(), format!("{id}.new:50050"))).to_vec();
    let members = Members::Changed(MemberChanges { set, ..MemberChanges::default() });
    let head = HeadChoice::Base(None);
    let refused = plan(three().inputs(&["a"]), &PlanOptions::new(&members, &head)).unwrap().refused_by;
    assert_eq!(refused, ["RECOVER-001"]);
}

#[test]
fn members_are_set_added_and_removed() {
    let changes = MemberChanges {
        set: vec![("a".to_owned(), "a.new:1".to_owned())],
        add: vec![("d".to_owned(), "d:1".to_owned())],
        remove: vec!["b".to_owned()],
        nonvoters: Some(vec!["c".to_owned()]),
    };
    let (members, head) = (Members::Changed(changes), HeadChoice::Base(None));
    let file = plan(three().inputs(&["a", "b", "c"]), &PlanOptions::new(&members, &head)).unwrap().file;
    let after: Vec<_> = file.members.iter().map(|it| (it.id.as_str(), it.address.as_str(), it.suffrage)).collect();
    assert_eq!(
        after,
        [
            ("a", "a.new:1", Suffrage::Voter),
            ("c", "c.example:50050", Suffrage::Nonvoter),
            ("d", "d:1", Suffrage::Voter)
        ]
    );
    assert_eq!(file.servers.iter().map(|it| it.role.as_str()).collect::<Vec<_>>(), ["leader", "nonvoter", "follower"]);
}

#[test]
fn a_base_that_will_not_vote_needs_a_named_leader() {
    let changes = MemberChanges { remove: vec!["a".to_owned()], ..MemberChanges::default() };
    let (members, head) = (Members::Changed(changes), HeadChoice::Base(None));
    let options = PlanOptions::new(&members, &head);
    let left = three();
    let inputs = || left.inputs(&["a", "c"]);
    assert!(matches!(plan(inputs(), &options), Err(Error::NoLeader { base }) if base == "a"));
    let named = PlanOptions { leader: Some("c"), ..options };
    assert_eq!(plan(inputs(), &named).unwrap().file.leader, "c");
}

#[test]
fn the_same_inputs_in_any_order_give_the_same_plan() {
    let left = three();
    let one = plan_of(left.inputs(&["a", "b", "c"])).file.encode();
    assert_eq!(plan_of(left.inputs(&["c", "a", "b"])).file.encode(), one);
    assert_eq!(PlanFile::decode(&one).unwrap().encode(), one);
}

#[test]
fn a_plan_whose_parts_do_not_agree_is_refused() {
    let file = plan_of(three().inputs(&["a", "b"])).file;
    let target = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut PlanFile)| {
        let mut file = file.clone();
        change(&mut file);
        let error = apply(&file, Target::New(&target.path().join("x")), &ApplyOptions::default()).unwrap_err();
        assert!(!target.path().join("x").exists(), "nothing is left behind");
        error
    };
    assert!(matches!(refused(|it| it.term = Term(99)), Error::Inconsistent { .. }));
    assert!(matches!(refused(|it| it.head.number += 1), Error::Inconsistent { .. }));
    assert!(matches!(refused(|it| it.page_size = 8192), Error::Inconsistent { .. }));
    assert!(matches!(refused(|it| it.members[0].id = "../a".to_owned()), Error::Members(_)));
    assert!(matches!(refused(|it| it.index = Index(u64::MAX)), Error::Plan(_)));
}

fn changes(applied: &Applied) -> Vec<Change> {
    applied.servers.iter().map(|(_, change)| *change).collect()
}

#[test]
fn a_plan_is_applied_once_and_again_and_after_the_cluster_went_on() {
    let left = three();
    let file = plan_of(left.inputs(&["a", "b", "c"])).file;
    let apply = || apply(&file, Target::InPlace(left.path()), &ApplyOptions::default()).unwrap();
    let applied = apply();
    assert_eq!(changes(&applied), [Change::Written; 3]);
    let replaced = applied.replaced.unwrap();
    assert!(replaced.join("a").join(LOG_FILE).exists(), "the old state is kept");
    for id in ["a", "b", "c"] {
        let node = left.node(id);
        assert!(node.is_recovered() && !node.has_run(), "{id}");
        assert_eq!(applied_state(&file, &node).unwrap(), AppliedState::Planned);
        let bad: Vec<_> = node.findings.iter().filter(|finding| finding.severity > Severity::Note).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
    assert_eq!(changes(&apply()), [Change::Unchanged; 3]);
    go_on(&left, "a", &file);
    assert_eq!(changes(&apply()), [Change::GoneOn, Change::Unchanged, Change::Unchanged]);
}

/// The leader's first own entry, and the term that it won.
fn go_on(left: &Left, id: &str, file: &PlanFile) {
    let last = Index(file.index.0 + 3);
    let term = Term(file.term.0 + 4);
    let log = noop(last.0, term.0);
    let mut value = Vec::new();
    codec::encode_log(&log, &mut value);
    put(&left.path().join(id).join(LOG_FILE), crate::raft::LOGS_BUCKET, &last.to_key(), &value);
    put(&left.path().join(id).join(STABLE_FILE), CONF_BUCKET, CURRENT_TERM.as_bytes(), &term.0.to_be_bytes());
}

fn put(path: &Path, bucket: &[u8], key: &[u8], value: &[u8]) {
    let mut db = Db::open(fs::read(path).unwrap()).unwrap();
    let mut tx = db.begin().unwrap();
    tx.put(bucket, key, value).unwrap();
    tx.commit().unwrap();
    fs::write(path, db.into_storage()).unwrap();
}

#[test]
fn a_server_that_ran_after_the_plan_is_refused_and_one_that_was_only_opened_is_not() {
    let left = three();
    let file = plan_of(left.inputs(&["a", "b", "c"])).file;
    let only = |id| ApplyOptions { only: Some(id), ..ApplyOptions::default() };
    let stable = left.path().join("a").join(STABLE_FILE);
    put(&stable, CONF_BUCKET, CURRENT_TERM.as_bytes(), &5_u64.to_be_bytes());
    assert_eq!(changes(&apply(&file, Target::InPlace(left.path()), &only("a")).unwrap()), [Change::Written]);
    put(&left.path().join("b").join(STABLE_FILE), CONF_BUCKET, CURRENT_TERM.as_bytes(), &6_u64.to_be_bytes());
    let error = apply(&file, Target::InPlace(left.path()), &only("b")).unwrap_err();
    assert!(matches!(&error, Error::RanAgain { id, .. } if id == "b") && error.is_refusal(), "{error}");
}

#[test]
fn state_that_the_plan_never_saw_is_refused() {
    let left = three();
    let file = plan_of(left.inputs(&["a", "b"])).file;
    let error = apply(&file, Target::InPlace(left.path()), &ApplyOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::Unseen { id, .. } if id == "c"), "{error}");
    assert!(left.node("a").has_run(), "all servers or none");
}

#[test]
fn the_same_plan_gives_the_same_bytes_in_a_new_directory_and_in_a_servers_own() {
    let left = three();
    let file = plan_of(left.inputs(&["a", "b", "c"])).file;
    let new = tempfile::tempdir().unwrap();
    apply(&file, Target::New(&new.path().join("state")), &ApplyOptions::default()).unwrap();
    let own = left.path().join("b");
    let options = ApplyOptions { only: Some("b"), ..ApplyOptions::default() };
    apply(&file, Target::InPlace(&own), &options).unwrap();
    for path in file.servers[1].files.keys() {
        assert_eq!(
            fs::read(own.join(path)).unwrap(),
            fs::read(new.path().join("state/b").join(path)).unwrap(),
            "{path}"
        );
    }
    let error = apply(&file, Target::New(left.path()), &ApplyOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Existing { .. }), "{error}");
}

/// The named leader never came: whoever is left is planned from again, for all.
#[test]
fn recovered_servers_that_never_ran_are_a_base_with_all_members() {
    let left = three();
    let first = plan_of(left.inputs(&["a", "b", "c"])).file;
    apply(&first, Target::InPlace(left.path()), &ApplyOptions::default()).unwrap();
    let members = as_they_are();
    let head = HeadChoice::Base(None);
    let options = PlanOptions { leader: Some("b"), ..PlanOptions::new(&members, &head) };
    let again = plan(left.inputs(&["b", "c"]), &options).unwrap();
    assert!(again.refused_by.is_empty(), "{:?}", again.findings);
    assert_eq!(again.file.members, first.members, "no demotion comes through");
    assert!(again.file.index > first.index && again.file.term > Term(first.term.0 + 3));
    assert_eq!(again.file.head.hash, first.head.hash);
}

#[test]
fn collected_facts_plan_the_same_as_the_directories() {
    let left = three();
    let collected = collect(left.path()).unwrap();
    let decoded = CollectedFile::decode(&collected.encode()).unwrap();
    assert_eq!(decoded, collected);
    let file = left.path().join("facts.json");
    fs::write(&file, collected.encode()).unwrap();
    let from_file = plan_of(read_inputs(&[&file]).unwrap().list).file;
    let from_directories = plan_of(read_inputs(&[left.path()]).unwrap().list).file;
    assert_eq!(from_file.servers, from_directories.servers);
    assert_eq!(from_file.coverage, from_directories.coverage);
    assert!(from_file.inputs.iter().all(|input| input.origin == Origin::Collected));
}

#[test]
fn a_backup_is_a_base_but_not_a_witness() {
    let left = three();
    let backups = tempfile::tempdir().unwrap();
    for form in [crate::backup::Form::Directory, crate::backup::Form::Archive] {
        let made = crate::backup::backup(left.path(), backups.path(), form, LOCK, &()).unwrap();
        let inputs = read_inputs(&[&made.path]).unwrap();
        let Planned { file, refused_by, .. } = plan_of(inputs.list);
        assert_eq!((file.base.id.as_str(), file.head.number), ("a", 100));
        assert_eq!(refused_by, ["RECOVER-001", "RECOVER-002"]);
        assert_eq!(file.coverage.counted, [""; 0]);
    }
}

const LOCK: std::time::Duration = std::time::Duration::ZERO;
