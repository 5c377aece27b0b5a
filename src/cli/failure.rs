//! How a command ends when it doesn't end well.

use std::fmt;

use op_conductor_init::durable;
use op_conductor_init::state::dir;

/// Exit code of a refusal.
pub(crate) const REFUSED: u8 = 1;
/// Exit code of what could not be told: wrong usage, I/O.
pub(crate) const UNABLE: u8 = 2;

/// Why a command failed, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn refused(error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit_code: REFUSED, error: error.into(), hint: None }
    }

    pub(crate) fn unable(error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit_code: UNABLE, error: error.into(), hint: None }
    }

    /// Ended by a signal, as shells count it: 128 and its number.
    #[cfg(feature = "gate")]
    pub(crate) fn interrupted(by: &str, signal: i32) -> Failure {
        let exit_code = u8::try_from(signal).map_or(UNABLE, |signal| signal.saturating_add(128));
        Failure { exit_code, error: anyhow::anyhow!("interrupted by {by}; what was started is removed"), hint: None }
    }

    /// Ended by a signal before anything was changed.
    pub(crate) fn cancelled(signal: i32) -> Failure {
        let exit_code = u8::try_from(signal).map_or(UNABLE, |signal| signal.saturating_add(128));
        Failure { exit_code, error: anyhow::anyhow!("interrupted by a signal: nothing was changed"), hint: None }
    }

    /// What has been done all the same.
    pub(crate) fn after(self, done: &str) -> Failure {
        Failure { error: self.error.context(format!("{done}, but the answer could not be written")), ..self }
    }

    pub(crate) fn with_hint(self, hint: Option<impl Into<String>>) -> Failure {
        Failure { hint: hint.map(Into::into), ..self }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {:#}", self.error)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// What can be done about an error of a directory, by a verb that has --lock-timeout.
pub(crate) fn directory_hint(error: &durable::Error) -> Option<&'static str> {
    match error {
        durable::Error::Locked { .. } => Some("wait until it has ended, or give a longer --lock-timeout"),
        error => error.hint(),
    }
}

/// The same for an error of a server's directory.
pub(crate) fn server_hint(error: &dir::Error) -> Option<&'static str> {
    match error {
        dir::Error::Durable(error) => directory_hint(error),
        error => error.hint(),
    }
}
