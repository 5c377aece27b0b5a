//! Configurations that are held once, however many logs have them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::codec::decode_configuration;
use super::configuration::Configuration;
use super::error::Error;

/// Configurations that are compared with: those of an entry that is read twice, and what all servers began with.
const KEPT: usize = 4;

thread_local! {
    /// The ones that were decoded last, newest first, with their bytes.
    static KNOWN: RefCell<VecDeque<(Vec<u8>, Weak<Configuration>)>> = const { RefCell::new(VecDeque::new()) };
}

/// Decodes a configuration; one that this thread decoded lately, and still holds, is that one.
///
/// # Errors
/// As [`decode_configuration`].
pub fn decode_shared(bytes: &[u8]) -> Result<Arc<Configuration>, Error> {
    KNOWN.with_borrow_mut(|known| {
        let position = known.iter().position(|(encoded, _)| encoded == bytes);
        let entry = position.and_then(|position| known.remove(position));
        if let Some(found) = entry.as_ref().and_then(|(_, configuration)| configuration.upgrade()) {
            known.extend(entry);
            known.rotate_right(1);
            return Ok(found);
        }
        let decoded = Arc::new(decode_configuration(bytes)?);
        known.push_front((bytes.to_vec(), Arc::downgrade(&decoded)));
        known.truncate(KEPT);
        Ok(decoded)
    })
}

#[cfg(test)]
mod tests {
    use super::super::codec::encode_configuration;
    use super::super::configuration::{Server, Suffrage};
    use super::*;

    fn encoded(id: &str) -> Vec<u8> {
        let server = Server { suffrage: Suffrage::Voter, id: id.to_owned(), address: format!("{id}:1") };
        let mut bytes = Vec::new();
        encode_configuration(&Configuration { servers: vec![server] }, &mut bytes);
        bytes
    }

    #[test]
    fn equal_bytes_are_one_configuration_as_long_as_it_is_held() {
        let first = decode_shared(&encoded("a")).unwrap();
        for other in ["b", "c", "d"] {
            decode_shared(&encoded(other)).unwrap();
            assert!(Arc::ptr_eq(&first, &decode_shared(&encoded("a")).unwrap()));
        }
        let weak = Arc::downgrade(&first);
        drop(first);
        assert!(weak.upgrade().is_none(), "nothing is held for its own sake");
        assert_eq!(decode_shared(&encoded("a")).unwrap().servers[0].id, "a");
        assert!(decode_shared(b"junk").is_err());
    }
}
