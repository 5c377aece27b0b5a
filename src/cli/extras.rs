//! What a package of the command has besides it: shell completions and man pages.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::{Failure, Verdict};
use super::output::print;

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
    pub(super) fn run(&self, mut command: Command) -> Result<Verdict, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, NAME, &mut text);
        let mut text = String::from_utf8_lossy(&text).into_owned();
        if self.shell == Shell::Bash {
            // clap_complete 4.6 mixes two ways to write the dashes of the name, and finds no verb below the first level.
            text = text.replace("op__subcmd__conductor__subcmd__init", "op__conductor__init");
        }
        print(&text)?;
        Ok(Verdict::Fine)
    }
}

impl Man {
    pub(super) fn run(&self, command: Command) -> Result<Verdict, Failure> {
        let directory = &self.output_dir;
        clap_mangen::generate_to(command.name(NAME), directory)
            .with_context(|| format!("--output-dir: writing man pages to {}", directory.display()))
            .map_err(Failure::unable)?;
        Ok(Verdict::Fine)
    }
}
