//! The directory `snapshots/` of a server, as raft's FileSnapshotStore lists it. (hashicorp/raft file_snapshot.go)

mod check;
mod head;

use std::fs;
use std::io;
use std::path::Path;

pub use check::{StateFile, check, checksum};
pub(super) use head::head_of_snapshot;
pub use head::heads_of_snapshots;

use crate::durable::{ReadError, read_file};
use crate::raft::{self, META_FILE, SnapshotMeta, decode_meta};

/// Bytes of the longest meta.json that is read: one with 100,000 servers is shorter.
const MAX_META_LEN: u64 = 16 << 20;

/// The snapshots of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshots {
    /// Those that raft lists, newest first.
    pub listed: Vec<SnapshotMeta>,
    /// Directories that raft passes over, by name, and why.
    pub ignored: Vec<(String, Ignored)>,
}

/// Why raft passes over a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// By its name it isn't finished.
    #[error("being made, or left over from a snapshot that was never finished")]
    Unfinished,
    /// Its meta.json can't be read.
    #[error("{META_FILE}: {reason}")]
    Unreadable {
        /// What the system said.
        reason: String,
    },
    /// Its meta.json is longer than any that raft writes.
    #[error("{META_FILE}: expected at most {limit} bytes")]
    TooLarge {
        /// The most bytes that are read.
        limit: u64,
    },
    /// Its meta.json says something else.
    #[error(transparent)]
    Meta(#[from] raft::Error),
}

/// Lists the snapshots in `directory`; none when it doesn't exist.
///
/// raft passes over names that end in `.tmp`, metas that it can't read and versions but 0 and 1, and sorts by term,
/// index and id, newest first. (List, getSnapshots)
pub fn list(directory: &Path) -> io::Result<Snapshots> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshots::default()),
        entries => entries?,
    };
    let mut found = Snapshots::default();
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        match read_meta(&entry.path(), &name) {
            Ok(meta) => found.listed.push(meta),
            Err(reason) => found.ignored.push((name, reason)),
        }
    }
    found.listed.sort_by(|a, b| (b.term, b.index, &b.id).cmp(&(a.term, a.index, &a.id)));
    found.ignored.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn read_meta(directory: &Path, name: &str) -> Result<SnapshotMeta, Ignored> {
    if name.ends_with(".tmp") {
        return Err(Ignored::Unfinished);
    }
    let text = read_file(&directory.join(META_FILE), MAX_META_LEN).map_err(|error| match error {
        ReadError::Io(error) => Ignored::Unreadable { reason: error.source.to_string() },
        ReadError::TooLarge { limit, .. } => Ignored::TooLarge { limit },
    })?;
    Ok(decode_meta(&text, name)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Index, Suffrage, encode_meta};

    /// One line that hashicorp/raft 1.7.3 wrote, with a snapshot of 9 bytes.
    const GO_META: &str = r#"{"Version":1,"ID":"3-77-1795395401949","Index":77,"Term":3,"Peers":"kalhZGRyZXNzLTA=","Configuration":{"Servers":[{"Suffrage":0,"ID":"a","Address":"address-0"}]},"ConfigurationIndex":2,"Size":9,"CRC":"mV3Jux85Gfo="}"#;

    fn add(directory: &Path, name: &str, meta: &str) {
        fs::create_dir_all(directory.join(name)).unwrap();
        fs::write(directory.join(name).join("meta.json"), meta).unwrap();
    }

    #[test]
    fn snapshots_are_listed_as_raft_lists_them() {
        let directory = tempfile::tempdir().unwrap();
        let named =
            |id: &str, index: u64| GO_META.replace("3-77-1795395401949", id).replace(":77,", &format!(":{index},"));
        add(directory.path(), "3-9-1", &named("3-9-1", 9));
        add(directory.path(), "3-77-1", &named("3-77-1", 77));
        add(directory.path(), "3-78-1.tmp", &named("3-78-1", 78));
        add(directory.path(), "3-79-1", "{");
        add(directory.path(), "3-80-1", &named("3-80-1", 80).replace("\"Version\":1", "\"Version\":2"));
        let found = list(directory.path()).unwrap();
        let ids: Vec<&str> = found.listed.iter().map(|meta| meta.id.as_str()).collect();
        assert_eq!(ids, ["3-77-1", "3-9-1"]);
        let ignored: Vec<&str> = found.ignored.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(ignored, ["3-78-1.tmp", "3-79-1", "3-80-1"]);
        assert_eq!(found.listed[0].configuration.servers[0].address, "address-0");
        assert_eq!((found.listed[0].size, found.listed[0].configuration_index), (9, Index(2)));
    }

    #[test]
    fn a_meta_is_read_as_leniently_as_go_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let lenient = GO_META.replace("Index\":77", "iNDEX\":77").replace("\"Size\":9", "\"Size\":null,\"New\":{}");
        add(directory.path(), "3-77-1", &lenient);
        let found = list(directory.path()).unwrap();
        let [meta] = found.listed.as_slice() else { panic!("{found:?}") };
        assert_eq!((meta.index, meta.configuration_index, meta.size), (Index(77), Index(2), 0));
    }

    #[test]
    fn a_meta_is_encoded_as_go_does() {
        let directory = tempfile::tempdir().unwrap();
        let text = GO_META.replace("address-0", "a\\u003cb") + "\n";
        add(directory.path(), "3-77-1795395401949", &text);
        let listed = list(directory.path()).unwrap().listed;
        assert_eq!(String::from_utf8(encode_meta(&listed[0])).unwrap(), text);
    }

    /// Each of these was put before raft 1.8.0, which read all but the last two.
    #[test]
    fn what_go_reads_is_listed_and_what_it_passes_over_is_not() {
        let listed = |change: &dyn Fn(&str) -> String| {
            let directory = tempfile::tempdir().unwrap();
            add(directory.path(), "3-77-1", &change(GO_META));
            list(directory.path()).unwrap().listed.into_iter().next()
        };
        let same = listed(&str::to_owned);
        assert_eq!(listed(&|meta| format!("{meta}\0garbage")), same);
        assert_eq!(listed(&|meta| meta.replace("mV3J", "mV\\r\\n3J")), same);
        assert_eq!(listed(&|meta| meta.replace("\"Size\":9", "\"Size\":-1")).unwrap().size, 0);
        let last = listed(&|meta| meta.replace("\"Term\":3", "\"Term\":3,\"INDEX\":5")).unwrap();
        assert_eq!(last.index, Index(5), "the last of two keys");
        let suffrage = |text: &str| {
            let meta = listed(&|meta| meta.replace("\"Suffrage\":0", &format!("\"Suffrage\":{text}")));
            meta.unwrap().configuration.servers[0].suffrage
        };
        assert_eq!([suffrage("300"), suffrage("-1")], [Suffrage::Unknown(u8::MAX); 2]);
        let nobody = listed(&|meta| meta.replace("[{", "[null,{")).unwrap();
        assert_eq!(nobody.configuration.servers.len(), 2);
        assert_eq!(listed(&|_| "null".to_owned()).unwrap().id, "");
        assert_eq!(listed(&|meta| meta.replace("\"Version\":1", "\"Version\":-1")), None);
        assert_eq!(listed(&|_| String::new()), None);
    }

    #[test]
    fn no_directory_is_no_snapshot() {
        assert_eq!(list(Path::new("/nonexistent/snapshots")).unwrap(), Snapshots::default());
    }
}
