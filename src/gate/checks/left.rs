//! `state-left`, and the same look at running servers after each step of an upgrade.

use tempfile::TempDir;
use tokio::time::sleep;

use super::{SETTLE, Seen, Trial};
use crate::durable::temp_dir;
use crate::gate::Error;
use crate::payload::{Head, Release};
use crate::report::Severity;
use crate::verify::{self, Report};

impl Trial<'_> {
    /// Stops all and looks at what they leave.
    pub(super) async fn state_left(&self) -> Result<Seen, Error> {
        sleep(SETTLE).await;
        self.nodes.fleet().stop_all().await?;
        self.look_at_state().await
    }

    /// Copies the state of all servers, stopped or running, and looks whether `verify` finds no error in it for any
    /// target, and whether the last block is the highest in all logs.
    pub(super) async fn look_at_state(&self) -> Result<Seen, Error> {
        let directory = self.copy_out().await?;
        let mut seen = Seen::Bad("there is no target".to_owned());
        for target in self.job.targets() {
            seen = self.judge(&directory, target.release());
            if let Seen::Bad(_) = seen {
                break;
            }
        }
        Ok(seen)
    }

    /// The directories of all servers, in a temporary directory.
    pub(super) async fn copy_out(&self) -> Result<TempDir, Error> {
        let fail = |source| Error::Io { path: std::env::temp_dir(), source };
        let directory = temp_dir("gate").map_err(|error| fail(error.source))?;
        for id in &self.staged.nodes {
            let to = directory.path().join(id);
            std::fs::create_dir(&to).map_err(fail)?;
            self.nodes.fleet().copy_out(id, &to).await?;
        }
        Ok(directory)
    }

    fn judge(&self, directory: &TempDir, release: Option<Release>) -> Seen {
        match verify::verify(directory.path(), release, &()) {
            Ok(report) => self.judge_report(&report),
            Err(error) => Seen::Bad(super::chain(&error)),
        }
    }

    fn judge_report(&self, report: &Report) -> Seen {
        if let Some(bad) = report.findings.iter().find(|finding| finding.severity == Severity::Error) {
            return Seen::Bad(format!("verify: {} {}: {}", bad.id, bad.place, bad.message));
        }
        let Some(expected) = self.tip.as_deref().and_then(|tip| Head::peek(tip).ok()) else {
            return Seen::Bad("no block was committed".to_owned());
        };
        let missing = report.nodes.iter().find(|node| node.head.is_none_or(|stored| stored.head != expected));
        match missing {
            Some(node) => Seen::Bad(format!("block {} is not the highest in the log of {}", expected.number, node.id)),
            None => Seen::Good(format!(
                "verify finds no error in it, and block {} is the highest in all {} logs",
                expected.number,
                report.nodes.len()
            )),
        }
    }
}
