//! The fuzz targets' seeds, and what they ever found, played without a fuzzer.

use winter_testkit::replay_seeds;

use crate::fuzzed;

#[test]
fn seeds_of_the_line_dialect() {
    replay_seeds("line", fuzzed::line);
}

#[test]
fn seeds_of_resp() {
    replay_seeds("resp", fuzzed::resp);
}

#[test]
fn seeds_of_the_table() {
    replay_seeds("table", fuzzed::table);
}
