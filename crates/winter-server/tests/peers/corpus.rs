//! The fuzz target's seeds, and what it ever found, played without a fuzzer.

use std::path::Path;

use crate::fuzzed;

#[test]
fn seeds_of_the_peer_protocol() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/peer");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("a seed").path();
        let input = std::fs::read(&path).expect("a seed that can be read");
        let outcome = std::panic::catch_unwind(|| fuzzed::peer(&input));
        assert!(outcome.is_ok(), "{} fails", path.display());
        files += 1;
    }
    assert!(files >= 10, "the seeds are gone from {}", folder.display());
}

#[test]
fn bytes_by_chance() {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state.to_le_bytes()[6]
    };
    for _ in 0..20_000 {
        let length = usize::from(next());
        let mut input: Vec<u8> = (0..length).map(|_| next()).collect();
        // Half of them are short words, of which more make sense.
        if next() % 2 == 0 {
            input.iter_mut().skip(2).for_each(|byte| *byte %= 6);
        }
        fuzzed::peer(&input);
    }
}
