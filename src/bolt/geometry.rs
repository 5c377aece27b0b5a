//! What bounds every page of a file.

use super::error::{Error, PageError};
use super::layout::PageId;
use super::page::PageHeader;

/// Page size, high-water mark and length of a file: no page is read before it is compared with these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) page_size: usize,
    /// First page id that was never used.
    pub(crate) high_water: PageId,
    /// Bytes of the file.
    pub(crate) file_len: u64,
}

impl Geometry {
    /// Where a page begins, in bytes from the start of the file.
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

    /// Checks a header against the page it was read from; returns the bytes of the page and its overflow.
    pub(crate) fn check_header(&self, page: PageId, header: &PageHeader) -> Result<u64, PageError> {
        if header.id != page {
            return Err(PageError::SelfId { found: header.id });
        }
        let pages = header.span();
        if page.0 + pages > self.high_water.0 {
            return Err(PageError::Overflow { overflow: header.overflow, high_water: self.high_water });
        }
        self.check_end(page, pages)?;
        Ok(pages * self.page_size as u64)
    }

    fn check_end(&self, page: PageId, pages: u64) -> Result<(), PageError> {
        let end = self.offset(page).saturating_add(pages.saturating_mul(self.page_size as u64));
        if end > self.file_len {
            return Err(PageError::Truncated { end, file_len: self.file_len });
        }
        Ok(())
    }
}
