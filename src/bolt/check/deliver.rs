//! Delivers the pairs of one bucket while the file that holds it is checked.

use super::super::element::Element;
use super::super::layout::to_usize;
use super::super::page_buf::PageBuf;

/// The bucket whose pairs are wanted, if any, and who gets them.
pub(super) struct Delivery<'a> {
    wanted: Option<Wanted<'a>>,
}

struct Wanted<'a> {
    bucket: &'a [u8],
    each: &'a mut dyn FnMut(&[u8], &[u8]),
    is_found: bool,
}

impl<'a> Delivery<'a> {
    pub(super) fn none() -> Delivery<'a> {
        Delivery { wanted: None }
    }

    /// Calls `each` for the pairs of the bucket `bucket` of the top level.
    pub(super) fn of(bucket: &'a [u8], each: &'a mut dyn FnMut(&[u8], &[u8])) -> Delivery<'a> {
        Delivery { wanted: Some(Wanted { bucket, each, is_found: false }) }
    }

    /// Whether the wanted bucket was found.
    pub(super) fn is_found(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.is_found)
    }

    /// Whether the bucket `name` of the top level is the wanted one.
    pub(super) fn finds(&mut self, name: &[u8]) -> bool {
        let Some(wanted) = &mut self.wanted else { return false };
        let is_it = wanted.bucket == name;
        wanted.is_found |= is_it;
        is_it
    }

    /// Delivers an element of a leaf of the wanted bucket; nothing if the value was not read.
    pub(super) fn element(&mut self, page: &PageBuf, element: &Element, key: &[u8]) {
        if let Some(value) = page.bytes().get(to_usize(element.value_start)..to_usize(element.end)) {
            self.pair(key, value);
        }
    }

    /// Delivers a pair of the wanted bucket.
    pub(super) fn pair(&mut self, key: &[u8], value: &[u8]) {
        if let Some(wanted) = &mut self.wanted {
            (wanted.each)(key, value);
        }
    }
}
