//! Random histories of real clusters: they live, something happens to some disks, `verify` looks, and then all servers
//! boot for real. What `verify` finds nothing in loses nothing, and the first leader is one that it named.
//!
//! Go is the oracle's `history`, of raft 1.7.3 and 1.8.0. CLUSTER_HISTORIES and CLUSTER_SEED in the environment run more,
//! or others; docs/DIFFERENTIAL.md has the table of a long run and says what it means.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use op_conductor_init::report::{Finding, Severity};
use op_conductor_init::verify::{Report, verify};
use serde_json::{Value, json};

use crate::common::{number, oracle};

const VERSIONS: [&str; 2] = ["1.7.3", "1.8.0"];
/// Most of a history is waiting for timers.
const WORKERS: usize = 10;

/// A process of the oracle, started anew when raft's panic has ended it.
struct Oracle {
    version: &'static str,
    running: Option<(Child, BufReader<ChildStdout>)>,
}

impl Oracle {
    fn start(&self) -> (Child, BufReader<ChildStdout>) {
        let payload = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/payload/v3.ssz");
        let mut child = Command::new(oracle(self.version))
            .arg("history")
            .arg("--payload")
            .arg(payload)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        (child, answers)
    }

    /// The answer to a job; none when the process ended instead.
    fn ask(&mut self, job: &Value) -> Option<Value> {
        let (mut child, mut answers) = self.running.take().unwrap_or_else(|| self.start());
        let sent = writeln!(child.stdin.as_mut().unwrap(), "{job}");
        let mut line = String::new();
        if sent.is_err() || answers.read_line(&mut line).unwrap_or(0) == 0 {
            child.wait().unwrap();
            return None;
        }
        self.running = Some((child, answers));
        Some(serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

/// What became of one history.
struct Outcome {
    seed: u64,
    version: &'static str,
    damage: String,
    /// Ids of errors and warnings, but for those of payloads, whose hashes are made up here.
    found: Vec<&'static str>,
    has_errors: bool,
    /// What went wrong at the boot.
    harm: Vec<String>,
    /// The first leader, when verify had not named it.
    unexpected_leader: Option<String>,
    /// All that was lost is on no disk any more, in no log and no snapshot: nothing could show that it ever was.
    left_no_trace: bool,
    steps: Value,
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// What became of the directories in a real cluster.
struct Booted {
    harm: Vec<String>,
    first: String,
    left_no_trace: bool,
}

fn boot(oracle: &mut Oracle, dir: &Path, made: &Value) -> Booted {
    let Some(booted) = oracle.ask(&json!({"dir": dir, "boot": made})) else {
        return Booted { harm: vec!["crashed".to_owned()], first: String::new(), left_no_trace: false };
    };
    let mut harm = Vec::new();
    for (key, is_empty) in [
        ("lost", booted["lost"].as_array().unwrap().is_empty()),
        ("stuck", !booted["stuck"].as_bool().unwrap()),
        ("refused", booted["refused"].as_object().unwrap().is_empty()),
        ("apart", booted["apart"].as_array().unwrap().is_empty()),
    ] {
        if !is_empty {
            harm.push(key.to_owned());
        }
    }
    let left_no_trace = harm == ["lost"] && booted["held"].as_array().unwrap().is_empty();
    Booted { harm, first: booted["first"].as_str().unwrap().to_owned(), left_no_trace }
}

fn is_of_raft(finding: &&Finding) -> bool {
    finding.severity > Severity::Note && !finding.id.starts_with("PAY-")
}

fn live(oracle: &mut Oracle, scratch: &Path, seed: u64) -> Outcome {
    let dir = scratch.join(seed.to_string());
    let made = oracle.ask(&json!({"dir": dir, "seed": seed})).expect("a history is made of sound calls");
    // No directory at all is an error of its own.
    let report: Option<Report> = verify(&dir, None, &()).ok();
    let kept = scratch.join(format!("{seed}.kept"));
    copy(&dir, &kept);
    let mut booted = boot(oracle, &dir, &made);
    let found: Vec<&Finding> = report.iter().flat_map(|report| report.findings.iter().filter(is_of_raft)).collect();
    let is_fine = report.is_some() && found.is_empty();
    // A machine that is busy can be late: what is only late is not so again.
    if is_fine && !booted.harm.is_empty() && !booted.harm.iter().any(|harm| harm == "lost") {
        fs::remove_dir_all(&dir).unwrap();
        copy(&kept, &dir);
        booted = boot(oracle, &dir, &made);
    }
    let Booted { harm, first, left_no_trace } = booted;
    let winners = report.as_ref().and_then(|report| report.winners.clone());
    let is_named = first.is_empty() || winners.is_none_or(|winners| winners.contains(&first));
    let outcome = Outcome {
        seed,
        version: oracle.version,
        damage: made["damage"].as_str().unwrap().to_owned(),
        has_errors: found.iter().any(|finding| finding.severity == Severity::Error),
        found: if report.is_none() { vec!["no state"] } else { found.iter().map(|finding| finding.id).collect() },
        harm,
        unexpected_leader: (!is_named).then_some(first),
        left_no_trace,
        steps: made["steps"].clone(),
    };
    [dir, kept].iter().for_each(|dir| fs::remove_dir_all(dir).unwrap());
    outcome
}

/// A line for each damage: how the boot went, and whether `verify` had found something.
fn table(outcomes: &[Outcome]) -> String {
    let mut rows: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for outcome in outcomes {
        let column = usize::from(outcome.harm.is_empty()) * 2 + usize::from(outcome.found.is_empty());
        rows.entry(&outcome.damage).or_default()[column] += 1;
        rows.entry("~ all").or_default()[column] += 1;
    }
    let mut text = "| what happened | harm, found | harm, nothing found | no harm, found | no harm, nothing found |\n|---|---|---|---|---|\n".to_owned();
    for (damage, [told, missed, warned, fine]) in rows {
        let damage = damage.trim_start_matches("~ ");
        writeln!(text, "| {damage} | {told} | {missed} | {warned} | {fine} |").unwrap();
    }
    text
}

#[test]
fn what_verify_finds_nothing_in_loses_nothing() {
    let (count, seed) = (number("CLUSTER_HISTORIES", 320), number("CLUSTER_SEED", 0));
    let shared = Path::new("/dev/shm");
    let kept = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
    let scratch = kept.path();
    let (next, outcomes) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, outcomes) = (&next, &outcomes);
            scope.spawn(move || {
                let mut oracle = Oracle { version: VERSIONS[worker % 2], running: None };
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let outcome = live(&mut oracle, scratch, seed + at);
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    println!("{}", table(&outcomes));
    let is_missed = |it: &&Outcome| it.found.is_empty() && !it.harm.is_empty() && !it.left_no_trace;
    let is_false = |it: &&Outcome| it.damage == "nothing" && it.has_errors;
    let mut wrong = String::new();
    for it in outcomes.iter().filter(|it| is_missed(it) || is_false(it) || it.unexpected_leader.is_some()) {
        let Outcome { seed, version, damage, found, harm, unexpected_leader, steps, .. } = it;
        let line = format!(
            "{seed} (raft {version}, {damage}): found {found:?}, harm {harm:?}, leader {unexpected_leader:?}, {steps}"
        );
        writeln!(wrong, "{line}").unwrap();
    }
    assert_eq!(wrong, "");
    let kinds = |test: fn(&Outcome) -> bool| outcomes.iter().filter(|it| test(it)).count();
    assert!(kinds(|it| it.harm.iter().any(|harm| harm == "lost")) > 0, "nothing was ever lost: the test shows nothing");
    assert!(kinds(|it| it.found.is_empty() && it.harm.is_empty()) > 0, "verify is never content");
}
