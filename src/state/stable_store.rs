//! The stable store of one server: its term and its vote.

use std::path::Path;

use super::Error;
use super::dir::STABLE_FILE;
use super::store::{Depth, Store, read_store};
use crate::raft::{CONF_BUCKET, StableState};
use crate::report::{Finding, Findings, Severity};

/// What the stable store of the server's directory `directory` says now.
///
/// # Errors
/// When it can't be read.
pub fn stable_state(directory: &Path) -> Result<StableState, Error> {
    let (_, (stable, _)) = read_stable(&directory.join(STABLE_FILE), Depth::Content)?;
    Ok(stable)
}

pub(super) fn read_stable(path: &Path, depth: Depth) -> Result<(Store, (StableState, Vec<Finding>)), Error> {
    read_store(path, depth, &mut |walk| {
        let mut stable = StableState::default();
        let mut findings = Findings::default();
        let found = walk(CONF_BUCKET, &mut |key, value| {
            if let Err(error) = stable.insert(key, value) {
                findings.add(Finding::new(
                    "RAFT-016",
                    Severity::Error,
                    format!("{error}: raft fails or reads another number"),
                ));
            }
        })?;
        let mut findings = findings.finish();
        findings.extend(found);
        Ok((stable, findings))
    })
}
