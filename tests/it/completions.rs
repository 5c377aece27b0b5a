//! Completions, in the shells that they are for.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::command::run;

/// What is typed, and what must be among the words that the shell offers.
const TYPED: [(&str, &[&str]); 6] = [
    ("op-conductor-init ", &["generate", "verify", "log", "backups", "gate"]),
    ("op-conductor-init verify --", &["--state-dir", "--expect", "--fail-on", "--format"]),
    ("op-conductor-init backups ", &["list", "verify", "prune"]),
    ("op-conductor-init backups prune --", &["--keep", "--dry-run"]),
    ("op-conductor-init log export --", &["--state-dir", "--payloads"]),
    ("op-conductor-init pages raft-log.db show --", &["--hex", "--redact", "--format"]),
];

/// Asks for the words that a shell offers.
type Offered = fn(&Path, &str) -> String;

/// Sees what `shell` offers for each line, with the completions in `file`.
fn check(shell: &str, offered: Offered) {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["completions", shell]);
    assert!(output.status.success());
    let file = dir.path().join("_op-conductor-init");
    fs::write(&file, &output.stdout).unwrap();
    for (typed, expected) in TYPED {
        let text = offered(&file, typed);
        let words: Vec<&str> = text.split_whitespace().collect();
        for word in expected {
            assert!(words.contains(word), "{shell}, {typed:?}: {word} is missing in {text}");
        }
        assert!(!text.contains("--log."), "{shell}, {typed:?}: flags without effect are offered: {text}");
    }
}

fn output_of(command: &mut Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name} must be installed (tests/run.sh does it): {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn bash_completes_verbs_and_flags_at_any_depth() {
    // As bash calls it: the command, the word at the cursor, the word before.
    const SCRIPT: &str = r#"
        source "$1"
        read -ra COMP_WORDS <<<"$2"
        [[ $2 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        function=$(complete -p op-conductor-init | sed 's/.*-F \([^ ]*\) .*/\1/')
        "$function" op-conductor-init "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    check("bash", |file, typed| {
        output_of(Command::new("bash").args(["--norc", "-c", SCRIPT, "bash"]).arg(file).arg(typed))
    });
}

#[test]
fn fish_completes_verbs_and_flags_at_any_depth() {
    const SCRIPT: &str = "source $argv[1]; complete -C $argv[2]";
    check("fish", |file, typed| {
        let home = file.parent().unwrap();
        output_of(Command::new("fish").env("HOME", home).args(["--no-config", "-c", SCRIPT]).arg(file).arg(typed))
    });
}

#[test]
fn zsh_completes_verbs_and_flags_at_any_depth() {
    // zsh completes only where somebody types, so the script types in a shell of its own: the line, a tab, ^U. The prompt
    // says that it reads keys.
    const SCRIPT: &str = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "autoload -Uz compinit && compinit -u -D; source ${(q)1}; LISTMAX=10000; PS1=RE''ADY"
        zpty -r shell out '*READY*'
        zpty -n -w shell "$2"$'\t'
        zpty -n -w shell $'\x15'"print EN''D"$'\n'
        zpty -r shell out '*END*'
        print -r -- $out
    "#;
    check("zsh", |file, typed| {
        let text =
            output_of(Command::new("zsh").env("TERM", "dumb").args(["-f", "-c", SCRIPT, "zsh"]).arg(file).arg(typed));
        // What moves the cursor is not a part of a word.
        text.replace('\x1b', " \x1b")
    });
}
