//! The built command, as a person runs it.

use std::path::Path;
use std::process::{Command, Output};

/// Flags of `generate` for a cluster of three.
pub(crate) const THREE: [&str; 6] = [
    "--nodes",
    "seq1.example:50050,seq2.example:50050,seq3.example:50050",
    "--server-ids",
    "sequencer-1,sequencer-2,sequencer-3",
    "--initial-leader",
    "sequencer-1",
];

/// A command in a directory of its own, without variables from outside.
pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
    command.current_dir(dir).env_clear().args(args);
    command
}

pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

/// Exit code, stdout and stderr, as a person sees them.
pub(crate) fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (code, stdout, stderr) = (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr));
    format!("exit {code}\n-- stdout\n{stdout}-- stderr\n{stderr}")
}
