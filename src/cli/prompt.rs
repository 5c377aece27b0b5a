//! A question on the terminal, while something is staged that a signal must not leave behind.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::Builder;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::failure::Failure;

/// What ended the wait.
enum Event {
    Line(io::Result<String>),
    Signal(i32),
}

/// Asks on stderr; anything but yes is no. A signal is an error that the caller returns with, so that it cleans up on its
/// way; after the answer signals end the process as ever.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    let fail = |error: io::Error| Failure::unable(anyhow::Error::new(error).context("asking"));
    let (send, events) = channel();
    let is_answered = Arc::new(AtomicBool::new(false));
    // First: an answer may come as soon as the question is there.
    watch_signals(send.clone(), Arc::clone(&is_answered)).map_err(fail)?;
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(fail)?;
    let read = move || drop(send.send(Event::Line(read_line())));
    // Without a thread to spare a signal ends the process at once, and the next command cleans up.
    let line = match Builder::new().spawn(read) {
        Ok(_) => match events.recv() {
            Ok(Event::Signal(signal)) => return Err(Failure::cancelled(signal)),
            Ok(Event::Line(line)) => line,
            Err(_) => read_line(),
        },
        Err(_) => read_line(),
    };
    is_answered.store(true, Ordering::SeqCst);
    let line = line.map_err(fail)?;
    Ok(["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()))
}

fn read_line() -> io::Result<String> {
    let mut line = Vec::new();
    io::stdin().lock().read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn watch_signals(send: Sender<Event>, is_answered: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let watch = move || {
        for signal in &mut signals {
            if is_answered.load(Ordering::SeqCst) || send.send(Event::Signal(signal)).is_err() {
                // Nothing waits for it any more.
                let _ = emulate_default_handler(signal);
            }
        }
    };
    Builder::new().spawn(watch).map(drop)
}
