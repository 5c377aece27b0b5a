//! What a package of the command has besides it: shell completions and man pages.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::Failure;
use super::output::write_file;
use super::{Outcome, answer};

const NAME: &str = "op-conductor-init";

/// Print the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  op-conductor-init completions bash \\
    > /usr/share/bash-completion/completions/op-conductor-init
  op-conductor-init completions zsh > ~/.zfunc/_op-conductor-init")]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Write the man pages: one of the command, one of each verb
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  op-conductor-init man --output-dir /usr/local/share/man/man1
  op-conductor-init man --output-dir . && man ./op-conductor-init-verify.1")]
pub(super) struct Man {
    /// Directory that they are written to; it must be there
    #[arg(long, value_name = "DIR")]
    output_dir: PathBuf,
}

impl Completions {
    pub(super) fn run(&self, mut command: Command) -> Result<Outcome, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, NAME, &mut text);
        answer(&String::from_utf8_lossy(&text))?;
        Ok(Outcome::Fine)
    }
}

impl Man {
    pub(super) fn run(&self, command: Command) -> Result<Outcome, Failure> {
        let directory = &self.output_dir;
        write_pages(command, directory)
            .with_context(|| format!("--output-dir: writing man pages to {}", directory.display()))
            .map_err(Failure::unable)?;
        Ok(Outcome::Fine)
    }
}

/// Each page beside its place, and then there.
fn write_pages(command: Command, directory: &Path) -> anyhow::Result<()> {
    let made = tempfile::tempdir()?;
    clap_mangen::generate_to(command.name(NAME), made.path())?;
    for page in std::fs::read_dir(made.path())? {
        let page = page?;
        write_file(&directory.join(page.file_name()), &std::fs::read(page.path())?)?;
    }
    Ok(())
}
