//! Values of flags that clap doesn't know.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PathBufValueParser, TypedValueParser};
use jiff::SignedDuration;
use op_conductor_init::bolt::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, is_page_size};
use op_conductor_init::durable::Owner;

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// `uid:gid`, both numbers: the names of this machine mean nothing inside a container.
pub(crate) fn owner(text: &str) -> Result<Owner, String> {
    let parsed = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    let (uid, gid) = parsed.ok_or("expected two numbers, such as 1000:1000")?;
    // chown(2): this number leaves the owner as it is.
    if [uid, gid].contains(&u32::MAX) {
        return Err(format!("expected numbers below {}", u32::MAX));
    }
    Ok(Owner { uid, gid })
}

pub(crate) fn page_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| is_page_size(*size));
    size.ok_or_else(|| format!("expected a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}"))
}

/// A file that is written besides the answer.
pub(crate) fn other_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.as_os_str() == "-" {
        true => Err("expected a file: standard output has the answer"),
        false => Ok(path),
    })
}

/// Such as `1s`, `500ms`, `1m 30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    // A deadline further away than a day is a typing error, and too far for the clock in the end.
    let parsed = parsed.filter(|duration| *duration <= Duration::from_hours(24));
    parsed.ok_or_else(|| "expected a time of at most a day, such as 1s or 500ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers() {
        assert_eq!(owner("1000:2000"), Ok(Owner { uid: 1000, gid: 2000 }));
        for bad in ["", "1000", "1000:", ":1", "root:root", "-1:0", "1:2:3", "4294967296:0"] {
            assert!(owner(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_page_size_is_one_of_seven() {
        assert_eq!(page_size("1024"), Ok(1024));
        assert_eq!(page_size("65536"), Ok(65536));
        for bad in ["", "0", "512", "4095", "131072", "4k"] {
            assert!(page_size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "1", "-1s", "25h", "s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
