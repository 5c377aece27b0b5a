//! `pages FILE show ID`: one page, taken apart.

use std::fmt::Write;
use std::ops::Range;

use op_conductor_init::bolt::{self, PageId, PageKind, PageUse, PageView};

use super::{Database, metas, word};
use crate::cli::text::{bytes, count, table};

/// How many bytes of a key or value are shown.
const SHOWN: usize = 24;
/// Bytes of a line of hexadecimal digits.
const LINE: usize = 16;
/// Bytes of a page's header, and of a bucket's.
const HEADER_LEN: usize = 16;
/// Bytes of an element in the table.
const ELEMENT_LEN: usize = 16;

pub(super) fn page(reader: &Database, id: PageId, hex: bool, redact: bool) -> Result<String, bolt::Error> {
    let view = reader.page(id)?;
    let header = view.header;
    let kind = header.kind().map_or("of no known kind", PageKind::name);
    let used_for = reader.survey()?.use_of(id);
    if redact && used_for == PageUse::Overflow {
        return Ok(format!("Page {id} is overflow of an earlier page's value: hidden.\n"));
    }
    let mut text = format!("Page {id}: {kind}, {} long\n", bytes(view.bytes.len() as u64));
    for (name, value) in [
        ("used as", word(used_for)),
        ("id", header.id.to_string()),
        ("flags", format!("{:#06x}", header.flags)),
        ("count", header.count.to_string()),
        ("overflow", header.overflow.to_string()),
    ] {
        _ = writeln!(text, "  {name:<9} {value}");
    }
    text.push('\n');
    match header.kind() {
        Some(PageKind::Meta) => text += &metas(reader.metas(), reader.file_len()),
        Some(PageKind::Freelist) => text += &free(&view.free),
        Some(PageKind::Branch) => text += &table(&["ELEMENT", "KEY", "PAGE"], rows(&view, redact)),
        Some(PageKind::Leaf) => text += &table(&["ELEMENT", "KEY", "LENGTH", "VALUE"], rows(&view, redact)),
        None => {}
    }
    if hex {
        text.push('\n');
        text += &dump(&view, redact);
    }
    Ok(text)
}

/// The pages of a freelist, neighbours together.
fn free(ids: &[PageId]) -> String {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some(run) if run.end == id.0 => run.end += 1,
            _ => runs.push(id.0..id.0.saturating_add(1)),
        }
    }
    let run = |run: &Range<u64>| match run.end - run.start {
        1 => run.start.to_string(),
        _ => format!("{}..{}", run.start, run.end - 1),
    };
    let list: Vec<String> = runs.iter().map(run).collect();
    let list = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    format!("{}: {list}\n", count(ids.len() as u64, "free page", "free pages"))
}

fn rows(view: &PageView, redact: bool) -> Vec<Vec<String>> {
    let row = |(number, element): (usize, &bolt::ElementView)| {
        let name = key(&view.bytes[element.key.clone()]);
        match element.child {
            Some(child) => vec![number.to_string(), name, child.to_string()],
            None => {
                let value = &view.bytes[element.value.clone()];
                let shown = match (element.is_bucket, redact) {
                    (true, _) => "(a bucket)".to_owned(),
                    (false, true) => "(hidden)".to_owned(),
                    (false, false) => short(value),
                };
                vec![number.to_string(), name, bytes(value.len() as u64), shown]
            }
        }
    };
    view.elements.iter().enumerate().map(row).collect()
}

/// A key as people know it: text, an index, or bytes.
pub(super) fn key(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) => text.to_owned(),
        _ => match <[u8; 8]>::try_from(key) {
            Ok(index) => u64::from_be_bytes(index).to_string(),
            Err(_) => short(key),
        },
    }
}

/// The beginning of some bytes.
fn short(value: &[u8]) -> String {
    let digits = const_hex::encode(&value[..value.len().min(SHOWN)]);
    let more = if value.len() > SHOWN { ".." } else { "" };
    format!("{digits}{more}")
}

/// Whether a byte may be shown to others: headers, element tables, keys, and where buckets begin. All else may be a
/// value, or what is left of one.
fn is_public(view: &PageView, at: usize) -> bool {
    let table_end = HEADER_LEN + ELEMENT_LEN * view.elements.len();
    let in_element = |element: &bolt::ElementView| {
        let bucket = element.value.start..element.value.start + HEADER_LEN;
        element.key.contains(&at) || (element.is_bucket && bucket.contains(&at))
    };
    match view.header.kind() {
        Some(PageKind::Meta | PageKind::Freelist) => true,
        Some(PageKind::Branch | PageKind::Leaf) => at < table_end || view.elements.iter().any(in_element),
        None => at < HEADER_LEN,
    }
}

/// Offset, digits and characters of each line; where something is hidden, dashes.
fn dump(view: &PageView, redact: bool) -> String {
    let mut text = String::new();
    let hidden = |at: usize| redact && !is_public(view, at);
    let mut repeated = None;
    for (number, line) in view.bytes.chunks(LINE).enumerate() {
        let start = number * LINE;
        // A run of zeros, or of nothing to be seen, is one line.
        if number > 0 && line.iter().enumerate().all(|(at, byte)| *byte == 0 || hidden(start + at)) {
            if repeated.replace(()).is_none() {
                text += "*\n";
            }
            continue;
        }
        repeated = None;
        let digit =
            |(at, byte): (usize, &u8)| if hidden(start + at) { "-- ".to_owned() } else { format!("{byte:02x} ") };
        let sign = |(at, byte): (usize, &u8)| match byte {
            _ if hidden(start + at) => '-',
            byte if byte.is_ascii_graphic() => char::from(*byte),
            _ => '.',
        };
        let digits: String = line.iter().enumerate().map(digit).collect();
        let signs: String = line.iter().enumerate().map(sign).collect();
        _ = writeln!(text, "{start:08x}  {digits:<48} {signs}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_indexes_or_bytes() {
        assert_eq!(key(b"CurrentTerm"), "CurrentTerm");
        assert_eq!(key(&77_u64.to_be_bytes()), "77");
        assert_eq!(key(&[0, 255]), "00ff");
        assert_eq!(key(&[7; 30]), format!("{}..", "07".repeat(SHOWN)));
    }

    #[test]
    fn free_neighbours_are_put_together() {
        assert_eq!(free(&[3, 4, 5, 9].map(PageId)), "4 free pages: 3..5, 9\n");
        assert_eq!(free(&[]), "0 free pages: none\n");
    }
}
