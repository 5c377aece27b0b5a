//! Both sides' judgement on a directory.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::common::oracle;
use op_conductor_init::report::Severity;
use op_conductor_init::verify::verify;
use serde_json::Value;

/// The oracle, asked directory by directory.
pub(super) struct Judge {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Judge {
    pub(super) fn new() -> Judge {
        let mut command = Command::new(oracle("1.8.0"));
        let mut child =
            command.args(["judge", "--time-limit", "5s"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Judge { child, stdin, stdout }
    }

    /// What failed, and at which step; none when all is well.
    pub(super) fn fails(&mut self, directory: &Path) -> Option<(String, String)> {
        writeln!(self.stdin, "{}", directory.display()).unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        (answer["ok"] != true).then(|| (text("step"), text("error")))
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ids of the errors that we find.
pub(super) fn errors(directory: &Path) -> Vec<&'static str> {
    // Without one, nothing is left that could be a node's state.
    let Ok(report) = verify(directory, None, &()) else { return vec!["no state"] };
    let mut ids: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.id)
        .collect();
    ids.dedup();
    ids
}
