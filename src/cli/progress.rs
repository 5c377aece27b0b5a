//! A progress bar on stderr, for what takes longer than a second.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use op_conductor_init::report::Progress;

/// A shorter job needs no bar.
const SOON: Duration = Duration::from_secs(1);
/// The bar is updated after this many bytes or entries.
const BYTES_A_STEP: u64 = 1 << 20;
const ENTRIES_A_STEP: u64 = 1 << 10;

/// A bar that appears after a second, only on a terminal, and is gone at the end.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    start: Instant,
    step: u64,
    /// Done since the last update.
    done: Cell<u64>,
}

impl Bar {
    /// For a job that is measured in bytes; their number becomes known as it goes.
    pub(super) fn bytes(job: &'static str) -> Bar {
        Bar::new(job, 0, "{binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}", BYTES_A_STEP)
    }

    /// For a job over `count` entries that prints as it goes: there is no bar on the terminal that it prints to.
    pub(super) fn entries(job: &'static str, count: u64) -> Bar {
        let step = if io::stdout().is_terminal() { u64::MAX } else { ENTRIES_A_STEP };
        Bar::new(job, count, "{human_pos} of {human_len} entries", step)
    }

    fn new(job: &'static str, len: u64, amount: &str, step: u64) -> Bar {
        let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {amount}, {{eta}} left"));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(job);
        Bar { bar, start: Instant::now(), step, done: Cell::new(0) }
    }
}

impl Progress for Bar {
    fn expect(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    fn advance(&self, bytes: u64) {
        let done = self.done.get().saturating_add(bytes);
        if done < self.step {
            return self.done.set(done);
        }
        self.done.set(0);
        self.bar.inc(done);
        if self.bar.is_hidden() && self.start.elapsed() >= SOON {
            // Still hidden where stderr is not a terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
