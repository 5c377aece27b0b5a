//! What users of op-cdtr type, and what they type here: its verbs are answered, and its variables are reported.

use std::ffi::{OsStr, OsString};

use super::failure::Failure;

const PREFIX: &str = "OP_CDTR_";
/// Flags that mean the same here; the first name is op-cdtr's.
const FLAGS: [(&str, &str); 5] = [
    ("--nodes", "--nodes"),
    ("--server-ids", "--server-ids"),
    ("--initial-leader", "--initial-leader"),
    ("--block-number", "--block"),
    ("--block-hash", "--block"),
];
/// Verbs of `recover` here: op-cdtr's has none.
const OF_RECOVER: [&str; 4] = ["plan", "apply", "collect", "help"];

/// The answer to a verb of op-cdtr that is not one here.
pub(super) fn answer(words: &[OsString]) -> Option<Failure> {
    let words: Vec<&str> = words.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let (what, instead) = match words.as_slice() {
        ["raft", "recover", rest @ ..] if !is_ours(rest) => (
            "`raft recover`: here a recovery is planned once, for all servers, and then applied on each machine",
            format!(
                "op-conductor-init recover plan DIR...{} --output plan.json, then op-conductor-init recover apply plan.json --state-dir DIR --only ID",
                carried(rest)
            ),
        ),
        ["raft", "edit", rest @ ..] => (
            "`raft edit unsafehead`: an entry on one server alone can part the logs, so the head is set for all servers at once",
            format!(
                "op-conductor-init recover plan DIR...{} --output plan.json, then recover apply; for a new cluster: op-conductor-init generate --execution-rpc URL",
                carried(rest)
            ),
        ),
        ["raft", "search", rest @ ..] => ("`raft search`", search(rest)),
        ["bootstrap", ..] => (
            "`bootstrap cluster`: no changed op-conductor is needed here",
            "op-conductor-init generate --execution-rpc URL ..., then start op-conductor with --raft.bootstrap=false"
                .to_owned(),
        ),
        _ => return None,
    };
    Some(Failure::unable(anyhow::anyhow!("{what}")).with_hint(Some(instead)))
}

fn is_ours(rest: &[&str]) -> bool {
    let help = ["--help", "-h"];
    rest.first().is_none_or(|word| OF_RECOVER.contains(word) || help.contains(word))
}

fn search(rest: &[&str]) -> String {
    let block = value(rest, "--block-number").map(|block| format!(" --block {block}"));
    let index = value(rest, "--index").map(|index| format!(" --index {index}"));
    let range = value(rest, "--start-index").zip(value(rest, "--end-index"));
    let range = range.map(|(start, end)| format!(" --index {start}..{end}"));
    let rest_of = [("--term", value(rest, "--term")), ("--type", value(rest, "--type"))];
    let flags = rest_of.into_iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", value?.to_lowercase())));
    if rest.contains(&"--latest") {
        return "op-conductor-init info --state-dir DIR shows the latest block, also of a snapshot; op-conductor-init log --state-dir DIR ~1 the last entry".to_owned();
    }
    let flags: String = block.into_iter().chain(index).chain(range).chain(flags).collect();
    format!("op-conductor-init log search --state-dir DIR{flags}")
}

/// The flags that were given, by their names here. A URL may hold a key, and is not repeated.
fn carried(rest: &[&str]) -> String {
    let of = |(theirs, ours): (&str, &str)| value(rest, theirs).map(|value| format!(" {ours} {value}"));
    let url = value(rest, "--execution-rpc").map(|_| " --execution-rpc URL".to_owned());
    FLAGS.into_iter().filter_map(of).chain(url).collect()
}

/// The value of `--flag value` or `--flag=value`.
fn value<'a>(words: &[&'a str], flag: &str) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(flag)? {
        "" => words.get(at + 1).copied(),
        rest => rest.strip_prefix('='),
    })
}

/// A line for each variable of op-cdtr that is set.
pub(super) fn warnings(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    let theirs = variables.into_iter().filter(|(_, value)| value != OsStr::new(""));
    let mut names: Vec<String> = theirs.filter_map(|(name, _)| name.into_string().ok()).collect();
    names.retain(|name| name.starts_with(PREFIX));
    names.sort();
    let line = |name: &String| {
        let flag = name.strip_prefix(PREFIX).unwrap_or_default();
        format!(
            "warning: the variable {name} is op-cdtr's and has no effect: here it is OP_CONDUCTOR_INIT_<VERB>_{flag}, such as OP_CONDUCTOR_INIT_GENERATE_{flag}"
        )
    };
    names.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        answer(&words).map(|failure| failure.to_string())
    }

    #[test]
    fn each_verb_of_op_cdtr_is_answered_with_what_to_type() {
        let hint = |line: &str| answered(line).unwrap().split_once("hint: ").unwrap().1.to_owned();
        assert_eq!(
            hint(
                "x raft recover --nodes a:1,b:2 --server-ids=a,b --initial-leader a --execution-rpc http://key@h --block-number 7 --force"
            ),
            "op-conductor-init recover plan DIR... --nodes a:1,b:2 --server-ids a,b --initial-leader a --block 7 --execution-rpc URL --output plan.json, then op-conductor-init recover apply plan.json --state-dir DIR --only ID"
        );
        assert!(
            hint("x raft edit unsafehead --execution-rpc http://h")
                .starts_with("op-conductor-init recover plan DIR... --execution-rpc URL")
        );
        assert_eq!(
            hint("x raft search --block-number 5 --term 3 --type Command"),
            "op-conductor-init log search --state-dir DIR --block 5 --term 3 --type command"
        );
        assert_eq!(
            hint("x raft search --start-index 5 --end-index 9"),
            "op-conductor-init log search --state-dir DIR --index 5..9"
        );
        assert!(hint("x raft search --latest").contains("info"));
        assert!(hint("x bootstrap cluster --a").contains("generate"));
    }

    #[test]
    fn verbs_of_ours_are_not_answered() {
        for line in [
            "x raft generate",
            "x raft recover plan d",
            "x raft recover --help",
            "x raft info",
            "x recover plan d",
            "x",
        ] {
            assert_eq!(answered(line), None, "{line}");
        }
    }

    #[test]
    fn its_variables_are_reported_with_the_name_here() {
        let variables = [("OP_CDTR_NODES", "a"), ("OP_CDTR_EMPTY", ""), ("OTHER", "b")];
        let found = warnings(variables.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("OP_CDTR_NODES") && found[0].contains("OP_CONDUCTOR_INIT_GENERATE_NODES"),
            "{found:?}"
        );
    }
}
