//! What was seen, kind of change by kind of change.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What was seen of one kind of change.
#[derive(Debug, Default, Clone)]
pub(super) struct Row {
    pub(super) both_fail: u64,
    both_pass: u64,
    only_we: u64,
    only_go: u64,
}

#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: BTreeMap<&'static str, Row>,
    /// Ids that we found where Go found nothing, and a first example of each.
    only_we: BTreeMap<String, (u64, String)>,
    pub(super) only_go: Vec<String>,
}

impl Table {
    pub(super) fn add(&mut self, class: &'static str, what: &str, ours: &[&str], go: Option<(String, String)>) {
        let row = self.rows.entry(class).or_default();
        match (ours.is_empty(), go) {
            (false, Some(_)) => row.both_fail += 1,
            (true, None) => row.both_pass += 1,
            (false, None) => {
                row.only_we += 1;
                let ids = ours.join(" ");
                self.only_we.entry(ids).or_insert_with(|| (0, what.to_owned())).0 += 1;
            }
            (true, Some((step, error))) => {
                row.only_go += 1;
                self.only_go.push(format!("{what}: {step}: {error}"));
            }
        }
    }

    pub(super) fn merge(&mut self, other: Table) {
        for (class, row) in other.rows {
            let sum = self.rows.entry(class).or_default();
            sum.both_fail += row.both_fail;
            sum.both_pass += row.both_pass;
            sum.only_we += row.only_we;
            sum.only_go += row.only_go;
        }
        for (ids, (count, example)) in other.only_we {
            self.only_we.entry(ids).or_insert_with(|| (0, example)).0 += count;
        }
        self.only_go.extend(other.only_go);
    }

    pub(super) fn text(&self) -> String {
        let mut text =
            String::from("| change | both fail | both pass | only verify | only Go |\n|---|---|---|---|---|\n");
        let mut sum = Row::default();
        for (class, row) in &self.rows {
            let Row { both_fail, both_pass, only_we, only_go } = row;
            writeln!(text, "| {class} | {both_fail} | {both_pass} | {only_we} | {only_go} |").unwrap();
            sum.both_fail += both_fail;
            sum.both_pass += both_pass;
            sum.only_we += only_we;
            sum.only_go += only_go;
        }
        let Row { both_fail, both_pass, only_we, only_go } = sum;
        writeln!(text, "| all | {both_fail} | {both_pass} | {only_we} | {only_go} |\n").unwrap();
        writeln!(text, "| only verify | times | an example |\n|---|---|---|").unwrap();
        for (ids, (count, example)) in &self.only_we {
            writeln!(text, "| {ids} | {count} | {example} |").unwrap();
        }
        text
    }
}
