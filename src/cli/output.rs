//! What people and programs see: the answer on stdout, all else on stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use serde::Serialize;

use super::failure::Failure;

/// Whether only errors are written.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Version of the answers of all verbs. Keys are only ever added while it is 1.
const FORMAT_VERSION: u32 = 1;

/// An answer with the version of its form in front.
#[derive(Serialize)]
struct Versioned<'a, T> {
    format_version: u32,
    #[serde(flatten)]
    answer: &'a T,
}

impl<T> Versioned<'_, T> {
    fn new(answer: &T) -> Versioned<'_, T> {
        Versioned { format_version: FORMAT_VERSION, answer }
    }
}

/// From now on only errors are written, and what a question is about.
pub(super) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes an answer for people to stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    if is_quiet() { Ok(()) } else { print_before_question(text) }
}

/// Writes to stdout what the next question is about.
pub(super) fn print_before_question(text: &str) -> Result<(), Failure> {
    write_stdout(printable(text).as_bytes())
}

/// Writes an answer for programs to stdout: one JSON object, with `format_version`.
pub(super) fn print_json(answer: &impl Serialize) -> Result<(), Failure> {
    if is_quiet() {
        return Ok(());
    }
    let mut text = serde_json::to_vec_pretty(&Versioned::new(answer)).context("writing the answer as JSON");
    if let Ok(text) = &mut text {
        text.push(b'\n');
    }
    // Control characters are escaped already.
    write_stdout(&text.map_err(Failure::unable)?)
}

/// Writes why a call failed to stdout, for programs: one line, after what was written before.
pub(super) fn print_error(error: &impl Serialize) {
    #[derive(Serialize)]
    struct Failed<'a, T> {
        error: &'a T,
    }
    if let Ok(line) = serde_json::to_vec(&Versioned::new(&Failed { error })) {
        // The exit status says it too.
        let _ = write_stdout(&[&line, &b"\n"[..]].concat());
    }
}

fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    match io::stdout().lock().write_all(bytes) {
        // `| head` has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to stdout").map_err(Failure::unable),
    }
}

/// Writes a note or a warning to stderr.
pub(super) fn notice(line: impl Display) {
    if !is_quiet() {
        error(line);
    }
}

/// Writes an error to stderr.
pub(super) fn error(line: impl Display) {
    // There is no way to report that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{}", printable(&line.to_string()));
}

/// Text in which names that come from files can't move the cursor: control characters are escaped, but for line ends.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => vec![c],
        c if c.is_control() => c.escape_default().collect(),
        c => vec![c],
    };
    text.chars().flat_map(shown).collect()
}

/// Standard output for long answers: lines as they come, and the quiet end of a pipe that has had enough.
pub(super) struct Lines(Option<BufWriter<io::StdoutLock<'static>>>);

/// Whether somebody still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Present,
    Gone,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines((!is_quiet()).then(|| BufWriter::new(io::stdout().lock())))
    }

    /// A line for people.
    pub(super) fn text(&mut self, line: &str) -> Result<Reader, Failure> {
        let Some(stdout) = &mut self.0 else { return Ok(Reader::Present) };
        reader(stdout.write_all(printable(line).as_bytes()).and_then(|()| stdout.write_all(b"\n")))
    }

    /// A line for programs: one JSON object, with `format_version`.
    pub(super) fn json(&mut self, line: &impl Serialize) -> Result<Reader, Failure> {
        self.raw_json(&Versioned::new(line))
    }

    /// A line of JSON that has a form of its own.
    pub(super) fn raw_json(&mut self, line: &impl Serialize) -> Result<Reader, Failure> {
        let Some(stdout) = &mut self.0 else { return Ok(Reader::Present) };
        let written = serde_json::to_writer(&mut *stdout, line).map_err(io::Error::from);
        reader(written.and_then(|()| stdout.write_all(b"\n")))
    }

    pub(super) fn end(mut self) -> Result<Reader, Failure> {
        reader(self.0.as_mut().map_or(Ok(()), Write::flush))
    }
}

fn reader(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::Present),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::unable(anyhow::Error::new(error).context("writing to stdout"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_cannot_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\u{9b}ü"), "a\\u{1b}[2Jb\\r\nc\\u{9b}ü");
    }

    #[test]
    fn an_answer_begins_with_the_version_of_its_form() {
        let answer = serde_json::json!({"a": 1});
        assert_eq!(serde_json::to_string(&Versioned::new(&answer)).unwrap(), r#"{"format_version":1,"a":1}"#);
    }
}
