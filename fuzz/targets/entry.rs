//! See `packed`: what is checked; a corpus test plays the seeds.
#![no_main]

#[path = "../../crates/winter-core/tests/cluster/packed.rs"]
mod packed;

libfuzzer_sys::fuzz_target!(|input: &[u8]| packed::entry(input));
