//! `manifest.json` and `SHA256SUMS`: what a backup consists of, and what its nodes are.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Component, Path};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cluster::CLUSTER_FILE;
use crate::durable::utc_now;
use crate::raft::Server;
use crate::state::Node;

/// Name of the manifest.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Name of the list that `sha256sum -c` reads: all files, the manifest included.
pub const SUMS_FILE: &str = "SHA256SUMS";
/// 1 had the members with each node rather than once.
const FORMAT_VERSION: u32 = 2;
/// A manifest isn't read further: one of 10,000 nodes with 10 snapshots each is shorter.
pub(super) const MAX_LEN: u64 = 64 << 20;

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "wire::Manifest", try_from = "wire::Manifest")]
pub struct Manifest {
    /// 1 or 2; another number means other fields.
    pub format_version: u32,
    /// Version of the tool that made it.
    pub tool_version: String,
    /// When it was begun.
    pub created: Timestamp,
    /// The directory that was backed up.
    pub source: String,
    /// What that was.
    pub layout: Layout,
    /// The servers, by id.
    pub nodes: Vec<NodeEntry>,
    /// Directories, outer ones first.
    pub directories: Vec<DirectoryEntry>,
    /// Files, all but the manifest and the sums.
    pub files: Vec<FileEntry>,
}

/// What was backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One server's directory.
    Node,
    /// A directory of servers' directories.
    Nodes,
}

/// One server. `C` is how its configuration is given: itself, or in the file its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry<C = ConfigurationInfo> {
    /// Its id, which is the name of its directory.
    pub id: String,
    /// Whether it ran while it was copied.
    pub running: bool,
    /// Databases with the same entries and other bytes: the node wrote too much for a copy of all pages.
    pub rewritten: Vec<String>,
    /// What it has.
    pub info: NodeInfo<C>,
}

/// What a server has, as `info` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeInfo<C = ConfigurationInfo> {
    /// The highest term it has seen.
    pub current_term: u64,
    /// Its last vote.
    pub vote: Option<Vote>,
    /// First index of the log.
    pub first_index: Option<u64>,
    /// Last index of the log.
    pub last_index: Option<u64>,
    /// Term of the last entry, or of the snapshot when no entry follows it.
    pub last_term: u64,
    /// Entries of the log.
    pub entry_count: u64,
    /// The highest unsafe head.
    pub unsafe_head: Option<HeadInfo>,
    /// The members that it acts by.
    pub configuration: Option<C>,
    /// Its snapshots, the newest first.
    pub snapshots: Vec<SnapshotInfo>,
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// In which term.
    pub term: u64,
    /// The candidate's address.
    pub candidate: String,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadInfo {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

impl<C> NodeEntry<C> {
    /// The same with its configuration given in another way.
    fn try_map<D, E>(self, give: impl FnOnce(C) -> Result<D, E>) -> Result<NodeEntry<D>, E> {
        let NodeEntry { id, running, rewritten, info } = self;
        let NodeInfo { current_term, vote, first_index, last_index, last_term, entry_count, unsafe_head, .. } = info;
        let (configuration, snapshots) = (info.configuration.map(give).transpose()?, info.snapshots);
        let info = NodeInfo {
            current_term,
            vote,
            first_index,
            last_index,
            last_term,
            entry_count,
            unsafe_head,
            configuration,
            snapshots,
        };
        Ok(NodeEntry { id, running, rewritten, info })
    }
}

/// The members at an index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigurationInfo {
    /// Index of the entry.
    pub index: u64,
    /// The members.
    pub servers: Vec<Server>,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its id.
    pub id: String,
    /// The last index that it covers.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// Bytes of its state.
    pub size: u64,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// Relative to the backup, with slashes.
    pub path: String,
    /// Permissions that it had.
    #[serde(with = "octal")]
    pub mode: u32,
    /// Number of the user it belonged to.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the backup, with slashes.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Permissions that it had.
    #[serde(with = "octal")]
    pub mode: u32,
    /// Number of the user it belonged to.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Of its bytes, 64 digits.
    pub sha256: String,
}

/// The manifest as it is written: each configuration once, and the nodes name it by its position. With 1,000 servers, whose
/// configurations list 1,000 servers each, that is what keeps it short.
mod wire {
    use std::convert::Infallible;

    use super::{ConfigurationInfo, Deserialize, DirectoryEntry, FileEntry, Layout, NodeEntry, Serialize, Timestamp};

    #[derive(Serialize, Deserialize)]
    pub(super) struct Manifest {
        format_version: u32,
        tool_version: String,
        created: Timestamp,
        source: String,
        layout: Layout,
        #[serde(default)]
        configurations: Vec<ConfigurationInfo>,
        nodes: Vec<NodeEntry<Configuration>>,
        directories: Vec<DirectoryEntry>,
        files: Vec<FileEntry>,
    }

    /// A position in `configurations`; in format version 1 the configuration itself.
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Configuration {
        At(usize),
        Inline(ConfigurationInfo),
    }

    impl From<super::Manifest> for Manifest {
        fn from(manifest: super::Manifest) -> Manifest {
            let mut configurations: Vec<ConfigurationInfo> = Vec::new();
            let mut position = |configuration: ConfigurationInfo| {
                let known = configurations.iter().position(|known| *known == configuration);
                Ok::<_, Infallible>(Configuration::At(known.unwrap_or_else(|| {
                    configurations.push(configuration);
                    configurations.len() - 1
                })))
            };
            let node = |node: NodeEntry| {
                let Ok(node) = node.try_map(&mut position);
                node
            };
            let nodes = manifest.nodes.into_iter().map(node).collect();
            Manifest {
                format_version: manifest.format_version,
                tool_version: manifest.tool_version,
                created: manifest.created,
                source: manifest.source,
                layout: manifest.layout,
                configurations,
                nodes,
                directories: manifest.directories,
                files: manifest.files,
            }
        }
    }

    impl TryFrom<Manifest> for super::Manifest {
        type Error = NoConfiguration;

        fn try_from(wire: Manifest) -> Result<super::Manifest, NoConfiguration> {
            let configurations = wire.configurations;
            let resolve = |configuration| match configuration {
                Configuration::Inline(inline) => Ok(inline),
                Configuration::At(at) => configurations.get(at).cloned().ok_or(NoConfiguration { at }),
            };
            let nodes = wire.nodes.into_iter().map(|node| node.try_map(resolve));
            let nodes = nodes.collect::<Result<_, NoConfiguration>>()?;
            Ok(super::Manifest {
                format_version: wire.format_version,
                tool_version: wire.tool_version,
                created: wire.created,
                source: wire.source,
                layout: wire.layout,
                nodes,
                directories: wire.directories,
                files: wire.files,
            })
        }
    }

    /// A node names a configuration that isn't there.
    #[derive(Debug, thiserror::Error)]
    #[error("expected a position in configurations, found {at}")]
    pub(super) struct NoConfiguration {
        at: usize,
    }
}

/// A mode as people write it: four octal digits in a string.
mod octal {
    use super::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(super) fn serialize<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{mode:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| serde::de::Error::custom(format_args!("expected a mode such as 0600, found {text:?}")))
    }
}

impl Manifest {
    /// A manifest of nothing yet.
    pub(super) fn new(source: &Path, layout: Layout) -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            created: utc_now(),
            source: source.to_string_lossy().into_owned(),
            layout,
            nodes: Vec::new(),
            directories: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Decodes a manifest. Its paths are taken only if they can't lead out of the backup.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let Version { format_version } = serde_json::from_slice(bytes)?;
        if !(1..=FORMAT_VERSION).contains(&format_version) {
            return Err(ManifestError::Version { found: format_version });
        }
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Encodes it, for people to read too.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("it has only strings and numbers");
        bytes.push(b'\n');
        bytes
    }

    /// Bytes of all files; at most 2^64 - 1, when the manifest was made up.
    pub fn total_size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// `SHA256SUMS` for the files of this manifest, which has the hash `own`.
    pub(super) fn sums(&self, own: &str) -> String {
        let mut text = String::new();
        let all =
            self.files.iter().map(|file| (file.path.as_str(), file.sha256.as_str())).chain([(MANIFEST_FILE, own)]);
        for (path, sha256) in all {
            let (mark, path) = escaped(path);
            _ = writeln!(text, "{mark}{sha256}  {path}");
        }
        text
    }

    fn check(&self) -> Result<(), ManifestError> {
        let ids: HashSet<&str> = self.nodes.iter().map(|node| node.id.as_str()).collect();
        if ids.len() != self.nodes.len() {
            return Err(ManifestError::Twice);
        }
        let mut directories = HashSet::new();
        for directory in &self.directories {
            if !within(&directory.path, &directories, &ids) && !ids.contains(directory.path.as_str()) {
                return Err(ManifestError::Directory { path: directory.path.clone() });
            }
            if !is_plain(&directory.path) || !directories.insert(directory.path.as_str()) {
                return Err(ManifestError::Path { path: directory.path.clone() });
            }
        }
        let mut files = HashSet::new();
        for file in &self.files {
            if file.path != CLUSTER_FILE && !within(&file.path, &directories, &ids) {
                return Err(ManifestError::File { path: file.path.clone() });
            }
            let is_known = directories.contains(file.path.as_str()) || !files.insert(file.path.as_str());
            if !is_plain(&file.path) || is_known {
                return Err(ManifestError::Path { path: file.path.clone() });
            }
            if file.sha256.len() != 64 || !file.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(ManifestError::Hash { path: file.path.clone(), found: file.sha256.clone() });
            }
        }
        match self.nodes.iter().find(|node| !directories.contains(node.id.as_str())) {
            Some(node) => Err(ManifestError::NoDirectory { id: node.id.clone() }),
            None if self.nodes.is_empty() => Err(ManifestError::NoServer),
            None => Ok(()),
        }
    }
}

/// Why a manifest can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ManifestError {
    /// Not JSON, or other fields.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Made by another version of this tool.
    #[error("expected format version {FORMAT_VERSION} or less, found {found}")]
    Version { found: u32 },
    /// Two nodes of one id.
    #[error("a server is there twice")]
    Twice,
    /// A directory that belongs to no node, or whose parent is missing.
    #[error("not a directory of a server: {path:?}")]
    Directory { path: String },
    /// A file that belongs to no node, or whose directory is missing.
    #[error("not a file of a server: {path:?}")]
    File { path: String },
    /// A path that could lead elsewhere, or that is there twice.
    #[error("not a path, or there twice: {path:?}")]
    Path { path: String },
    /// Not a SHA-256.
    #[error("expected 64 digits, found {found:?} for {path:?}")]
    Hash { path: String, found: String },
    /// A node without a directory.
    #[error("the server {id:?} has no directory")]
    NoDirectory { id: String },
    /// No node at all.
    #[error("it has no server")]
    NoServer,
}

/// Whether a path is in one of the directories, below that of a server.
fn within(path: &str, directories: &HashSet<&str>, ids: &HashSet<&str>) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    ids.contains(first) && path.rsplit_once('/').is_some_and(|(above, _)| directories.contains(above))
}

/// Whether a path has nothing but names.
fn is_plain(path: &str) -> bool {
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    !path.contains('\0')
        && !path.contains("//")
        && !path.ends_with('/')
        && Path::new(path).components().all(normal)
        && !path.split('/').any(|part| part == "." || part.is_empty())
}

/// A name as coreutils writes it: with a mark in front when there is something to escape. (sha256sum print_filename)
fn escaped(path: &str) -> (&'static str, String) {
    let text = path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    (if text == path { "" } else { "\\" }, text)
}

/// Whether `sums` is the list of this manifest.
pub(super) fn same_sums(manifest: &Manifest, own: &str, sums: &str) -> bool {
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.replacen(" *", "  ", 1)).collect();
        lines.sort();
        lines
    };
    lines(&manifest.sums(own)) == lines(sums)
}

impl From<&Node> for NodeInfo {
    fn from(node: &Node) -> NodeInfo {
        let vote = node.stable.vote().map(|(term, candidate)| Vote { term: term.0, candidate });
        let head = node.head.map(|stored| HeadInfo { number: stored.head.number, hash: stored.head.hash.to_string() });
        let latest = node.latest_configuration();
        let snapshot = |meta: &crate::raft::SnapshotMeta| SnapshotInfo {
            id: meta.id.clone(),
            index: meta.index.0,
            term: meta.term.0,
            size: meta.size,
        };
        NodeInfo {
            current_term: node.stable.term().0,
            vote,
            first_index: node.log.first.map(|(index, _)| index.0),
            last_index: node.log.last.map(|(index, _)| index.0),
            last_term: node.last().1.0,
            entry_count: node.log.count,
            unsafe_head: head,
            configuration: latest
                .map(|at| ConfigurationInfo { index: at.index.0, servers: at.configuration.servers.clone() }),
            snapshots: node.snapshots.listed.iter().map(snapshot).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(directories: &[&str], files: &[&str]) -> Manifest {
        let node = NodeEntry { id: "a".to_owned(), running: false, rewritten: Vec::new(), info: NodeInfo::default() };
        let directory = |path: &&str| DirectoryEntry { path: (*path).to_owned(), mode: 0o755, uid: 0, gid: 0 };
        let file = |path: &&str| FileEntry {
            path: (*path).to_owned(),
            size: 1,
            mode: 0o600,
            uid: 0,
            gid: 0,
            sha256: "0".repeat(64),
        };
        Manifest {
            nodes: vec![node],
            directories: directories.iter().map(directory).collect(),
            files: files.iter().map(file).collect(),
            ..Manifest::new(Path::new("/data"), Layout::Nodes)
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let whole = manifest(&["a", "a/snapshots"], &["a/raft-log.db", "a/snapshots/x", "cluster.json"]);
        assert_eq!(Manifest::decode(&whole.encode()).unwrap(), whole);
        assert!(String::from_utf8(whole.encode()).unwrap().contains(r#""mode": "0600""#));
    }

    #[test]
    fn members_that_all_nodes_share_are_written_once() {
        let server = |id: usize| Server {
            suffrage: crate::raft::Suffrage::Voter,
            id: format!("sequencer-{id}"),
            address: format!("sequencer-{id}.example:50050"),
        };
        let configuration = ConfigurationInfo { index: 1, servers: (0..1000).map(server).collect() };
        let mut whole = manifest(&["a"], &[]);
        let mut node = whole.nodes[0].clone();
        node.info.configuration = Some(configuration);
        let with_id = |id| NodeEntry { id, ..node.clone() };
        whole.nodes = (0..1000).map(|number| with_id(format!("n{number}"))).collect();
        let directory = whole.directories[0].clone();
        let with_path = |node: &NodeEntry| DirectoryEntry { path: node.id.clone(), ..directory.clone() };
        whole.directories = whole.nodes.iter().map(with_path).collect();
        let bytes = whole.encode();
        assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
        assert_eq!(Manifest::decode(&bytes).unwrap(), whole);
    }

    #[test]
    fn members_within_each_node_are_read_as_version_1_wrote_them() {
        let text = String::from_utf8(manifest(&["a"], &[]).encode()).unwrap();
        let inline = r#""configuration": {"index": 7, "servers": []}"#;
        let text = text.replace(r#""configuration": null"#, inline).replace(r#"ion": 2"#, r#"ion": 1"#);
        let found = Manifest::decode(text.as_bytes()).unwrap();
        assert_eq!(found.nodes[0].info.configuration, Some(ConfigurationInfo { index: 7, servers: Vec::new() }));
        let nowhere = text.replace(inline, r#""configuration": 1"#);
        let error = Manifest::decode(nowhere.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "expected a position in configurations, found 1");
    }

    #[test]
    fn a_path_that_could_lead_elsewhere_is_refused() {
        for path in ["../a", "/etc/passwd", "a/../../x", "b/x", "a//x", "a/./x", "a/", "", "x", "a/b/x", "a"] {
            let encoded = manifest(&["a"], &[path]).encode();
            assert!(Manifest::decode(&encoded).is_err(), "file {path:?}");
        }
        for path in ["..", "/", "b", "a/..", "a/../b", "a/x/y", "a"] {
            let encoded = manifest(&["a", path], &[]).encode();
            assert!(Manifest::decode(&encoded).is_err(), "directory {path:?}");
        }
        assert!(Manifest::decode(&manifest(&[], &[]).encode()).is_err(), "a server without a directory");
        let mut other = manifest(&["a"], &[]);
        other.format_version = 3;
        let error = Manifest::decode(&other.encode()).unwrap_err();
        assert_eq!(error.to_string(), "expected format version 2 or less, found 3");
    }

    #[test]
    fn names_are_escaped_in_the_sums_as_coreutils_does() {
        let text = manifest(&["a"], &["a/b\\c\n"]).sums(&"1".repeat(64));
        let (zeros, ones) = ("0".repeat(64), "1".repeat(64));
        assert_eq!(text, format!("\\{zeros}  a/b\\\\c\\n\n{ones}  manifest.json\n"));
    }
}
