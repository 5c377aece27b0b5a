//! `log import`: a new server's directory from lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use op_conductor_init::durable::{self, Root};
use op_conductor_init::open_file;
use op_conductor_init::report::Progress;
use op_conductor_init::state::dir::{self, DIR_MODE, FILE_MODE, LOG_FILE, STABLE_FILE};
use op_conductor_init::state::{self, StateDir};
use op_conductor_init::transfer::{Error, Imported, LineError, import, stable};

use super::StateDirOption;
use crate::cli::answer::log::Import as Answer;
use crate::cli::answer::shown;
use crate::cli::args::FormatOption;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::generate::report_recovery;
use crate::cli::output::{print, print_json};
use crate::cli::progress::Bar;
use crate::cli::text::count;
use crate::cli::values::{self, Format};

/// Make a new server's directory from lines of log export, in any order
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  op-conductor-init log import --state-dir ./new/sequencer-1 log.ndjson
  zcat log.ndjson.gz | op-conductor-init log import --state-dir ./new/s1 -

The new stable store has the term of the last entry and no vote: do not put
the directory into a cluster that has run.

Exit status:
  0  imported
  1  refused: the directory exists
  2  a line is not an entry, an entry is missing or appears twice, a term goes
     back, or an I/O error; nothing was made")]
pub(super) struct Options {
    #[command(flatten)]
    directory: StateDirOption,

    /// File with the lines [default: - for standard input]
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    file: PathBuf,

    /// Directory with the files that lines name
    #[arg(long, value_name = "DIR")]
    payloads: Option<PathBuf>,

    /// Page size of the files in bytes: a power of two from 1024 to 65536
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = values::page_size)]
    page_size: usize,

    #[command(flatten)]
    format: FormatOption,
}

impl Options {
    pub(super) fn run(&self) -> Result<Verdict, Failure> {
        let directory = self.directory.path()?;
        if directory.symlink_metadata().is_ok() {
            return Err(exists(directory));
        }
        let imported = match self.file.as_os_str() == "-" {
            true => self.make(directory, io::stdin().lock(), 0)?,
            false => {
                let file = open_file(&self.file).with_context(|| self.file.display().to_string());
                let file = file.map_err(Failure::unable)?;
                let len = file.metadata().map_or(0, |metadata| metadata.len());
                self.make(directory, BufReader::with_capacity(1 << 20, file), len)?
            }
        };
        match self.format.get() {
            Format::Text => print(&text(directory, imported)).map_err(|it| it.after("imported"))?,
            Format::Json => {
                print_json(&Answer { state_dir: shown(directory), imported }).map_err(|it| it.after("imported"))?;
            }
        }
        Ok(Verdict::Fine)
    }

    /// Both stores, staged beside their place and put there at once; `len` bytes of lines are expected.
    fn make(&self, directory: &Path, lines: impl BufRead, len: u64) -> Result<Imported, Failure> {
        let (above, name) = dir::parent_and_name(directory).map_err(Failure::unable)?;
        let Some(name) = name.to_str().filter(|name| !name.is_empty()) else {
            return Err(Failure::unable(anyhow!("--state-dir: {} has no name", directory.display())));
        };
        let timeout = Duration::from_secs(1);
        let root = Root::open(&above, None, timeout).map_err(unable)?;
        // Another import may have made it while this one waited.
        if root.has(name).map_err(unable)? {
            return Err(exists(directory));
        }
        let mut staging = root.stage().map_err(unable)?;
        let name = Path::new(name);
        staging.create_dir(name, DIR_MODE).map_err(unable)?;
        let mut create = |file: &str| -> Result<File, Failure> { staging.create_file(name.join(file)).map_err(unable) };
        let bar = Bar::bytes("import");
        bar.expect(len);
        let imported = import(lines, self.payloads.as_deref(), create(LOG_FILE)?, self.page_size, &bar);
        drop(bar);
        let imported = imported.map_err(|error| self.failure(error))?;
        stable(imported.last_term, create(STABLE_FILE)?, self.page_size).map_err(Failure::unable)?;
        for file in [LOG_FILE, STABLE_FILE] {
            staging.set_mode(name.join(file), FILE_MODE).map_err(unable)?;
        }
        let dirs = [StateDir::new(directory)];
        let mut locks = state::lock(&[], timeout).map_err(Failure::unable)?;
        let committed = staging.commit(&mut |moved| locks.hold(&dirs, moved)).map_err(Failure::unable)?;
        committed.recovered.iter().for_each(report_recovery);
        Ok(imported)
    }

    fn failure(&self, error: Error) -> Failure {
        let file = if self.file.as_os_str() == "-" { "standard input".into() } else { self.file.display().to_string() };
        let no_payloads = matches!(error, Error::Line { source: LineError::NoPayloads, .. });
        let hint = no_payloads.then_some("--payloads names the directory of such files");
        Failure::unable(anyhow::Error::new(error).context(file)).with_hint(hint)
    }
}

fn exists(directory: &Path) -> Failure {
    Failure::refused(anyhow!("--state-dir: {} is there already", directory.display()))
        .with_hint(Some("import makes a new directory: name one that is not there"))
}

/// An error of the directory above, with what can be done about it.
fn unable(error: durable::Error) -> Failure {
    let (hint, refused) = (error.hint(), error.is_refusal());
    Failure::refused_if(refused, error).with_hint(hint)
}

fn text(directory: &Path, imported: Imported) -> String {
    let Imported { first_index, last_index, last_term, reordered } = imported;
    let entries = count(last_index.0 - first_index.0 + 1, "entry", "entries");
    let mut text = format!(
        "Imported {entries}, {first_index}..{last_index}, the last of term {last_term}, to {}.\n",
        directory.display()
    );
    if reordered > 0 {
        text += &format!("{} out of order and had to be sorted.\n", count(reordered, "line was", "lines were"));
    }
    if first_index.0 > 1 {
        text +=
            &format!("The log begins at {first_index}: raft needs the snapshot that reaches {}.\n", first_index.0 - 1);
    }
    text
}
