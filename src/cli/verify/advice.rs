//! The advice of `verify` in words and commands.

use serde::Serialize;

use crate::cli::text::wrapped;
use op_conductor_init::raft::{Server, Suffrage};
use op_conductor_init::verify::Advice;

/// What to do, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct WhatToDo {
    /// One sentence on the situation.
    pub situation: String,
    /// What to do, in order.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    /// In words.
    pub text: String,
    /// The command, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

fn step(text: impl Into<String>) -> Step {
    Step { text: text.into(), command: None }
}

fn run(text: impl Into<String>, command: impl Into<String>) -> Step {
    Step { text: text.into(), command: Some(command.into()) }
}

/// The advice for state in `dir`, as the operator named it.
pub(super) fn what_to_do(advice: &Advice, dir: &str) -> WhatToDo {
    let verify = format!("op-conductor-init verify --state-dir {dir}");
    let (situation, steps) = match advice {
        Advice::Nothing => ("nothing.".to_owned(), vec![]),
        Advice::ReadWarnings { newest, removed } => warnings(newest.as_deref(), removed),
        Advice::Settle => (
            "an interrupted replacement comes first.".to_owned(),
            vec![
                step("Run the interrupted command again: it finishes or undoes the replacement."),
                run("Look again:", verify),
            ],
        ),
        Advice::Exchange { servers } => (
            format!("the files of {} have each other's names.", servers.join(", ")),
            vec![
                step("Stop the server. Give raft-log.db and raft-stable.db each other's names."),
                run("Look again before the start:", verify),
            ],
        ),
        Advice::LookAtOthers { absent } => (
            "sound as far as can be seen; a quorum was not looked at.".to_owned(),
            vec![step(format!(
                "For the whole cluster, bring the directories of {} here too, or verify each there.",
                absent.join(", ")
            ))],
        ),
        Advice::Generate => (
            "a quorum of this state never ran, so nothing can be lost.".to_owned(),
            vec![run(
                "Generate all servers anew, with one call:",
                format!("op-conductor-init generate --force --output-dir {dir} ..."),
            )],
        ),
        Advice::AddAgain { servers, sound, quorum } => add_again(servers, sound, *quorum),
        Advice::Recover { readable, broken, absent, newest } => {
            recover(readable, broken, absent, newest.as_deref(), dir)
        }
        Advice::Compare => (
            "the state is sound, but not what was expected of it.".to_owned(),
            vec![step("Change what was expected, or the members on the leader, as the findings say.")],
        ),
        _ => ("read the findings.".to_owned(), vec![]),
    };
    WhatToDo { situation, steps }
}

fn warnings(newest: Option<&str>, removed: &[String]) -> (String, Vec<Step>) {
    let mut steps = Vec::new();
    if let Some(newest) = newest {
        steps.push(step(format!(
            "Start all servers together. Don't start the others without {newest}: it has entries that they lack."
        )));
    }
    if !removed.is_empty() {
        steps.push(step(format!("Don't start {} on these directories: move them away.", removed.join(", "))));
    }
    if steps.is_empty() {
        steps.push(step("Nothing at once; read the warnings."));
    }
    ("no error.".to_owned(), steps)
}

fn add_again(servers: &[Server], sound: &[String], quorum: usize) -> (String, Vec<Step>) {
    let ids: Vec<&str> = servers.iter().map(|server| server.id.as_str()).collect();
    let mut steps = vec![step(format!("Stop {}. Keep a copy of the directory. Let the others run.", ids.join(", ")))];
    for Server { id, address, suffrage } in servers {
        let method = match suffrage {
            Suffrage::Voter => "conductor_addServerAsVoter",
            _ => "conductor_addServerAsNonvoter",
        };
        steps.push(step(format!(
            "On the leader: conductor_removeServer {id}. Start {id} with an empty directory and --raft.bootstrap=false. On the leader: {method} {id} {address}. Wait until it has caught up."
        )));
    }
    let situation = format!(
        "{} {} sound, and {quorum} are a quorum: add {} again, one after the other.",
        sound.join(", "),
        if sound.len() == 1 { "is" } else { "are" },
        ids.join(", ")
    );
    (situation, steps)
}

fn recover(
    readable: &[String],
    broken: &[String],
    absent: &[String],
    newest: Option<&str>,
    dir: &str,
) -> (String, Vec<Step>) {
    let mut steps = vec![step("Stop every op-conductor, and keep it stopped. Change nothing in these directories.")];
    let missing: Vec<&str> = absent.iter().chain(broken).map(String::as_str).collect();
    if !missing.is_empty() {
        steps.push(step(format!(
            "Look for newer or sound disks of {}, and bring them here: what only they have is lost without them.",
            missing.join(", ")
        )));
    }
    if readable.is_empty() {
        steps.push(run(
            "Nothing here can be read. Restore all servers from one backup:",
            "op-conductor-init backups list",
        ));
        return ("no server here can be read.".to_owned(), steps);
    }
    steps.push(run(
        "Plan the recovery; it says what can be lost:",
        format!("op-conductor-init recover plan {dir} --output plan.json"),
    ));
    steps.push(step(
        "Apply the plan to all servers (recover apply), then start them. Restore a backup only if it is newer.",
    ));
    let situation = match newest {
        Some(newest) => format!("no quorum is sound here; the newest log is that of {newest}: recover the cluster."),
        None => "no quorum is sound here: recover the cluster.".to_owned(),
    };
    (situation, steps)
}

impl WhatToDo {
    /// For people: one line on the situation, then numbered steps.
    pub(super) fn text(&self) -> String {
        let mut text = format!("What to do: {}\n", self.situation);
        if text.len() > 80 {
            text = textwrap::fill(text.trim_end(), 80) + "\n";
        }
        for (number, step) in (1..).zip(&self.steps) {
            text += &wrapped(&format!("{number}. {}", step.text));
            if let Some(command) = &step.command {
                text += &format!("     {command}\n");
            }
        }
        text
    }
}
