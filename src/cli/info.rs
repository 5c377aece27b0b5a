//! `info`: what a server's directory holds.

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;

use super::answer::state::{Entry, Info, NodeInfo, members};
use super::args::{FormatOption, StateDirOption};
use super::failure::{Failure, Verdict};
use super::log::entry::content;
use super::output::{print, print_json};
use super::text::{bytes, count, index_range, known, table};
use super::values::Format;
use op_conductor_init::payload::{Release, StoredHead};
use op_conductor_init::raft::{Index, Log, StableState};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};
use op_conductor_init::state::entries::Entries;
use op_conductor_init::state::{Depth, Node, Servers, StateDir};

const HELP: &str = "\
Examples:
  One server, its last 20 entries:
    op-conductor-init info --state-dir ./raft-state/sequencer-1 --entries 20

  All servers of a directory, for a program:
    op-conductor-init info --state-dir ./raft-state --format json

Works on running nodes: no lock is taken or waited for, nothing is created or
changed.

Exit status: 0 shown; 2 there is no state, or it could not be read.";

/// Show the content of a server's directory: term, vote, log, members, and whether it will campaign
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    #[command(flatten)]
    state_dir: StateDirOption,

    /// How many of the last entries to list for a single server
    #[arg(long, value_name = "N", default_value_t = 10)]
    entries: usize,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let servers = Servers::find(self.state_dir.path()).map_err(Failure::unable)?;
        let single = servers.dirs().len() == 1;
        let mut nodes = Vec::new();
        for dir in servers.dirs() {
            nodes.push(read(dir, if single { self.entries } else { 0 })?);
        }
        match self.format.get() {
            Format::Json => {
                let nodes = nodes.iter().map(|(node, entries)| NodeInfo::new(node, single.then_some(entries)));
                print_json(&Info { nodes: nodes.collect() })?;
            }
            Format::Text => print(&match nodes.as_slice() {
                [(node, rows)] => node_text(node, rows),
                _ => cluster_text(self.state_dir.path(), &nodes),
            })?,
        }
        let unreadable: Vec<String> = nodes.iter().flat_map(|(node, _)| unreadable(node)).collect();
        if unreadable.is_empty() {
            return Ok(Verdict::Fine);
        }
        let hint = "verify says what to do";
        Err(Failure::unable(anyhow::anyhow!(unreadable.join("\nerror: "))).with_hint(Some(hint)).after_answer())
    }
}

/// Each database of which not all could be read, and why.
fn unreadable(node: &Node) -> Vec<String> {
    let files = [LOG_FILE, STABLE_FILE].into_iter();
    let line = |file| {
        let finding = node.unreadable(file)?;
        Some(format!("{}: {} ({})", node.path.join(file).display(), finding.message, finding.id))
    };
    files.filter_map(line).collect()
}

fn read(dir: &StateDir, most: usize) -> Result<(Node, VecDeque<Entry>), Failure> {
    let mut rows = VecDeque::new();
    // Only to leave out what won't be shown: a running node may go on.
    let last =
        Entries::open(dir.path(), Index(0)).ok().and_then(|entries| entries.bounds().ok()?).map(|(_, last)| last.0);
    let shown_from = last.map_or(0, |last| last.saturating_sub(most as u64));
    let node = Node::read(dir, Depth::Content, &mut |log| match log {
        None => rows.clear(),
        Some(log) if most == 0 || log.index.0 < shown_from => {}
        Some(log) => {
            if rows.len() == most {
                rows.pop_front();
            }
            rows.push_back(row(log));
        }
    })
    .map_err(Failure::unable)?;
    Ok((node, rows))
}

fn row(log: &Log<'_>) -> Entry {
    let data = log.data.as_deref().unwrap_or_default();
    let content = Some(content(log.kind, data)).filter(|content| !content.is_empty());
    Entry {
        index: log.index.0,
        term: log.term.0,
        kind: log.kind.to_string(),
        data_len: data.len(),
        appended_at: log.appended_at.timestamp().map(|time| time.to_string()),
        content,
    }
}

fn vote(node: &Node) -> String {
    let Some(stable) = node.known_stable() else { return known(None::<&str>) };
    stable.vote().map_or_else(
        || "none recorded".to_owned(),
        |(term, address)| {
            let candidate = match candidate(node, &address) {
                Some(id) => format!("{id}, {address}"),
                None => address,
            };
            format!("in term {term} for {candidate}\n{:16}(a recorded vote is not leadership)", "")
        },
    )
}

/// Id of the member with an address: a vote records the address.
fn candidate(node: &Node, address: &str) -> Option<String> {
    let latest = node.latest_configuration()?;
    let found = latest.configuration.servers.iter().find(|server| server.address == address);
    found.map(|server| server.id.clone())
}

fn log_range(node: &Node) -> String {
    let Some(log) = node.known_log() else { return known(None::<&str>) };
    match (log.first, log.last) {
        (Some((first, _)), Some((last, term))) => {
            format!("{first}..{last}: {}, the last of term {term}", count(log.count, "entry", "entries"))
        }
        _ => "empty".to_owned(),
    }
}

/// The highest that is stored; whether it was committed is not on disk.
fn head_text(node: &Node) -> String {
    if node.head.is_none() && node.known_log().is_none() {
        return known(None::<&str>);
    }
    node.head.map_or_else(
        || "none stored: no server can sequence".to_owned(),
        |StoredHead { head, index, term, in_snapshot }| {
            let place = if in_snapshot { "in the snapshot at index" } else { "at index" };
            let time = head.time().map(|time| format!(" of {time}")).unwrap_or_default();
            let readers = Release::that_read(head.version);
            let lines = [
                format!("block {}{time}", head.number),
                head.hash.to_string(),
                format!("{}, read by op-conductor {readers}", head.version),
                format!("the highest stored, {place} {index}, term {term}"),
            ];
            lines.join(&format!("\n{:16}", ""))
        },
    )
}

fn node_text(node: &Node, rows: &VecDeque<Entry>) -> String {
    let candidacy = node.candidacy();
    let will = if candidacy.will { "yes" } else { "no" };
    let mut text = format!("Server {} in {}\n\n", node.id, node.path.display());
    let snapshots = match node.snapshots.listed.first() {
        Some(newest) => format!(
            "{}, the newest at index {}, term {} ({})",
            node.snapshots.listed.len(),
            newest.index,
            newest.term,
            bytes(newest.size)
        ),
        None => "none".to_owned(),
    };
    let file = |store: &op_conductor_init::state::Store| match store.file_len {
        Some(len) => {
            let free = store
                .free_pages
                .map_or_else(String::new, |free| format!(", {free} of {} pages free", store.page_count));
            format!("{}, transaction {}{free}", bytes(len), store.txid)
        }
        None => "missing".to_owned(),
    };
    for (name, value) in [
        ("Term", known(node.known_stable().map(StableState::term))),
        ("Vote", vote(node)),
        ("Log", log_range(node)),
        ("Unsafe head", head_text(node)),
        ("Snapshots", snapshots),
        ("Campaigns", format!("{will}: {}", candidacy.reason)),
        ("Log store", file(&node.log_store)),
        ("Stable store", file(&node.stable_store)),
    ] {
        _ = writeln!(text, "  {name:<13} {value}");
    }
    if node.is_recovered() {
        _ = writeln!(text, "  {:<13} by `recover apply`; raft has written nothing since", "Recovered");
    }
    if let Some(latest) = node.latest_configuration() {
        _ = writeln!(text, "\nMembers, by the latest configuration (entry {}):", latest.index);
        let (servers, omitted) = members(&latest.configuration.servers);
        text += &table(
            &["ID", "ADDRESS", "SUFFRAGE"],
            servers.iter().map(|server| vec![server.id.clone(), server.address.clone(), server.suffrage.to_string()]),
        );
        if omitted > 0 {
            _ = writeln!(text, "  and {omitted} more");
        }
    }
    if !rows.is_empty() {
        let of = if (rows.len() as u64) < node.log.count {
            format!(" (the last {} of {})", rows.len(), node.log.count)
        } else {
            String::new()
        };
        _ = writeln!(text, "\nEntries{of}:");
        let row = |row: &Entry| {
            let content = row.content.clone().or_else(|| row.appended_at.clone()).unwrap_or_default();
            vec![row.index.to_string(), row.term.to_string(), row.kind.clone(), bytes(row.data_len as u64), content]
        };
        text += &table(&["INDEX", "TERM", "TYPE", "DATA", "CONTENT"], rows.iter().map(row));
    }
    text += &findings_line(node.findings.len());
    text
}

fn findings_line(findings: usize) -> String {
    match findings {
        0 => String::new(),
        _ => format!("\n{}: verify shows them.\n", count(findings as u64, "finding", "findings")),
    }
}

fn cluster_text(path: &Path, nodes: &[(Node, VecDeque<Entry>)]) -> String {
    let mut text = format!("{} servers in {}\n\n", nodes.len(), path.display());
    let mut rows: Vec<Vec<String>> = nodes.iter().map(|(node, _)| cluster_row(node)).collect();
    let marked = mark_differences(&mut rows);
    text += &table(&["ID", "TERM", "LOG", "LAST TERM", "BLOCK", "IS", "CAMPAIGNS", "VOTED FOR"], rows);
    if marked {
        text += "\n* differs from most servers.\n";
    }
    text += &findings_line(nodes.iter().map(|(node, _)| node.findings.len()).sum());
    text += "\nFor one server in full, name its directory in --state-dir.\n";
    text
}

fn cluster_row(node: &Node) -> Vec<String> {
    let latest = node.latest_configuration();
    let suffrage = latest.and_then(|at| at.configuration.server(&node.id).map(|server| server.suffrage.to_string()));
    let vote =
        node.known_stable().map(|stable| stable.vote().map_or_else(|| "-".to_owned(), |(_, candidate)| candidate));
    vec![
        node.id.clone(),
        known(node.known_stable().map(StableState::term)),
        known(node.known_log().map(index_range)),
        known(node.known_last().map(|(_, term)| term)),
        node.head.map_or_else(|| "-".to_owned(), |stored| stored.head.number.to_string()),
        suffrage.unwrap_or_else(|| "-".to_owned()),
        if node.candidacy().will { "yes" } else { "no" }.to_owned(),
        known(vote),
    ]
}

/// Puts a star after terms, logs and blocks that differ from those of most servers; returns whether there are any.
fn mark_differences(rows: &mut [Vec<String>]) -> bool {
    let mut marked = false;
    for column in 1..=4 {
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        rows.iter().for_each(|row| *counts.entry(&row[column]).or_default() += 1);
        let Some((most, count)) = counts.iter().max_by_key(|(_, count)| **count) else { continue };
        // Without a majority there is no odd one out.
        if 2 * count <= rows.len() || *count == rows.len() {
            continue;
        }
        let most = (*most).to_owned();
        for row in rows.iter_mut().filter(|row| row[column] != most) {
            row[column] += " *";
            marked = true;
        }
    }
    marked
}
