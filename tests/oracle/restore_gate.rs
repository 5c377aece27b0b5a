//! A restored cluster elects its leader and goes on sequencing, on unmodified op-conductor.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::state::{cluster, run, snapshot};
use serde_json::Value;

fn restored(dir: &Path, archive: bool, names: &[&str]) -> PathBuf {
    let state = cluster(dir);
    for id in ["a", "b", "c"] {
        snapshot(&state.join(id), 2, 1);
    }
    let (state, backups, new) = (state, dir.join("backups"), dir.join("new"));
    let more: &[&str] = if archive { &["--archive"] } else { &[] };
    let flags = ["backup", "--format", "json", "--state-dir", state.to_str().unwrap(), "--backup-dir"];
    let (code, stdout, stderr) = run(&[&flags[..], &[backups.to_str().unwrap()], more].concat());
    assert_eq!(code, 0, "{stderr}");
    let made: Value = serde_json::from_str(&stdout).unwrap();
    fs::remove_dir_all(&state).unwrap();
    let made = made["backup"].as_str().unwrap();
    let flags = ["restore", "--force", "--backup-dir", made, "--state-dir", new.to_str().unwrap()];
    let (code, stdout, stderr) = run(&[&flags[..], names].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    new
}

/// Boots the state, and sees that `leader` leads first and sequences.
fn leads_and_sequences(state: &Path, leader: &str) {
    let flags = ["gate", "--target", "op-conductor:v0.7.3", "--format", "json", "--state-dir"];
    let (code, stdout, stderr) = run(&[&flags[..], &[state.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let checks = report["targets"][0]["checks"].as_array().unwrap();
    let outcome = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert!(checks.iter().all(|check| check["outcome"] == "passed"), "{report:#}");
    assert!(outcome("first-leader").to_string().contains(&format!("{leader} led first")), "{report:#}");
    assert!(["sequencing", "next-block", "restart"].iter().all(|name| outcome(name)["outcome"] == "passed"));
}

#[test]
fn a_cluster_restored_from_a_directory_goes_on_under_its_names() {
    let dir = tempfile::tempdir().unwrap();
    leads_and_sequences(&restored(dir.path(), false, &[]), "a");
}

#[test]
fn a_cluster_restored_from_an_archive_goes_on_under_other_names() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["--rename-server", "a=x", "--rename-address", "a.example:50050=x.test:50051"];
    let names = [&names[..], &["--rename-address", "b.example:50050=y.test:50052"]].concat();
    leads_and_sequences(&restored(dir.path(), true, &names), "x");
}
