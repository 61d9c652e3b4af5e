//! See `fuzzed`: what is checked, and the corpus test that plays the seeds.
#![no_main]

#[expect(dead_code, reason = "each target checks one of them")]
#[path = "../../crates/winter-core/tests/core/fuzzed.rs"]
mod fuzzed;
#[allow(dead_code, reason = "each target uses its share")]
#[path = "../../crates/winter-core/tests/core/model.rs"]
mod model;
#[allow(dead_code, reason = "each target uses its share")]
#[path = "../../crates/winter-core/tests/core/reader.rs"]
mod reader;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::table(input));
