//! flock with a deadline.

use std::fs::File;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often to ask again. (bbolt bolt_unix.go flockRetryTimeout)
const POLL: Duration = Duration::from_millis(50);

/// Takes the exclusive flock, asking at least once; says whether it was had before `deadline`.
pub(crate) fn flock_until(file: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        sleep(left.min(POLL));
    }
}
