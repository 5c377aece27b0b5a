//! The oracle's sources, so that the command can build what it boots wherever it runs.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Path below oracle/ and content.
type Source = (&'static str, &'static [u8]);

macro_rules! sources {
    ($($path:literal),* $(,)?) => { &[$(($path, include_bytes!(concat!("../../oracle/", $path)))),*] };
}

/// All that is needed to build any image.
const SOURCES: &[Source] = sources![
    "build.sh",
    "Dockerfile",
    "bench.go",
    "check.go",
    "entry.go",
    "go.mod",
    "go.sum",
    "guard.go",
    "hammer.go",
    "history.go",
    "history_boot.go",
    "history_disk.go",
    "history_make.go",
    "history_node.go",
    "judge.go",
    "main.go",
    "node.go",
    "node_events.go",
    "node_fsm.go",
    "node_http.go",
    "op-conductor/v0.1.0-rc.1/go.mod",
    "op-conductor/v0.1.0-rc.1/go.sum",
    "op-conductor/v0.7.3/go.mod",
    "op-conductor/v0.7.3/go.sum",
    "op-conductor/v0.9.3/go.mod",
    "op-conductor/v0.9.3/go.sum",
    "op-conductor/v0.9.4/go.mod",
    "op-conductor/v0.9.4/go.sum",
    "op-conductor/v0.9.4/stub/api.go",
    "op-conductor/v0.9.4/stub/block.go",
    "op-conductor/v0.9.4/stub/events.go",
    "op-conductor/v0.9.4/stub/main.go",
    "op-conductor/v0.9.4/stub/sequencer.go",
    "op-conductor/v1.12.2/go.mod",
    "op-conductor/v1.12.2/go.sum",
    "op-conductor/v1.19.6/go.mod",
    "op-conductor/v1.19.6/go.sum",
    "op-conductor/v1.19.6/superchain/main.go",
    "puts.go",
    "read.go",
    "splitmix.go",
    "store.go",
    "store_v1.go",
    "store_v2.go",
    "version.go",
    "versions/raft-1.6.1.mod",
    "versions/raft-1.6.1.sum",
    "versions/raft-1.7.1.mod",
    "versions/raft-1.7.1.sum",
    "versions/raft-1.8.0.mod",
    "versions/raft-1.8.0.sum",
    "write.go",
];

/// What one image is made of: the sources that its binary is built from.
#[derive(Debug)]
pub(super) struct Recipe {
    files: Vec<Source>,
}

impl Recipe {
    /// For the oracle with a version of raft.
    pub(super) fn raft(version: &str) -> Recipe {
        let of_version = format!("versions/raft-{version}.");
        Recipe::of(|path| {
            let go = !path.contains('/') && (path.ends_with(".go") || path.starts_with("go."));
            go || path.starts_with(&of_version)
        })
    }

    /// For a release of op-conductor.
    pub(super) fn conductor(release: &str) -> Recipe {
        let of_release = format!("op-conductor/{release}/");
        Recipe::of(|path| path.starts_with(&of_release) && !path.contains("/stub/"))
    }

    /// For the stub.
    pub(super) fn stub() -> Recipe {
        Recipe::of(|path| path.starts_with("op-conductor/v0.9.4/"))
    }

    fn of(wanted: impl Fn(&str) -> bool) -> Recipe {
        let always = |path: &str| matches!(path, "build.sh" | "Dockerfile");
        Recipe { files: SOURCES.iter().copied().filter(|(path, _)| always(path) || wanted(path)).collect() }
    }

    /// Twelve hexadecimal digits that change when a source does.
    pub(super) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (path, content) in &self.files {
            hash.update(path);
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
        const_hex::encode(&hash.finalize()[..6])
    }

    /// Writes the sources into `directory`.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        for (path, content) in &self.files {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(directory))?;
            std::fs::write(path, content)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{RELEASES, Tried};

    fn walk(directory: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let is_built_or_test = ["bin", "testdata", "op-conductor/v0.9.4/payload"].contains(&name.as_str());
            if path.is_dir() && !is_built_or_test {
                walk(&path, root, found);
            } else if path.is_file() {
                found.push(name);
            }
        }
    }

    #[test]
    fn every_source_of_the_oracle_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        let is_source = |path: &String| {
            let go = path.ends_with(".go") && !path.ends_with("_test.go");
            go || path.ends_with(".mod") || path.ends_with(".sum") || path == "build.sh" || path == "Dockerfile"
        };
        found.retain(is_source);
        found.sort();
        let mut known: Vec<&str> = SOURCES.iter().map(|(path, _)| *path).collect();
        known.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn a_recipe_has_what_its_binary_is_built_from_and_no_more() {
        let paths = |recipe: Recipe| recipe.files.iter().map(|(path, _)| *path).collect::<Vec<_>>();
        let conductor =
            ["build.sh", "Dockerfile", "op-conductor/v0.1.0-rc.1/go.mod", "op-conductor/v0.1.0-rc.1/go.sum"];
        assert_eq!(paths(Recipe::conductor("v0.1.0-rc.1")), conductor);
        let raft = paths(Recipe::raft("1.8.0"));
        assert!(raft.contains(&"go.sum") && raft.contains(&"versions/raft-1.8.0.mod") && raft.contains(&"node.go"));
        assert!(!raft.contains(&"versions/raft-1.7.1.mod") && !raft.contains(&"op-conductor/v0.1.0-rc.1/go.mod"));
        assert!(paths(Recipe::conductor("v1.19.6")).contains(&"op-conductor/v1.19.6/superchain/main.go"));
        assert_ne!(Recipe::raft("1.8.0").hash(), Recipe::raft("1.7.1").hash());
        assert_eq!(Recipe::stub().hash().len(), 12);
    }

    #[test]
    fn a_module_file_requires_what_the_table_of_releases_says() {
        for release in RELEASES {
            let Tried::Built { module, .. } = release.tried else { continue };
            let path = format!("op-conductor/{}/go.mod", release.name);
            let text = SOURCES.iter().find(|(source, _)| *source == path).unwrap().1;
            let text = std::str::from_utf8(text).unwrap();
            let bbolt = release.store.strip_prefix("bbolt ").unwrap();
            for required in [
                format!("github.com/ethereum-optimism/optimism {module}"),
                format!("github.com/hashicorp/raft v{} ", release.raft),
                format!("go.etcd.io/bbolt v{bbolt} "),
            ] {
                assert!(text.contains(&required), "{path}: {required}");
            }
        }
    }
}
