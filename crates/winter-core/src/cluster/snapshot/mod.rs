//! A replica's state as bytes: what a member is given that has no log to go by.
//!
//! ```text
//! "WDATA" | format (2 bytes) | first version | version | clock (8 bytes each)
//! record | record | …
//! XXH3-64 of all before (8 bytes)
//!
//! record: length of the rest | kind | …
//! table:  the packed entry that makes the table, or that drops the last one of its slot
//! entry:  version, less the one before | milliseconds left, or 0 | key's length | key | data
//! end:    number of tables | number of entries
//! ```
//!
//! Fixed numbers are little-endian, the others LEB128 in their shortest form.
//! Tables come by slot, each followed by its entries in the order of their
//! versions. What had expired by the replica's clock is left out. So replicas
//! in the same state send the same bytes, wherever each has put them and under
//! whatever seed it hashes. What a packed entry can say is part of the format:
//! a release that adds to it raises [`FORMAT`] too.
//!
//! [`Frozen`] is the sender's side: the pages as they were, and a place in
//! them. [`Receiving`] is the other: a replica apart, which takes the place of
//! its node's own only when it came whole.

mod receive;
mod send;

pub use receive::Receiving;
pub use send::Frozen;
pub(super) use send::FrozenTable;

use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

const MAGIC: &[u8; 5] = b"WDATA";
/// The format that this release writes, and the newest that it reads.
pub const FORMAT: u16 = 1;
/// Bytes up to the format: they never change, so that a newer one is known as such.
const PREAMBLE_BYTES: usize = MAGIC.len() + size_of::<u16>();
/// First version, version and clock.
const HEAD_BYTES: usize = 3 * size_of::<u64>();
const CHECKSUM_BYTES: usize = size_of::<u64>();
/// The longest record: the longest entry and its numbers.
const RECORD_BYTES_MAX: usize = VALUE_BYTES_MAX + KEY_BYTES_MAX + 64;

/// Kinds of records as they are written.
mod kind {
    pub(super) const TABLE: u8 = 1;
    pub(super) const ENTRY: u8 = 2;
    pub(super) const END: u8 = 3;
}

/// Why bytes are not installed. The replica is what it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// Something else than a snapshot of a partition.
    #[error("the bytes are no snapshot of a partition")]
    Foreign,
    /// A later release wrote it.
    #[error("the snapshot has format {0}, and this release reads up to {FORMAT}")]
    Newer(u16),
    /// The bytes end before the snapshot does.
    #[error("the snapshot is cut short")]
    CutShort,
    /// A field is past its limit, or not written as this release writes it.
    #[error("the snapshot's {0} cannot be")]
    Invalid(&'static str),
    /// The bytes are not those that were sent.
    #[error("the snapshot's checksum does not match")]
    Corrupt,
    /// The partition has no page left for an entry.
    #[error("the snapshot does not fit into a partition")]
    NoRoom,
}
