//! What the fuzz targets check, given bytes. `fuzz/` builds these with a fuzzer;
//! the corpus test plays its seeds through them.

use winter_core::protocol::Dialect;
use winter_core::store::Seed;

use crate::model::{Guess, Op, Variant, Verb, run};
use crate::reader::check_splits;

/// Small, so that a fuzzer passes the limits.
const VALUE_BYTES_MAX: usize = 64;

/// Lines read the same however they come.
pub(crate) fn line(input: &[u8]) {
    split(input, |input, cuts| check_splits(Dialect::Line, input, VALUE_BYTES_MAX, cuts));
}

/// RESP reads the same however it comes.
pub(crate) fn resp(input: &[u8]) {
    split(input, |input, cuts| check_splits(Dialect::Resp2, input, VALUE_BYTES_MAX, cuts));
}

/// The first two bytes say where to cut what follows.
fn split(input: &[u8], check: impl Fn(&[u8], &[usize])) {
    if let [first, second, rest @ ..] = input {
        let cuts = [usize::from(*first), usize::from(*second) * 4];
        check(rest, &cuts);
    }
}

/// A partition does what the model does, and does it twice.
pub(crate) fn table(input: &[u8]) {
    let ops: Vec<Op> = input.chunks_exact(6).take(300).filter_map(op_of).collect();
    let answers = run(&ops, Variant { seed: Seed(3, 4), maintains: true });
    let again = run(&ops, Variant { seed: Seed(5, 6), maintains: false });
    assert!(answers == again, "two runs answer differently");
}

/// One operation of six bytes.
fn op_of(bytes: &[u8]) -> Option<Op> {
    let &[kind, table, a, b, c, d] = bytes else { return None };
    Some(match kind {
        0..200 => Op::Key {
            table,
            key: a,
            verb: Verb::ALL[usize::from(kind) % Verb::ALL.len()],
            size: b,
            ttl: (c > 0).then_some(u16::from_le_bytes([c, d])),
            guess: [Guess::Right, Guess::Right, Guess::Stale, Guess::Wild][usize::from(d) % 4],
        },
        200..208 => Op::Time(i16::from_le_bytes([a, b])),
        208..220 => Op::Deadline { table, nth: a % 8, beside: [-1, 0, 1][usize::from(b) % 3] },
        220..228 => Op::Maintain(a % 4),
        228..234 => Op::Count(table),
        234..250 => Op::Scan { table, count: a.max(1) },
        250..=255 => Op::Drop(table),
    })
}
