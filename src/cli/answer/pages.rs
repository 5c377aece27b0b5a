//! Answers of `pages` and its verbs. Bytes are hexadecimal digits.

use std::collections::BTreeMap;

use op_conductor_init::bolt::{
    self, BucketHeader, Meta, MetaError, Metas, PageId, PageKind, PageUse, PageView, ReadAt, Reader, Survey, TreeItem,
};
use serde::Serialize;

/// The answer of one of the verbs.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::cli) enum Pages {
    List(List),
    Show(Box<Page>),
    Tree(Tree),
    Meta(MetaPages),
    Map(Map),
}

/// `pages list`.
#[derive(Serialize)]
pub(in crate::cli) struct List {
    page_count: u64,
    pages: Vec<Run>,
    damaged: Vec<Damage>,
}

/// A branch or leaf with its overflow, or pages of one other use that stand next to each other.
#[derive(Serialize)]
struct Run {
    first: u64,
    pages: u64,
    r#use: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<usize>,
    /// Bytes that header, elements, keys and values take.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_len: Option<u64>,
    /// Bytes of the page with its overflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u64>,
}

/// A page that can't be used.
#[derive(Serialize)]
struct Damage {
    page: u64,
    error: String,
}

fn damage(survey: &Survey) -> Vec<Damage> {
    survey.damaged.iter().map(|(page, error)| Damage { page: page.0, error: error.to_string() }).collect()
}

/// The word for a use.
pub(in crate::cli) fn use_word(kind: PageUse) -> &'static str {
    match kind {
        PageUse::Meta => "meta",
        PageUse::Freelist => "freelist",
        PageUse::Branch => "branch",
        PageUse::Leaf => "leaf",
        PageUse::Overflow => "overflow",
        PageUse::Free => "free",
        PageUse::Lost => "lost",
        PageUse::Damaged => "damaged",
    }
}

impl List {
    pub(in crate::cli) fn new<R: ReadAt>(reader: &Reader<R>) -> Result<List, bolt::Error> {
        let survey = reader.survey()?;
        let mut found = BTreeMap::new();
        reader.walk_tree(&mut |item| {
            if let TreeItem::Page(page) = item {
                found.insert(page.id, (page.count, page.used, page.len));
            }
            true
        })?;
        let run = |(kind, first, pages): (PageUse, PageId, u64)| {
            let page = found.get(&first);
            Run {
                first: first.0,
                pages,
                r#use: use_word(kind),
                elements: page.map(|(count, ..)| *count),
                used_len: page.map(|(_, used, _)| *used),
                len: page.map(|(.., len)| *len),
            }
        };
        Ok(List { page_count: survey.page_count(), pages: survey.runs().map(run).collect(), damaged: damage(&survey) })
    }
}

/// `pages show`.
#[derive(Serialize)]
pub(in crate::cli) struct Page {
    page: u64,
    r#use: &'static str,
    /// Null when it is a part of a value, and values are hidden.
    header: Option<Header>,
    len: usize,
    elements: Vec<Element>,
    /// Ids in a freelist.
    free: Vec<u64>,
    /// With --hex, unless values are hidden.
    bytes: Option<String>,
}

#[derive(Serialize)]
struct Header {
    id: u64,
    /// By the flags; null when they are unknown.
    kind: Option<&'static str>,
    flags: u16,
    count: u16,
    overflow: u32,
}

#[derive(Serialize)]
struct Element {
    key: String,
    /// The child of a branch.
    child: Option<u64>,
    is_bucket: bool,
    value_len: usize,
    /// Null on a branch, and when values are hidden.
    value: Option<String>,
}

impl Page {
    pub(in crate::cli) fn new<R: ReadAt>(
        reader: &Reader<R>,
        page: PageId,
        hex: bool,
        redact: bool,
    ) -> Result<Page, bolt::Error> {
        let view = reader.page(page)?;
        let used_for = reader.survey()?.use_of(page);
        let hidden = redact && used_for == PageUse::Overflow;
        let header = Header {
            id: view.header.id.0,
            kind: view.header.kind().map(PageKind::name),
            flags: view.header.flags,
            count: view.header.count,
            overflow: view.header.overflow,
        };
        Ok(Page {
            page: page.0,
            r#use: use_word(used_for),
            header: (!hidden).then_some(header),
            len: view.bytes.len(),
            elements: if hidden { Vec::new() } else { elements(&view, redact) },
            free: if hidden { Vec::new() } else { view.free.iter().map(|page| page.0).collect() },
            bytes: (hex && !redact).then(|| const_hex::encode(&view.bytes)),
        })
    }
}

fn elements(view: &PageView, redact: bool) -> Vec<Element> {
    let element = |it: &bolt::ElementView| Element {
        key: const_hex::encode(&view.bytes[it.key.clone()]),
        child: it.child.map(|page| page.0),
        is_bucket: it.is_bucket,
        value_len: it.value.len(),
        value: (it.child.is_none() && !redact).then(|| const_hex::encode(&view.bytes[it.value.clone()])),
    };
    view.elements.iter().map(element).collect()
}

/// `pages tree`: from the top, and from left to right.
#[derive(Serialize)]
pub(in crate::cli) struct Tree {
    items: Vec<Item>,
}

#[derive(Serialize)]
#[serde(tag = "item", rename_all = "lowercase")]
enum Item {
    Page {
        /// Levels above it.
        depth: usize,
        page: u64,
        kind: &'static str,
        elements: usize,
        overflow: u32,
        first_key: Option<String>,
        last_key: Option<String>,
        /// The bucket whose root it is; the name of the top level is empty.
        bucket: Option<Bucket>,
    },
    /// A bucket inside the page above.
    Inline {
        depth: usize,
        bucket: Bucket,
    },
    Damaged {
        depth: usize,
        page: u64,
        error: String,
    },
}

#[derive(Serialize)]
struct Bucket {
    name: String,
    sequence: u64,
}

fn bucket(name: &[u8], header: &BucketHeader) -> Bucket {
    Bucket { name: const_hex::encode(name), sequence: header.sequence }
}

impl Tree {
    pub(in crate::cli) fn new<R: ReadAt>(reader: &Reader<R>) -> Result<Tree, bolt::Error> {
        let mut items = Vec::new();
        reader.walk_tree(&mut |item| {
            items.push(match item {
                TreeItem::Page(page) => Item::Page {
                    depth: page.depth,
                    page: page.id.0,
                    kind: page.kind.name(),
                    elements: page.count,
                    overflow: page.overflow,
                    first_key: page.keys.as_ref().map(|(first, _)| const_hex::encode(first)),
                    last_key: page.keys.as_ref().map(|(_, last)| const_hex::encode(last)),
                    bucket: page.bucket.as_ref().map(|(name, header)| bucket(name, header)),
                },
                TreeItem::Inline(depth, name, header) => Item::Inline { depth, bucket: bucket(name, &header) },
                TreeItem::Damaged(depth, page, error) => {
                    Item::Damaged { depth, page: page.0, error: error.to_string() }
                }
            });
            true
        })?;
        Ok(Tree { items })
    }
}

/// `pages meta`.
#[derive(Serialize)]
pub(in crate::cli) struct MetaPages {
    file_len: u64,
    /// Which of the two counts.
    live: usize,
    metas: Vec<MetaPage>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum MetaPage {
    Valid {
        txid: u64,
        page_size: u32,
        root: u64,
        sequence: u64,
        /// Null when it isn't on disk.
        freelist: Option<u64>,
        high_water: u64,
    },
    Invalid {
        error: String,
    },
}

impl MetaPages {
    pub(in crate::cli) fn new(metas: &Metas, file_len: u64) -> MetaPages {
        let page = |slot: &Result<Meta, MetaError>| match slot {
            Ok(meta) => MetaPage::Valid {
                txid: meta.txid.0,
                page_size: meta.page_size,
                root: meta.root.root.0,
                sequence: meta.root.sequence,
                freelist: meta.freelist.map(|page| page.0),
                high_water: meta.high_water.0,
            },
            Err(error) => MetaPage::Invalid { error: error.to_string() },
        };
        MetaPages { file_len, live: metas.live, metas: metas.slots.iter().map(page).collect() }
    }
}

/// `pages map`: how many pages are of which use.
#[derive(Serialize)]
pub(in crate::cli) struct Map {
    page_count: u64,
    by_use: BTreeMap<&'static str, u64>,
    damaged: Vec<Damage>,
}

impl Map {
    pub(in crate::cli) fn new(survey: &Survey) -> Map {
        let mut by_use = BTreeMap::new();
        for (kind, _, pages) in survey.runs() {
            *by_use.entry(use_word(kind)).or_default() += pages;
        }
        Map { page_count: survey.page_count(), by_use, damaged: damage(survey) }
    }
}
