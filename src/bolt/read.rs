//! Reading: a file at its last committed state, and the buckets in it.
//!
//! Nothing is mapped into memory, nothing is locked, nothing is trusted. A file can be read while another process writes
//! to it: bolt is copy-on-write, so if the metas are the same before and after ([`Reader::is_current`]), everything read
//! in between is one committed state.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::bucket::{BucketHeader, split_bucket};
use super::error::Error;
use super::freelist::FreelistPage;
use super::geometry::Geometry;
use super::meta::Meta;
use super::metas::Metas;
use super::path::Path;
use super::storage::ReadAt;
use super::window::Window;

/// A bolt file at its last committed state.
#[derive(Debug)]
pub struct Reader<R> {
    source: Window<R>,
    metas: Metas,
    geometry: Geometry,
}

impl<R: ReadAt> Reader<R> {
    /// Reads the metas of `source`.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::NoMeta`] if it is not a bolt file; pages are checked only when they are read.
    pub fn open(source: R) -> Result<Reader<R>, Error> {
        let metas = Metas::read(&source)?;
        let file_len = source.byte_len().map_err(Error::io("reading the length of the file"))?;
        let geometry = Geometry { page_size: metas.page_size, high_water: metas.live().high_water, file_len };
        Ok(Reader { source: Window::new(source, file_len), metas, geometry })
    }

    /// Both metas.
    pub fn metas(&self) -> &Metas {
        &self.metas
    }

    /// The meta that counts.
    pub fn meta(&self) -> Meta {
        self.metas.live()
    }

    /// Length of the file in bytes when it was opened.
    pub fn file_len(&self) -> u64 {
        self.geometry.file_len
    }

    /// Reads the file's first bytes, unchecked; returns how many there were.
    pub(crate) fn read_raw(&self, buf: &mut [u8]) -> Result<usize, Error> {
        self.source.inner().read_full_at(buf, 0).map_err(Error::io("copying the file"))
    }

    /// Whether no transaction was committed since this reader was opened: then everything read is one state.
    ///
    /// # Errors
    /// Only if the file can't be read.
    pub fn is_current(&self) -> Result<bool, Error> {
        match Metas::read(self.source.inner()) {
            Ok(metas) => Ok(metas == self.metas),
            Err(Error::Empty | Error::NoMeta { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until a transaction is committed, for at most `at_most`. Right after a commit is the best time to read
    /// something within one committed state of a busy file.
    pub(crate) fn wait_for_commit(&self, at_most: Duration) -> Result<(), Error> {
        let end = Instant::now() + at_most;
        while self.is_current()? && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// How many pages are free, by the header of the freelist; `None` if it is not on disk or can't be read.
    pub(crate) fn free_page_count(&self) -> Option<u64> {
        let freelist = FreelistPage::open(&self.source, &self.geometry, self.meta().freelist?);
        freelist.ok().map(|freelist| freelist.id_count())
    }

    /// The top-level bucket, which holds the others.
    pub fn root(&self) -> Bucket<'_, R> {
        Bucket::new(self, self.meta().root, None)
    }

    /// The bucket `name` of the top level; `None` if the key does not exist.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if the key is not a bucket, and all errors of reading.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'_, R>>, Error> {
        self.root().bucket(name)
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(crate) fn source(&self) -> &Window<R> {
        &self.source
    }
}

/// A bucket: keys in order, each with a value or another bucket.
#[derive(Debug)]
pub struct Bucket<'r, R> {
    pub(super) reader: &'r Reader<R>,
    pub(super) header: BucketHeader,
    /// The page of an inline bucket.
    pub(super) inline: Option<Vec<u8>>,
    /// The way to the key that was looked up last.
    pub(super) last_path: RefCell<Path>,
}

impl<'r, R: ReadAt> Bucket<'r, R> {
    fn new(reader: &'r Reader<R>, header: BucketHeader, inline: Option<Vec<u8>>) -> Bucket<'r, R> {
        Bucket { reader, header, inline, last_path: RefCell::default() }
    }

    /// Where its tree begins, and its sequence.
    pub fn header(&self) -> BucketHeader {
        self.header
    }

    /// Whether it is inside its parent's page.
    pub fn is_inline(&self) -> bool {
        self.inline.is_some()
    }

    /// The nested bucket `name`; `None` if the key does not exist.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if the key is not a bucket, and all errors of reading.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'r, R>>, Error> {
        let mut cursor = self.cursor();
        match cursor.seek(name)? {
            Some(entry) if entry.key == name => {
                if !entry.is_bucket() {
                    return Err(Error::Incompatible { key: name.to_vec(), is_bucket: false });
                }
                let (header, inline) =
                    split_bucket(entry.value).map_err(|error| self.reader.geometry.error(self.header.root, error))?;
                Ok(Some(Bucket::new(self.reader, header, inline.map(<[u8]>::to_vec))))
            }
            _ => Ok(None),
        }
    }
}
