//! One page taken apart, for people who look at pages.

use std::ops::Range;

use super::element::Element;
use super::error::{Error, PageError};
use super::freelist::{FREELIST_HEAD_LEN, FreelistPage};
use super::layout::{PageId, to_usize};
use super::page::{PageHeader, PageKind};
use super::page_buf::{Load, PageBuf};
use super::read::Reader;
use super::storage::ReadAt;

/// One page with its overflow, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageView {
    /// Its header.
    pub header: PageHeader,
    /// All its bytes, overflow included.
    pub bytes: Vec<u8>,
    /// Where keys and values are; empty unless the page is a branch or a leaf.
    pub elements: Vec<ElementView>,
    /// The ids in a freelist.
    pub free: Vec<PageId>,
}

/// An element of a page: ranges of the page's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementView {
    /// Whether the value is a bucket.
    pub is_bucket: bool,
    /// The key.
    pub key: Range<usize>,
    /// The value; empty on a branch.
    pub value: Range<usize>,
    /// The child page of a branch.
    pub child: Option<PageId>,
}

impl<R: ReadAt> Reader<R> {
    /// Reads one page with its overflow, whatever kind of page it is.
    ///
    /// # Errors
    /// [`Error::Page`] if it can't be taken apart.
    pub fn page(&self, page: PageId) -> Result<PageView, Error> {
        let (source, geometry) = (self.source(), self.geometry());
        if page >= geometry.high_water {
            return Err(geometry.error(page, PageError::OutOfBounds { high_water: geometry.high_water }));
        }
        let mut head = [0; FREELIST_HEAD_LEN];
        source.read_full_at(&mut head, geometry.offset(page)).map_err(Error::io("reading a page"))?;
        let header = PageHeader::decode(&head).expect("the head is longer than a page header");
        let mut view = PageView { header, bytes: Vec::new(), elements: Vec::new(), free: Vec::new() };
        match header.kind() {
            Some(PageKind::Branch | PageKind::Leaf) => {
                let mut buf = PageBuf::default();
                buf.load(source, geometry, page, Load::Whole)?;
                view.elements = (0..buf.count()).map(|index| element_view(&buf.element(index), buf.kind)).collect();
                view.bytes = buf.bytes().to_vec();
            }
            Some(PageKind::Freelist) => {
                let freelist = FreelistPage::decode(&head, geometry, page)?;
                view.bytes = self.raw_page(page, header.span())?;
                freelist.each_id(source, |id| view.free.push(id))?;
            }
            Some(PageKind::Meta) | None => view.bytes = self.raw_page(page, 1)?,
        }
        Ok(view)
    }

    /// The bytes of `pages` pages, as far as the file goes.
    fn raw_page(&self, page: PageId, pages: u64) -> Result<Vec<u8>, Error> {
        let geometry = self.geometry();
        let offset = geometry.offset(page);
        let len = geometry.file_len.saturating_sub(offset).min(pages * geometry.page_size as u64);
        let mut bytes = vec![0; to_usize(len)];
        let read = self.source().read_full_at(&mut bytes, offset).map_err(Error::io("reading a page"))?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn element_view(element: &Element, kind: PageKind) -> ElementView {
    let (key, value) = (to_usize(element.key_start), to_usize(element.value_start));
    ElementView {
        is_bucket: kind == PageKind::Leaf && element.is_bucket(),
        key: key..value,
        value: value..to_usize(element.end),
        child: (kind == PageKind::Branch).then_some(element.child),
    }
}
