//! Recovery against real raft: what the plan says can't be lost is never lost, and what `apply` writes elects the named
//! leader, on every release of raft.
//!
//! A history is a cluster of oracle nodes on loopback to which things happen: nodes die and come back, leaders are cut off
//! with entries that nobody else has, snapshots are taken, members come and go. In the end all are killed, and every
//! subset of their directories is planned from. Each block that a leader acknowledged is known.

mod conductor;
mod histories;
mod loopback;

use std::path::Path;

use op_conductor_init::recover::{
    self, Applied, ApplyOptions, HeadChoice, Input, MemberChanges, Members, PlanFile, PlanOptions, Planned, Target,
    WhichHead,
};
use op_conductor_init::state::StateDir;

/// The plan from some directories, with the head that is stored in them.
fn plan(directories: &[&Path], leader: Option<&str>) -> Result<Planned, recover::Error> {
    let inputs: Vec<Input> =
        directories.iter().map(|path| Input::read(&StateDir::resolve(path).unwrap())).collect::<Result<_, _>>()?;
    let members = Members::Changed(MemberChanges::default());
    let head = HeadChoice::Base(Some(WhichHead::Highest));
    let mut options = PlanOptions::new(&members, &head);
    options.leader = leader;
    recover::plan(inputs, &options)
}

fn apply(plan: &PlanFile, to: &Path) -> Applied {
    recover::apply(plan, Target::New(to), &ApplyOptions::default()).unwrap()
}
