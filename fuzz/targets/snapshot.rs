//! See `sent`: what is checked; a corpus test plays the seeds.
#![no_main]

#[path = "../../crates/winter-core/tests/cluster/sent.rs"]
mod sent;

libfuzzer_sys::fuzz_target!(|input: &[u8]| sent::snapshot(input));
