//! How a command ends.

use std::fmt;

use op_conductor_init::durable;
use op_conductor_init::state::dir;
use serde::Serialize;

/// Exit code of a refusal.
pub(crate) const REFUSED: u8 = 1;
/// Exit code when the answer could not be determined: wrong usage, I/O.
pub(crate) const UNABLE: u8 = 2;

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Exit code 0.
    Fine,
    /// Exit code 1: it found an error.
    Bad,
    /// Exit code 2: it could not find out; the answer says why.
    #[cfg(feature = "gate")]
    Inconclusive,
}

/// Why a command failed, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    error: anyhow::Error,
    hint: Option<String>,
    is_answered: bool,
}

/// A failure as JSON.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ErrorAnswer {
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
    pub(crate) exit_status: u8,
}

impl Failure {
    pub(crate) fn refused(error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit_code: REFUSED, error: error.into(), hint: None, is_answered: false }
    }

    pub(crate) fn unable(error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit_code: UNABLE, error: error.into(), hint: None, is_answered: false }
    }

    /// Refused, or impossible, as the error says of itself.
    pub(crate) fn refused_if(refused: bool, error: impl Into<anyhow::Error>) -> Failure {
        if refused { Failure::refused(error) } else { Failure::unable(error) }
    }

    /// Ended by a signal, as shells count it: 128 and its number.
    #[cfg(feature = "gate")]
    pub(crate) fn interrupted(by: &str, signal: i32) -> Failure {
        let exit_code = u8::try_from(signal).map_or(UNABLE, |signal| signal.saturating_add(128));
        let error = anyhow::anyhow!("interrupted by {by}; what was started is removed");
        Failure { exit_code, error, hint: None, is_answered: false }
    }

    /// Ended by a signal before anything was changed.
    pub(crate) fn cancelled(signal: i32) -> Failure {
        let exit_code = u8::try_from(signal).map_or(UNABLE, |signal| signal.saturating_add(128));
        let error = anyhow::anyhow!("interrupted by a signal: nothing was changed");
        Failure { exit_code, error, hint: None, is_answered: false }
    }

    /// Says what was done although the answer could not be written.
    pub(crate) fn after(self, done: &str) -> Failure {
        Failure { error: self.error.context(format!("{done}, but the answer could not be written")), ..self }
    }

    pub(crate) fn with_hint(self, hint: Option<impl Into<String>>) -> Failure {
        Failure { hint: hint.map(Into::into), ..self }
    }

    /// The answer was already written and says everything: programs get no second one.
    pub(crate) fn after_answer(self) -> Failure {
        Failure { is_answered: true, ..self }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// What programs get instead of an answer.
    pub(crate) fn answer(&self) -> Option<ErrorAnswer> {
        let answer = || ErrorAnswer {
            message: format!("{:#}", self.error),
            hint: self.hint.clone(),
            exit_status: self.exit_code,
        };
        (!self.is_answered).then(answer)
    }
}

/// What programs get when the command line can't be understood.
pub(crate) fn usage_answer(error: &clap::Error) -> ErrorAnswer {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Then come tips, the usage, and where to read more.
    let mut parts = text.split("\n\n").map(str::trim);
    let message = parts.next().unwrap_or_default().to_owned();
    let hint = parts.find_map(|part| part.strip_prefix("tip: ")).map(str::to_owned);
    ErrorAnswer { message, hint, exit_status: UNABLE }
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
