//! What the gate boots.

use std::fmt;
use std::str::FromStr;

use crate::payload::{Release, UnknownRelease};

/// The versions of hashicorp/raft that the oracle is built against.
pub const RAFT_VERSIONS: [&str; 4] = ["1.6.1", "1.7.1", "1.7.3", "1.8.0"];

/// What the gate boots on the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The oracle with this version of hashicorp/raft: elections, without op-conductor.
    Raft(&'static str),
    /// This release of op-conductor, unmodified, built from its source.
    Conductor(Release),
    /// An image of op-conductor.
    Image(String),
}

/// The text isn't a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the texts say what the fields are")]
pub enum ParseTargetError {
    /// A version of raft that the oracle isn't built against.
    #[error("expected raft:<version> with one of {}, found {found:?}", RAFT_VERSIONS.join(", "))]
    Raft { found: String },
    /// Not a release that is known.
    #[error("{0}; raft:<version> boots raft alone, and --image any other release")]
    Release(#[from] UnknownRelease),
}

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Target, ParseTargetError> {
        let Some(wanted) = text.strip_prefix("raft:") else { return Ok(Target::Conductor(text.parse()?)) };
        let found = RAFT_VERSIONS.into_iter().find(|version| *version == wanted.trim_start_matches('v'));
        found.map(Target::Raft).ok_or_else(|| ParseTargetError::Raft { found: wanted.to_owned() })
    }
}

impl Target {
    /// Whether op-conductor runs in it, not raft alone.
    pub fn has_conductor(&self) -> bool {
        !matches!(self, Target::Raft(_))
    }

    /// The release, when it is one that is known.
    pub fn release(&self) -> Option<Release> {
        match self {
            Target::Conductor(release) => Some(*release),
            Target::Raft(_) | Target::Image(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Raft(version) => write!(f, "raft:{version}"),
            Target::Conductor(release) => write!(f, "op-conductor:{}", release.name),
            Target::Image(image) => f.write_str(image),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        text.parse::<Target>().unwrap().to_string()
    }

    #[test]
    fn all_names_of_a_release_are_one_target() {
        for text in ["op-conductor:v0.9.4", "v0.9.4", "op-conductor:v1.19.0", "v1.19.2", "op-conductor/v0.9.4"] {
            assert_eq!(name(text), "op-conductor:v0.9.4");
        }
        assert_eq!(name("raft:1.7.3"), "raft:1.7.3");
        assert_eq!(name("raft:v1.7.3"), "raft:1.7.3");
    }

    #[test]
    fn what_is_not_known_is_answered_with_what_is() {
        let error = |text: &str| text.parse::<Target>().unwrap_err().to_string();
        assert_eq!(error("raft:2"), "expected raft:<version> with one of 1.6.1, 1.7.1, 1.7.3, 1.8.0, found \"2\"");
        assert!(error("op-conductor:v2").contains("v0.9.3, v0.9.4"), "{}", error("op-conductor:v2"));
    }
}
