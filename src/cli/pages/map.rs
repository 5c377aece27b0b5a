//! `pages FILE map`: a picture of a file.

use std::fmt::Write;

use op_conductor_init::bolt::{PageUse, Survey};

use super::{damaged, word};

/// Cells of a line.
const WIDTH: u64 = 64;
/// Lines at most: a larger file has more pages a cell.
const MOST_LINES: u64 = 32;

/// A sign for each use. The later one wins where a cell has several: it is what people look for.
const SIGNS: [(PageUse, char); 8] = [
    (PageUse::Free, '.'),
    (PageUse::Overflow, '-'),
    (PageUse::Leaf, 'L'),
    (PageUse::Branch, 'B'),
    (PageUse::Freelist, 'F'),
    (PageUse::Meta, 'M'),
    (PageUse::Lost, '?'),
    (PageUse::Damaged, '!'),
];

pub(super) fn map(survey: &Survey) -> String {
    let total = survey.page_count();
    let scale = total.div_ceil(WIDTH * MOST_LINES).max(1);
    let cells = usize::try_from(total.div_ceil(scale)).unwrap_or_default();
    // What most pages of a cell are, in runs: a gap of terabytes is one.
    let mut ranks = vec![[0_u64; SIGNS.len()]; cells];
    let mut counts = [0_u64; SIGNS.len()];
    for (kind, first, length) in survey.runs() {
        let rank = SIGNS.iter().position(|(known, _)| *known == kind).unwrap_or_default();
        counts[rank] += length;
        let (mut at, end) = (first.0, first.0 + length);
        while at < end {
            let cell = at / scale;
            let next = ((cell + 1) * scale).min(end);
            if let Some(cell) = usize::try_from(cell).ok().and_then(|cell| ranks.get_mut(cell)) {
                cell[rank] += next - at;
            }
            at = next;
        }
    }
    let sign = |cell: &[u64; SIGNS.len()]| SIGNS[rank(cell)].1;
    let picture: Vec<char> = ranks.iter().map(sign).collect();
    let mut text = String::new();
    for (line, cells) in (0_u64..).zip(picture.chunks(64)) {
        let cells: String = cells.iter().collect();
        _ = writeln!(text, "{:>10}  {cells}", line * WIDTH * scale);
    }
    let each = if scale == 1 { "a page".to_owned() } else { format!("{scale} pages") };
    _ = writeln!(text, "\nEach sign is {each}; a line begins with the number of its first page.");
    for (rank, (kind, sign)) in SIGNS.iter().enumerate().rev() {
        if counts[rank] > 0 {
            let percent = counts[rank] * 100 / total.max(1);
            _ = writeln!(text, "  {sign}  {:<9} {:>9}  {percent:>3}%", word(*kind), counts[rank]);
        }
    }
    damaged(survey, &mut text);
    text
}

/// Damaged, lost and meta pages show wherever they are; of the others what most pages are.
fn rank(cell: &[u64; SIGNS.len()]) -> usize {
    let worth_seeing = (5..SIGNS.len()).rev().find(|rank| cell[*rank] > 0);
    let most = || (0..5).max_by_key(|rank| cell[*rank]).unwrap_or_default();
    worth_seeing.unwrap_or_else(most)
}
