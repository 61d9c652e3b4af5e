//! The two hashes of a key.
//!
//! Which partition a key belongs to must be the same on every node and in every
//! release: XXH3-64, seeded with the hash of the table's name. Where it lies in
//! an index must be beyond a client's guessing, or chosen keys would make one
//! long run of slots: SipHash-1-3, under a key that is drawn at start.

use siphasher::sip::SipHasher13;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::index::Hint;

/// The secret of a node's indexes: random, drawn by whoever makes the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64, pub u64);

/// A key and its hash under a node's [`Seed`].
#[derive(Clone, Copy, Debug)]
pub struct HashedKey<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its hash.
    pub hash: u64,
    /// Where the slots of the hash began, or would have, at an earlier look.
    pub hint: Option<Hint>,
}

impl<'a> HashedKey<'a> {
    /// Hashes `key`.
    #[must_use]
    pub fn new(seed: Seed, key: &'a [u8]) -> Self {
        Self::with_hash(key, seed.hash(key))
    }

    /// `key` and its hash.
    #[must_use]
    pub const fn with_hash(key: &'a [u8], hash: u64) -> Self {
        Self { key, hash, hint: None }
    }
}

impl Seed {
    /// The hash of `key` that indexes go by.
    #[must_use]
    pub fn hash(self, key: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0, self.1).hash(key)
    }
}

/// The hash of a table's name, the seed of its keys' partitions.
#[must_use]
pub fn table_hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// Which of `partitions` a key belongs to.
#[inline]
#[must_use]
pub fn partition_of(table_hash: u64, key: &[u8], partitions: u16) -> u16 {
    let remainder = xxh3_64_with_seed(key, table_hash) % u64::from(partitions);
    u16::try_from(remainder).expect("less than a u16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_partition_never_changes() {
        let hash = table_hash("sessions");
        let of = |key: &str| partition_of(hash, key.as_bytes(), 256);
        assert_eq!([of("a"), of("b"), of("user:1")], [209, 75, 15]);
    }
}
