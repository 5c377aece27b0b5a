//! flock with a deadline.

use std::io;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often to ask again. (bbolt bolt_unix.go flockRetryTimeout)
const POLL: Duration = Duration::from_millis(50);

/// Who else may hold a lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody.
    Exclusive,
    /// Others who only read.
    Shared,
}

/// Takes the flock if it is free, and says so.
pub(crate) fn try_flock(file: impl AsFd, kind: Kind) -> io::Result<bool> {
    let operation = match kind {
        Kind::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Kind::Shared => FlockOperation::NonBlockingLockShared,
    };
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes the flock, asking at least once; says whether it was had before `deadline`.
pub(crate) fn flock_until(file: impl AsFd, kind: Kind, deadline: Instant) -> io::Result<bool> {
    loop {
        if try_flock(&file, kind)? {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        sleep(left.min(POLL));
    }
}
