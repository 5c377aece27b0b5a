//! Each way to damage a bolt file gives exactly its findings, and bbolt's own check is never the only one to notice.

mod freelist;
mod metas;
mod trees;

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::common::damage::{CASES, File, PAGE, damaged, problems, store};
use op_conductor_init::bolt::{PageError, PageId, Problem, ProblemKind, check};
use op_conductor_init::state::describe_damage;

/// What is found after the damage of that name.
fn found(name: &str) -> Vec<Problem> {
    let case = CASES.iter().find(|case| case.0 == name).unwrap_or_else(|| panic!("no case {name:?}"));
    problems(&damaged(case.2))
}

fn only(name: &str) -> ProblemKind {
    let mut found = found(name);
    assert_eq!(found.len(), 1, "{name}: one damage, one finding: {found:?}");
    found.remove(0).kind
}

#[test]
fn the_store_is_sound_and_has_all_kinds_of_pages() {
    let found = check(store().as_slice()).unwrap();
    let pages = found.pages;
    assert_eq!(found.problems, []);
    assert!(pages.branch >= 1 && pages.leaf >= 4 && pages.overflow >= 2 && pages.free >= 3, "{pages:?}");
    let counted = pages.branch + pages.leaf + pages.overflow + pages.free + pages.freelist + 2;
    assert_eq!(counted, pages.total);
}

#[test]
fn each_damage_has_its_findings_and_no_others() {
    for (name, ids, damage) in CASES {
        let found: BTreeSet<&str> = problems(&damaged(*damage)).iter().map(|problem| problem.kind.id()).collect();
        assert_eq!(found, ids.iter().copied().collect(), "{name}");
    }
}

#[test]
fn there_is_a_damage_for_each_finding() {
    let known: BTreeSet<&str> = CASES.iter().flat_map(|case| case.1).copied().collect();
    let all: BTreeSet<String> = (1..=24).chain(26..=27).map(|number| format!("BOLT-{number:03}")).collect();
    assert_eq!(known, all.iter().map(String::as_str).collect());
}

/// Each finding in full: page, path and offset are part of it.
#[test]
fn findings_say_what_is_wrong_where_and_what_it_means() {
    let mut text = String::new();
    for (name, _, damage) in CASES {
        writeln!(text, "{name}").unwrap();
        let found = problems(&damaged(*damage));
        for problem in found.iter().take(4) {
            writeln!(text, "  {} {}", problem.kind.id(), describe_damage(problem)).unwrap();
        }
        if found.len() > 4 {
            writeln!(text, "  and {} more", found.len() - 4).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn only_a_lost_older_meta_and_a_freelist_out_of_order_are_harmless() {
    for (name, ids, damage) in CASES {
        let harmless = problems(&damaged(*damage)).iter().all(|problem| problem.kind.is_harmless());
        assert_eq!(harmless, matches!(*ids, ["BOLT-004"] | ["BOLT-010"]), "{name}");
    }
}

#[test]
fn damage_is_told_with_its_numbers() {
    let high_water = File(store()).meta().high_water;
    let page = |name| match only(name) {
        ProblemKind::Page(error) => error,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(page("a leaf says that it is another page"), PageError::SelfId { found: PageId(77) });
    assert_eq!(page("a leaf that is a branch too"), PageError::Kind { found: 3 });
    assert_eq!(page("more elements than bytes"), PageError::Count { count: 400, run_len: 4096 });
    assert_eq!(page("a branch without children"), PageError::EmptyBranch);
    assert_eq!(page("a pointer to 2^64-1"), PageError::OutOfBounds { high_water });
    assert_eq!(
        page("a leaf that reaches over all pages"),
        PageError::Overflow { overflow: u32::MAX, high_water },
        "no sum of ids overflows"
    );
    let found = found("a pointer back up");
    let cycle = found.iter().find(|problem| problem.kind == ProblemKind::Cycle).unwrap();
    let file = File(store());
    assert_eq!(cycle.path, [file.top(), file.branch(), file.branch()]);
    assert_eq!((cycle.page, cycle.offset), (Some(file.branch()), Some(file.branch().0 * PAGE as u64)));
}

#[test]
fn what_is_no_bolt_file_is_guessed_at() {
    let format = |bytes: &[u8]| match check(bytes).unwrap().problems.remove(0).kind {
        ProblemKind::NoMeta { format, .. } => format,
        other => panic!("{other:?}"),
    };
    assert_eq!(format(b"SQLite format 3\0 and so on"), Some("an SQLite database"));
    assert_eq!(format(&[0; 8192]), Some("nothing but zeros"));
    assert_eq!(format(b"hello"), None);
}
