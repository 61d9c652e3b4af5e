//! The meta group's state as bytes: what a member that joins is given, and what
//! the log begins with after it was cut.
//!
//! ```text
//! "WMETA" | format (2 bytes) | the state, in postcard | XXH3-64 of all before (8 bytes)
//! ```

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use super::{Index, Meta, TableState};
use crate::limits::TABLES_MAX;
use crate::store::Slots;

const MAGIC: &[u8; 5] = b"WMETA";
/// The format of a snapshot. What stands before it never changes, nor does the checksum.
const FORMAT: u16 = 1;

/// Why bytes are no state. Nothing was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// The bytes are not those that were written.
    #[error("the snapshot is corrupt")]
    Corrupt,
    /// A later release wrote it.
    #[error("the snapshot has format {0}, and this release reads up to {FORMAT}")]
    Newer(u16),
}

impl Meta {
    /// All of the state. Equal states make equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        let mut bytes =
            postcard::to_extend(self, bytes).expect("a vector takes whatever is written to it");
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// The state that was encoded.
    ///
    /// # Errors
    /// When the bytes are corrupt, or a later release's.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotFault> {
        let (bytes, checksum) = bytes.split_last_chunk().ok_or(SnapshotFault::Corrupt)?;
        let state = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk);
        let Some((format, state)) =
            state.filter(|_| xxh3_64(bytes) == u64::from_le_bytes(*checksum))
        else {
            return Err(SnapshotFault::Corrupt);
        };
        match u16::from_le_bytes(*format) {
            FORMAT => {}
            newer if newer > FORMAT => return Err(SnapshotFault::Newer(newer)),
            _ => return Err(SnapshotFault::Corrupt),
        }
        let (mut meta, rest): (Self, _) =
            postcard::take_from_bytes(state).map_err(|_| SnapshotFault::Corrupt)?;
        meta.index = meta.derive_index();
        if rest.is_empty() && meta.is_sound() { Ok(meta) } else { Err(SnapshotFault::Corrupt) }
    }

    fn derive_index(&self) -> Index {
        let named = self.tables.values().filter(|table| table.state != TableState::Dropping);
        let used = self.slots_used().into_iter().filter(|&slot| slot < SLOTS_MAX).collect();
        let mut index = Index {
            by_name: named.map(|table| (table.name.clone(), table.table.id)).collect(),
            slots: Slots::of(&used),
            ..Index::default()
        };
        self.tables.values().for_each(|table| index.note(table));
        index
    }

    fn slots_used(&self) -> BTreeSet<u32> {
        self.tables.values().map(|table| table.table.slot).collect()
    }

    /// Whether everything that must hold does.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let named = self.tables.values().filter(|table| table.state != TableState::Dropping);
        let slots = self.slots_used();
        let is_known = |node| self.members.contains_key(&node);
        self.tables.len() <= TABLES_MAX
            && (self.dissolved.is_none() || self.tables.is_empty())
            && slots.len() == self.tables.len()
            && slots.last().is_none_or(|&last| last < SLOTS_MAX)
            && named.count() == self.index.by_name.len()
            && self.index == self.derive_index()
            && self.tables.keys().all(|id| id.0 <= self.last_table)
            && self.members.keys().all(|node| !self.gone.contains_key(node))
            && self.groups.values().all(|group| {
                let target = match &group.change {
                    Some(change) if change.number > self.last_change => None,
                    Some(change) => change.swap.target(&group.voters),
                    None => Some(group.voters.clone()),
                };
                let nodes = target.map(|target| target.union(&group.voters).copied().collect());
                nodes.is_some_and(|all: BTreeSet<_>| {
                    !group.voters.is_empty() && all.into_iter().all(is_known)
                })
            })
    }
}

/// As many slots as tables.
const SLOTS_MAX: u32 = 1 << 16;
const _: () = assert!(SLOTS_MAX as usize == TABLES_MAX);
