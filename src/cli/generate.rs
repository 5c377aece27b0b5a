//! `generate`: the first state of a whole cluster.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::builder::BoolishValueParser;
use serde_json::{Value, json};

use super::text::table;
use super::{Format, Outcome, answer, talk};
use crate::bolt::is_page_size;
use crate::cluster::{ClusterSpec, Election, Request};
use crate::durable::{Owner, Recovered};
use crate::generate::{Error, NodePlan, Plan, WriteOptions, Written, write};
use crate::payload::{Head, Release};
use crate::raft::{Suffrage, Term};
use crate::state_dir::{LOG_FILE, STABLE_FILE};

const AFTER_HELP: &str = "\
Examples:
  # Three sequencers, the first of which leads first:
  op-conductor-init generate \\
    --nodes seq-1:50050,seq-2:50050,seq-3:50050 \\
    --server-ids sequencer-1,sequencer-2,sequencer-3 \\
    --initial-leader sequencer-1 --output-dir ./raft-state

  # An init container of sequencer-2: its own folder of the same plan, for uid 1000:
  op-conductor-init generate --nodes ... --server-ids ... --initial-leader sequencer-1 \\
    --only sequencer-2 --owner 1000:1000 --output-dir /data/raft

If the named leader never starts, nobody leads: start it, or generate again with another leader
for ALL nodes (the old leader's folder included), or use --election open.

One folder alone is dangerous: put into a cluster that has run, it makes its node forget committed
entries and votes. Generate all nodes or none.

Exit status: 0 written, or the same bytes were there; 1 refused; 2 bad flags, or the disk failed.";

/// Write the first state of a whole cluster.
///
/// Makes <OUTPUT_DIR>/<server id>/{raft-log.db,raft-stable.db} for every server, with the very bytes that raft
/// itself would write, and cluster.json beside them. All nodes start as equal voters; the named leader wins the
/// first election. The same flags give the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Options {
    /// Addresses that the nodes dial each other at: host:port, separated by commas.
    #[arg(long, value_name = "ADDRESSES", env = "OP_CONDUCTOR_INIT_NODES", hide_env_values = true)]
    nodes: String,

    /// Ids in the same order; each is op-conductor's --raft.server.id and the name of the server's folder.
    #[arg(long, value_name = "IDS", env = "OP_CONDUCTOR_INIT_SERVER_IDS", hide_env_values = true)]
    server_ids: String,

    /// Id of the server that leads first.
    #[arg(long, value_name = "ID", env = "OP_CONDUCTOR_INIT_INITIAL_LEADER", hide_env_values = true)]
    initial_leader: String,

    /// Folder to write to: what --raft.storage.dir of op-conductor points at.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "./raft-state",
        env = "OP_CONDUCTOR_INIT_OUTPUT_DIR",
        hide_env_values = true
    )]
    output_dir: PathBuf,

    /// Term of the first entry.
    #[arg(
        long,
        value_name = "TERM",
        default_value_t = 1,
        env = "OP_CONDUCTOR_INIT_INITIAL_TERM",
        hide_env_values = true
    )]
    initial_term: u64,

    /// Name of the network, for cluster.json.
    #[arg(long, value_name = "NAME", env = "OP_CONDUCTOR_INIT_NETWORK", hide_env_values = true)]
    network: Option<String>,

    /// Ids of servers that receive entries but don't vote.
    #[arg(
        long,
        value_name = "IDS",
        default_value = "",
        hide_default_value = true,
        env = "OP_CONDUCTOR_INIT_NONVOTERS",
        hide_env_values = true
    )]
    nonvoters: String,

    /// Who may win the first election: only the named leader, or any voter.
    #[arg(
        long,
        value_name = "PLAN",
        value_enum,
        default_value = "named",
        env = "OP_CONDUCTOR_INIT_ELECTION",
        hide_env_values = true
    )]
    election: ElectionFlag,

    /// Replace state that is there. It is kept beside, in .replaced-<time>.
    #[arg(long, env = "OP_CONDUCTOR_INIT_FORCE", hide_env_values = true, value_parser = BoolishValueParser::new())]
    force: bool,

    /// Write only this server's folder of the plan (and cluster.json).
    #[arg(long, value_name = "ID", env = "OP_CONDUCTOR_INIT_ONLY", hide_env_values = true)]
    only: Option<String>,

    /// Numeric user and group that own what is written.
    #[arg(long, value_name = "UID:GID", env = "OP_CONDUCTOR_INIT_OWNER", hide_env_values = true)]
    owner: Option<Owner>,

    /// Bytes of a page of the databases: a power of two from 1024 to 65536. Any value opens anywhere.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 4096,
        value_parser = page_size,
        env = "OP_CONDUCTOR_INIT_PAGE_SIZE",
        hide_env_values = true
    )]
    page_size: usize,

    /// Print the plan and write nothing.
    #[arg(long, env = "OP_CONDUCTOR_INIT_DRY_RUN", hide_env_values = true, value_parser = BoolishValueParser::new())]
    dry_run: bool,

    /// How long to wait for a lock that a running node holds.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration, env = "OP_CONDUCTOR_INIT_LOCK_TIMEOUT", hide_env_values = true)]
    lock_timeout: Duration,

    /// How to print the answer.
    #[arg(long, value_enum, default_value = "text", env = "OP_CONDUCTOR_INIT_FORMAT", hide_env_values = true)]
    format: Format,

    #[cfg(feature = "payload")]
    #[command(flatten)]
    head: super::head::HeadOptions,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ElectionFlag {
    /// Only the named leader can win the first election.
    Named,
    /// Any voter can win it.
    Open,
}

fn page_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| is_page_size(*size));
    size.ok_or_else(|| "expected a power of two from 1024 to 65536".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "expected a time such as 500ms, 1s or 2m".to_owned())?;
    Duration::try_from(span).map_err(|_| "a time can't be negative".to_owned())
}

impl Options {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let spec = ClusterSpec::parse(&Request {
            nodes: &self.nodes,
            server_ids: &self.server_ids,
            nonvoters: &self.nonvoters,
            initial_leader: &self.initial_leader,
            initial_term: self.initial_term,
            network: self.network.as_deref(),
            election: match self.election {
                ElectionFlag::Named => Election::Named,
                ElectionFlag::Open => Election::Open,
            },
        });
        let plan = match spec {
            Ok(spec) => self.with_head(Plan::new(spec))?,
            Err(problems) => bail!("{problems}"),
        };
        let mut warnings = plan.spec.warnings();
        if plan.payload().is_none() {
            warnings.push(NO_HEAD.to_owned());
        }
        if self.format == Format::Text {
            warnings.iter().for_each(|warning| talk(&format!("warning: {warning}")));
        }
        let written = match self.dry_run {
            true => None,
            false => match write(&plan, &self.write_options()) {
                Ok(written) => Some(written),
                Err(error) => return self.refused(error),
            },
        };
        answer(&match (self.format, &written) {
            (Format::Json, _) => self.json(&plan, written.as_ref(), &warnings),
            (Format::Text, None) => plan_text(&plan),
            (Format::Text, Some(written)) => self.written_text(&plan, written),
        })?;
        Ok(Outcome::Fine)
    }

    /// Adds the unsafe head, when one is asked for.
    #[cfg(feature = "payload")]
    fn with_head(&self, plan: Plan) -> anyhow::Result<Plan> {
        Ok(match self.head.load()? {
            Some(head) => plan.with_payload(head.bytes),
            None => plan,
        })
    }

    #[cfg(not(feature = "payload"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the other of two")]
    fn with_head(&self, plan: Plan) -> anyhow::Result<Plan> {
        Ok(plan)
    }

    fn write_options(&self) -> WriteOptions {
        WriteOptions {
            output: self.output_dir.clone(),
            only: self.only.clone(),
            force: self.force,
            owner: self.owner,
            page_size: self.page_size,
            lock_timeout: self.lock_timeout,
        }
    }

    /// A refusal is an answer, and not the same as a disk that failed.
    fn refused(&self, error: Error) -> anyhow::Result<Outcome> {
        use crate::durable::Error as Durable;
        let hint = match &error {
            Error::Exists { .. } => {
                "--force replaces it (for all nodes of the cluster, or none) and keeps it in .replaced-<time>"
            }
            Error::Durable(Durable::Locked { path }) if path.is_dir() => {
                "another op-conductor-init is at work in this folder"
            }
            Error::Durable(Durable::Locked { .. }) => {
                "op-conductor holds this lock as long as it runs: stop the node first"
            }
            Error::Durable(Durable::MountPoint { .. }) => {
                "mount the volume one level higher, or use the volume itself as --output-dir"
            }
            Error::UnknownServer { .. } => bail!(error),
            Error::Durable(Durable::Unfinished { .. }) => {
                return Err(
                    anyhow::Error::new(error).context("half done: run any generate in this folder again to finish it")
                );
            }
            Error::Durable(_) | Error::Read { .. } | Error::Bolt { .. } => {
                return Err(anyhow::Error::new(error).context("nothing was changed"));
            }
        };
        talk(&format!("error: {error}\nhint: {hint}"));
        Ok(Outcome::Bad)
    }

    fn written_text(&self, plan: &Plan, written: &Written) -> String {
        let mut text = String::new();
        for recovered in &written.recovered {
            text += match recovered {
                Recovered::Finished(_) => "Finished a call that was interrupted before.\n",
                Recovered::Discarded => "Discarded what an interrupted call had left.\n",
            };
        }
        let output = self.output_dir.display();
        if written.written.is_empty() {
            _ = writeln!(text, "Nothing to do: {output} already holds these very bytes.");
        } else {
            _ = writeln!(text, "Written to {output}:");
            for id in &written.written {
                _ = writeln!(text, "  {id}/{LOG_FILE}, {id}/{STABLE_FILE}");
            }
            if !written.unchanged.is_empty() {
                _ = writeln!(text, "Already there, with the same bytes: {}", written.unchanged.join(", "));
            }
        }
        if let Some(replaced) = &written.replaced {
            _ = writeln!(text, "What was there is kept in {}", replaced.display());
        }
        _ = writeln!(text, "\n{}\n", summary(plan));
        text += &next_steps(plan);
        text
    }

    fn json(&self, plan: &Plan, written: Option<&Written>, warnings: &[String]) -> String {
        let nodes: Vec<Value> = plan.nodes().map(|node| node_json(plan, &node)).collect();
        let result = match written {
            None => "dry-run",
            Some(written) if written.written.is_empty() => "unchanged",
            Some(_) => "written",
        };
        let value = json!({
            "result": result,
            "output_dir": self.output_dir,
            "written": written.map_or(&[][..], |written| &written.written),
            "unchanged": written.map_or(&[][..], |written| &written.unchanged),
            "replaced": written.and_then(|written| written.replaced.as_ref()),
            "election": plan.spec.election,
            "initial_leader": plan.spec.leader,
            "initial_term": plan.spec.initial_term,
            "current_term": plan.current_term,
            "unsafe_head": head_of(plan),
            "nodes": nodes,
            "warnings": warnings,
        });
        format!("{value:#}\n")
    }
}

const NO_HEAD: &str = "no unsafe head in this state: the named node will lead, but op-conductor finds \"no unsafe head\" and nobody sequences until \
                       admin_startSequencer is called by hand; on a halted chain leadership spins 25 to 45 times a second meanwhile (start with \
                       --paused). Give it with --unsafe-head or --execution-rpc";

fn summary(plan: &Plan) -> String {
    let spec = &plan.spec;
    let voters = spec.voter_count();
    let nonvoters = spec.configuration.servers.len() as u64 - voters;
    let members = match nonvoters {
        0 => format!("{voters} voter(s)"),
        _ => format!("{voters} voter(s), {nonvoters} nonvoter(s)"),
    };
    let leads = match spec.election {
        Election::Named => format!("{} leads first", spec.leader),
        Election::Open => "any voter may lead first (--election open)".to_owned(),
    };
    let network = spec.network.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let head = head_of(plan).map(|head| format!("\nUnsafe head: {head}")).unwrap_or_default();
    format!("A cluster{network} of {members}: {leads}.{head}")
}

fn head_of(plan: &Plan) -> Option<Head> {
    plan.payload().and_then(|payload| Head::peek(payload).ok())
}

/// What must hold of the chain for sequencing to start.
fn head_steps(head: &Head) -> String {
    format!(
        "  3. Sequencing must be stopped, and each execution client's head must be block {number} or its
     parent: op-conductor posts the block to a client that is one behind, and never starts on
     one that is ahead (\"unsafe head mismatch\").
     Releases that read this payload ({version}): {releases}.
",
        number = head.number,
        version = head.version,
        releases = Release::that_read(head.version).join(", ")
    )
}

fn next_steps(plan: &Plan) -> String {
    let leader = &plan.spec.leader;
    let mut text = "\
Next steps:
  1. Put each server's folder on its volume; --raft.storage.dir is the folder that HOLDS
     <server id>/, not <server id>/ itself.
  2. Start every op-conductor with its --raft.server.id and --raft.bootstrap=false.
     The order does not matter.
"
    .to_owned();
    text += &head_of(plan).map(|head| head_steps(&head)).unwrap_or_default();
    text.push('\n');
    text += &match plan.spec.election {
        Election::Named => format!(
            "\
If {leader} never starts, nobody leads and nothing is lost: start it, or generate again with
another leader for ALL nodes, {leader}'s folder included, or with --election open.
"
        ),
        Election::Open => "Any voter may win the first election: chance decides.\n".to_owned(),
    };
    text += "\
One folder alone is dangerous: a generated folder put into a cluster that HAS RUN makes its node
forget committed entries and votes. Generate all nodes or none; to bring back one node, remove it
from the cluster and add it again with an empty folder.
";
    text
}

fn role(plan: &Plan, node: &NodePlan<'_>) -> &'static str {
    match node.server.suffrage {
        Suffrage::Voter if node.server.id == plan.spec.leader => "named leader",
        Suffrage::Voter => "voter",
        Suffrage::Nonvoter | Suffrage::Staging => "nonvoter",
    }
}

fn plan_text(plan: &Plan) -> String {
    let mut text = format!("{}\nNothing was written (--dry-run).\n", summary(plan));
    for node in plan.nodes() {
        _ = writeln!(text, "\n{} ({}), {}", node.server.id, node.server.address, role(plan, &node));
        let rows = node.entries.iter().map(|entry| {
            vec![entry.index.to_string(), entry.term.to_string(), entry.kind.to_string(), entry.purpose.clone()]
        });
        text += &table(&["INDEX", "TERM", "TYPE", "WHAT FOR"], rows);
        _ = writeln!(text, "  CurrentTerm {}, {}", plan.current_term, vote_text(node.vote));
    }
    _ = writeln!(text, "\n{}", why_term(plan));
    text
}

fn vote_text(vote: Option<(Term, &str)>) -> String {
    vote.map_or("no vote recorded".to_owned(), |(term, candidate)| format!("vote of term {term} for {candidate}"))
}

fn why_term(plan: &Plan) -> String {
    let (initial, current, voters) = (plan.spec.initial_term, plan.current_term, plan.spec.voter_count());
    match plan.spec.election {
        Election::Named => format!(
            "\
Why CurrentTerm is {current}: the first entry has term {initial}; each of the {voters} voter(s) has a last
entry of a term of its own above it, the leader the highest: {initial} + {voters} = {current}. A node's term
is never below that of its last entry. The leader wins at term {}.",
            current.0 + 1
        ),
        Election::Open => format!("CurrentTerm is {current}, the term of the first entry."),
    }
}

fn node_json(plan: &Plan, node: &NodePlan<'_>) -> Value {
    let entries: Vec<Value> = node
        .entries
        .iter()
        .map(|entry| {
            json!({
                "index": entry.index,
                "term": entry.term,
                "type": entry.kind.to_string(),
                "purpose": entry.purpose,
            })
        })
        .collect();
    json!({
        "id": node.server.id,
        "address": node.server.address,
        "suffrage": node.server.suffrage,
        "role": role(plan, node),
        "entries": entries,
        "current_term": plan.current_term,
        "vote": node.vote.map(|(term, candidate)| json!({"term": term, "candidate": candidate})),
    })
}
