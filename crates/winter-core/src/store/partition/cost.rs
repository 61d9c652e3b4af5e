//! What a write would add, so that it can be measured against a limit first.

use super::{Partition, is_expired};
use crate::command::KeyOp;
use crate::store::entry::Entry;
use crate::store::hash::HashedKey;
use crate::store::slice::SLOT_BYTES;
use crate::store::table::Table;
use crate::time::{Deadline, Timestamp};

/// What a write would add to a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Entries.
    pub entries: u64,
    /// Bytes of entries and their slots.
    pub bytes: u64,
}

impl Partition {
    /// What `op` would add if it were applied at `at`; `None` when it would write nothing.
    #[must_use]
    pub fn cost(
        &self,
        at: Timestamp,
        table: &Table,
        key: HashedKey<'_>,
        op: &KeyOp<'_>,
    ) -> Option<Cost> {
        let now = self.clock.max(at);
        let found = self.slices.of(table).and_then(|slice| slice.find(key));
        let live = found.filter(|found| !is_expired(&found.entry, now));
        let (data, expires) = match (*op, live) {
            (KeyOp::PutNew(write) | KeyOp::Add(write), None) | (KeyOp::Put(write), _) => {
                (write.data, write.ttl.or(table.options.ttl).is_some())
            }
            (KeyOp::Cas(expected, write), Some(found))
                if self.first_version + found.entry.version == expected =>
            {
                (write.data, write.ttl.or(table.options.ttl).is_some())
            }
            (KeyOp::Touch(ttl, expected), Some(found))
                if expected.is_none_or(|v| self.first_version + found.entry.version == v) =>
            {
                (found.entry.data, ttl.is_some())
            }
            _ => return None,
        };
        let deadline = expires.then_some(Deadline::from_millis(0));
        let entry = Entry { version: self.version + 1, deadline, key: key.key, data };
        let bytes = (entry.encoded_len() + SLOT_BYTES) as u64;
        Some(match found {
            Some(old) => Cost {
                entries: 0,
                bytes: bytes.saturating_sub((old.entry.encoded_len() + SLOT_BYTES) as u64),
            },
            None => Cost { entries: 1, bytes },
        })
    }
}
