//! Runs from fixed seeds: of nodes as they are, and of such as are broken on
//! purpose, which have to be found out.

use winter_sim::coverage::Coverage;
use winter_simulator::faults::Kind;
use winter_simulator::options::{Broken, Options};
use winter_simulator::report::Report;
use winter_simulator::world::run;

/// Seeds of the gate: three nodes and five, both ways to read, clocks that lie. Whole
/// nodes pass with all of them.
const SEEDS: [u64; 8] = [1, 2, 3, 4, 6, 9, 26, TWICE];
/// Of these, with which such do not pass that read without the barrier,
const UNCONFIRMED: [u64; 3] = [1, 2, 3];
/// and such that acknowledge what is not committed. A seed has to meet a leader with
/// such a write when that is lost, so another one may have to after a change.
const UNCOMMITTED: [u64; 4] = [9, 13, 2, 1];
/// With which nodes do not pass that decide by their own clocks what has expired.
const UNTIMELY: [u64; 2] = [1, 4];
/// With which nodes do not pass whose memory goes and whose identity stays.
const FORGETFUL: u64 = 1;
/// With values that are long for the nodes' memory.
const LONG: [u64; 2] = [1, 2];
/// Of which two runs are compared.
const TWICE: u64 = 13;
/// Faults that hit a leader in one of the runs at least. Of those that two kinds of
/// fault bring about, one is enough.
const OF_LEADERS: [&[Kind]; 6] = [
    &[Kind::Crash, Kind::PowerLoss],
    &[Kind::Isolation, Kind::Exile],
    &[Kind::Hold],
    &[Kind::Mute],
    &[Kind::Deaf],
    &[Kind::Rift],
];

#[track_caller]
fn passes(options: Options) -> Report {
    let report = run(options, None);
    assert!(report.passes(), "{}\n{report}", report.options);
    report
}

/// Broken nodes are found out by one of these runs at least, by what clients were told.
#[track_caller]
fn are_found_out(runs: impl IntoIterator<Item = Options>) {
    let tells = |options| run(options, None).to_string().contains("is not linearizable");
    assert!(runs.into_iter().any(tells), "no run tells");
}

#[test]
fn fixed_seeds_pass() {
    let reports = SEEDS.map(|seed| passes(Options::of(seed)));
    let mut traces: Vec<_> = reports.iter().map(|report| report.trace).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), SEEDS.len(), "each seed makes another run");
    let mut met = Coverage::default();
    reports.iter().for_each(|report| met.merge(&report.coverage));
    meet_every_fault(&met);
}

/// Seeds that never cut a leader off, say, show nothing of that: others have to be found.
#[track_caller]
fn meet_every_fault(met: &Coverage) {
    let hit = |kind: Kind, who| met.count(&format!("{}: {who}", kind.word()));
    for kind in Kind::all() {
        let times = hit(kind, "a leader") + hit(kind, "a node");
        assert!(times > 0, "no run had {kind:?}\n{met}");
    }
    for kinds in OF_LEADERS {
        let times: u64 = kinds.iter().map(|&kind| hit(kind, "a leader")).sum();
        assert!(times > 0, "no leader was hit by any of {kinds:?}\n{met}");
    }
    for what in ["DNS lied", "a node has left", "clocks seconds apart", "clocks minutes apart"] {
        assert!(met.count(what) > 0, "no run had: {what}\n{met}");
    }
}

#[test]
fn values_that_are_long_for_the_nodes_memory_break_no_order() {
    let mut met = Coverage::default();
    for seed in LONG {
        met.merge(&passes(Options::long(seed)).coverage);
    }
    for what in ["a long value was read", "a long value was written"] {
        assert!(met.count(what) > 0, "no run had: {what}\n{met}");
    }
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
    are_found_out(
        UNCONFIRMED.map(|seed| Options { broken: Some(Broken::Reads), ..Options::of(seed) }),
    );
}

#[test]
fn an_acknowledgement_before_its_commit_is_found_out() {
    let broken = Some(Broken::Acknowledgements);
    are_found_out(UNCOMMITTED.map(|seed| Options { broken, ..Options::of(seed) }));
}

#[test]
fn an_expiry_that_nobody_else_knows_of_is_found_out() {
    passes(Options::clocks(UNTIMELY[0]));
    let broken = Some(Broken::Expiry);
    are_found_out(UNTIMELY.map(|seed| Options { broken, ..Options::clocks(seed) }));
}

#[test]
fn a_node_that_comes_back_empty_as_who_it_was_is_found_out() {
    passes(Options::amnesia(FORGETFUL));
    let broken = Some(Broken::Identity);
    are_found_out([Options { broken, ..Options::amnesia(FORGETFUL) }]);
}
