//! See `fuzzed`: what is checked, and the corpus test that plays the seeds.
#![no_main]

#[path = "../../crates/winter-server/tests/peers/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::peer(input));
