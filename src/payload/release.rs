//! Which op-conductor reads which payload.

use super::Version;

/// A release of op-conductor that was run against generated state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Its tag.
    pub tag: &'static str,
    /// The forms of payload that its state machine decodes.
    pub reads: &'static [Version],
}

/// The releases that the oracle runs, oldest first. What came before Ecotone has no beacon root and none reads it.
/// (op-conductor/consensus/raft_fsm.go unmarshalSSZ of each tag)
pub const RELEASES: [Release; 3] = [
    Release { tag: "v1.9.3", reads: &[Version::V3] },
    Release { tag: "v1.13.7", reads: &[Version::V3, Version::V4] },
    Release { tag: "v1.19.0", reads: &[Version::V3, Version::V4] },
];

impl Release {
    /// The release of this tag; `op-conductor:` in front is allowed.
    pub fn find(name: &str) -> Option<Release> {
        let tag = name.strip_prefix("op-conductor:").unwrap_or(name);
        RELEASES.into_iter().find(|release| release.tag == tag)
    }

    /// Whether it decodes payloads of this form.
    pub fn can_read(&self, version: Version) -> bool {
        self.reads.contains(&version)
    }

    /// The tags of the releases that decode this form.
    pub fn that_read(version: Version) -> Vec<&'static str> {
        RELEASES.iter().filter(|release| release.can_read(version)).map(|release| release.tag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isthmus_payloads_need_a_newer_release() {
        assert_eq!(Release::that_read(Version::V4), ["v1.13.7", "v1.19.0"]);
        assert_eq!(Release::that_read(Version::V2), [""; 0]);
        assert!(Release::find("op-conductor:v1.9.3").unwrap().can_read(Version::V3));
        assert_eq!(Release::find("v0"), None);
    }
}
