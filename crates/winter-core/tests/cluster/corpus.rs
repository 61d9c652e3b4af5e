//! The fuzz targets' seeds, and what they ever found, played without a fuzzer.

use winter_testkit::replay_seeds;

use crate::{packed, sent};

#[test]
fn seeds_of_the_packed_entry() {
    replay_seeds("entry", packed::entry);
}

#[test]
fn seeds_of_the_snapshot() {
    replay_seeds("snapshot", sent::snapshot);
}
