//! The fuzz target's seeds, and what it ever found, played without a fuzzer.

use winter_testkit::replay_seeds;

use crate::fuzzed;

#[test]
fn seeds_of_the_peer_protocol() {
    replay_seeds("peer", fuzzed::peer);
}
