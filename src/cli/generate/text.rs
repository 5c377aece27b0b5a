//! The answer for people, 80 columns wide but for names that are longer.

use std::fmt::Write;

use op_conductor_init::cluster::CLUSTER_FILE;
use op_conductor_init::cluster::Election;
use op_conductor_init::generate::Outcome;
use op_conductor_init::payload::{Head, Release};
use op_conductor_init::plan::{NodePlan, Plan, Role};
use op_conductor_init::raft::{Log, LogType};

use super::{Options, change_word};

/// Writing to a string can't fail.
const INFALLIBLE: &str = "a string takes all text";

pub(super) fn answer(plan: &Plan<'_>, options: &Options, outcome: Option<&Outcome>) -> String {
    let mut out = String::new();
    headline(&mut out, plan).expect(INFALLIBLE);
    match outcome {
        None => dry_run(&mut out, plan, options).expect(INFALLIBLE),
        Some(outcome) => {
            files(&mut out, plan, options, outcome).expect(INFALLIBLE);
            next_steps(&mut out, plan, options).expect(INFALLIBLE);
            warnings(&mut out, plan, options).expect(INFALLIBLE);
        }
    }
    out
}

fn headline(out: &mut String, plan: &Plan<'_>) -> std::fmt::Result {
    let (spec, configuration) = (plan.spec(), plan.spec().configuration());
    let name = spec.network().map(|network| format!(" {network}")).unwrap_or_default();
    let (servers, voters) = (configuration.servers.len(), configuration.voters().count());
    writeln!(out, "Cluster{name}: servers {servers}, voters {voters}, quorum {}.", configuration.quorum())?;
    match spec.election() {
        Election::Named => writeln!(out, "Only {} can win the first election.", spec.leader().id)?,
        Election::Open => writeln!(out, "Any voter may win the first election.")?,
    }
    if let Some(head) = head_of(plan) {
        writeln!(out, "Unsafe head: block {} ({}),\n  {}", head.number, head.version, head.hash)?;
    }
    writeln!(out)
}

/// The block that the plan seeds.
pub(super) fn head_of(plan: &Plan<'_>) -> Option<Head> {
    plan.payload().and_then(|payload| Head::peek(payload).ok())
}

fn files(out: &mut String, plan: &Plan<'_>, options: &Options, outcome: &Outcome) -> std::fmt::Result {
    let dir = &options.output_dir;
    for (server, change) in plan.spec().configuration().servers.iter().zip(&outcome.nodes) {
        writeln!(out, "  {}/  {}", dir.join(&server.id).display(), change_word(*change))?;
    }
    writeln!(out, "  {}  {}\n", dir.join(CLUSTER_FILE).display(), change_word(outcome.cluster_file))
}

fn next_steps(out: &mut String, plan: &Plan<'_>, options: &Options) -> std::fmt::Result {
    let dir = options.output_dir.display();
    writeln!(
        out,
        "Next steps
  1. Put each server's directory on its volume, if it is not there yet.
  2. Start op-conductor on all servers, in any order, with
       --raft.storage.dir={dir}
       --raft.server.id=<server id>
       --raft.bootstrap=false
     The storage directory is the parent of <server id>/, not <server id>/
     itself."
    )?;
    if plan.spec().election() == Election::Named {
        let leader = &plan.spec().leader().id;
        writeln!(
            out,
            "  3. {leader} becomes leader a second or two after it and enough other
     servers for a quorum run. It can be started first or last."
        )?;
    }
    Ok(())
}

fn warnings(out: &mut String, plan: &Plan<'_>, options: &Options) -> std::fmt::Result {
    let leader = &plan.spec().leader().id;
    writeln!(out, "\nBefore you start")?;
    match head_of(plan) {
        Some(head) => head_warning(out, &head)?,
        None => writeln!(
            out,
            "  - This state has no unsafe head (--unsafe-head, --execution-rpc), so no server
    will sequence. On a halted chain, leadership then changes 25 to 45 times a
    second. Start all servers with --paused, or call admin_startSequencer with
    the head's hash on the op-node of the leader."
        )?,
    }
    if plan.spec().election() == Election::Named && plan.spec().configuration().voters().count() > 1 {
        writeln!(
            out,
            "  - If {leader} never starts, or dies before another server has stored its
    first entries, no server leads. Nothing is lost: start it. Or generate again
    with another leader, for all servers including that one; or with
    --election open."
        )?;
    }
    writeln!(
        out,
        "  - One directory alone is dangerous: in a cluster that has run, it makes its
    server forget entries and votes, and blocks can be lost. Options all
    servers or none. To bring back one, remove it from the cluster and add it
    again with an empty directory."
    )?;
    if options.only.is_some() {
        writeln!(out, "    --only is safe if every server's directory is made with the same flags.")?;
    }
    Ok(())
}

/// What must hold of the chain for sequencing to start.
fn head_warning(out: &mut String, head: &Head) -> std::fmt::Result {
    let (number, releases) = (head.number, Release::that_read(head.version));
    writeln!(
        out,
        "  - Stop sequencing before you read the head, and leave it stopped: each
    execution client must be at block {number} or at its parent. With a client
    that is ahead, op-conductor never starts (\"unsafe head mismatch\").
  - Releases that read this payload ({}): {releases}.",
        head.version
    )
}

fn dry_run(out: &mut String, plan: &Plan<'_>, options: &Options) -> std::fmt::Result {
    for node in plan.nodes() {
        node_table(out, &node, options)?;
    }
    let (initial, last) = (plan.spec().initial_term(), plan.final_term());
    let next = last.0.saturating_add(1);
    match plan.spec().election() {
        Election::Named => {
            let voters = plan.spec().configuration().voters().count();
            writeln!(
                out,
                "\
Why CurrentTerm is {last}: the last entry of each voter has a term of its own, from {}
to {last} (initial term {initial} + {voters} voters), and the leader's is the highest. A node's
CurrentTerm can't be lower than a term in its log, and all nodes start at the
same term, so CurrentTerm is the highest too. The first election is held in
term {next}.",
                initial.0 + 1
            )
        }
        Election::Open => writeln!(
            out,
            "\
Why CurrentTerm is {last}: it is the initial term, the only one in the logs. The first
election is held in term {next}."
        ),
    }
}

fn node_table(out: &mut String, node: &NodePlan<'_>, options: &Options) -> std::fmt::Result {
    let role = match node.role {
        Role::Leader => "initial leader".to_owned(),
        Role::Follower(number) => format!("follower {number}"),
        Role::Nonvoter => "nonvoter".to_owned(),
    };
    let skipped = options.only.as_ref().is_some_and(|only| *only != node.server.id);
    let skipped = if skipped { ", skipped (--only)" } else { "" };
    writeln!(out, "{} at {} ({role}{skipped})", node.server.id, node.server.address)?;
    writeln!(out, "  {:>5}  {:>5}  {:<13}  content", "index", "term", "type")?;
    for log in &node.entries {
        writeln!(out, "  {:>5}  {:>5}  {:<13}  {}", log.index, log.term, log.kind, content(log))?;
    }
    let stable = node.stable_state();
    write!(out, "  CurrentTerm {}; ", stable.term())?;
    match stable.vote() {
        Some((term, candidate)) => writeln!(out, "voted in term {term} for {candidate}\n"),
        None => writeln!(out, "no vote\n"),
    }
}

fn content(log: &Log<'_>) -> &'static str {
    match log.kind {
        LogType::Configuration if log.index.0 == 1 => "all servers",
        LogType::Configuration => "the same, but itself as a nonvoter: no campaign",
        LogType::Command => "the unsafe head: sequencing starts on it",
        LogType::Noop => "empty; its term makes this the best log",
        _ => "",
    }
}
