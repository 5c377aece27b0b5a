//! The variables of flags: one rule for every flag of every verb.
//!
//! `--page-size` of `log import` is also `OP_CONDUCTOR_INIT_LOG_IMPORT_PAGE_SIZE`: the prefix, the verb, the flag. Flags
//! that mean the same everywhere and can do no harm work without the verb too, and so do those of `generate` that the Go
//! tool of this name had. Flags that override a guard have no variable: one that is left in an environment would turn the
//! guard off for good.
//!
//! Values are trimmed, and empty is unset: variables come from templates and from files that end with a newline. Clap reads
//! one variable a flag, and takes its value as it is, so it reads none here: values become words of the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

const PREFIX: &str = "OP_CONDUCTOR_INIT_";
/// These also work without the verb.
const SHARED: [&str; 6] = ["STATE_DIR", "BACKUP_DIR", "FORMAT", "OWNER", "LOCK_TIMEOUT", "EXPECT"];
/// Variables of the Go tool for flags of `generate`.
const OF_GENERATE: [&str; 7] =
    ["NODES", "SERVER_IDS", "INITIAL_LEADER", "OUTPUT_DIR", "INITIAL_TERM", "NETWORK", "FORCE"];
/// Variables of the Go tool that are taken and have no effect.
const WITHOUT_EFFECT: [&str; 4] = ["LOG_LEVEL", "LOG_FORMAT", "LOG_COLOR", "LOG_PID"];
/// Flags that override a guard.
const OVERRIDES: [&str; 2] = ["ALLOW", "NO_HASH_CHECK"];
/// A repeatable flag whose values may have commas: its variable takes one value a line.
const ONE_A_LINE: &str = "RPC_HEADER";
/// Names that are less alike than this are not suggested.
const ALIKE: f64 = 0.8;

/// The variables of this program that are set: trimmed, and not empty.
pub(super) struct Environment(BTreeMap<String, OsString>);

/// A command line with the values of variables in it.
pub(super) struct CommandLine {
    pub(super) words: Vec<OsString>,
    /// Flags that a variable set, as `--flag`, and the variable.
    pub(super) set: Vec<(String, String)>,
}

/// A flag, and the names of its variables: the one that is used first is first.
struct Flag<'a> {
    arg: &'a Arg,
    variables: Vec<String>,
}

impl Environment {
    pub(super) fn of_process() -> Environment {
        Environment::new(std::env::vars_os())
    }

    fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
        let ours = |(name, value): (OsString, OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX) && !is_of_kubernetes(name))?;
            let value = value.as_bytes().trim_ascii();
            (!value.is_empty()).then(|| (name, OsString::from_vec(value.to_vec())))
        };
        Environment(variables.into_iter().filter_map(ours).collect())
    }

    /// Adds the values of variables whose flags are not given. A flag that is given counts more than the variable of a flag
    /// that it conflicts with.
    pub(super) fn apply(&self, command: &Command, mut words: Vec<OsString>) -> CommandLine {
        let mut set = Vec::new();
        if self.0.is_empty() {
            return CommandLine { words, set };
        }
        // What is wrong is reported when the words are parsed again, with the values of variables.
        let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&words) else {
            return CommandLine { words, set };
        };
        let (verbs, matches) = verb_of(command, &matches);
        let is_given = |arg: &Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        let verb = verbs[verbs.len() - 1];
        let mut added = Vec::new();
        for flag in flags(&verbs) {
            let found = flag.variables.iter().find_map(|name| Some((name, self.0.get(name)?)));
            let Some((variable, value)) = found.filter(|_| !is_given(flag.arg)) else { continue };
            if verb.get_arguments().any(|other| is_given(other) && conflict(verb, flag.arg, other)) {
                continue;
            }
            added.extend(values(flag.arg, value).map(|value| word(flag.arg, &value)));
            set.push((long_of(flag.arg).unwrap_or_default(), variable.clone()));
        }
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        words.splice(end..end, added);
        CommandLine { words, set }
    }

    /// A line for each variable that no flag of any verb has.
    pub(super) fn warnings(&self, command: &Command) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut known: BTreeSet<String> = WITHOUT_EFFECT.iter().map(|name| format!("{PREFIX}{name}")).collect();
        for_each_verb(&mut vec![command], &mut |verbs| {
            known.extend(flags(verbs).into_iter().flat_map(|flag| flag.variables));
        });
        let unknown = self.0.keys().filter(|name| !known.contains(*name));
        unknown
            .map(|name| {
                let alike = known.iter().map(|other| (strsim::jaro_winkler(suffix(name), suffix(other)), other));
                let nearest = alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(alike, _)| *alike >= ALIKE);
                let hint = nearest.map_or_else(String::new, |(_, other)| format!("; the nearest name is {other}"));
                format!("warning: the variable {name} has no effect: no flag has this name{hint}")
            })
            .collect()
    }
}

/// What is common to all names says nothing about how alike they are.
fn suffix(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Kubernetes sets such variables in every pod, for a service that is named as this program is.
fn is_of_kubernetes(name: &str) -> bool {
    let name = suffix(name);
    name == "PORT" || name.starts_with("PORT_") || name.starts_with("SERVICE_HOST") || name.starts_with("SERVICE_PORT")
}

/// Booleans that take a value, and the names of variables in the help of each flag.
pub(super) fn declare(command: Command) -> Command {
    // Bottom up would need the verbs above: names are collected first.
    let mut names = BTreeMap::new();
    for_each_verb(&mut vec![&command], &mut |verbs| {
        for Flag { arg, variables } in flags(verbs) {
            names.insert((path(verbs), arg.get_id().to_string()), variables);
        }
    });
    declare_in(declare_args(command, "", &names), "", &names)
}

type Names = BTreeMap<(String, String), Vec<String>>;

fn declare_in(command: Command, path: &str, names: &Names) -> Command {
    command.mut_subcommands(|verb| {
        let path = format!("{path}{}_", upper(verb.get_name()));
        declare_in(declare_args(verb, &path, names), &path, names)
    })
}

fn declare_args(verb: Command, path: &str, names: &Names) -> Command {
    verb.mut_args(|arg| match names.get(&(path.to_owned(), arg.get_id().to_string())) {
        Some(variables) => documented(boolean(arg), variables),
        None => boolean(arg),
    })
}

/// A switch that can be turned off too: `--force=false` goes before the variable.
fn boolean(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .hide_possible_values(true)
        .value_parser(BoolishValueParser::new())
}

/// The long help ends with the most special name and the most general one.
fn documented(arg: Arg, variables: &[String]) -> Arg {
    let [first, rest @ ..] = variables else { return arg };
    let mut text = arg.get_long_help().or(arg.get_help()).map_or_else(String::new, ToString::to_string);
    text += &format!("\n\n[env: {first}]");
    if let Some(last) = rest.last() {
        text += &format!("\n[env: {last}]");
    }
    arg.long_help(text)
}

/// The verb that is called, below the verbs that hold it, and what was given to it.
fn verb_of<'a, 'm>(command: &'a Command, matches: &'m ArgMatches) -> (Vec<&'a Command>, &'m ArgMatches) {
    let (mut verbs, mut verb, mut found) = (vec![command], command, matches);
    while let Some((below, matches)) = found.subcommand().and_then(|(name, matches)| {
        let below = verb.find_subcommand(name)?;
        Some((below, matches))
    }) {
        (verb, found) = (below, matches);
        verbs.push(below);
    }
    (verbs, found)
}

fn for_each_verb<'a>(verbs: &mut Vec<&'a Command>, visit: &mut dyn FnMut(&[&'a Command])) {
    visit(verbs);
    let last = verbs[verbs.len() - 1];
    for below in last.get_subcommands() {
        verbs.push(below);
        for_each_verb(verbs, visit);
        verbs.pop();
    }
}

/// The flags of the last verb that have a variable, and the global ones of those above it.
fn flags<'a>(verbs: &[&'a Command]) -> Vec<Flag<'a>> {
    let mut found = Vec::new();
    for depth in 0..verbs.len() {
        let is_of_the_verb = depth > 0 && depth + 1 == verbs.len();
        for arg in verbs[depth].get_arguments().filter(|arg| is_of_the_verb || arg.is_global_set()) {
            let variables = variables(&verbs[..=depth], arg);
            if !variables.is_empty() {
                found.push(Flag { arg, variables });
            }
        }
    }
    found
}

fn variables(verbs: &[&Command], arg: &Arg) -> Vec<String> {
    let Some(flag) = name_of(arg) else { return Vec::new() };
    if OVERRIDES.contains(&flag.as_str()) {
        return Vec::new();
    }
    let mut names = vec![format!("{PREFIX}{}{flag}", path(verbs))];
    if SHARED.contains(&flag.as_str()) {
        names.extend((1..verbs.len()).rev().map(|depth| format!("{PREFIX}{}{flag}", path(&verbs[..depth]))));
    } else if path(verbs) == "GENERATE_" && OF_GENERATE.contains(&flag.as_str()) {
        names.push(format!("{PREFIX}{flag}"));
    }
    names
}

/// `LOG_EXPORT_` for `log export`; nothing for the command itself.
fn path(verbs: &[&Command]) -> String {
    verbs.iter().skip(1).map(|verb| upper(verb.get_name()) + "_").collect()
}

fn upper(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// The part of the variable that is the flag's; of arguments without a flag only shared ones have it.
fn name_of(arg: &Arg) -> Option<String> {
    match arg.get_long() {
        Some(long) => (!arg.is_hide_set()).then(|| upper(long)),
        None => Some(upper(arg.get_id().as_str())).filter(|name| SHARED.contains(&name.as_str())),
    }
}

fn long_of(arg: &Arg) -> Option<String> {
    arg.get_long().map(|long| format!("--{long}"))
}

fn conflict(verb: &Command, a: &Arg, b: &Arg) -> bool {
    let excludes = |a: &Arg, b: &Arg| verb.get_arg_conflicts_with(a).iter().any(|arg| arg.get_id() == b.get_id());
    let in_group = |group: &clap::ArgGroup| {
        let has = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
        has(a) && has(b) && !group.clone().is_multiple()
    };
    a.get_id() != b.get_id() && (excludes(a, b) || excludes(b, a) || verb.get_groups().any(in_group))
}

/// The values that a variable has: several for a flag that can be repeated.
fn values(arg: &Arg, value: &OsStr) -> impl Iterator<Item = OsString> {
    let separator = match arg.get_action() {
        ArgAction::Append if name_of(arg).as_deref() == Some(ONE_A_LINE) => Some(b'\n'),
        ArgAction::Append => Some(b','),
        _ => None,
    };
    let items = value.as_bytes().split(move |byte| Some(*byte) == separator);
    items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()).map(|item| OsString::from_vec(item.to_vec()))
}

/// `--flag=value`, or a value in its place.
fn word(arg: &Arg, value: &OsStr) -> OsString {
    let mut word = match long_of(arg) {
        Some(long) => OsString::from(long + "="),
        // Not taken for a flag.
        None if value.as_bytes().starts_with(b"-") => OsString::from("./"),
        None => OsString::new(),
    };
    word.push(value);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().map(|(name, value)| (format!("{PREFIX}{name}").into(), value.into())))
    }

    fn applied(variables: &[(&str, &str)], words: &[&str]) -> Vec<String> {
        let words = ["op-conductor-init"].iter().chain(words).map(OsString::from).collect();
        let line = environment(variables).apply(&super::super::command(), words);
        line.words.into_iter().skip(1).map(|word| word.into_string().unwrap()).collect()
    }

    /// Of each flag of each verb: the verb, the flag, the variables.
    fn all() -> Vec<(String, String, Vec<String>)> {
        let command = super::super::command();
        let mut all = Vec::new();
        for_each_verb(&mut vec![&command], &mut |verbs| {
            let verb = &verbs[verbs.len() - 1];
            for arg in verb.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let names = variables(verbs, arg);
                all.push((path(verbs), long_of(arg).unwrap(), names));
            }
        });
        all
    }

    #[test]
    fn every_flag_of_every_verb_has_its_variable_but_overrides_of_guards() {
        assert!(all().len() > 50);
        for (verb, flag, names) in all() {
            let name = upper(flag.trim_start_matches("--"));
            if OVERRIDES.contains(&name.as_str()) {
                assert_eq!(names, Vec::<String>::new(), "{verb}{flag}");
            } else {
                assert_eq!(names[0], format!("{PREFIX}{verb}{name}"), "{verb}{flag}");
            }
        }
    }

    #[test]
    fn names_without_a_verb_are_those_of_harmless_flags_and_of_the_go_tool() {
        for (verb, flag, names) in all() {
            let name = upper(flag.trim_start_matches("--"));
            let short = names.contains(&format!("{PREFIX}{name}"));
            let may = verb.is_empty()
                || SHARED.contains(&name.as_str())
                || (verb == "GENERATE_" && OF_GENERATE.contains(&name.as_str()));
            assert_eq!(short, may, "{verb}{flag}");
        }
    }

    #[test]
    fn one_name_means_one_flag() {
        let mut flags = BTreeMap::<String, String>::new();
        for (_, flag, names) in all() {
            for name in names {
                assert_eq!(flags.entry(name.clone()).or_insert_with(|| flag.clone()), &flag, "{name}");
            }
        }
    }

    #[test]
    fn help_names_the_variables_of_each_flag() {
        let command = super::super::command();
        for_each_verb(&mut vec![&command], &mut |verbs| {
            for Flag { arg, variables } in flags(verbs).into_iter().filter(|flag| flag.arg.get_long().is_some()) {
                let help = arg.get_long_help().unwrap().to_string();
                assert!(help.contains(&format!("[env: {}]", variables[0])), "{}: {help}", path(verbs));
            }
        });
    }

    #[test]
    fn a_value_is_trimmed_and_an_empty_one_is_unset() {
        assert_eq!(applied(&[("INFO_STATE_DIR", " a b\n"), ("FORMAT", " \n")], &["info"]), ["info", "--state-dir=a b"]);
    }

    #[test]
    fn the_verbs_own_variable_goes_before_the_shared_one() {
        let both = [("STATE_DIR", "shared"), ("LOG_EXPORT_STATE_DIR", "own")];
        assert_eq!(applied(&both, &["log", "export"]), ["log", "export", "--state-dir=own"]);
        assert_eq!(applied(&both, &["log"]), ["log", "--state-dir=shared"]);
        assert_eq!(applied(&[("LOG_STATE_DIR", "a")], &["log", "stats"]), ["log", "stats", "--state-dir=a"]);
    }

    #[test]
    fn a_flag_goes_before_its_variable() {
        assert_eq!(applied(&[("STATE_DIR", "a")], &["info", "--state-dir", "b"]), ["info", "--state-dir", "b"]);
        let force = ["restore", "--force=false"];
        assert_eq!(applied(&[("RESTORE_FORCE", "1")], &force), force);
    }

    #[test]
    fn a_flag_goes_before_the_variable_of_a_flag_that_it_conflicts_with() {
        let words = ["compact", "--state-dir=a", "--in-place"];
        assert_eq!(applied(&[("COMPACT_OUTPUT_DIR", "b")], &words), words);
    }

    #[test]
    fn force_of_generate_forces_no_restore() {
        assert_eq!(applied(&[("FORCE", "1")], &["restore"]), ["restore"]);
        assert_eq!(applied(&[("FORCE", "1")], &["generate"]), ["generate", "--force=1"]);
    }

    #[test]
    fn a_repeatable_flag_takes_commas() {
        let ignored = ["verify", "--ignore=A", "--ignore=B"];
        assert_eq!(applied(&[("VERIFY_IGNORE", "A, B,\n")], &["verify"]), ignored);
    }

    #[test]
    fn values_stand_before_the_words_that_are_no_flags() {
        assert_eq!(applied(&[("FORMAT", "json")], &["explain", "--", "X"]), ["explain", "--format=json", "--", "X"]);
    }

    #[test]
    fn a_directory_of_backups_needs_no_flag() {
        assert_eq!(applied(&[("BACKUP_DIR", "b")], &["backups", "list"]), ["backups", "list", "b"]);
        assert_eq!(applied(&[("BACKUP_DIR", "-b")], &["backups", "list"]), ["backups", "list", "./-b"]);
        assert_eq!(applied(&[("BACKUP_DIR", "b")], &["backups", "list", "c"]), ["backups", "list", "c"]);
    }

    #[test]
    fn a_name_that_means_nothing_is_reported_with_the_nearest_one() {
        let warnings = |name| environment(&[(name, "x")]).warnings(&super::super::command());
        assert_eq!(
            warnings("VERIFY_EXPECTED"),
            [
                "warning: the variable OP_CONDUCTOR_INIT_VERIFY_EXPECTED has no effect: no flag has this name; the nearest name is OP_CONDUCTOR_INIT_VERIFY_EXPECT"
            ]
        );
        assert_eq!(warnings("QQQ").len(), 1);
        for name in ["LOG_LEVEL", "STATE_DIR", "RESTORE_FORCE", "SERVICE_HOST", "PORT_80_TCP"] {
            assert_eq!(warnings(name), Vec::<String>::new(), "{name}");
        }
        // Overrides of guards have none, and whoever sets one must know.
        assert_eq!(warnings("RESTORE_ALLOW").len(), 1);
    }
}
