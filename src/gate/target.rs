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

/// What is tried on the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Whether a target accepts it.
    Boot(Target),
    /// Whether it goes on while its servers are replaced, one after the other.
    Upgrade(Upgrade),
}

/// From one target to another, server by server, and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// What is booted on the state.
    pub from: Target,
    /// What takes its place.
    pub to: Target,
    /// Whether it goes back in the end.
    pub rollback: bool,
}

/// The text isn't an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the texts say what the fields are")]
pub enum ParseUpgradeError {
    /// There are not two targets.
    #[error("expected FROM..TO, found {found:?}")]
    NotTwo { found: String },
    /// One of them isn't a target.
    #[error(transparent)]
    Target(#[from] ParseTargetError),
    /// raft alone can't become op-conductor.
    #[error("expected two of one kind, found {from} and {to}")]
    TwoKinds { from: String, to: String },
}

impl FromStr for Upgrade {
    type Err = ParseUpgradeError;

    /// `FROM..TO`: targets or images, with the way back.
    fn from_str(text: &str) -> Result<Upgrade, ParseUpgradeError> {
        let not_two = || ParseUpgradeError::NotTwo { found: text.to_owned() };
        let (from, to) = text.split_once("..").ok_or_else(not_two)?;
        let (from, to) = (target_or_image(from)?, target_or_image(to)?);
        if from.has_conductor() != to.has_conductor() {
            return Err(ParseUpgradeError::TwoKinds { from: from.to_string(), to: to.to_string() });
        }
        Ok(Upgrade { from, to, rollback: true })
    }
}

/// A target, or else the name of an image: one with a registry, a path or a tag.
fn target_or_image(text: &str) -> Result<Target, ParseTargetError> {
    let is_image = !text.starts_with("raft:") && text.contains([':', '/']);
    match text.parse() {
        Err(ParseTargetError::Release(_)) if is_image => Ok(Target::Image(text.to_owned())),
        other => other,
    }
}

impl Upgrade {
    /// What raft itself can't do while servers of both run, when that is known.
    pub fn known_limit(&self) -> Option<&'static str> {
        let votes_first = |target: &Target| match target {
            Target::Raft(version) => Some(*version != "1.6.1"),
            Target::Conductor(_) => Some(true),
            Target::Image(_) => None,
        };
        // hashicorp/raft 1.7.0 raft.go preElectSelf; 1.6.1 net_transport.go handleCommand closes at an unknown RPC.
        (votes_first(&self.from)? != votes_first(&self.to)?).then_some(
            "raft 1.7 asks for a pre-vote before an election, and raft 1.6 closes the connection at one: while both \
             run, a server with 1.7 is not elected if it needs the vote of one with 1.6, except by a transfer of \
             leadership, which asks for no pre-vote",
        )
    }
}

impl Job {
    /// What is booted on the state.
    pub fn from(&self) -> &Target {
        match self {
            Job::Boot(target) => target,
            Job::Upgrade(upgrade) => &upgrade.from,
        }
    }

    /// What raft itself can't do in it, when that is known.
    pub fn known_limit(&self) -> Option<&'static str> {
        match self {
            Job::Boot(_) => None,
            Job::Upgrade(upgrade) => upgrade.known_limit(),
        }
    }

    /// All targets of it.
    pub(super) fn targets(&self) -> Vec<&Target> {
        match self {
            Job::Boot(target) => vec![target],
            Job::Upgrade(upgrade) => vec![&upgrade.from, &upgrade.to],
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Boot(target) => target.fmt(f),
            Job::Upgrade(Upgrade { from, to, .. }) => write!(f, "{from}..{to}"),
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

    #[test]
    fn an_upgrade_is_two_targets_or_images() {
        let upgrade = |text: &str| text.parse::<Upgrade>().map(|upgrade| Job::Upgrade(upgrade).to_string());
        assert_eq!(upgrade("v0.7.3..v1.19.0").as_deref(), Ok("op-conductor:v0.7.3..op-conductor:v0.9.4"));
        assert_eq!(
            upgrade("example.org/op-conductor:v2..v0.9.4").as_deref(),
            Ok("example.org/op-conductor:v2..op-conductor:v0.9.4")
        );
        let error = |text: &str| upgrade(text).unwrap_err().to_string();
        assert_eq!(error("v0.9.4"), "expected FROM..TO, found \"v0.9.4\"");
        assert_eq!(error("raft:1.7.3..v0.9.4"), "expected two of one kind, found raft:1.7.3 and op-conductor:v0.9.4");
        assert!(error("v0.7.3..v2").starts_with("expected a release of op-conductor"));
    }

    #[test]
    fn only_a_pair_with_raft_1_6_has_a_known_limit() {
        let limit = |text: &str| text.parse::<Upgrade>().unwrap().known_limit().is_some();
        assert!(limit("raft:1.6.1..raft:1.7.3") && limit("raft:1.8.0..raft:1.6.1"));
        assert!(!limit("raft:1.7.1..raft:1.8.0") && !limit("v0.1.0..v0.9.4"));
    }
}
