//! What a package of the command has besides it: shell completions and man pages.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::{Failure, Verdict};
use super::output::print;
use super::output_file::write_file;

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

/// Write the man pages: one for the command, one for each verb
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  op-conductor-init man --output-dir /usr/local/share/man/man1
  op-conductor-init man --output-dir . && man ./op-conductor-init-verify.1")]
pub(super) struct Man {
    /// Directory to write them to; it must exist
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
        // The pages of verbs have the version, and no flag for it, as the verbs.
        let command = command.name(NAME).disable_help_subcommand(true).propagate_version(true);
        let mut command = command.mut_subcommands(|verb| verb.disable_version_flag(true));
        command.build();
        write_pages(&command, &self.output_dir)?;
        Ok(Verdict::Fine)
    }
}

/// The page of a verb, and those of the verbs below it.
fn write_pages(command: &Command, directory: &Path) -> Result<(), Failure> {
    let page = clap_mangen::Man::new(command.clone());
    let path = directory.join(page.get_filename());
    let mut text = Vec::new();
    let rendered = page.render(&mut text).map_err(anyhow::Error::from);
    let written = rendered.and_then(|()| write_file(&path, sections(&String::from_utf8_lossy(&text)).as_bytes()));
    written.context("--output-dir").map_err(Failure::unable)?;
    command.get_subcommands().filter(|verb| !verb.is_hide_set()).try_for_each(|verb| write_pages(verb, directory))
}

/// What follows the options in help has sections of its own in a man page: clap_mangen puts all of it under EXTRA.
fn sections(page: &str) -> String {
    // Names of variables are copied from here: without hyphens of the page's own.
    let page = page.replacen("\n.SH NAME\n", "\n.nh\n.SH NAME\n", 1);
    let Some((head, extra)) = page.split_once("\n.SH EXTRA\n") else { return page };
    let mut text = head.to_owned() + "\n";
    let mut section = "";
    for line in extra.lines() {
        let (name, rest) = match line {
            ".SH VERSION" | ".SH AUTHORS" => ("VERSION", line),
            "Examples:" => ("EXAMPLES", ""),
            _ => match line.strip_prefix("Exit status:") {
                Some(rest) => ("EXIT STATUS", rest.trim_start()),
                // Examples are indented, and what is said about all of them is not.
                None if section == "VERSION" || line.is_empty() || line.starts_with(' ') => (section, line),
                None => ("NOTES", line),
            },
        };
        if name != section && name != "VERSION" {
            text += &format!(".SH \"{name}\"\n");
        }
        section = name;
        if !(rest.is_empty() && text.ends_with("\"\n")) {
            text += rest;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_notes_and_the_exit_status_have_sections() {
        let page = ".TH x\n.SH EXTRA\nExamples:\n  x y\n\nReads only.\n\nExit status:\n  0  fine\n.SH VERSION\nv1\n";
        let expected = ".TH x\n.SH \"EXAMPLES\"\n  x y\n\n.SH \"NOTES\"\nReads only.\n\n.SH \"EXIT STATUS\"\n  0  fine\n.SH VERSION\nv1\n";
        assert_eq!(sections(page), expected);
        assert_eq!(sections(".SH NAME\nx\n"), ".SH NAME\nx\n");
    }
}
