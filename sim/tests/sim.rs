//! Runs from fixed seeds: of nodes as they are, and of such as are broken on
//! purpose, which have to be found out.

use winter_simulator::options::{Broken, Options};
use winter_simulator::report::Report;
use winter_simulator::world::run;

/// Seeds of the gate: three nodes and five, both ways to read, clocks that lie. In 2,
/// 4 and 6 a node is cut off that leads the meta group, in 3 one loses its vote.
const SEEDS: [u64; 7] = [UNCONFIRMED, 2, 3, 4, 6, UNCOMMITTED, TWICE];
/// With which whole nodes pass, and such do not that read without the barrier,
const UNCONFIRMED: u64 = 1;
/// nor such that acknowledge what is not committed,
const UNCOMMITTED: u64 = 10;
/// nor, where memory goes and the identity stays, such that do not mind.
const FORGETFUL: u64 = 1;
/// Of which two runs are compared.
const TWICE: u64 = 13;

#[track_caller]
fn passes(options: Options) -> Report {
    let report = run(options, None);
    assert!(report.passes(), "{}\n{report}", report.options);
    report
}

/// Broken nodes are found out, by what clients were told.
#[track_caller]
fn is_found_out(options: Options) {
    let report = run(options, None);
    assert!(report.to_string().contains("is not linearizable"), "{report}");
}

#[test]
fn fixed_seeds_pass() {
    let mut traces: Vec<_> = SEEDS.map(|seed| passes(Options::of(seed)).trace).into();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), SEEDS.len(), "each seed makes another run");
}

#[test]
fn one_seed_twice_gives_one_trace_whatever_ran_before() {
    let one = passes(Options::of(TWICE));
    let other = passes(Options::of(TWICE));
    assert_eq!(one.trace, other.trace);
    assert_eq!(one.history, other.history);
}

#[test]
fn reads_without_the_barrier_are_found_out() {
    is_found_out(Options { broken: Some(Broken::Reads), ..Options::of(UNCONFIRMED) });
}

#[test]
fn an_acknowledgement_before_its_commit_is_found_out() {
    let broken = Some(Broken::Acknowledgements);
    is_found_out(Options { broken, ..Options::of(UNCOMMITTED) });
}

#[test]
fn a_node_that_comes_back_empty_as_who_it_was_is_found_out() {
    passes(Options::amnesia(FORGETFUL));
    is_found_out(Options { broken: Some(Broken::Identity), ..Options::amnesia(FORGETFUL) });
}
