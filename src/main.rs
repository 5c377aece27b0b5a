//! The command: arguments in, an exit code out.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cli;

fn main() -> std::process::ExitCode {
    raise_file_limit();
    cli::run(std::env::args_os())
}

/// Asks for as many open files as are allowed, as Go does for its programs: the locks of a large cluster are two a node.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without it all but very large clusters work, and those get a clear error.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
