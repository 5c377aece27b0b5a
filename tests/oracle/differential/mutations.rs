//! The ways to change a directory.

use crate::common::SplitMix;
use op_conductor_init::bolt::{PageHeader, PageKind};
use op_conductor_init::raft::codec::{decode_log, encode_log};
use op_conductor_init::raft::{CURRENT_TERM, Index, LAST_VOTE_CAND, LAST_VOTE_TERM, LogType};
use op_conductor_init::state::dir::{LOG_FILE, STABLE_FILE};

use super::directory::{Directory, META, STATE, entry, members};

/// A way to change a directory.
pub(super) type Mutation = (&'static str, fn(&mut Directory, &mut SplitMix));

pub(super) const MUTATIONS: &[Mutation] = &[
    ("a bit, anywhere", |it, random| {
        let bytes = it.some_file(random);
        let at = random.index(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }),
    ("a bit, in a page's head", |it, random| {
        let (at, reach) = (it.some_page(random), 16 * (1 + random.index(12)));
        let bytes = it.log();
        let at = (at + random.index(reach)).min(bytes.len() - 1);
        bytes[at] ^= 1 << random.below(8);
        it.mend();
    }),
    ("a meta's field", |it, random| {
        let page_size = it.page_size;
        let at = random.index(2) * page_size + 16 + [8, 12, 16, 24, 32, 40, 48][random.index(7)];
        let bytes = it.some_db(random);
        let old = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let new = odd(old, random);
        bytes[at..at + 8].copy_from_slice(&new.to_le_bytes());
        it.mend();
    }),
    ("a meta over the other", |it, random| {
        let (page_size, from) = (it.page_size, random.index(2));
        let bytes = it.some_db(random);
        bytes.copy_within(from * page_size..(from + 1) * page_size, (1 - from) * page_size);
    }),
    ("two pages swapped", |it, random| {
        let (a, b, page_size) = (it.some_page(random), it.some_page(random), it.page_size);
        let bytes = it.log();
        let (first, second) = (bytes[a..a + page_size].to_vec(), bytes[b..b + page_size].to_vec());
        bytes[a..a + page_size].copy_from_slice(&second);
        bytes[b..b + page_size].copy_from_slice(&first);
    }),
    ("two pages swapped, ids mended", |it, random| {
        let (a, b, page_size) = (it.some_page(random), it.some_page(random), it.page_size);
        let bytes = it.log();
        let (first, second) = (bytes[a + 8..a + page_size].to_vec(), bytes[b + 8..b + page_size].to_vec());
        bytes[a + 8..a + page_size].copy_from_slice(&second);
        bytes[b + 8..b + page_size].copy_from_slice(&first);
    }),
    ("a page of zeros", |it, random| {
        let (at, page_size) = (it.some_page(random), it.page_size);
        it.log()[at..at + page_size].fill(0);
    }),
    ("cut at a page", |it, random| {
        let at = it.some_page(random);
        it.log().truncate(at);
    }),
    ("cut anywhere", |it, random| {
        let bytes = it.some_file(random);
        bytes.truncate(random.index(bytes.len()));
    }),
    ("longer", |it, random| {
        let more = random.bytes(1 + it.page_size * 2);
        it.some_db(random).extend(more);
    }),
    ("a stale page", |it, random| {
        let (at, page_size) = (it.some_page(random), it.page_size);
        if let Some(old) = it.older.get(at..at + page_size).map(<[u8]>::to_vec) {
            it.log()[at..at + page_size].copy_from_slice(&old);
        }
    }),
    ("stale but for the metas", |it, _| {
        let (page_size, older) = (it.page_size, it.older.clone());
        let bytes = it.log();
        let end = older.len().min(bytes.len());
        bytes[2 * page_size..end].copy_from_slice(&older[2 * page_size..end]);
    }),
    ("an element", |it, random| {
        let at = it.some_page_of(PageKind::Leaf, random) + 16;
        let bytes = it.log();
        let at = at + 16 * random.index(count_at(bytes, at)) + 4 * random.index(4);
        set_u32(bytes, at, random);
    }),
    ("a branch's element", |it, random| {
        let at = it.some_page_of(PageKind::Branch, random) + 16;
        let bytes = it.log();
        let at = at + 16 * random.index(count_at(bytes, at)) + 4 * random.index(2);
        set_u32(bytes, at, random);
    }),
    ("a branch's child", |it, random| {
        let (at, page) = (it.some_page_of(PageKind::Branch, random) + 16, it.some_page(random) / it.page_size);
        let bytes = it.log();
        let at = at + 16 * random.index(count_at(bytes, at)) + 8;
        bytes[at..at + 8].copy_from_slice(&(page as u64).to_le_bytes());
    }),
    ("a page's header", |it, random| {
        let at = it.some_page(random);
        let bytes = it.log();
        let mut header = PageHeader::decode(&bytes[at..]).unwrap();
        match random.below(4) {
            0 => header.id.0 = odd(header.id.0, random),
            1 => header.flags = [1, 2, 4, 16, 0, 3][random.index(6)],
            2 => header.count = u16::try_from(odd(header.count.into(), random) & 0xFFFF).unwrap(),
            _ => header.overflow = u32::try_from(odd(header.overflow.into(), random) & 0xFFFF_FFFF).unwrap(),
        }
        header.encode(&mut bytes[at..]);
    }),
    ("the freelist", |it, random| {
        let (at, page) = (it.some_page_of(PageKind::Freelist, random), it.some_page(random) / it.page_size);
        let bytes = it.log();
        let mut header = PageHeader::decode(&bytes[at..]).unwrap();
        let count = usize::from(header.count);
        let slot = at + 16 + 8 * random.index(count.clamp(1, 100));
        match random.below(5) {
            0 => header.count = header.count.saturating_sub(1),
            1 => header.count += 1,
            2 => bytes.copy_within(at + 16..at + 24, slot),
            3 => bytes[slot..slot + 8].copy_from_slice(&(page as u64).to_le_bytes()),
            _ => {
                let new = odd(page as u64, random);
                bytes[slot..slot + 8].copy_from_slice(&new.to_le_bytes());
            }
        }
        header.encode(&mut bytes[at..]);
    }),
    ("bytes of leaves", |it, random| {
        let at = it.some_page_of(PageKind::Leaf, random);
        let page_size = it.page_size;
        let bytes = it.log();
        for _ in 0..=random.below(4) {
            let at = (at + random.index(page_size)).min(bytes.len() - 1);
            bytes[at] = random.bytes(1)[0];
        }
    }),
    ("bytes of an entry", |it, random| {
        it.change_entry(random, |value, random| {
            let at = random.index(value.len());
            value[at] = random.bytes(1)[0];
        });
    }),
    ("an entry, cut", |it, random| {
        it.change_entry(random, |value, random| value.truncate(random.index(value.len())));
    }),
    ("an entry's fields", |it, random| {
        it.change_entry(random, |value, random| {
            let mut log = decode_log(value).unwrap();
            match random.below(4) {
                0 => log.index.0 = odd(log.index.0, random),
                1 => log.term.0 = odd(log.term.0, random),
                2 => log.kind = LogType::from_byte(u8::try_from(random.below(9)).unwrap()),
                _ => log.data = None,
            }
            let mut changed = Vec::new();
            encode_log(&log, &mut changed);
            *value = changed;
        });
    }),
    ("a configuration's bytes", |it, random| {
        let mut data = members();
        let at = random.index(data.len());
        data[at] = random.bytes(1)[0];
        let index = it.some_index(random);
        it.put(LOG_FILE, &Index(index).to_key(), &entry(index, 9, LogType::Configuration, &data));
    }),
    ("another key in the log", |it, random| {
        let key = match random.below(3) {
            0 => random.bytes(8),
            1 => Index(odd(100, random)).to_key().to_vec(),
            _ => {
                let len = 1 + random.index(12);
                random.bytes(len)
            }
        };
        it.put(LOG_FILE, &key, &entry(7, 1, LogType::Noop, b""));
    }),
    ("a stable key", |it, random| {
        let key = [CURRENT_TERM, LAST_VOTE_TERM, LAST_VOTE_CAND, "Other"][random.index(4)];
        let value = match random.below(3) {
            0 => {
                let len = random.index(12);
                random.bytes(len)
            }
            1 => Vec::new(),
            _ => odd(9, random).to_be_bytes().to_vec(),
        };
        it.put(STABLE_FILE, key.as_bytes(), &value);
    }),
    ("a file lost", |it, random| {
        let name = *it.files.keys().nth(random.index(it.files.len())).unwrap();
        it.files.remove(name);
    }),
    ("an empty file", |it, random| it.some_file(random).clear()),
    ("another file's bytes", |it, random| {
        let other = it.files[STABLE_FILE].clone();
        *it.some_file(random) = other;
    }),
    ("a snapshot's meta.json", |it, random| {
        if let Some(meta) = it.files.get_mut(META) {
            let at = random.index(meta.len());
            meta[at] = b"0123456789\"{}[],:ax "[random.index(20)];
        }
    }),
    ("a snapshot's state.bin", |it, random| {
        if let Some(state) = it.files.get_mut(STATE) {
            match random.below(3) {
                0 => state.truncate(random.index(state.len())),
                1 => state.extend(random.bytes(5)),
                _ => state[usize::try_from(random.below(400)).unwrap()] ^= 1,
            }
        }
    }),
];

/// A number near another one, or far from all.
fn odd(number: u64, random: &mut SplitMix) -> u64 {
    match random.below(7) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => 0,
        3 => u64::MAX,
        4 => number ^ (1 << random.below(64)),
        5 => random.below(100),
        _ => number.wrapping_mul(2),
    }
}

/// Elements of the page whose table begins at `at`; what is no such page has a few all the same.
fn count_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[at - 6..at - 4].try_into().unwrap())).clamp(1, 60)
}

fn set_u32(bytes: &mut [u8], at: usize, random: &mut SplitMix) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        let old = u32::from_le_bytes((&*field).try_into().unwrap());
        let new = u32::try_from(odd(old.into(), random) & 0xFFFF_FFFF).unwrap();
        field.copy_from_slice(&new.to_le_bytes());
    }
}
