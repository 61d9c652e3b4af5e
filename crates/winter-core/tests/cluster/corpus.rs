//! The fuzz targets' seeds, and what they ever found, played without a fuzzer.

use std::path::Path;

use crate::{packed, sent};

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("a seed").path();
        let input = std::fs::read(&path).expect("a seed that can be read");
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{} fails", path.display());
        files += 1;
    }
    assert!(files >= 10, "the seeds are gone from {}", folder.display());
}

#[test]
fn seeds_of_the_packed_entry() {
    replay("entry", packed::entry);
}

#[test]
fn seeds_of_the_snapshot() {
    replay("snapshot", sent::snapshot);
}
