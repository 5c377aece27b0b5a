//! Text for people: tables, counts, sizes.

use comfy_table::{Table, presets};
use op_conductor_init::raft::LogSummary;

/// A table without lines, indented by two spaces.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| format!("  {}\n", line.trim_end())).collect();
    lines.concat()
}

/// Lines of at most 80 columns, indented by two.
pub(super) fn wrapped(text: &str) -> String {
    let options = textwrap::Options::new(80)
        .initial_indent("  ")
        .subsequent_indent("  ")
        .break_words(false)
        // A flag or a name with a hyphen stays whole.
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options) + "\n"
}

/// First and last index of a log.
pub(super) fn index_range(log: &LogSummary) -> String {
    match (log.first, log.last) {
        (Some((first, _)), Some((last, _))) => format!("{first}..{last}"),
        _ => "-".to_owned(),
    }
}

/// `1 entry`, `2 entries`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Bytes with a unit that leaves at most four digits.
pub(super) fn bytes(len: u64) -> String {
    match len {
        0..10_240 => format!("{len} B"),
        10_240..10_485_760 => format!("{} KiB", len / 1024),
        10_485_760..10_737_418_240 => format!("{} MiB", len / (1024 * 1024)),
        _ => format!("{} GiB", len / (1024 * 1024 * 1024)),
    }
}

/// A value that was read, or the word for one that could not be.
pub(super) fn known(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| "unreadable".to_owned(), |value| value.to_string())
}
