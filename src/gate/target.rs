//! What the gate boots.

use std::fmt;
use std::str::FromStr;

use crate::payload::RELEASES;

/// The versions of hashicorp/raft that the oracle is built against.
pub const RAFT_VERSIONS: [&str; 4] = ["1.6.1", "1.7.1", "1.7.3", "1.8.0"];

/// What the gate boots on the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The oracle with this version of hashicorp/raft: elections, without op-conductor.
    Raft(&'static str),
    /// This release of op-conductor, unmodified, built from its source.
    Conductor(&'static str),
    /// An image of op-conductor.
    Image(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let releases = RELEASES.map(|release| release.tag);
        let known = |list: &[&'static str], wanted: &str, hint: &str| {
            let found = list.iter().copied().find(|version| *version == wanted);
            found.ok_or_else(|| format!("expected one of {}, found {wanted:?}{hint}", list.join(", ")))
        };
        match text.split_once(':') {
            Some(("op-conductor", tag)) => {
                known(&releases, tag, "; --image takes an image of any other release").map(Target::Conductor)
            }
            Some(("raft", version)) => known(&RAFT_VERSIONS, version, "").map(Target::Raft),
            _ => Err("expected op-conductor:<release> or raft:<version>".to_owned()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Raft(version) => write!(f, "raft:{version}"),
            Target::Conductor(tag) => write!(f, "op-conductor:{tag}"),
            Target::Image(image) => f.write_str(image),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_by_what_is_in_front() {
        assert_eq!("raft:1.7.3".parse(), Ok(Target::Raft("1.7.3")));
        assert_eq!("op-conductor:v1.19.0".parse::<Target>().unwrap().to_string(), "op-conductor:v1.19.0");
        let error = "op-conductor:v2".parse::<Target>().unwrap_err();
        assert_eq!(
            error,
            "expected one of v1.9.3, v1.13.7, v1.19.0, found \"v2\"; --image takes an image of any other release"
        );
        assert!("v1.19.0".parse::<Target>().is_err());
    }
}
