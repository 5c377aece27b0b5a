//! One entry of the log.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::Error;

/// Position of an entry in the log; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Index(pub u64);

impl Index {
    /// The key in the log store: 8 bytes big endian. (raft-boltdb v2/util.go uint64ToBytes)
    pub const fn to_key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The index of a key.
    ///
    /// raft-boltdb panics on a key of less than 8 bytes and cuts a longer one off; both are refused here.
    pub fn from_key(key: &[u8]) -> Result<Index, Error> {
        let bytes = key.try_into().map_err(|_| Error::KeyLen { len: key.len() })?;
        Ok(Index(u64::from_be_bytes(bytes)))
    }
}

/// Number of an election period. Terms of a log never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an entry is for. (hashicorp/raft log.go LogType)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogType {
    /// Applied to the state machine: in op-conductor, an unsafe payload.
    Command,
    /// Written by a leader that has just won.
    Noop,
    /// Legacy: a list of peers with one more.
    AddPeerDeprecated,
    /// Legacy: a list of peers with one less.
    RemovePeerDeprecated,
    /// Waits until all before it is applied.
    Barrier,
    /// A new configuration of the cluster.
    Configuration,
    /// Nothing that raft up to 1.8.0 knows.
    Unknown(u8),
}

impl LogType {
    /// The number on disk.
    pub const fn to_byte(self) -> u8 {
        match self {
            LogType::Command => 0,
            LogType::Noop => 1,
            LogType::AddPeerDeprecated => 2,
            LogType::RemovePeerDeprecated => 3,
            LogType::Barrier => 4,
            LogType::Configuration => 5,
            LogType::Unknown(byte) => byte,
        }
    }

    /// The type with this number.
    pub const fn from_byte(byte: u8) -> LogType {
        match byte {
            0 => LogType::Command,
            1 => LogType::Noop,
            2 => LogType::AddPeerDeprecated,
            3 => LogType::RemovePeerDeprecated,
            4 => LogType::Barrier,
            5 => LogType::Configuration,
            other => LogType::Unknown(other),
        }
    }
}

impl fmt::Display for LogType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LogType::Command => "Command",
            LogType::Noop => "Noop",
            LogType::AddPeerDeprecated => "AddPeer",
            LogType::RemovePeerDeprecated => "RemovePeer",
            LogType::Barrier => "Barrier",
            LogType::Configuration => "Configuration",
            LogType::Unknown(byte) => return write!(f, "Unknown({byte})"),
        })
    }
}

/// One entry. `None` is Go's nil slice, which has other bytes than an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log<'a> {
    /// Where it stands.
    pub index: Index,
    /// The term of the leader that made it.
    pub term: Term,
    /// What it is for.
    pub kind: LogType,
    /// What it carries.
    pub data: Option<Cow<'a, [u8]>>,
    /// Middleware's own bytes; op-conductor has none.
    pub extensions: Option<Cow<'a, [u8]>>,
    /// When the leader appended it.
    pub appended_at: AppendedAt,
}

/// A time as Go's `MarshalBinary` has it: seconds since the year 1, nanoseconds, minutes east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedAt {
    /// Seconds since 0001-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nanos: u32,
    /// Minutes east of UTC; -1 means UTC itself.
    pub zone: i16,
}

impl AppendedAt {
    /// Go's zero time: what an entry that no leader appended has.
    pub const ZERO: AppendedAt = AppendedAt { seconds: 0, nanos: 0, zone: -1 };
    /// Seconds from the year 1 to 1970.
    const UNIX_EPOCH: i64 = 62_135_596_800;

    /// From seconds since 1970, in UTC.
    pub const fn from_unix(seconds: i64, nanos: u32) -> AppendedAt {
        AppendedAt { seconds: seconds.saturating_add(Self::UNIX_EPOCH), nanos, zone: -1 }
    }

    /// Whether it is the zero time.
    pub const fn is_zero(&self) -> bool {
        self.seconds == 0 && self.nanos == 0
    }

    /// The same as a timestamp; none for zero and for years that no calendar here has.
    pub fn timestamp(&self) -> Option<jiff::Timestamp> {
        let seconds = self.seconds.checked_sub(Self::UNIX_EPOCH)?;
        let nanos = i32::try_from(self.nanos).ok()?;
        (!self.is_zero()).then(|| jiff::Timestamp::new(seconds, nanos).ok()).flatten()
    }
}
