//! A node's plan as the bytes of its two stores.

use super::NodePlan;
use crate::bolt::{Db, Error};
use crate::raft::{CONF_BUCKET, LOGS_BUCKET, codec};

/// The two stores of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFiles {
    /// raft-log.db.
    pub log: Vec<u8>,
    /// raft-stable.db.
    pub stable: Vec<u8>,
}

impl NodePlan<'_> {
    /// Makes the calls as raft-boltdb would: the files have the very bytes that it writes.
    pub fn files(&self, page_size: usize) -> Result<StateFiles, Error> {
        let mut log = new_store(page_size)?;
        let mut tx = log.begin()?;
        let mut value = Vec::new();
        for entry in &self.entries {
            value.clear();
            codec::encode_log(entry, &mut value);
            tx.put(LOGS_BUCKET, &entry.index.to_key(), &value)?;
        }
        tx.commit()?;

        let mut stable = new_store(page_size)?;
        for (key, value) in &self.stable {
            let mut tx = stable.begin()?;
            tx.put(CONF_BUCKET, key.as_bytes(), value)?;
            tx.commit()?;
        }
        Ok(StateFiles { log: log.into_storage(), stable: stable.into_storage() })
    }
}

/// Both stores have both buckets. (raft-boltdb v2/bolt_store.go initialize)
fn new_store(page_size: usize) -> Result<Db<Vec<u8>>, Error> {
    let mut db = Db::create(Vec::new(), page_size)?;
    let mut tx = db.begin()?;
    tx.create_bucket_if_not_exists(LOGS_BUCKET)?;
    tx.create_bucket_if_not_exists(CONF_BUCKET)?;
    tx.commit()?;
    Ok(db)
}
