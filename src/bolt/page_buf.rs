//! One leaf or branch page with its overflow, read from a source and checked against the file's bounds.

use std::io;

use super::element::{Branch, Element, Leaf, check_elements, table_len};
use super::error::{Error, PageError};
use super::geometry::Geometry;
use super::layout::{PageId, to_usize};
use super::page::{PageHeader, PageKind};
use super::storage::ReadAt;

/// How much of a page to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Everything that the elements point to.
    Whole,
    /// Its first page, and the element table: enough for headers, and for values that need not be looked at.
    Table,
}

/// A leaf or branch page. The buffer is kept from page to page.
#[derive(Debug)]
pub(crate) struct PageBuf {
    pub(crate) id: PageId,
    pub(crate) header: PageHeader,
    pub(crate) kind: PageKind,
    /// Bytes of the page and its overflow in the file.
    pub(crate) run_len: u64,
    bytes: Vec<u8>,
    loaded: usize,
    /// Whether all was read that the elements point to.
    is_whole: bool,
}

impl Default for PageBuf {
    fn default() -> PageBuf {
        let header = PageHeader { id: PageId(0), flags: PageKind::Leaf.flags(), count: 0, overflow: 0 };
        PageBuf {
            id: PageId(0),
            header,
            kind: PageKind::Leaf,
            run_len: 0,
            bytes: Vec::new(),
            loaded: 0,
            is_whole: false,
        }
    }
}

impl PageBuf {
    /// Copies an inline page, which has no id of its own.
    pub(crate) fn inline(bytes: &[u8]) -> Result<PageBuf, PageError> {
        Leaf::decode(bytes)?;
        let header = PageHeader::decode(bytes).expect("a decoded leaf has a header");
        let (loaded, run_len) = (bytes.len(), bytes.len() as u64);
        Ok(PageBuf {
            id: PageId(0),
            header,
            kind: PageKind::Leaf,
            run_len,
            bytes: bytes.to_vec(),
            loaded,
            is_whole: true,
        })
    }

    /// Reads leaf or branch `page`: nothing is allocated by a declared size before it is compared with the file.
    pub(crate) fn load<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        page: PageId,
        load: Load,
    ) -> Result<(), Error> {
        self.load_head(source, geometry, page)?;
        self.load_body(source, geometry, load)
    }

    /// Reads the first page of a run and checks its header. Code that follows pointers learns here how long the run is,
    /// before its bytes are read: hostile runs can overlap, and a branch can name one of them 65535 times.
    pub(crate) fn load_head<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        page: PageId,
    ) -> Result<(), Error> {
        let fail = |error| geometry.error(page, error);
        geometry.check_start(page).map_err(fail)?;
        // Until the header is checked, it is not the page that it was.
        (self.id, self.loaded, self.is_whole) = (PageId(0), 0, false);
        self.extend(source, geometry, page, geometry.page_size)?;
        let header = PageHeader::decode(&self.bytes).expect("a page is longer than its header");
        let run_len = geometry.check_header(page, &header).map_err(fail)?;
        let Some(kind @ (PageKind::Leaf | PageKind::Branch)) = header.kind() else {
            return Err(fail(PageError::Kind { found: header.flags }));
        };
        let table = table_len(header.count);
        if table as u64 > run_len {
            return Err(fail(PageError::Count { count: header.count, run_len }));
        }
        if kind == PageKind::Branch && header.count == 0 {
            return Err(fail(PageError::EmptyBranch));
        }
        (self.id, self.header, self.kind, self.run_len) = (page, header, kind, run_len);
        Ok(())
    }

    /// Reads on after [`PageBuf::load_head`], and checks the elements.
    pub(crate) fn load_body<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        load: Load,
    ) -> Result<(), Error> {
        self.extend(source, geometry, self.id, table_len(self.header.count))?;
        let end = check_elements(&self.bytes[..self.loaded], &self.header, self.kind, self.run_len)
            .map_err(|error| geometry.error(self.id, error))?;
        match load {
            // Not to the end of the run: in a sparse file that can be terabytes away.
            Load::Whole => {
                self.extend(source, geometry, self.id, to_usize(end))?;
                self.is_whole = true;
            }
            Load::Table => {}
        }
        Ok(())
    }

    /// Reads on until `len` bytes of the run are there.
    fn extend<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        page: PageId,
        len: usize,
    ) -> Result<(), Error> {
        if len <= self.loaded {
            return Ok(());
        }
        if self.bytes.len() < len {
            // A sparse file can be longer than any memory.
            let room = self.bytes.try_reserve(len - self.bytes.len());
            room.map_err(|_| Error::io("making room for a page")(io::ErrorKind::OutOfMemory.into()))?;
            self.bytes.resize(len, 0);
        }
        let at = geometry.offset(page) + self.loaded as u64;
        let wanted = len - self.loaded;
        let read = source.read_full_at(&mut self.bytes[self.loaded..len], at).map_err(Error::io("reading a page"))?;
        if read < wanted {
            let (end, file_len) = (at + wanted as u64, at + read as u64);
            return Err(geometry.error(page, PageError::Truncated { end, file_len }));
        }
        self.loaded = len;
        Ok(())
    }

    /// Whether this is `page`, read completely. Pages of a committed state don't change, so it need not be read again.
    pub(crate) fn holds(&self, page: PageId) -> bool {
        self.is_whole && self.id == page
    }

    /// Pages of the run, its first included.
    pub(crate) fn page_ids(&self) -> impl Iterator<Item = PageId> + use<> {
        (self.id.0..self.id.0 + self.header.span()).map(PageId)
    }

    /// Element `index`, which must be below the count.
    pub(crate) fn element(&self, index: usize) -> Element {
        Element::decode(self.bytes(), self.kind, index)
    }

    pub(crate) fn count(&self) -> usize {
        usize::from(self.header.count)
    }

    /// What was read, from the page header on.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.loaded]
    }

    /// The key of an element.
    pub(crate) fn key<'a, R: ReadAt + ?Sized>(
        &'a self,
        source: &R,
        geometry: &Geometry,
        element: &Element,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Error> {
        self.range(source, geometry, (element.key_start, element.value_start), scratch)
    }

    /// Bytes `start..end` of the run: from the buffer when they were read, else from the source into `scratch`.
    pub(crate) fn range<'a, R: ReadAt + ?Sized>(
        &'a self,
        source: &R,
        geometry: &Geometry,
        (start, end): (u64, u64),
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Error> {
        let (from, to) = (to_usize(start), to_usize(end));
        if to <= self.loaded {
            return Ok(&self.bytes[from..to]);
        }
        scratch.resize(to - from, 0);
        let at = geometry.offset(self.id) + start;
        let read = source.read_full_at(scratch, at).map_err(Error::io("reading a page"))?;
        if read < scratch.len() {
            let (end, file_len) = (at + (end - start), at + read as u64);
            return Err(geometry.error(self.id, PageError::Truncated { end, file_len }));
        }
        Ok(scratch)
    }

    pub(crate) fn leaf(&self) -> Leaf<'_> {
        Leaf::trusted(self.bytes(), self.header.count)
    }

    pub(crate) fn branch(&self) -> Branch<'_> {
        Branch::trusted(self.bytes(), self.header.count)
    }
}
