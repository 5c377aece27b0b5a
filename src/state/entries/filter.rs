//! Which entries are wanted.

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::payload::{Hash, Head};
use crate::raft::{Index, Log, LogType, Term};

use super::Bounds;

/// Indexes of a log, as people name them: `10..20` (both included), `10..`, `..20`, `15`, `~10` (the last ten).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indexes {
    /// From one to another.
    Between(Span),
    /// So many at the end.
    Last(u64),
}

/// Numbers from one to another, both included: `10..20`, `10..`, `..20` or `15`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span(pub RangeInclusive<u64>);

/// A block, by what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Its number, or a span of them.
    Numbers(Span),
    /// Its hash, or how it begins: hexadecimal digits in lower case.
    Hash(String),
}

/// Conditions on entries; what is not set holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these types.
    pub kinds: Vec<LogType>,
    /// Of these terms.
    pub terms: Option<Span>,
    /// With this block.
    pub block: Option<Block>,
    /// Appended by its leader at this time or later. Entries of a generated log have no time.
    pub since: Option<jiff::Timestamp>,
}

impl Default for Indexes {
    fn default() -> Indexes {
        Indexes::Between(Span(0..=u64::MAX))
    }
}

impl Indexes {
    /// First and last index, in a log with these bounds.
    pub fn within(&self, bounds: Bounds) -> RangeInclusive<Index> {
        match self {
            Indexes::Between(Span(span)) => Index(*span.start())..=Index(*span.end()),
            Indexes::Last(count) => {
                let last = bounds.map_or(0, |(_, last)| last.0);
                // A running node goes on: entries that it appends from now on are among the last ones too.
                Index(last.saturating_sub(*count).saturating_add(1))..=Index(u64::MAX)
            }
        }
    }
}

impl FromStr for Indexes {
    type Err = String;

    fn from_str(text: &str) -> Result<Indexes, String> {
        match text.strip_prefix('~') {
            Some(count) => match count.parse() {
                Ok(count) if count > 0 => Ok(Indexes::Last(count)),
                _ => Err("expected how many of the last entries, such as ~10".to_owned()),
            },
            None => text.parse().map(Indexes::Between),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let number = |text: &str, open: u64| if text.is_empty() { Ok(open) } else { text.parse::<u64>() };
        let bounds = match text.split_once("..") {
            Some((from, to)) => number(from, 0).and_then(|from| Ok((from, number(to, u64::MAX)?))),
            None => text.parse().map(|one| (one, one)),
        };
        match bounds {
            Ok((from, to)) if from <= to => Ok(Span(from..=to)),
            Ok((from, to)) => Err(format!("the range starts at {from} and ends at {to}")),
            Err(_) => Err("expected a number, or a span such as 10..20, 10.. or ..20".to_owned()),
        }
    }
}

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Block, String> {
        let Some(digits) = text.strip_prefix("0x") else {
            return text.parse().map(Block::Numbers).map_err(|error| format!("{error}, or a hash that begins with 0x"));
        };
        let is_hash = (1..=64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = is_hash.then(|| Block::Hash(digits.to_ascii_lowercase()));
        hash.ok_or_else(|| "expected a hash: 0x and up to 64 hexadecimal digits".to_owned())
    }
}

impl Block {
    /// Whether it is this block.
    pub fn is(&self, head: &Head) -> bool {
        match self {
            Block::Numbers(Span(numbers)) => numbers.contains(&head.number),
            Block::Hash(digits) => has_prefix(head.hash, digits),
        }
    }
}

fn has_prefix(hash: Hash, digits: &str) -> bool {
    hash.to_string()[2..].starts_with(digits)
}

impl Filter {
    /// Whether an entry is wanted.
    pub fn wants(&self, log: &Log<'_>) -> bool {
        let Term(term) = log.term;
        let kind = self.kinds.is_empty() || self.kinds.contains(&log.kind);
        let since = |since| log.appended_at.timestamp().is_some_and(|time| time >= since);
        kind && self.terms.as_ref().is_none_or(|Span(terms)| terms.contains(&term))
            && self.since.is_none_or(since)
            && self.block.as_ref().is_none_or(|block| head(log).is_some_and(|head| block.is(&head)))
    }
}

/// The block that an entry carries.
fn head(log: &Log<'_>) -> Option<Head> {
    (log.kind == LogType::Command).then(|| Head::peek(log.data.as_deref()?).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::AppendedAt;

    #[test]
    fn spans_are_written_as_people_do() {
        let span = |text: &str| text.parse::<Span>().map(|Span(span)| span);
        assert_eq!(span("10..20"), Ok(10..=20));
        assert_eq!(span("10.."), Ok(10..=u64::MAX));
        assert_eq!(span("..20"), Ok(0..=20));
        assert_eq!(span("15"), Ok(15..=15));
        assert_eq!(span("20..10"), Err("the range starts at 20 and ends at 10".to_owned()));
        for bad in ["", "a", "1..2..3", "-1", "18446744073709551616"] {
            assert!(span(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_last_ones_are_counted_from_the_end() {
        let last: Indexes = "~10".parse().unwrap();
        assert_eq!(last.within(Some((Index(5), Index(100)))), Index(91)..=Index(u64::MAX));
        assert_eq!(last.within(Some((Index(5), Index(7)))).start(), &Index(1));
        assert_eq!(last.within(None).start(), &Index(1));
        assert!("~0".parse::<Indexes>().is_err() && "~".parse::<Indexes>().is_err());
    }

    #[test]
    fn each_condition_counts() {
        let data = include_bytes!("../../../tests/vectors/payload/v3.ssz");
        let log = Log {
            index: Index(2),
            term: Term(3),
            kind: LogType::Command,
            data: Some(data[..].into()),
            extensions: None,
            appended_at: AppendedAt::from_unix(1_000, 0),
        };
        let block = |text: &str| Filter { block: Some(text.parse().unwrap()), ..Filter::default() }.wants(&log);
        assert!(Filter::default().wants(&log));
        assert!(block("100") && block("90..100") && block("0xE3ce35") && !block("101") && !block("0x00"));
        let terms = |text: &str| Filter { terms: Some(text.parse().unwrap()), ..Filter::default() }.wants(&log);
        assert!(terms("3") && terms("..3") && !terms("4.."));
        let kinds = |kinds: &[LogType]| Filter { kinds: kinds.to_vec(), ..Filter::default() }.wants(&log);
        assert!(kinds(&[LogType::Noop, LogType::Command]) && !kinds(&[LogType::Noop]));
        let since = |at| {
            let since = jiff::Timestamp::from_second(at).ok();
            (
                Filter { since, ..Filter::default() }.wants(&log),
                Filter { since, ..Filter::default() }.wants(&Log { appended_at: AppendedAt::ZERO, ..log.clone() }),
            )
        };
        assert_eq!((since(1_000), since(1_001)), ((true, false), (false, false)));
    }
}
