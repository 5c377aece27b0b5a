//! The file of `verify --expect`: who should be in the cluster, or what state each server should have.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use op_conductor_init::cluster::{MembersError, MembersFile};
use op_conductor_init::read_file;
#[cfg(feature = "payload")]
use op_conductor_init::recover::{self, PlanFile};
use op_conductor_init::report::{Finding, decode_text};
use op_conductor_init::verify::{Report, compare_members};

use super::failure::Failure;

/// A list of members, or a plan, of more bytes isn't read.
const MAX_LEN: u64 = 64 << 20;

/// What is expected of a cluster.
pub(super) struct Expected {
    file: PathBuf,
    what: What,
}

enum What {
    /// Who should be in it.
    Members(MembersFile),
    /// What each server should have.
    #[cfg(feature = "payload")]
    Plan(Box<PlanFile>),
}

impl Expected {
    pub(super) fn read(file: &Path) -> Result<Expected, Failure> {
        let bytes = read_file(file, MAX_LEN).context("--expect").map_err(Failure::unable)?;
        let what = What::parse(file, &bytes)?;
        Ok(Expected { file: file.to_owned(), what })
    }

    /// How the servers differ from it.
    pub(super) fn compare(&self, report: &Report) -> Result<Vec<Finding>, Failure> {
        match &self.what {
            What::Members(members) => {
                compare_members(members, &report.nodes).map_err(|error| unexpected(&self.file, error))
            }
            #[cfg(feature = "payload")]
            What::Plan(plan) => recover::compare(plan, &report.nodes).map_err(Failure::unable),
        }
    }
}

impl What {
    fn parse(file: &Path, bytes: &[u8]) -> Result<What, Failure> {
        let text = decode_text(bytes).with_context(|| format!("--expect: {}", file.display()));
        let text = text.map_err(Failure::unable)?;
        #[cfg(feature = "payload")]
        if PlanFile::is_one(text.as_bytes()) {
            let fail = |reason| Failure::unable(anyhow!("--expect: {}: {reason}", file.display()));
            return PlanFile::decode(text.as_bytes()).map(|plan| What::Plan(Box::new(plan))).map_err(fail);
        }
        MembersFile::parse(&text).map(What::Members).map_err(|error| unexpected(file, error))
    }
}

fn unexpected(file: &Path, error: MembersError) -> Failure {
    Failure::unable(anyhow!(error).context(format!("--expect: {}", file.display())))
}
