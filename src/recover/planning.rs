//! One decision for all servers, made of what is left of them.

use super::base::{Base, above_everything, ranked};
use super::coverage::{Coverage, reason_of};
use super::file::{Override, PlanFile, PlannedBase, PlannedHead, PlannedInput, planned_servers};
use super::guard;
use super::head::{Client, HeadChoice, WhichHead};
use super::input::Input;
use super::members::{Members, cluster};
use super::{Error, facts::Facts};
use crate::cluster::ClusterSpec;
use crate::payload::{Envelope, EnvelopeError, Head, Release};
use crate::plan::Plan;
use crate::raft::{Index, Server};
use crate::report::Finding;

/// What the recovered cluster will be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlanOptions<'a> {
    /// Its members.
    pub members: &'a Members,
    /// Id of the named leader: without one the base's server.
    pub leader: Option<&'a str>,
    /// Its head.
    pub head: &'a HeadChoice,
    /// What an execution client has, to compare the head with.
    pub client: Option<Client>,
    /// The release of op-conductor that will run on it.
    pub release: Option<Release>,
    /// Ids of findings that don't refuse it.
    pub allow: &'a [String],
}

impl<'a> PlanOptions<'a> {
    /// The members and the head as they are, or as given; nothing is allowed.
    pub fn new(members: &'a Members, head: &'a HeadChoice) -> PlanOptions<'a> {
        PlanOptions { members, leader: None, head, client: None, release: None, allow: &[] }
    }
}

/// A plan, and what speaks against it.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub file: PlanFile,
    /// What speaks against it, the worst first. What is allowed is a warning.
    pub findings: Vec<Finding>,
    /// Ids of the findings that refuse it.
    pub refused_by: Vec<&'static str>,
}

/// Plans the recovery of a cluster. The same inputs and options give the same plan.
///
/// # Errors
/// When no plan is possible. What only speaks against one is in [`Planned::findings`].
pub fn plan(inputs: Vec<Input>, options: &PlanOptions<'_>) -> Result<Planned, Error> {
    let inputs = ranked(inputs);
    let base = Base::find(&inputs)?;
    let coverage = Coverage::of(&base, &inputs);
    let (index, term) = above_everything(&inputs)?;
    let spec = cluster(&options.members.after(&base)?, options.leader, &base, term)?;
    let chosen = choose_head(&base, options.head)?;
    let mut findings = against(&inputs, &base, &coverage, &spec, &chosen, options);
    let refused_by = guard::judge(&mut findings, options.allow);
    let file = file(&inputs, &base, coverage, &spec, index, &chosen, &findings, options)?;
    Ok(Planned { file, findings, refused_by })
}

/// The head that was chosen.
struct Chosen {
    bytes: Vec<u8>,
    head: Head,
    source: String,
    /// Why its content isn't the block that it claims to be.
    wrong_hash: Option<EnvelopeError>,
}

fn choose_head(base: &Base<'_>, choice: &HeadChoice) -> Result<Chosen, Error> {
    let id = &base.input.facts.id;
    let (bytes, source, is_given) = match choice {
        HeadChoice::Given { bytes, source } => (bytes.clone(), source.clone(), true),
        HeadChoice::Base(which) => {
            let which = which.map_or_else(|| clear_head(&base.input.facts), Ok)?;
            let from = match which {
                WhichHead::Highest => format!("the highest block of {id}"),
                WhichHead::Last => format!("the last block of {id}"),
            };
            (base.input.head(which)?.ok_or(Error::NoHead)?, from, false)
        }
    };
    let fail = |source_of| Error::Head { from: source.clone(), source: source_of };
    let head = Head::peek(&bytes).map_err(|error| fail(error.into()))?;
    let envelope = Envelope::decode(&bytes).map_err(fail)?;
    // Who gives one has decided whether its hash is checked.
    let wrong_hash = if is_given { None } else { envelope.check_hash().err() };
    Ok(Chosen { bytes, head, source, wrong_hash })
}

/// The highest block, if it is the last one too: releases with reorg recovery take the last.
fn clear_head(facts: &Facts) -> Result<WhichHead, Error> {
    match (&facts.head, &facts.last_head) {
        (Some(highest), Some(last)) => Err(Error::UnclearHead { highest: highest.number, last: last.number }),
        _ => Ok(WhichHead::Highest),
    }
}

fn against(
    inputs: &[Input],
    base: &Base<'_>,
    coverage: &Coverage,
    spec: &ClusterSpec,
    chosen: &Chosen,
    options: &PlanOptions<'_>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(guard::coverage(coverage, base));
    found.extend(guard::reachable(coverage, base, inputs, spec));
    found.extend(guard::lower_head(base, &chosen.head));
    found.extend(guard::forgetful(inputs));
    found.extend(guard::damage(base, inputs));
    found.extend(chosen.wrong_hash.as_ref().map(|error| guard::wrong_hash(base, error)));
    found.extend(guard::unreadable(&chosen.head, options.release));
    found.extend(options.client.and_then(|client| guard::client(&chosen.head, client)));
    found.extend(guard::running(inputs));
    found
}

#[expect(clippy::too_many_arguments, reason = "everything that was decided, once")]
fn file(
    inputs: &[Input],
    base: &Base<'_>,
    coverage: Coverage,
    spec: &ClusterSpec,
    index: Index,
    chosen: &Chosen,
    findings: &[Finding],
    options: &PlanOptions<'_>,
) -> Result<PlanFile, Error> {
    let plan = Plan::recovered(spec, index, &chosen.bytes)?;
    let allowed = |finding: &&Finding| options.allow.iter().any(|id| id.eq_ignore_ascii_case(finding.id));
    let overrides = findings.iter().filter(allowed);
    let before: Vec<Server> = base.input.facts.members().unwrap_or_default().servers;
    Ok(PlanFile {
        format: PlanFile::FORMAT.to_owned(),
        format_version: PlanFile::VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        inputs: inputs.iter().map(|input| planned_input(input, inputs)).collect(),
        base: PlannedBase {
            id: base.input.facts.id.clone(),
            path: base.input.path.display().to_string(),
            term: base.term,
            index: base.index,
        },
        coverage,
        members_before: before,
        members: spec.configuration().servers.clone(),
        leader: spec.leader().id.clone(),
        head: PlannedHead::new(&chosen.head, &chosen.bytes, chosen.source.clone()),
        index,
        term: spec.initial_term(),
        page_size: PlanFile::PAGE_SIZE,
        release: options.release.map(|release| release.name.to_owned()),
        overrides: overrides.map(|it| Override { id: it.id.to_owned(), message: it.message.clone() }).collect(),
        servers: planned_servers(&plan)?,
    })
}

fn planned_input(input: &Input, inputs: &[Input]) -> PlannedInput {
    PlannedInput {
        origin: input.origin,
        path: input.path.display().to_string(),
        uncounted: reason_of(input, inputs),
        facts: input.facts.clone(),
    }
}
