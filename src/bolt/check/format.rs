//! What a file that is not a bolt file looks like.

/// The first bytes of other formats: offset, bytes, name.
const MAGICS: [(usize, &[u8], &str); 9] = [
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, &[0x1f, 0x8b], "a gzip file"),
    (0, &[0x28, 0xb5, 0x2f, 0xfd], "a zstd file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "an ELF binary"),
    (16, &[0xef, 0xcd, 0xab, 0x00], "an LMDB or jammdb file"),
    (32, &[0xef, 0xcd, 0xab, 0x00], "a jammdb file"),
    (0, b"{", "JSON text"),
];

/// What a file looks like by its first bytes; 262 are enough.
pub(super) fn guess_format(head: &[u8]) -> Option<&'static str> {
    if !head.is_empty() && head.iter().all(|byte| *byte == 0) {
        return Some("nothing but zeros");
    }
    let is_at = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    MAGICS.iter().find(|(at, magic, _)| is_at(*at, magic)).map(|(_, _, name)| *name)
}
