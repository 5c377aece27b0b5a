//! `state-left`.

use tempfile::TempDir;
use tokio::time::sleep;

use super::{SETTLE, Seen, Trial};
use crate::gate::Error;
use crate::payload::Head;
use crate::report::Severity;
use crate::verify::{self, Report};

impl Trial<'_> {
    /// Stops all and looks at what they leave.
    pub(super) async fn state_left(&self) -> Result<Seen, Error> {
        sleep(SETTLE).await;
        self.nodes.fleet().stop_all().await?;
        let directory = self.copy_out().await?;
        let report = match verify::verify(directory.path(), self.target.release(), &()) {
            Ok(report) => report,
            Err(error) => return Ok(Seen::Bad(super::chain(&error))),
        };
        Ok(self.judge_left(&report))
    }

    /// The directories of all servers, in a temporary directory.
    async fn copy_out(&self) -> Result<TempDir, Error> {
        let fail = |source| Error::Io { path: std::env::temp_dir(), source };
        let directory = tempfile::Builder::new().prefix("op-conductor-init-gate-").tempdir().map_err(fail)?;
        for id in &self.staged.nodes {
            let to = directory.path().join(id);
            std::fs::create_dir(&to).map_err(fail)?;
            self.nodes.fleet().copy_out(id, &to).await?;
        }
        Ok(directory)
    }

    fn judge_left(&self, report: &Report) -> Seen {
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
