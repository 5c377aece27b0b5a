//! generate's flags, to try a cluster that isn't written yet.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use op_conductor_init::cluster::{ClusterSpec, Election, SpecText};
use op_conductor_init::durable::{Root, temp_dir};
use op_conductor_init::gate::SAMPLE_HEAD;
use op_conductor_init::generate::{self, WriteOptions};
use op_conductor_init::plan::Plan;

use tempfile::TempDir;

use crate::cli::failure::Failure;
use crate::cli::head::HeadOptions;

/// generate's flags, to try a cluster that isn't written yet.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster, instead of --state-dir: as generate would write it")]
pub(super) struct ClusterOptions {
    /// Addresses of all servers
    #[arg(long, value_name = "LIST", requires_all = ["server_ids", "initial_leader"], conflicts_with = "state_dir")]
    nodes: Option<String>,

    /// Their ids, in the same order
    #[arg(long, value_name = "LIST", requires = "nodes")]
    server_ids: Option<String>,

    /// Id of the server that must win the first election
    #[arg(long, value_name = "ID", requires = "nodes")]
    initial_leader: Option<String>,

    /// Ids of the servers that never vote
    #[arg(long, value_name = "LIST", requires = "nodes")]
    nonvoters: Option<String>,

    /// Who can win the first election
    #[arg(long, value_name = "WHO", requires = "nodes", value_parser = PossibleValuesParser::new(["named", "open"]).map(|text| crate::cli::generate::election(&text)))]
    election: Option<Election>,

    /// Term of the first entry
    #[arg(long, value_name = "TERM", requires = "nodes")]
    initial_term: Option<u64>,
}

/// What is tried when nothing is named.
const SAMPLE: SpecText<'_> = SpecText {
    nodes: "sequencer-1:50050,sequencer-2:50050,sequencer-3:50050",
    server_ids: "sequencer-1,sequencer-2,sequencer-3",
    nonvoters: "",
    initial_leader: "sequencer-2",
    initial_term: 1,
    network: None,
    election: Election::Named,
};

impl ClusterOptions {
    fn spec_text(&self) -> SpecText<'_> {
        let Some(nodes) = &self.nodes else { return SAMPLE };
        SpecText {
            nodes,
            server_ids: self.server_ids.as_deref().unwrap_or_default(),
            nonvoters: self.nonvoters.as_deref().unwrap_or_default(),
            initial_leader: self.initial_leader.as_deref().unwrap_or_default(),
            initial_term: self.initial_term.unwrap_or(1),
            network: None,
            election: self.election.unwrap_or(Election::Named),
        }
    }

    /// The state that generate would write, in a temporary directory.
    pub(super) fn generate(&self, head: &HeadOptions) -> Result<TempDir, Failure> {
        let text = self.spec_text();
        let spec = ClusterSpec::parse(&text).map_err(|errors| crate::cli::generate::spec_failure(&errors))?;
        let head = head.load()?.map(|head| head.bytes);
        let head = head.as_deref().or(self.nodes.is_none().then_some(SAMPLE_HEAD));
        let plan = match head {
            Some(head) => Plan::new(&spec).with_payload(head),
            None => Plan::new(&spec),
        };
        let directory = temp_dir("gate").map_err(Failure::unable)?;
        let root = Root::open(directory.path(), None, Duration::ZERO).map_err(Failure::unable)?;
        let options = WriteOptions { only: None, force: false, page_size: 4096, lock_timeout: Duration::ZERO };
        generate::write(&plan, root, &options).map_err(Failure::unable)?;
        Ok(directory)
    }
}
