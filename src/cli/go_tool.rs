//! Words that scripts of the Go tool of this name use, and that mean nothing here.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Flags of its log, and whether the value may be the next word.
const LOG_FLAGS: [(&str, bool); 4] =
    [("--log.level", true), ("--log.format", true), ("--log.color", false), ("--log.pid", false)];

/// The words without `raft` in front of the verb, and without the flags of the log. So neither is ever in help, in
/// completions, or suggested.
pub(super) fn without_its_words(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut words: Vec<OsString> = args.next().into_iter().collect();
    while let Some(word) = args.next() {
        if word == "--" {
            words.push(word);
            words.extend(args);
            break;
        }
        let flag = LOG_FLAGS.iter().find(|(flag, _)| is(&word, flag));
        match flag {
            // The value, when it isn't in the same word.
            Some((flag, true)) if word == *flag => drop(args.next()),
            Some(_) => {}
            None if words.len() == 1 && word == "raft" => {}
            None => words.push(word),
        }
    }
    words
}

/// `--flag` or `--flag=value`.
fn is(word: &OsString, flag: &str) -> bool {
    word.as_bytes().strip_prefix(flag.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(words: &[&str]) -> Vec<String> {
        let words = ["op-conductor-init"].iter().chain(words).map(OsString::from);
        without_its_words(words).into_iter().skip(1).map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn words_without_a_meaning_are_left_out() {
        assert_eq!(left(&["raft", "info"]), ["info"]);
        assert_eq!(left(&["--log.level", "debug", "info", "--log.color", "--log.pid=true"]), ["info"]);
        assert_eq!(left(&["--log.format=json", "raft", "info"]), ["info"]);
    }

    #[test]
    fn other_words_stay() {
        assert_eq!(left(&["info", "raft", "--log.levels"]), ["info", "raft", "--log.levels"]);
        assert_eq!(left(&["log", "--", "--log.level"]), ["log", "--", "--log.level"]);
    }
}
