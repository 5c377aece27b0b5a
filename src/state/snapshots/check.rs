//! Whether raft and op-conductor can load a snapshot.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crc::{CRC_64_XZ, Crc, Table};

use crate::durable::open_file;
use crate::payload::{Head, NotAPayload};
use crate::raft::codec::decode_peers;
use crate::raft::{META_FILE, STATE_FILE, SnapshotMeta};
use crate::report::{Finding, Severity};
use crate::state::damage::ADD_AGAIN;

/// Go's crc64.ECMA, with a table for 16 bytes at a time. (hashicorp/raft file_snapshot.go)
static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);
/// Bytes that say which block a state is.
const PEEK_LEN: usize = 4096;

/// The checksum of a state.bin as meta.json holds it: 8 bytes big endian.
pub fn checksum(state: &[u8]) -> [u8; 8] {
    CRC64.checksum(state).to_be_bytes()
}

/// What a state.bin really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateFile {
    /// Its length in bytes.
    pub len: u64,
    /// Its checksum.
    pub crc: u64,
    /// The block in it.
    pub head: Result<Head, NotAPayload>,
}

impl StateFile {
    /// Reads it to its end.
    pub fn read(snapshot: &Path) -> io::Result<StateFile> {
        let mut file: File = open_file(&snapshot.join(STATE_FILE))?;
        let mut digest = CRC64.digest();
        let mut beginning = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        let mut len = 0;
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            digest.update(&chunk[..read]);
            let wanted = PEEK_LEN.saturating_sub(beginning.len()).min(read);
            beginning.extend_from_slice(&chunk[..wanted]);
            len += read as u64;
        }
        Ok(StateFile { len, crc: digest.finalize(), head: Head::peek(&beginning) })
    }
}

/// Checks a snapshot in `directory`, the snapshot store. `is_newest`: op-conductor keeps one and tries no other, so what is
/// wrong with older ones hurts nobody.
pub fn check(directory: &Path, meta: &SnapshotMeta, is_newest: bool) -> Vec<Finding> {
    let name = meta.directory.as_str();
    let mut found = Vec::new();
    let bad = if is_newest { Severity::Error } else { Severity::Warning };
    let mut add = |id, severity, message: String| found.push(Finding::new(id, severity, message));
    if name != meta.id {
        add("SNAP-005", bad, format!("its meta.json is that of {:?}: raft looks for it there", meta.id));
    }
    if !meta.id.starts_with(&format!("{}-{}-", meta.term, meta.index)) {
        let message =
            format!("the name doesn't begin with term {} and index {} of its meta.json", meta.term, meta.index);
        add("SNAP-006", Severity::Warning, message);
    }
    if let Err(error) = meta.configuration.check() {
        add("SNAP-007", bad, format!("the members in its meta.json: {error}"));
    }
    if meta.configuration_index > meta.index {
        let message =
            format!("its members are of entry {}, after its own index {}", meta.configuration_index, meta.index);
        add("SNAP-008", bad, message);
    }
    let voters: Vec<&str> = meta.configuration.voters().map(|server| server.address.as_str()).collect();
    // raft reads them in version 0 only, and writes them all the same. (snapshot.go, configuration.go encodePeers)
    if !decode_peers(&meta.peers).is_ok_and(|peers| peers == voters) {
        let severity = if meta.version == 0 { bad } else { Severity::Warning };
        add("SNAP-009", severity, "Peers in its meta.json are not the addresses of its voters".to_owned());
    }
    match StateFile::read(&directory.join(name)) {
        Err(error) => add("SNAP-002", bad, format!("{STATE_FILE}: {error}: raft can't load it")),
        Ok(state) => check_state(meta, state, bad, &mut add),
    }
    let place = format!("{}/{name}", crate::state::dir::SNAPSHOTS_DIR);
    let placed = |finding: Finding| match finding.severity {
        Severity::Error => finding.in_file(&place).hint(ADD_AGAIN),
        _ => finding.in_file(&place),
    };
    found.into_iter().map(placed).collect()
}

fn check_state(
    meta: &SnapshotMeta,
    state: StateFile,
    bad: Severity,
    add: &mut dyn FnMut(&'static str, Severity, String),
) {
    if meta.crc != state.crc.to_be_bytes() {
        let stored = const_hex::encode(&meta.crc);
        let message = format!(
            "{STATE_FILE} has the checksum {:016x}, {META_FILE} says {}: raft doesn't load it, and op-conductor doesn't start",
            state.crc,
            if stored.is_empty() { "none" } else { &stored }
        );
        add("SNAP-003", bad, message);
    }
    if meta.size != state.len {
        let message = format!("{STATE_FILE} has {} bytes, {META_FILE} says {}", state.len, meta.size);
        add("SNAP-004", Severity::Warning, message);
    }
    if let Err(error) = state.head {
        add("SNAP-010", bad, format!("{STATE_FILE}: {error}: op-conductor can't restore it, and doesn't start"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::state::snapshots::list;

    const STATE: &[u8] = include_bytes!("../../../tests/vectors/payload/v3.ssz");

    /// A snapshot as raft writes it, with `change` made to its meta.json.
    fn ids(change: impl Fn(String) -> String, state: &[u8]) -> Vec<(&'static str, Severity)> {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = directory.path().join("3-77-1");
        fs::create_dir(&snapshot).unwrap();
        let crc = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, CRC64.checksum(STATE).to_be_bytes());
        let meta = format!(
            r#"{{"Version":1,"ID":"3-77-1","Index":77,"Term":3,"Peers":"kalhZGRyZXNzLTA=","Configuration":{{"Servers":[{{"Suffrage":0,"ID":"a","Address":"address-0"}}]}},"ConfigurationIndex":2,"Size":{},"CRC":"{crc}"}}"#,
            STATE.len()
        );
        fs::write(snapshot.join(META_FILE), change(meta)).unwrap();
        fs::write(snapshot.join(STATE_FILE), state).unwrap();
        let listed = list(directory.path()).unwrap().listed;
        check(directory.path(), &listed[0], true).iter().map(|finding| (finding.id, finding.severity)).collect()
    }

    #[test]
    fn the_checksum_is_go_s() {
        // crc64.Checksum([]byte("123456789"), crc64.MakeTable(crc64.ECMA))
        assert_eq!(CRC64.checksum(b"123456789"), 0x995d_c9bb_df19_39fa);
    }

    #[test]
    fn each_damage_has_its_finding() {
        use Severity::{Error, Warning};
        let same = |meta: String| meta;
        assert_eq!(ids(same, STATE), []);
        let mut flipped = STATE.to_vec();
        flipped[600] ^= 1;
        assert_eq!(ids(same, &flipped), [("SNAP-003", Error)]);
        assert_eq!(ids(same, &STATE[..100]), [("SNAP-003", Error), ("SNAP-004", Warning), ("SNAP-010", Error)]);
        assert_eq!(ids(|meta| meta.replace("\"Size\":", "\"Size\":1"), STATE), [("SNAP-004", Warning)]);
        assert_eq!(ids(|meta| meta.replace("3-77-1", "3-77-2"), STATE), [("SNAP-005", Error)]);
        assert_eq!(ids(|meta| meta.replace("\"Term\":3", "\"Term\":4"), STATE), [("SNAP-006", Warning)]);
        let nobody = |meta: String| meta.replace("\"Suffrage\":0", "\"Suffrage\":1");
        assert_eq!(ids(nobody, STATE), [("SNAP-007", Error), ("SNAP-009", Warning)]);
        assert_eq!(ids(|meta| meta.replace("Index\":2,", "Index\":78,"), STATE), [("SNAP-008", Error)]);
        assert_eq!(ids(|meta| meta.replace("kalh", "kalj"), STATE), [("SNAP-009", Warning)]);
    }
}
