//! The built command: its help, its answers, its refusals.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::command::{THREE, command, run, shown};
use insta::assert_snapshot;
use tempfile::TempDir;

fn generate(dir: &Path, args: &[&str]) -> Output {
    run(dir, &[&["generate"], &THREE[..], args].concat())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn help_names_the_verbs_and_the_exit_status() {
    // Without the feature `gate` the help says that the verb is not in the build.
    assert_snapshot!(shown(&run(temp().path(), &["--help"])).replace(" (not in this build)", ""));
}

#[test]
fn help_of_generate_explains_each_flag() {
    assert_snapshot!(shown(&run(temp().path(), &["generate", "--help"])));
}

#[test]
fn a_generated_cluster_is_told_with_its_next_steps() {
    let dir = temp();
    assert_snapshot!(shown(&generate(dir.path(), &["--network", "mainnet"])));
    assert_eq!(names(dir.path()), ["raft-state"]);
    assert_eq!(names(&dir.path().join("raft-state")), ["cluster.json", "sequencer-1", "sequencer-2", "sequencer-3"]);
    for id in ["sequencer-1", "sequencer-2", "sequencer-3"] {
        assert_eq!(names(&dir.path().join("raft-state").join(id)), ["raft-log.db", "raft-stable.db"]);
    }
}

#[test]
fn an_open_election_promises_no_leader() {
    assert_snapshot!(shown(&generate(temp().path(), &["--election", "open"])));
}

#[test]
fn only_writes_one_directory_and_says_when_that_is_sound() {
    let dir = temp();
    assert_snapshot!(shown(&generate(dir.path(), &["--only", "sequencer-2"])));
    assert_eq!(names(&dir.path().join("raft-state")), ["cluster.json", "sequencer-2"]);
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let dir = temp();
    assert_snapshot!(shown(&generate(dir.path(), &["--dry-run", "--nonvoters", "sequencer-2"])));
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn a_dry_run_of_an_open_election_explains_its_term() {
    assert_snapshot!(shown(&generate(temp().path(), &["--dry-run", "--election", "open", "--initial-term", "7"])));
}

#[test]
fn json_has_the_whole_plan() {
    let output = shown(&generate(temp().path(), &["--format", "json", "--only", "sequencer-1"]));
    assert_snapshot!(output.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn text_is_at_most_80_columns_wide() {
    for args in [&["--dry-run"][..], &[], &["--help"], &["--only", "sequencer-1"], &["-h"]] {
        let output = generate(temp().path(), args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.is_empty());
        // clap doesn't break its usage line, nor the lines of examples.
        for line in text.lines().filter(|line| !line.starts_with("Usage:")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn the_same_again_is_fine_and_says_so() {
    let dir = temp();
    generate(dir.path(), &[]);
    let again = shown(&generate(dir.path(), &[]));
    assert!(again.starts_with("exit 0\n"), "{again}");
    assert_eq!(again.matches("unchanged: the file already had these bytes\n").count(), 4, "{again}");
}

#[test]
fn other_state_is_refused_with_the_list_of_files() {
    let dir = temp();
    generate(dir.path(), &[]);
    fs::write(dir.path().join("raft-state/sequencer-3/raft-log.db"), "x").unwrap();
    assert_snapshot!(shown(&generate(dir.path(), &["--network", "other"])), @r"
    exit 1
    -- stdout
    -- stderr
    error: refusing to replace other state:
      sequencer-3: its state can't be read
      ./raft-state/sequencer-3/raft-log.db
      ./raft-state/cluster.json
    hint: a new cluster would not know its blocks: name another --output-dir, or copy the old one before you replace it
    ");
}

#[test]
fn force_keeps_what_it_replaces_and_leaves_the_rest() {
    let dir = temp();
    generate(dir.path(), &[]);
    let state = dir.path().join("raft-state");
    fs::create_dir(state.join("sequencer-9")).unwrap();
    let output = stderr(&generate(dir.path(), &["--force", "--initial-term", "5"]));
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "note: left unchanged: sequencer-9");
    let replaced = lines[1].strip_prefix("note: the old state is in ./raft-state/").unwrap();
    assert_eq!(names(&state.join(replaced)), ["cluster.json", "sequencer-1", "sequencer-2", "sequencer-3"]);
}

#[test]
fn a_running_node_is_named_and_nothing_is_replaced() {
    let dir = temp();
    generate(dir.path(), &[]);
    let log = File::open(dir.path().join("raft-state/sequencer-2/raft-log.db")).unwrap();
    log.lock().unwrap();
    let output = generate(dir.path(), &["--force", "--initial-term", "5", "--lock-timeout", "60ms"]);
    assert_snapshot!(shown(&output), @r"
    exit 1
    -- stdout
    -- stderr
    error: ./raft-state/sequencer-2/raft-log.db is locked (waited 60ms): op-conductor holds it while it runs: stop the node first
    ");
    assert_eq!(names(&dir.path().join("raft-state")).len(), 4);
}

#[test]
fn another_command_on_the_directory_is_waited_for() {
    let dir = temp();
    fs::create_dir(dir.path().join("raft-state")).unwrap();
    let held = File::open(dir.path().join("raft-state")).unwrap();
    held.lock().unwrap();
    assert_snapshot!(shown(&generate(dir.path(), &["--lock-timeout", "0s"])), @r"
    exit 1
    -- stdout
    -- stderr
    error: ./raft-state is locked by another op-conductor-init (waited 0ns)
    hint: wait until it has ended, or give a longer --lock-timeout
    ");
}

#[test]
fn all_that_is_wrong_with_a_cluster_is_told_at_once() {
    let args = ["generate", "--nodes", "a:0,a", "--server-ids", "x,../y,X", "--initial-leader", "z"];
    let dir = temp();
    assert_snapshot!(shown(&run(dir.path(), &args)), @r#"
    exit 2
    -- stdout
    -- stderr
    error: --nodes: expected as many addresses as server ids (3), found 2
    error: --server-ids: item 2 "../y" has '/', but names one directory
    error: --server-ids: item 3 "X" is the same as item 1 "x" except for case
    error: --nodes: item 1 "a:0" expected a port from 1 to 65535, found "0"
    error: --nodes: item 2 "a" has no port: expected host:port
    error: --initial-leader: "z" is not one of the server ids
    "#);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn an_unknown_server_in_only_is_wrong_usage() {
    let dir = temp();
    for dry_run in ["--dry-run=false", "--dry-run"] {
        let output = generate(dir.path(), &["--only", "sequencer-4", dry_run]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output), "error: --only: \"sequencer-4\" is not in --server-ids\n");
    }
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn an_even_number_of_voters_is_a_warning() {
    let output = generate(temp().path(), &["--nonvoters", "sequencer-3"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "warning: 2 voters survive no more failures than 1: prefer an odd number\n");
}

#[test]
fn wrong_values_are_wrong_usage() {
    for args in [
        ["--page-size", "4095"],
        ["--owner", "root"],
        ["--lock-timeout", "1"],
        ["--election", "mine"],
        ["--format", "xml"],
        ["--initial-term", "-1"],
        ["--initial-term", "0"],
        ["--initial-term", "18446744073709551615"],
        ["--force=perhaps", "--dry-run"],
    ] {
        let output = generate(temp().path(), &args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).starts_with("error: "), "{args:?}");
    }
}

#[test]
fn missing_flags_are_named() {
    let output = run(temp().path(), &["generate"]);
    assert_eq!(output.status.code(), Some(2));
    for flag in ["--nodes", "--server-ids", "--initial-leader"] {
        assert!(stderr(&output).contains(flag), "{flag}");
    }
}

#[test]
fn variables_set_flags() {
    let dir = temp();
    let variables = [
        // Those of the Go tool, and of flags that can do no harm, work without the verb.
        ("NODES", "a:1,b:2\n"),
        ("SERVER_IDS", "a,b"),
        ("INITIAL_LEADER", "a\n"),
        ("INITIAL_TERM", "7\n"),
        ("NETWORK", "mainnet"),
        ("OUTPUT_DIR", "out\n"),
        ("FORCE", "1\n"),
        ("FORMAT", "json\n"),
        ("LOCK_TIMEOUT", "2s"),
        ("GENERATE_NONVOTERS", "b"),
        ("GENERATE_ELECTION", " open"),
        ("GENERATE_ONLY", "a"),
        ("GENERATE_PAGE_SIZE", "1024"),
        ("GENERATE_DRY_RUN", "false"),
    ];
    let mut command = command(dir.path(), &["generate"]);
    let command = command.envs(variables.map(|(name, value)| (format!("OP_CONDUCTOR_INIT_{name}"), value)));
    let output = command.output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["cluster"]["network"], "mainnet");
    assert_eq!(answer["cluster"]["current_term"], 7);
    assert_eq!(answer["cluster"]["election"], "open");
    assert_eq!(answer["cluster"]["page_size"], 1024);
    assert_eq!(answer["cluster"]["servers"][1]["suffrage"], "nonvoter");
    assert_eq!(answer["nodes"][1]["change"], "skipped");
    assert_eq!(names(dir.path()), ["out"]);

    let command = command.env("OP_CONDUCTOR_INIT_GENERATE_DRY_RUN", "1").env("OP_CONDUCTOR_INIT_OWNER", "x");
    let wrong = stderr(&command.output().unwrap());
    assert!(wrong.contains("--owner"), "{wrong}");
    assert!(wrong.ends_with("\nnote: the value comes from the variable OP_CONDUCTOR_INIT_OWNER\n"), "{wrong}");
    let output = command.env("OP_CONDUCTOR_INIT_OWNER", "1:1").output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["dry_run"], true);
}

#[test]
fn a_variable_that_no_flag_has_is_reported() {
    let dir = temp();
    let mut command = command(dir.path(), &["explain", "BOLT-001"]);
    let output = command.env("OP_CONDUCTOR_INIT_STATEDIR", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_snapshot!(stderr(&output), @"warning: the variable OP_CONDUCTOR_INIT_STATEDIR has no effect: no flag has this name; the nearest name is OP_CONDUCTOR_INIT_STATE_DIR
");
}

#[test]
fn an_empty_variable_is_unset() {
    let dir = temp();
    let mut command = command(dir.path(), &[&["generate"], &THREE[..]].concat());
    for name in ["GENERATE_NONVOTERS", "INITIAL_TERM", "OUTPUT_DIR", "FORCE", "GENERATE_DRY_RUN", "FORMAT", "NODES"] {
        command.env(format!("OP_CONDUCTOR_INIT_{name}"), "");
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(names(dir.path()), ["raft-state"]);
}

#[test]
fn a_flag_goes_before_its_variable() {
    let dir = temp();
    let mut command = command(dir.path(), &[&["generate"], &THREE[..], &["--dry-run=false"]].concat());
    assert!(command.env("OP_CONDUCTOR_INIT_GENERATE_DRY_RUN", "true").output().unwrap().status.success());
    assert_eq!(names(dir.path()), ["raft-state"]);
}

#[test]
fn scripts_of_the_go_tool_go_on_working() {
    let dir = temp();
    let logs = ["--log.level=debug", "--log.format", "json", "--log.color", "--log.pid=true"];
    let output = run(dir.path(), &[&["raft", "generate"], &THREE[..], &logs].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(names(dir.path()), ["raft-state"]);
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["077", "000"] {
        let dir = temp();
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let binary = env!("CARGO_BIN_EXE_op-conductor-init");
        let mut shell = Command::new("sh");
        let shell = shell.current_dir(dir.path()).args(["-c", &script, binary, "generate"]).args(THREE);
        assert!(shell.output().unwrap().status.success());
        let state = dir.path().join("raft-state");
        assert_eq!([mode(&state), mode(&state.join("sequencer-1"))], [0o755; 2]);
        let files = ["sequencer-1/raft-log.db", "sequencer-1/raft-stable.db", "cluster.json"];
        assert_eq!(files.map(|file| mode(&state.join(file))), [0o600; 3]);
    }
}

#[test]
fn an_owner_gets_directories_and_files() {
    let dir = temp();
    let me = fs::metadata(dir.path()).unwrap();
    let owner = format!("{}:{}", me.uid(), me.gid());
    assert!(generate(dir.path(), &["--owner", &owner]).status.success());
    // Root may give files away; anybody else is told so, and nothing stays.
    let output = generate(dir.path(), &["--owner", "12345:54321", "--output-dir", "theirs"]);
    let theirs = dir.path().join("theirs");
    if me.uid() == 0 {
        for path in ["", "sequencer-1", "sequencer-1/raft-log.db", "sequencer-1/raft-stable.db", "cluster.json"] {
            let metadata = fs::metadata(theirs.join(path)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (12345, 54321), "{path}");
        }
    } else {
        assert_eq!(output.status.code(), Some(2));
        assert!(!theirs.exists());
    }
}

#[test]
fn a_path_that_cannot_be_made_leaves_nothing_behind() {
    let dir = temp();
    fs::write(dir.path().join("file"), "").unwrap();
    let output = generate(dir.path(), &["--output-dir", "file/x/y"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).starts_with("error: expected a directory, found something else: file\n"),
        "{}",
        stderr(&output)
    );
    let output = generate(dir.path(), &["--output-dir", "file"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "error: expected a directory, found something else: file\n");
    assert_eq!(names(dir.path()), ["file"]);
}

#[test]
fn an_interrupted_replacement_is_judged_as_if_finished_and_left_by_a_refusal() {
    let dir = temp();
    let state = dir.path().join("raft-state");
    let stage = state.join(".op-conductor-init-x");
    fs::create_dir_all(stage.join("new/sequencer-1")).unwrap();
    fs::create_dir(stage.join("old")).unwrap();
    fs::set_permissions(&stage, Permissions::from_mode(0o700)).unwrap();
    fs::write(stage.join("new/sequencer-1/raft-log.db"), "interrupted").unwrap();
    let inode = fs::metadata(stage.join("new/sequencer-1")).unwrap().ino();
    let entries = serde_json::json!([{"name": "sequencer-1", "new": inode, "old": null}]);
    let journal = serde_json::json!({"version": 1, "replaced": ".replaced-1", "entries": entries});
    fs::write(stage.join("journal.json"), journal.to_string()).unwrap();
    assert_snapshot!(shown(&generate(dir.path(), &[])), @r"
    exit 1
    -- stdout
    -- stderr
    error: refusing to replace other state:
      sequencer-1: its state can't be read
      ./raft-state/sequencer-1/raft-log.db
    hint: a new cluster would not know its blocks: name another --output-dir, or copy the old one before you replace it
    ");
    assert_eq!(names(&state), [".op-conductor-init-x"]);
    let forced = generate(dir.path(), &["--force"]);
    assert_eq!(forced.status.code(), Some(0));
    let told = stderr(&forced);
    assert!(told.starts_with("note: finished a replacement that had been interrupted: sequencer-1\n"), "{told}");
    assert!(stage.symlink_metadata().is_err());
}

#[test]
fn init_containers_may_start_at_once_on_a_shared_volume() {
    let dir = temp();
    let ids = ["sequencer-1", "sequencer-2", "sequencer-3"];
    let args =
        |id| [&["generate"], &THREE[..], &["--output-dir", "a/b/c", "--lock-timeout", "30s", "--only", id]].concat();
    let children: Vec<_> =
        ids.iter().map(|id| command(dir.path(), &args(id)).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let all = ["cluster.json", "sequencer-1", "sequencer-2", "sequencer-3"];
    assert_eq!(names(&dir.path().join("a/b/c")), all);
}

#[test]
fn quiet_leaves_the_exit_status_and_errors() {
    let dir = temp();
    let output = generate(dir.path(), &["--quiet", "--nonvoters", "sequencer-3"]);
    assert_eq!(shown(&output), "exit 0\n-- stdout\n-- stderr\n");
    for verb in ["verify", "info", "log stats"] {
        let words: Vec<&str> = verb.split(' ').chain(["-q", "--state-dir", "raft-state/sequencer-1"]).collect();
        assert_eq!(shown(&run(dir.path(), &words)), "exit 0\n-- stdout\n-- stderr\n", "{verb}");
    }
    let failed = run(dir.path(), &["verify", "-q", "--state-dir", "nowhere"]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(stderr(&failed).starts_with("error: "), "{}", stderr(&failed));
}

#[test]
fn a_report_does_not_go_where_the_answer_goes() {
    let dir = temp();
    generate(dir.path(), &[]);
    let output = run(dir.path(), &["verify", "--state-dir", "raft-state", "--junit", "-"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expected a file: standard output has the answer"), "{}", stderr(&output));
}

#[cfg(not(feature = "gate"))]
#[test]
fn a_build_without_the_gate_says_how_to_get_it() {
    let help = run(temp().path(), &["gate", "--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("cargo install --path . --features gate"));
    let called = run(temp().path(), &["gate", "--state-dir", "x"]);
    assert_eq!(called.status.code(), Some(2));
    assert!(stderr(&called).contains("hint: build it with --features gate"), "{}", stderr(&called));
}

#[test]
fn an_unknown_flag_suggests_no_flag_that_help_hides() {
    for word in ["--log.levels", "--log.colour"] {
        let output = run(temp().path(), &["info", word]);
        assert_eq!(output.status.code(), Some(2));
        assert!(!stderr(&output).contains("similar"), "{}", stderr(&output));
    }
}

#[test]
fn the_verdict_says_what_the_exit_status_says() {
    let dir = temp();
    generate(dir.path(), &[]);
    for (level, code, words) in [("error", 0, "Verdict: fine: "), ("warning", 1, "Verdict: NOT fine: ")] {
        let output = run(dir.path(), &["verify", "--state-dir", "raft-state", "--fail-on", level]);
        assert_eq!(output.status.code(), Some(code));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(words), "{text}");
    }
}
