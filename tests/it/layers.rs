//! The rooms of `src/` stand on each other as DESIGN.md's table of layers says: what a file uses stands left of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up; a room may use those left of it, and nothing right of it.
const LAYERS: [&str; 19] = [
    "bolt", "report", "raft", "payload", "head", "cluster", "durable", "state", "plan", "verify", "generate", "backup",
    "restore", "recover", "compact", "salvage", "transfer", "gate", "cli",
];

/// A path of the crate that a file names: the file, and the segments behind `crate::`.
type Arrow = (PathBuf, Vec<String>);

/// Every `crate::` and `op_conductor_init::` path in `text`, one for each item of a list in braces, without the modules
/// of unit tests, which may use whatever they like.
fn paths_in(text: &str) -> Vec<Vec<String>> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut found = Vec::new();
    for root in ["crate::", "op_conductor_init::"] {
        let starts = code.match_indices(root).map(|(at, _)| at);
        // `op_conductor_init::` ends in no other root, and `$crate::` of a macro is one too.
        for start in starts {
            expand(&code[start + root.len()..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Follows one path, into its braces too; returns what is behind it.
fn expand<'a>(mut text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = prefix.len();
    loop {
        text = text.trim_start();
        if let Some(list) = text.strip_prefix('{') {
            text = list;
            loop {
                text = expand(text, prefix, found).trim_start();
                let Some(rest) = text.strip_prefix(',') else { break };
                text = rest;
            }
            text = text.trim_start().strip_prefix('}').unwrap_or(text);
            break;
        }
        let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty() {
            break;
        }
        prefix.push(name.to_owned());
        text = rest;
        match text.strip_prefix("::") {
            Some(rest) => text = rest,
            None => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    text
}

/// Why each path that `arrows` name is not allowed.
fn violations(arrows: &[Arrow]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (file, path) in arrows {
        let room = room_of(file);
        let (Some(from), Some(to)) = (layer(&room), layer(&path[0])) else { continue };
        if to > from {
            found.insert(format!("{}: {room} uses {}, which stands above it", file.display(), path[0]));
        }
    }
    found.into_iter().collect()
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|name| *name == room)
}

/// `src/bolt/read.rs` and `src/bolt.rs` are of the room `bolt`.
fn room_of(file: &Path) -> String {
    let first = file.components().nth(1).expect("it is in src");
    Path::new(first.as_os_str()).file_stem().expect("it has a name").to_string_lossy().into_owned()
}

/// Circles among the files of one directory: `super::<file>` and `crate::<directory>::<file>` are the arrows, and what
/// goes by way of the directory's own `mod.rs` is not one.
fn circles(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut uses: BTreeMap<&Path, BTreeSet<PathBuf>> = BTreeMap::new();
    for (file, text) in files {
        let parent = file.parent().expect("it is in src");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let mut found = Vec::new();
        for (at, _) in text.match_indices("super::") {
            // The parent of the file's own module is the directory; one of a module within it is the file itself.
            if !text[..at].ends_with("super::") {
                expand(&text[at + "super::".len()..], &mut Vec::new(), &mut found);
            }
        }
        let is_directory = file.file_name().is_some_and(|name| name == "mod.rs");
        let siblings = if is_directory { parent.parent() } else { Some(parent) };
        let Some(siblings) = siblings else { continue };
        let to = |name: &str| {
            let (plain, directory) = (siblings.join(format!("{name}.rs")), siblings.join(name).join("mod.rs"));
            [plain, directory].into_iter().find(|path| files.contains_key(path) && path != file)
        };
        uses.entry(file).or_default().extend(found.iter().filter_map(|path| to(&path[0])));
    }
    let mut circles = BTreeSet::new();
    for start in uses.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start.to_path_buf()]);
        while let Some(file) = next.pop() {
            for used in uses.get(file.as_path()).into_iter().flatten() {
                if used == start {
                    let (first, second) = (file.as_path().min(start), file.as_path().max(start));
                    circles.insert(format!("{} <-> {}", first.display(), second.display()));
                } else if seen.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
    }
    circles.into_iter().collect()
}

fn sources(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.insert(path, text);
        }
    }
}

fn src() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    sources(Path::new("src"), &mut found);
    found
}

fn arrows(files: &BTreeMap<PathBuf, String>) -> Vec<Arrow> {
    let all = files.iter().flat_map(|(file, text)| paths_in(text).into_iter().map(move |path| (file.clone(), path)));
    all.filter(|(file, _)| !file.ends_with("tests.rs")).collect()
}

#[test]
fn no_room_uses_what_stands_above_it() {
    let files = src();
    let arrows = arrows(&files);
    assert!(arrows.len() > 100, "the paths are found: {}", arrows.len());
    assert_eq!(violations(&arrows), [""; 0]);
}

#[test]
fn every_room_has_its_layer() {
    let files = src();
    let rooms: BTreeSet<String> = files.keys().map(|file| room_of(file)).collect();
    let unknown: Vec<&String> = rooms.iter().filter(|room| layer(room).is_none()).collect();
    assert_eq!(unknown, ["lib", "main"]);
}

#[test]
fn files_of_one_room_use_each_other_in_one_direction() {
    assert_eq!(circles(&src()), [""; 0]);
}

#[test]
fn an_arrow_upwards_is_found_in_any_form() {
    let upwards = |text: &str| violations(&arrows(&[(PathBuf::from("src/bolt/read.rs"), text.to_owned())].into()));
    assert_eq!(upwards("use crate::raft::Term;"), ["src/bolt/read.rs: bolt uses raft, which stands above it"]);
    assert_eq!(upwards("use crate::{bolt::Page, state::{self, Node}};").len(), 1);
    assert_eq!(upwards("fn f() { crate::verify::verify() }").len(), 1);
    assert_eq!(
        upwards("use crate::bolt::Page;\n// crate::raft\n#[cfg(test)]\nmod tests {\nuse crate::raft;}"),
        [""; 0]
    );
}

#[test]
fn a_circle_of_files_is_found() {
    let file = |name: &str, text: &str| (PathBuf::from(format!("src/room/{name}")), text.to_owned());
    let two = [file("a.rs", "use super::b::B;"), file("b.rs", "use super::c;"), file("c.rs", "use super::{A, a::X};")];
    assert_eq!(circles(&two.into()).len(), 3);
    let tree = [file("a.rs", "use super::b::B;"), file("b.rs", "use super::A;"), file("mod.rs", "mod a; mod b;")];
    assert_eq!(circles(&tree.into()), [""; 0]);
}
