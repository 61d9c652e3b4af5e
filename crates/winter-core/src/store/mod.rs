//! The store: partitions of tables of entries.
//!
//! A [`Partition`] is the unit of locking and replication. It holds a
//! [`Slice`] of every table that has entries in it. A slice is a
//! log-structured arena of entries that are written once and never change in
//! place, and an index of compact slots beside it. The pieces, from the bytes up:
//!
//! - [`entry`]: one entry's bytes: a header of 3 to 24 bytes, the key, the data.
//! - [`arena`]: pages of entries, and which of them are worth reclaiming.
//! - [`index`]: part of a key's hash beside its entry's location, in hash order.
//! - [`mod@slice`]: a table's share of a partition: look up, write, expire, reclaim.
//! - [`frozen`]: a slice as it was at one moment, read while it changes.
//! - [`partition`]: what a command means: [`Partition::apply`].
//!
//! The layout follows Segcache (NSDI 2021) and RAMCloud (FAST 2014): space
//! comes back by copying what lives out of the emptiest pages, a page at a
//! time, and entries that expire at about the same time share pages.

pub mod arena;
pub mod entry;
pub mod frozen;
pub mod hash;
pub mod index;
pub mod partition;
mod prefetch;
pub mod slice;
pub mod slots;
pub mod table;

pub use hash::{HashedKey, Seed, partition_of, table_hash};
pub use partition::{Cost, Partition, first_version};
pub use slice::Slice;
pub use slots::Slots;
pub use table::{Table, TableId, Usage};
