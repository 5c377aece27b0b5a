//! Both metas of a file, and which of them counts.

use super::error::{Error, MetaError};
use super::layout::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, TxId};
use super::meta::{META_LEN, Meta, raw_txid};
use super::page::PAGE_HEADER_LEN;
use super::storage::ReadAt;

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
