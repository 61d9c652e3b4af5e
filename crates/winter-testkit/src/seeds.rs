//! The fuzz targets' seeds, and what fuzzers ever found, played without a fuzzer.

use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::Path;

/// Fewer seeds than this, and they were lost.
const SEEDS_MIN: usize = 10;

/// Plays every seed of the fuzz target `target`.
///
/// # Panics
/// If `check` does, with the seed's path, or if the seeds are gone.
pub fn replay_seeds(target: &str, check: impl Fn(&[u8]) + RefUnwindSafe) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("a seed").path();
        let input = std::fs::read(&path).expect("a seed that can be read");
        assert!(catch_unwind(|| check(&input)).is_ok(), "{} fails", path.display());
        files += 1;
    }
    assert!(files >= SEEDS_MIN, "the seeds are gone from {}", folder.display());
}
