//! Files that the answer is written to besides standard output.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow};
use op_conductor_init::durable::parent;
use op_conductor_init::gate::TargetReport;
use quick_junit::Report;
use tempfile::NamedTempFile;

use crate::cli::failure::Failure;
use crate::cli::output_file::publish;

/// A file on its way: made where it will be, so that what can't be written is known before anything runs.
pub(super) struct OutputFile<'a> {
    flag: &'static str,
    path: &'a Path,
    file: NamedTempFile,
}

impl OutputFile<'_> {
    /// Begins the file of this flag.
    pub(super) fn begin<'a>(flag: &'static str, path: &'a Path) -> Result<OutputFile<'a>, Failure> {
        let file = NamedTempFile::new_in(parent(path)).with_context(|| format!("{flag} {}", path.display()));
        Ok(OutputFile { flag, path, file: file.map_err(Failure::unable)? })
    }

    /// Puts it in its place.
    pub(super) fn write(self, text: &str) -> Result<(), Failure> {
        let place = format!("{} {}", self.flag, self.path.display());
        self.persist(text).context(place).map_err(Failure::unable)
    }

    fn persist(mut self, text: &str) -> anyhow::Result<()> {
        self.file.write_all(text.as_bytes())?;
        publish(self.file, self.path)
    }
}

/// All reports as JUnit's XML.
pub(super) fn junit(reports: &[TargetReport]) -> Result<String, Failure> {
    let mut report = Report::new("op-conductor-init gate");
    report.add_test_suites(reports.iter().map(TargetReport::to_junit));
    report.to_string().map_err(|error| Failure::unable(anyhow!(error).context("--junit")))
}
