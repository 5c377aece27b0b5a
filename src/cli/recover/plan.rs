//! `recover plan`: what is left, what can be lost, and what each server will start from.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use op_conductor_init::cluster::MembersFile;
use op_conductor_init::payload::Release;
use op_conductor_init::raft::{Configuration, Server, Suffrage};
use op_conductor_init::recover::{
    self, Client, GUARDS, HeadChoice, Input, MemberChanges, Members, PlanOptions, Planned, WhichHead,
};

use super::super::answer::recover::RecoverPlan;
use super::super::args::FormatOption;
use super::super::failure::{Failure, Verdict};
use super::super::head::HeadOptions;
use super::super::output::{print, print_json};
use super::super::values::Format;
use super::{failure, output, read, text};

/// A list of members of more bytes isn't read.
const MAX_MEMBERS_LEN: u64 = 4 << 20;

const HELP: &str = "\
Examples:
  What is left of a cluster, and what could be lost; nothing is written:
    op-conductor-init recover plan ./left/sequencer-1 ./left/sequencer-3

  The same as a plan, with the head of an execution client:
    op-conductor-init recover plan ./left --output plan.json \\
      --execution-rpc http://localhost:8545

  From three to one; and from one to three at new addresses:
    op-conductor-init recover plan ./left --output plan.json \\
      --remove sequencer-2,sequencer-3
    op-conductor-init recover plan ./left --output plan.json \\
      --set sequencer-1=new-1:50050 \\
      --add sequencer-2=new-2:50050 --add sequencer-3=new-3:50050

  A backup of a cluster that has gone on since it was made:
    op-conductor-init recover plan /backups/raft-backup-20260131-235959 \\
      --execution-rpc http://localhost:8545 --output plan.json

The base is the server with the highest last entry, by raft's own rule: its
members and its head are used, unless others are named. Each objection to the
plan has an id, which --allow takes; explain ID says more about it.

Exit status:
  0  planned
  1  refused: there is an objection; no plan was written
  2  failed: no state, no head, wrong usage, or an I/O error";

/// Show what is left of a cluster and what can be lost, and plan how all servers start again
///
/// Reads only: directories of servers, or of several servers each, backups, and files that `recover collect` wrote. With
/// --output the plan is written; `recover apply` needs nothing else. The same inputs and flags give the same plan.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Options {
    /// Servers' directories, directories of such directories, backups, or files of `recover collect`
    #[arg(value_name = "DIR", required = true)]
    inputs: Vec<PathBuf>,

    /// The file to write the plan to; it must be new
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Release of op-conductor that will run on it, such as v0.9.4
    #[arg(long = "for", value_name = "RELEASE")]
    release: Option<Release>,

    /// Override this finding. Repeatable
    #[arg(long, value_name = "ID", value_parser = PossibleValuesParser::new(GUARDS), ignore_case = true, value_delimiter = ',')]
    allow: Vec<String>,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    members: MemberOptions,

    /// Which block of the base is the head, when the highest is not the one that was stored last. With --execution-rpc,
    /// that client is only compared with it
    #[arg(long, value_name = "WHICH", value_enum, conflicts_with = "unsafe_head", help_heading = "Unsafe head")]
    head: Option<Which>,

    #[command(flatten)]
    head_options: HeadOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The block with the highest number: what op-conductor takes
    Highest,
    /// The block that was stored last: what op-conductor takes with reorg recovery
    Last,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Members")]
struct MemberOptions {
    /// Server that must lead first [default: the base]
    #[arg(long, value_name = "ID")]
    initial_leader: Option<String>,

    /// New address for a member. Repeatable
    #[arg(long, value_name = "ID=HOST:PORT", value_parser = id_and_address, value_delimiter = ',')]
    set: Vec<(String, String)>,

    /// New voting member. Repeatable
    #[arg(long, value_name = "ID=HOST:PORT", value_parser = id_and_address, value_delimiter = ',')]
    add: Vec<(String, String)>,

    /// Member to leave out. Repeatable
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    remove: Vec<String>,

    /// Ids of the members that never vote; all others do [default: as before]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    nonvoters: Option<Vec<String>>,

    /// Ids of all members, separated by commas, in the order of --nodes
    #[arg(long, value_name = "LIST", requires = "nodes", conflicts_with_all = ["set", "add", "remove", "members"], value_delimiter = ',')]
    server_ids: Option<Vec<String>>,

    /// Addresses of all members: host:port, separated by commas
    #[arg(long, value_name = "LIST", requires = "server_ids", value_delimiter = ',')]
    nodes: Option<Vec<String>>,

    /// File with all members: cluster.json, op-conductor-ops' config.toml, raft's peers.json, or the answer of
    /// conductor_clusterMembership
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "add", "remove"])]
    members: Option<PathBuf>,
}

/// `id=host:port`.
fn id_and_address(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(id, address)| !id.is_empty() && !address.is_empty());
    parts.map(|(id, address)| (id.to_owned(), address.to_owned())).ok_or_else(|| "expected ID=HOST:PORT".to_owned())
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let inputs = recover::read_inputs(&self.inputs).map_err(failure)?;
        let members = self.members.choose(&inputs.list)?;
        let (head, client) = self.head()?;
        let mut options = PlanOptions::new(&members, &head);
        options.leader = self.members.initial_leader.as_deref();
        (options.client, options.release, options.allow) = (client, self.release, &self.allow);
        let planned = recover::plan(inputs.list.clone(), &options).map_err(failure)?;
        let refused = !planned.refused_by.is_empty();
        if let Some(path) = self.output.as_ref().filter(|_| !refused) {
            output::write_new(path, &planned.file.encode())?;
        }
        match self.format.get() {
            Format::Text => print(&text::plan(&planned, self.output.as_deref()))?,
            Format::Json => print_json(&RecoverPlan::new(&planned, self.output.as_deref()))?,
        }
        if refused { Err(refusal(&planned)) } else { Ok(Verdict::Fine) }
    }

    /// The head, and what the execution client has.
    fn head(&self) -> Result<(HeadChoice, Option<Client>), Failure> {
        let latest = self.head_options.latest()?;
        let client = latest.as_ref().map(|latest| Client { head: latest.head });
        if let Some(which) = self.head {
            let which = match which {
                Which::Highest => WhichHead::Highest,
                Which::Last => WhichHead::Last,
            };
            return Ok((HeadChoice::Base(Some(which)), client));
        }
        // Asked once: the client may go on.
        let given = if self.head_options.takes_latest() { latest } else { self.head_options.load()? };
        Ok(match given {
            Some(head) => (HeadChoice::Given { bytes: head.bytes, source: self.head_options.place() }, client),
            None => (HeadChoice::Base(None), client),
        })
    }
}

impl MemberOptions {
    fn choose(&self, inputs: &[Input]) -> Result<Members, Failure> {
        if let (Some(ids), Some(nodes)) = (&self.server_ids, &self.nodes) {
            return self.listed(ids, nodes);
        }
        if let Some(path) = &self.members {
            return self.of_file(path, inputs);
        }
        Ok(Members::Changed(MemberChanges {
            set: self.set.clone(),
            add: self.add.clone(),
            remove: self.remove.clone(),
            nonvoters: self.nonvoters.clone(),
        }))
    }

    fn listed(&self, ids: &[String], nodes: &[String]) -> Result<Members, Failure> {
        if ids.len() != nodes.len() {
            let error = anyhow!(
                "--nodes: expected as many addresses as --server-ids has ({}), found {}",
                ids.len(),
                nodes.len()
            );
            return Err(Failure::unable(error));
        }
        let server = |(id, address): (&String, &String)| {
            let suffrage = Suffrage::Voter;
            Server { suffrage, id: id.trim().to_owned(), address: address.trim().to_owned() }
        };
        self.with_nonvoters(ids.iter().zip(nodes).map(server).collect())
    }

    fn of_file(&self, path: &Path, inputs: &[Input]) -> Result<Members, Failure> {
        let place = || format!("--members: {}", path.display());
        let text = String::from_utf8(read(path, MAX_MEMBERS_LEN, place)?).with_context(place);
        let text = text.map_err(Failure::unable)?;
        let ids: Vec<&str> = inputs.iter().map(|input| input.facts.id.as_str()).collect();
        let list = MembersFile::parse(&text).and_then(|file| file.list_of(&ids).cloned());
        let list = list.map_err(|error| Failure::unable(anyhow::Error::new(error).context(place())))?;
        self.with_nonvoters(list.servers)
    }

    fn with_nonvoters(&self, mut servers: Vec<Server>) -> Result<Members, Failure> {
        for id in self.nonvoters.iter().flatten() {
            match servers.iter_mut().find(|server| server.id == *id) {
                Some(server) => server.suffrage = Suffrage::Nonvoter,
                None => return Err(Failure::unable(anyhow!("--nonvoters: {id:?} is not one of the members"))),
            }
        }
        Ok(Members::List(Configuration { servers }))
    }
}

fn refusal(planned: &Planned) -> Failure {
    let flags: Vec<String> = planned.refused_by.iter().map(|id| format!("--allow {id}")).collect();
    let error = anyhow!("refused by {}: no plan was written", planned.refused_by.join(", "));
    let hint = format!("explain ID says what each means; once what it asks for is done, pass: {}", flags.join(" "));
    Failure::refused(error).with_hint(Some(hint)).after_answer()
}
