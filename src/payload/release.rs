//! The releases of op-conductor: how people call them, what is in them, and which payloads they read.

use std::str::FromStr;

use super::Version;

/// A release of op-conductor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// Its name, such as `v0.9.4`; where no release has this code, the tag of the mono-repo's Go module.
    pub name: &'static str,
    /// When it appeared: a month, as in `2026-05`.
    pub date: &'static str,
    /// Other releases, and tags of the mono-repo's Go module, with the same code of op-conductor, or with differences
    /// that state and elections don't depend on.
    pub also: &'static [&'static str],
    /// The version of hashicorp/raft.
    pub raft: &'static str,
    /// What its stores are written with.
    pub store: &'static str,
    /// The forms of payload that its state machine decodes.
    pub reads: &'static [Version],
    /// Whether it was built and run on generated state, and from what.
    pub tried: Tried,
    /// What is known to be wrong with it, for the state of a cluster.
    pub faults: &'static [&'static str],
}

/// How a release was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tried {
    /// It was built and run.
    Built {
        /// Tag of the Go module that it is built from.
        module: &'static str,
        /// What differs from the release, besides its version.
        with: Option<&'static str>,
    },
    /// It can't be built: its op-geth isn't served any more.
    Like {
        /// Name of the release that is nearest and was tried.
        release: &'static str,
    },
}

const V3: &[Version] = &[Version::V3];
const V3_V4: &[Version] = &[Version::V3, Version::V4];
/// raft takes a snapshot of a state machine that holds no payload: nil pointer. (consensus/raft_fsm.go Persist, the same
/// in all of them)
const EMPTY_SNAPSHOT: &str = "crashes at the first snapshot when it holds no payload (optimism #13363)";
const V3_ONLY: &str =
    "reads Ecotone payloads (V3) only: with an Isthmus head (V4) nobody sequences, and no log line says why";

/// The releases, oldest first. What came before Ecotone has no beacon root, and none of them reads it.
/// (op-conductor/consensus/raft_fsm.go unmarshalSSZ of each tag; the release notes for dates and names)
pub const RELEASES: [Release; 7] = [
    Release {
        name: "v0.1.0-rc.1",
        date: "2024-10",
        also: &["v0.0.1", "v0.1.0", "v1.9.3"],
        raft: "1.7.1",
        store: "bbolt 1.3.5",
        reads: V3,
        tried: Tried::Built { module: "v1.9.3", with: None },
        faults: &[V3_ONLY, EMPTY_SNAPSHOT],
    },
    Release {
        name: "v1.12.2",
        date: "2025-03",
        also: &["v1.11.2"],
        raft: "1.7.2",
        store: "bbolt 1.3.5",
        reads: V3_V4,
        tried: Tried::Built { module: "v1.12.2", with: Some("op-geth v1.101605.0-synctest.1") },
        faults: &[EMPTY_SNAPSHOT],
    },
    Release {
        name: "v0.7.3",
        date: "2025-09",
        also: &["v1.13.7"],
        raft: "1.7.3",
        store: "bbolt 1.3.5",
        reads: V3_V4,
        tried: Tried::Built { module: "v1.13.7", with: None },
        faults: &[EMPTY_SNAPSHOT],
    },
    Release {
        name: "v0.9.0",
        date: "2025-10",
        also: &["v0.8.0", "v1.14.3"],
        raft: "1.7.3",
        store: "bbolt 1.3.5",
        reads: V3_V4,
        tried: Tried::Like { release: "v0.9.3" },
        faults: &[EMPTY_SNAPSHOT],
    },
    Release {
        name: "v0.9.3",
        date: "2026-03",
        also: &["v1.16.10"],
        raft: "1.7.3",
        store: "bbolt 1.3.5",
        reads: V3_V4,
        tried: Tried::Built { module: "v1.16.10", with: Some("op-geth v1.101701.0") },
        faults: &[EMPTY_SNAPSHOT],
    },
    Release {
        name: "v0.9.4",
        date: "2026-05",
        also: &["v1.19.0", "v1.19.1", "v1.19.2"],
        raft: "1.7.3",
        store: "bbolt 1.3.6",
        reads: V3_V4,
        tried: Tried::Built { module: "v1.19.0", with: None },
        faults: &[EMPTY_SNAPSHOT],
    },
    Release {
        name: "v1.19.6",
        date: "2026-09",
        also: &["v1.19.5"],
        raft: "1.7.3",
        store: "bbolt 1.3.6",
        reads: V3_V4,
        tried: Tried::Built { module: "v1.19.6", with: Some("an empty list of well-known chains") },
        faults: &[EMPTY_SNAPSHOT],
    },
];

/// The name is not one of a release in [`RELEASES`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a release of op-conductor, one of {}, found {found:?}", names().join(", "))]
#[non_exhaustive]
pub struct UnknownRelease {
    /// What was asked for.
    pub found: String,
}

impl FromStr for Release {
    type Err = UnknownRelease;

    fn from_str(name: &str) -> Result<Release, UnknownRelease> {
        Release::find(name).ok_or_else(|| UnknownRelease { found: name.to_owned() })
    }
}

impl Release {
    /// The release of this name or module tag. `op-conductor:` before it, as in the name of an image, and
    /// `op-conductor/`, as in the repository's tags, are allowed.
    pub fn find(name: &str) -> Option<Release> {
        let plain = ["op-conductor:", "op-conductor/"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
        let name = plain.unwrap_or(name);
        RELEASES.into_iter().find(|release| release.name == name || release.also.contains(&name))
    }

    /// The newest that has a name of its own.
    pub const fn newest() -> Release {
        RELEASES[5]
    }

    /// Whether it decodes payloads of this form.
    pub fn can_read(&self, version: Version) -> bool {
        self.reads.contains(&version)
    }

    /// The oldest release that decodes this form; those after it do too.
    pub fn first_that_reads(version: Version) -> Option<Release> {
        RELEASES.into_iter().find(|release| release.can_read(version))
    }

    /// The releases that decode this form, in words: `v1.12.2 and later`.
    pub fn that_read(version: Version) -> String {
        let first = Release::first_that_reads(version);
        first.map_or_else(|| "none".to_owned(), |release| format!("{} and later", release.name))
    }
}

fn names() -> Vec<&'static str> {
    RELEASES.iter().map(|release| release.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isthmus_payloads_need_a_newer_release() {
        assert_eq!(Release::that_read(Version::V4), "v1.12.2 and later");
        assert_eq!(Release::that_read(Version::V2), "none");
    }

    #[test]
    fn what_a_release_reads_later_ones_read_too() {
        for pair in RELEASES.windows(2) {
            assert!(pair[0].reads.iter().all(|version| pair[1].can_read(*version)), "{}", pair[1].name);
        }
    }

    #[test]
    fn each_name_is_that_of_one_release() {
        let mut all: Vec<&str> = RELEASES.iter().flat_map(|it| it.also.iter().copied().chain([it.name])).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{all:?}");
    }

    #[test]
    fn a_release_is_found_by_any_of_its_names() {
        for name in ["v0.9.4", "op-conductor:v0.9.4", "op-conductor/v0.9.4", "v1.19.0", "op-conductor:v1.19.2"] {
            assert_eq!(name.parse(), Ok(Release::newest()), "{name}");
        }
        assert!("v0.1.0".parse::<Release>().unwrap().can_read(Version::V3));
        let error = "v0".parse::<Release>().unwrap_err().to_string();
        assert!(error.starts_with("expected a release of op-conductor, one of v0.1.0-rc.1, v1.12.2"), "{error}");
        assert!(error.ends_with("found \"v0\""), "{error}");
    }

    #[test]
    fn what_cannot_be_built_names_a_release_that_can() {
        for release in RELEASES {
            if let Tried::Like { release: nearest } = release.tried {
                assert!(matches!(Release::find(nearest).unwrap().tried, Tried::Built { .. }), "{nearest}");
            }
        }
    }

    fn cells(release: Release) -> String {
        let also = release.also.iter().copied().filter(|name| *name != release.name).collect::<Vec<_>>().join(", ");
        let reads = release.reads.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (from, with) = match release.tried {
            Tried::Built { module, with } => (module.to_owned(), with.unwrap_or_default()),
            Tried::Like { release } => (format!("like {release}"), ""),
        };
        let Release { name, date, raft, store, .. } = release;
        format!("| {name} | {also} | {date} | {raft} | {store} | {reads} | {from} | {with} |").replace("|  |", "| |")
    }

    #[test]
    fn the_table_in_the_docs_is_that_of_the_code() {
        let docs = include_str!("../../docs/RELEASES.md");
        let rows: Vec<&str> = docs.lines().filter(|line| line.starts_with("| v")).collect();
        assert_eq!(rows, RELEASES.map(cells));
    }
}
