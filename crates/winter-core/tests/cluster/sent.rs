//! What the fuzz target `snapshot` checks, given bytes. It builds this file with
//! a fuzzer; the corpus test plays its seeds through it.

use winter_core::cluster::replica::{Replica, Unheard};
use winter_core::cluster::snapshot::{Frozen, Receiving, SnapshotFault};
use winter_core::store::Seed;
use xxhash_rust::xxh3::xxh3_64;

/// All of a snapshot, read in chunks of `bytes_max`.
pub(crate) fn read_all(mut frozen: Frozen, bytes_max: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = frozen.next(bytes_max) {
        assert!((1..=bytes_max).contains(&chunk.len()));
        all.extend_from_slice(&chunk);
    }
    assert!(frozen.next(bytes_max).is_none(), "the end stays the end");
    all
}

/// A replica that was sent `bytes` in chunks of `chunk_bytes`.
pub(crate) fn installed(
    seed: Seed,
    bytes: &[u8],
    chunk_bytes: usize,
) -> Result<Replica, SnapshotFault> {
    let mut replica = Replica::new(seed, 0);
    let mut received = Receiving::new(seed);
    bytes.chunks(chunk_bytes).try_for_each(|chunk| received.push(chunk))?;
    replica.install(received, &mut Unheard)?;
    Ok(replica)
}

/// Bytes, given a checksum that matches them, are no snapshot, however they are
/// split, or the one snapshot of a sound replica.
pub(crate) fn snapshot(input: &[u8]) {
    let mut bytes = input.to_vec();
    bytes.extend(xxh3_64(input).to_le_bytes());
    let whole = installed(Seed(1, 2), &bytes, usize::MAX);
    let split = installed(Seed(3, 4), &bytes, 1 + input.len() % 13);
    assert_eq!(whole.as_ref().err(), split.as_ref().err());
    if let (Ok(whole), Ok(split)) = (whole, split) {
        assert!(whole.partition().is_sound() && split.partition().is_sound());
        assert!(read_all(whole.freeze(), 1 << 20) == bytes, "a state has two snapshots");
        assert!(read_all(split.freeze(), 50) == bytes, "a state has two snapshots");
    }
}
