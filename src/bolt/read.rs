//! Reading: the two metas, buckets, and cursors that walk a bucket in key order.
//!
//! Nothing is mapped into memory, nothing is locked, nothing is trusted. A file can be read while another process writes
//! to it: bolt is copy-on-write, so if the metas are the same before and after ([`Reader::is_current`]), everything read
//! in between is one committed state.

use std::time::{Duration, Instant};

use super::bucket::{BucketHeader, split_bucket};
use super::element::LeafElement;
use super::error::{Error, MetaError};
use super::freelist::FreelistPage;
use super::geometry::Geometry;
use super::layout::{MAX_DEPTH, MAX_PAGE_SIZE, MIN_PAGE_SIZE, PageId, TxId};
use super::meta::{META_LEN, Meta, raw_txid};
use super::page::{PAGE_HEADER_LEN, PageKind};
use super::page_buf::{Load, PageBuf};
use super::storage::ReadAt;
use super::window::Window;

/// Both metas of a file, valid or not as bbolt decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metas {
    /// Bytes of a page.
    pub page_size: usize,
    /// Meta 0 and meta 1.
    pub slots: [Result<Meta, MetaError>; 2],
    /// The txid field of each, even where the meta is not valid.
    pub raw_txids: [Option<TxId>; 2],
    /// The slot that counts: the valid one with the higher txid; slot 0 if they are equal. (bbolt db.go meta)
    pub live: usize,
}

impl Metas {
    /// Reads and checks both metas.
    ///
    /// The page size is that of meta 0; if it is not valid, that of a meta 1 which is where its page size puts it. (bbolt
    /// >= 1.3.7 db.go getPageSize)
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::NoMeta`] if it is not a bolt file.
    pub fn read<R: ReadAt + ?Sized>(source: &R) -> Result<Metas, Error> {
        if source.byte_len().map_err(Error::io("reading the length of the file"))? == 0 {
            return Err(Error::Empty);
        }
        let first = read_meta(source, 0)?;
        let page_size = match first.0 {
            Ok(meta) => meta.page_size as usize,
            Err(reason) => find_second(source, reason)?,
        };
        let (mut second, second_txid) = read_meta(source, page_size as u64)?;
        if let Ok(Meta { page_size: found, .. }) = second
            && found as usize != page_size
        {
            second = Err(MetaError::OtherPageSize { expected: page_size, found });
        }
        let live = match (first.0, second) {
            (Ok(first), Ok(second)) => usize::from(second.txid > first.txid),
            (Ok(_), Err(_)) => 0,
            (Err(_), Ok(_)) => 1,
            (Err(first), Err(second)) => return Err(Error::NoMeta { first, second }),
        };
        Ok(Metas { page_size, slots: [first.0, second], raw_txids: [first.1, second_txid], live })
    }

    /// The meta that counts.
    pub fn live(&self) -> Meta {
        self.slots[self.live].expect("the live slot was chosen because it is valid")
    }
}

type CheckedMeta = (Result<Meta, MetaError>, Option<TxId>);

fn read_meta<R: ReadAt + ?Sized>(source: &R, offset: u64) -> Result<CheckedMeta, Error> {
    let mut head = [0; PAGE_HEADER_LEN + META_LEN];
    let len = source.read_full_at(&mut head, offset).map_err(Error::io("reading a meta page"))?;
    Ok((Meta::decode(&head[..len]), raw_txid(&head[..len])))
}

fn find_second<R: ReadAt + ?Sized>(source: &R, first: MetaError) -> Result<usize, Error> {
    let mut size = MIN_PAGE_SIZE;
    while size <= MAX_PAGE_SIZE {
        if let (Ok(meta), _) = read_meta(source, size as u64)?
            && meta.page_size as usize == size
        {
            return Ok(size);
        }
        size *= 2;
    }
    let second = match read_meta(source, 4096)?.0 {
        Err(reason) => reason,
        Ok(meta) => MetaError::OtherPageSize { expected: 4096, found: meta.page_size },
    };
    Err(Error::NoMeta { first, second })
}

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
        Bucket { reader: self, header: self.meta().root, inline: None }
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
    reader: &'r Reader<R>,
    header: BucketHeader,
    /// The page of an inline bucket.
    inline: Option<Vec<u8>>,
}

impl<'r, R: ReadAt> Bucket<'r, R> {
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
                Ok(Some(Bucket { reader: self.reader, header, inline: inline.map(<[u8]>::to_vec) }))
            }
            _ => Ok(None),
        }
    }

    /// The value of `key`; `None` if the key does not exist or is a bucket.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut cursor = self.cursor();
        Ok(cursor.seek(key)?.filter(|entry| entry.key == key && !entry.is_bucket()).map(|entry| entry.value.to_vec()))
    }

    /// A cursor before the first key.
    pub fn cursor(&self) -> Cursor<'_, R> {
        Cursor { bucket: self, levels: Vec::new(), depth: 0, loads: 0 }
    }
}

/// Moves through a bucket in key order. Entries are borrowed from the cursor until it moves.
///
/// Work is bounded by the file: a tree that leads to more pages than the file has, or back to itself, is an error.
#[derive(Debug)]
pub struct Cursor<'b, R> {
    bucket: &'b Bucket<'b, R>,
    /// Pages from the root to the leaf; those from `depth` on are kept for their buffers.
    levels: Vec<Level>,
    depth: usize,
    /// Pages loaded since the root, overflow included. A sound tree reaches each once, so a cursor neither reads nor
    /// keeps more bytes than the file has.
    loads: u64,
}

#[derive(Debug, Default)]
struct Level {
    page: PageBuf,
    index: usize,
}

impl<'b, R: ReadAt> Cursor<'b, R> {
    /// Moves to the first key.
    pub fn first(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        self.restart()?;
        self.descend(|_| 0)?;
        self.settle()
    }

    /// Moves to the last key. If the last leaf is empty there is no entry, as in bbolt.
    pub fn last(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        self.restart()?;
        self.descend(|page| page.count().saturating_sub(1))?;
        Ok(self.entry())
    }

    /// Moves to the first key that is not less than `key`.
    pub fn seek(&mut self, key: &[u8]) -> Result<Option<LeafElement<'_>>, Error> {
        self.restart()?;
        self.descend(|page| match page.kind {
            PageKind::Branch => page.branch().search(key),
            _ => page.leaf().search(key),
        })?;
        self.settle()
    }

    /// Moves to the next key; a new cursor moves to the first.
    #[expect(clippy::should_implement_trait, reason = "entries borrow from the cursor: no Iterator can do that")]
    pub fn next(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        match self.top() {
            None => self.first(),
            Some(level) => {
                level.index = level.index.saturating_add(1);
                self.settle()
            }
        }
    }

    fn top(&mut self) -> Option<&mut Level> {
        self.depth.checked_sub(1).map(|top| &mut self.levels[top])
    }

    fn entry(&self) -> Option<LeafElement<'_>> {
        let level = &self.levels[self.depth.checked_sub(1)?];
        level.page.leaf().get(level.index)
    }

    /// Puts the root page on the empty stack.
    fn restart(&mut self) -> Result<(), Error> {
        (self.depth, self.loads) = (0, 0);
        match &self.bucket.inline {
            None => self.push(self.bucket.header.root),
            Some(page) => {
                let geometry = &self.bucket.reader.geometry;
                let page = PageBuf::inline(page).map_err(|error| geometry.error(PageId(0), error))?;
                self.levels.clear();
                self.levels.push(Level { page, index: 0 });
                self.depth = 1;
                Ok(())
            }
        }
    }

    /// Goes down to a leaf, choosing an index on every page.
    fn descend(&mut self, choose: impl Fn(&PageBuf) -> usize) -> Result<(), Error> {
        loop {
            let level = self.top().expect("descend starts with the root on the stack");
            level.index = choose(&level.page);
            if level.page.kind == PageKind::Leaf {
                return Ok(());
            }
            let Some((_, child)) = level.page.branch().get(level.index) else {
                return Ok(());
            };
            self.push(child)?;
        }
    }

    /// If the index is after the last element of its leaf, moves on to the next element.
    fn settle(&mut self) -> Result<Option<LeafElement<'_>>, Error> {
        while let Some(level) = self.top() {
            if level.index < level.page.count() {
                if level.page.kind == PageKind::Leaf {
                    break;
                }
                let (_, child) = level.page.branch().get(level.index).expect("the index is below the count");
                self.push(child)?;
                self.descend(|_| 0)?;
            } else if self.depth == 1 {
                break;
            } else {
                self.depth -= 1;
                if let Some(parent) = self.top() {
                    parent.index += 1;
                }
            }
        }
        Ok(self.entry())
    }

    fn push(&mut self, page: PageId) -> Result<(), Error> {
        let reader = self.bucket.reader;
        if self.levels[..self.depth].iter().any(|level| level.page.id == page) {
            return Err(Error::Cycle { page });
        }
        if self.depth >= MAX_DEPTH {
            return Err(Error::TooDeep { page });
        }
        if self.levels.len() == self.depth {
            self.levels.push(Level::default());
        }
        let level = &mut self.levels[self.depth];
        level.page.load_head(&reader.source, &reader.geometry, page)?;
        self.loads += level.page.header.span();
        if self.loads > reader.geometry.page_count() {
            return Err(Error::TooManyPages { page });
        }
        level.page.load_body(&reader.source, &reader.geometry, Load::Whole)?;
        level.index = 0;
        self.depth += 1;
        Ok(())
    }
}
