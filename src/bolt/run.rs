//! One page with its overflow, read from a source and checked against the file's bounds.

use std::io;

use super::element::{Branch, Leaf, check_extents, table_len};
use super::error::{Error, PageError};
use super::layout::{PAGE_HEADER_LEN, PageId, to_usize};
use super::page::{PageHeader, PageKind};
use super::source::ReadAt;

/// What bounds every page of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) page_size: usize,
    pub(crate) high_water: PageId,
    pub(crate) file_len: u64,
}

impl Geometry {
    pub(crate) fn offset(&self, page: PageId) -> u64 {
        page.0.saturating_mul(self.page_size as u64)
    }

    pub(crate) fn error(&self, page: PageId, error: PageError) -> Error {
        Error::Page { page, offset: self.offset(page), error }
    }

    /// Whole pages in the file that were ever used.
    pub(crate) fn page_count(&self) -> u64 {
        self.high_water.0.min(self.file_len / self.page_size as u64)
    }

    /// Checks that `page` may hold data and is in the file, at least its first page.
    pub(crate) fn check_start(&self, page: PageId) -> Result<(), PageError> {
        if page.0 < 2 || page >= self.high_water {
            return Err(PageError::OutOfBounds { high_water: self.high_water });
        }
        self.check_end(page, 1)
    }

    fn check_end(&self, page: PageId, pages: u64) -> Result<(), PageError> {
        let end = self.offset(page).saturating_add(pages.saturating_mul(self.page_size as u64));
        if end > self.file_len {
            return Err(PageError::Truncated { end, file_len: self.file_len });
        }
        Ok(())
    }

    /// Checks a header against the page it was read from; gives the length of the run in bytes.
    pub(crate) fn check_header(&self, page: PageId, header: &PageHeader) -> Result<u64, PageError> {
        if header.id != page {
            return Err(PageError::SelfId { found: header.id });
        }
        let pages = u64::from(header.overflow) + 1;
        if page.0 + pages > self.high_water.0 {
            return Err(PageError::Overflow { overflow: header.overflow, high_water: self.high_water });
        }
        self.check_end(page, pages)?;
        Ok(pages * self.page_size as u64)
    }
}

/// How much of a page to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything that elements point to.
    Whole,
    /// Its first page, and the element table: enough for headers, and for values that need not be looked at.
    Table,
}

/// A leaf or branch page. The buffer is kept from page to page.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: PageId,
    pub(crate) header: PageHeader,
    pub(crate) kind: PageKind,
    /// Bytes of the page and its overflow in the file.
    pub(crate) run_len: u64,
    bytes: Vec<u8>,
    loaded: usize,
}

impl Default for Run {
    fn default() -> Run {
        let header = PageHeader { id: PageId(0), flags: PageKind::Leaf.flags(), count: 0, overflow: 0 };
        Run { id: PageId(0), header, kind: PageKind::Leaf, run_len: 0, bytes: Vec::new(), loaded: 0 }
    }
}

impl Run {
    /// Takes an inline page, which has no id of its own.
    pub(crate) fn inline(bytes: &[u8]) -> Result<Run, PageError> {
        Leaf::decode(bytes)?;
        let header = PageHeader::decode(bytes).expect("a decoded leaf has a header");
        let (loaded, run_len) = (bytes.len(), bytes.len() as u64);
        Ok(Run { id: PageId(0), header, kind: PageKind::Leaf, run_len, bytes: bytes.to_vec(), loaded })
    }

    /// Reads leaf or branch `page`: nothing is allocated by a declared size before it is compared with the file.
    pub(crate) fn load<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        page: PageId,
        extent: Extent,
    ) -> Result<(), Error> {
        self.load_head(source, geometry, page)?;
        self.load_body(source, geometry, extent)
    }

    /// Reads the first page of a run and judges its header. Who follows pointers asks here how long the run is, before
    /// its bytes are read: hostile runs can lie over each other, and a branch can name one of them 65535 times.
    pub(crate) fn load_head<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        page: PageId,
    ) -> Result<(), Error> {
        let fail = |error| geometry.error(page, error);
        geometry.check_start(page).map_err(fail)?;
        self.loaded = 0;
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

    /// Reads on after [`Run::load_head`], and judges the elements.
    pub(crate) fn load_body<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        geometry: &Geometry,
        extent: Extent,
    ) -> Result<(), Error> {
        self.extend(source, geometry, self.id, table_len(self.header.count))?;
        let end = check_extents(&self.bytes[..self.loaded], &self.header, self.kind, self.run_len)
            .map_err(|error| geometry.error(self.id, error))?;
        match extent {
            // Not to the end of the run, which in a sparse file can be terabytes away.
            Extent::Whole => self.extend(source, geometry, self.id, to_usize(end)),
            Extent::Table => Ok(()),
        }
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

    pub(crate) fn count(&self) -> usize {
        usize::from(self.header.count)
    }

    /// What was read, from the page header on.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.loaded]
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

    /// Whether the page could be a header at all. Used where only 16 bytes are wanted.
    pub(crate) const HEADER_LEN: usize = PAGE_HEADER_LEN;
}
