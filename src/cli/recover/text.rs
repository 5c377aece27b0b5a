//! A plan for people.

use std::path::Path;

use op_conductor_init::raft::Server;
use op_conductor_init::recover::{Facts, History, Origin, PlanFile, Planned, PlannedInput};

use super::super::text::{table, wrapped};
use super::super::verify::finding_text;

/// The whole answer of `recover plan`.
pub(super) fn plan(planned: &Planned, output: Option<&Path>) -> String {
    let file = &planned.file;
    let mut text = "What is left, the highest last entry first:\n".to_owned();
    text +=
        &table(&["SERVER", "FROM", "TERM", "LAST", "OF TERM", "BLOCK", "COUNTS"], file.inputs.iter().map(input_row));
    text.push('\n');
    text += &wrapped(&base(file));
    text += &wrapped(&file.coverage.sentence);
    text += "\nMembers:\n";
    text += &table(&["SERVER", "BEFORE", "AFTER"], member_rows(file));
    text.push('\n');
    text += &wrapped(&head(file));
    text += "\nWhat each server starts from:\n";
    text += &table(&["SERVER", "ROLE", "SNAPSHOT", "ENTRIES (INDEX/TERM)"], server_rows(file));
    text.push('\n');
    text.extend(planned.findings.iter().map(finding_text));
    if planned.refused_by.is_empty() {
        text += &steps(file, output);
    }
    text
}

fn input_row(input: &PlannedInput) -> Vec<String> {
    let Facts { id, current_term, last, head, .. } = &input.facts;
    let from = match input.origin {
        Origin::Directory => "directory",
        Origin::Backup => "backup",
        Origin::Collected => "collected",
    };
    let dash = || "-".to_owned();
    vec![
        id.clone(),
        from.to_owned(),
        current_term.to_string(),
        last.map_or_else(dash, |last| last.index.to_string()),
        last.map_or_else(dash, |last| last.term.to_string()),
        head.as_ref().map_or_else(dash, |head| head.number.to_string()),
        counts(input),
    ]
}

fn counts(input: &PlannedInput) -> String {
    match &input.uncounted {
        Some(reason) => format!("no: {reason}"),
        None if input.facts.history == History::Recovered => "yes: recovered, and has not run".to_owned(),
        None => "yes".to_owned(),
    }
}

fn base(file: &PlanFile) -> String {
    let base = &file.base;
    format!(
        "Base: {}, which ends with entry {} of term {}. No other server's log ends with a higher term, or with the same term and a higher index.",
        base.id, base.index, base.term
    )
}

fn member_rows(file: &PlanFile) -> Vec<Vec<String>> {
    let words = |server: Option<&Server>| {
        server.map_or_else(|| "-".to_owned(), |server| format!("{} {}", server.address, server.suffrage))
    };
    let find = |list: &[Server], id: &str| list.iter().find(|server| server.id == id).cloned();
    let removed = file.members_before.iter().filter(|server| find(&file.members, &server.id).is_none());
    let ids = file.members.iter().chain(removed).map(|server| server.id.as_str());
    let row = |id: &str| {
        let (before, after) = (find(&file.members_before, id), find(&file.members, id));
        let after = if before == after { "the same".to_owned() } else { words(after.as_ref()) };
        vec![id.to_owned(), words(before.as_ref()), after]
    };
    ids.map(row).collect()
}

fn head(file: &PlanFile) -> String {
    let head = &file.head;
    format!("Head: block {} {} ({}), from {}.", head.number, head.hash, head.form, head.source)
}

fn server_rows(file: &PlanFile) -> Vec<Vec<String>> {
    let (index, term) = (file.index, file.term);
    let row = |server: &op_conductor_init::recover::PlannedServer| {
        vec![server.id.clone(), server.role.clone(), format!("{term}-{index}-0"), server.entries.join(", ")]
    };
    file.servers.iter().map(row).collect()
}

/// What operators must do, in this order.
fn steps(file: &PlanFile, output: Option<&Path>) -> String {
    let plan = output.map_or_else(|| "PLAN".to_owned(), |path| path.display().to_string());
    let mut steps = Vec::new();
    if output.is_none() {
        steps.push("Write the plan: the same command with --output FILE.".to_owned());
    }
    steps.push(
        "Stop sequencing and every op-conductor first, and keep each stopped until its new directory is in place."
            .to_owned(),
    );
    steps.push(match file.coverage.covered {
        true => "Never start an old directory again.".to_owned(),
        false => "Never start an old directory again. Destroy the state of the lost servers, or make sure that they can't reach any address of this plan. They may also still sequence: stop them.".to_owned(),
    });
    steps.push(format!(
        "On each machine: op-conductor-init recover apply {plan} --state-dir DIR --only ID. Replace all directories, or none."
    ));
    let below = file.inputs.iter().find(|input| input.facts.id == file.base.id).and_then(|it| it.facts.head.as_ref());
    let is_lower = below.is_some_and(|stored| stored.number > file.head.number);
    let roll_back = if is_lower { " Roll the clients back to it first." } else { "" };
    steps.push(format!(
        "Every execution client must be at block {} ({}) or at its parent.{roll_back} On one that is ahead op-conductor leads and never sequences.",
        file.head.number, file.head.hash
    ));
    steps.push(format!(
        "Check each machine: op-conductor-init verify --state-dir DIR --expect {plan}. Then start every op-conductor with --raft.bootstrap=false."
    ));
    steps.push(format!(
        "{} leads first. If it doesn't start, nobody leads: start it, or plan again from the recovered directories, for all, with another --initial-leader.",
        file.leader
    ));
    let numbered = (1..).zip(steps).map(|(number, step)| wrapped(&format!("{number}. {step}")));
    "What to do, in this order:\n".to_owned() + &numbered.collect::<String>()
}
