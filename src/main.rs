//! The command: arguments in, an exit code out.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    op_conductor_init::cli::main()
}
