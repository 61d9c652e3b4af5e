//! Runs from fixed seeds: of nodes as they are, and of such as are broken on
//! purpose, which have to be found out.

use winter_simulator::options::{Broken, Options};
use winter_simulator::report::Report;
use winter_simulator::world::run;

/// Seeds of the gate.
const SEEDS: [u64; 2] = [13, 14];
/// The seed with which whole nodes pass and broken ones do not.
const TELLING: u64 = 13;

#[track_caller]
fn passes(options: Options) -> Report {
    let report = run(options, None);
    assert!(report.passes(), "{}\n{report}", report.options);
    report
}

/// Broken nodes are found out, by what clients were told.
#[track_caller]
fn is_found_out(broken: Broken) {
    let report = run(Options { broken: Some(broken), ..Options::of(TELLING) }, None);
    assert!(report.to_string().contains("is not linearizable"), "{report}");
}

#[test]
fn fixed_seeds_pass_and_the_same_seed_twice_gives_one_trace() {
    let [one, other] = SEEDS.map(|seed| passes(Options::of(seed)));
    let again = passes(Options::of(SEEDS[1]));
    assert_eq!(other.trace, again.trace);
    assert_eq!(other.history, again.history);
    assert_ne!(one.trace, other.trace);
}

#[test]
fn reads_without_the_barrier_are_found_out() {
    is_found_out(Broken::Reads);
}

#[test]
fn an_acknowledgement_before_its_commit_is_found_out() {
    is_found_out(Broken::Acknowledgements);
}
