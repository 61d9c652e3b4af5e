//! Founding, model-checked: no two clusters, and one in the end.
//!
//! Every state that the bounds allow is visited, breadth first, and asked: is
//! there one cluster at most? Does a complete cluster last while a majority of
//! it lives? If faults ended now, would a cluster form? And then the rules are
//! broken one by one, to see the same questions find it.

#![expect(
    clippy::print_stdout,
    reason = "the numbers that the decision quotes, and the ways that fail"
)]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod rules;
mod world;

use stateright::{Checker, HasDiscoveries, Model, UniformChooser};
use winter_core::cluster::founding::Flaw;
use world::Bounds;

/// More states than any exhaustive check here generates.
const STATES_MAX: usize = 2_000_000;

/// Visits every state.
fn holds(bounds: Bounds) {
    let checker = bounds.checker().threads(2).target_state_count(STATES_MAX).spawn_bfs().join();
    assert!(checker.state_count() < STATES_MAX, "the bounds are too wide to visit every state");
    report(&checker);
    checker.assert_properties();
}

/// Visits the first so many states.
fn holds_within(bounds: Bounds, states: usize) {
    let checker = bounds.checker().threads(2).target_state_count(states).spawn_bfs().join();
    report(&checker);
    no_failure(&checker);
}

/// Walks at random for so many steps.
fn holds_on_random_ways(bounds: Bounds, steps: usize) {
    let checker = bounds.checker().target_state_count(steps);
    let checker = checker.spawn_simulation(7, UniformChooser).join();
    no_failure(&checker);
    checker.assert_any_discovery("a cluster is complete");
}

fn report(checker: &impl Checker<Bounds>) {
    println!(
        "{:?}: {} states, {} steps deep",
        std::thread::current().name().unwrap_or_default(),
        checker.unique_state_count(),
        checker.max_depth()
    );
}

fn no_failure(checker: &impl Checker<Bounds>) {
    for name in ["one cluster at most", "a complete cluster lasts"] {
        checker.assert_no_discovery(name);
    }
}

/// Finds `failure`.
fn fails(bounds: Bounds, failure: &'static str) {
    let checker = bounds
        .checker()
        .threads(2)
        .target_state_count(STATES_MAX)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    report(&checker);
    let path = checker.assert_any_discovery(failure);
    println!("{failure}: {:?}", path.into_actions());
}

fn three() -> Bounds {
    Bounds::calm(&[1000, 1001, 1002], 3)
}

/// Two lists that share one node, the highest: the DNS tells some of three, and
/// some of two. A majority of the first can do without the node that they share.
fn overlapping() -> Bounds {
    Bounds {
        dns: vec![vec![0, 1, 3], vec![2, 3]],
        attempts: 1,
        is_coarse: true,
        ..Bounds::calm(&[1000, 1001, 1002, 1003], 2)
    }
}

fn with(flaw: Flaw, bounds: Bounds) -> Bounds {
    Bounds { flaw: Some(flaw), ..bounds }
}

#[test]
fn three_nodes_become_one_cluster_whatever_is_lost() {
    holds(Bounds { losses: 2, heals: true, ..three() });
}

#[test]
fn three_nodes_become_one_cluster_whoever_crashes() {
    holds(Bounds { crashes: 1, boots: 1, heals: true, ..three() });
}

#[test]
fn late_and_repeated_questions_change_nothing() {
    holds(Bounds { crashes: 1, boots: 1, delays: 1, is_coarse: true, ..three() });
}

#[test]
fn a_stale_empty_or_partial_dns_makes_no_second_cluster() {
    let dns = vec![vec![0, 1], vec![1, 2], vec![0, 1, 2]];
    let bounds = Bounds::calm(&[1000, 1001, 1002], 2);
    holds(Bounds { dns, dns_fails: true, attempts: 1, is_coarse: true, ..bounds });
}

#[test]
fn a_node_that_is_back_at_a_new_address_makes_no_second_cluster() {
    let bounds = Bounds { spare: 1, dns_is_true: true, is_coarse: true, ..three() };
    let bounds = Bounds { crashes: 1, boots: 1, attempts: 1, ..bounds };
    holds_within(bounds.clone(), 300_000);
    let late = Bounds { crashes_late: true, dns_fails: true, attempts: 3, ..bounds };
    holds_on_random_ways(late, 150_000);
}

#[test]
fn four_nodes_with_lists_that_overlap_become_one_cluster() {
    holds(Bounds { heals: true, ..overlapping() });
}

/// Five nodes, and everything that may happen to them.
fn five(size: usize, dns: Vec<Vec<usize>>) -> Bounds {
    Bounds {
        dns,
        dns_fails: true,
        crashes: 1,
        boots: 1,
        losses: 2,
        delays: 2,
        crashes_late: true,
        settling: 3,
        ..Bounds::calm(&[1000, 1001, 1002, 1003, 1004], size)
    }
}

#[test]
fn five_nodes_with_lists_that_overlap_become_one_cluster_on_random_ways() {
    let lists = vec![vec![0, 1, 2, 4], vec![0, 2, 3, 4], vec![0, 1, 2, 3, 4]];
    holds_on_random_ways(five(4, lists), 150_000);
}

/// More than half is not enough: the one node that two lists share may restart,
/// and then nobody of the second knows of the first.
#[test]
fn a_size_of_three_of_five_makes_two_when_the_node_that_knows_restarts() {
    let lists = vec![vec![0, 1, 4], vec![2, 3, 4], vec![0, 1, 2, 3, 4]];
    let checker = five(3, lists).checker().target_state_count(500_000);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_simulation(7, UniformChooser).join();
    checker.assert_any_discovery("one cluster at most");
}

/// The risk that is left: the DNS hides a living majority from fresh nodes, and
/// the one of them that knows of it cannot reach it either.
#[test]
fn a_dns_that_hides_who_is_out_of_reach_makes_two() {
    fails(Bounds { cut: Some((3, 0)), ..overlapping() }, "one cluster at most");
}

/// The same risk where no list knows of the other: the size asks for no more
/// than half of the nodes.
#[test]
fn a_size_of_half_the_nodes_makes_two_when_the_dns_is_split() {
    let dns = vec![vec![0, 1], vec![2, 3]];
    fails(Bounds { dns, ..overlapping() }, "one cluster at most");
}

#[test]
fn a_ticket_that_is_not_bound_to_its_list_makes_two() {
    fails(with(Flaw::UnboundTicket, overlapping()), "one cluster at most");
}

#[test]
fn a_ticket_that_moves_at_once_makes_two() {
    fails(with(Flaw::MovesAtOnce, overlapping()), "one cluster at most");
}

#[test]
fn founding_on_a_majority_of_the_list_makes_two() {
    fails(with(Flaw::FoundsOnMajority, overlapping()), "one cluster at most");
}

#[test]
fn leaving_out_who_is_not_fresh_makes_two() {
    let dns = vec![vec![0, 1], vec![0, 1, 2, 3]];
    fails(with(Flaw::SkipsSilent, Bounds { dns, ..overlapping() }), "one cluster at most");
}

#[test]
fn leaving_with_the_founder_loses_a_complete_cluster() {
    let bounds = Bounds { crashes: 1, boots: 1, is_coarse: true, ..three() };
    fails(with(Flaw::LeavesWithFounder, bounds), "a complete cluster lasts");
}

#[test]
fn a_proposer_that_never_withdraws_blocks_for_ever() {
    let dns = vec![vec![1, 2], vec![0, 1, 2]];
    let bounds = Bounds::calm(&[1000, 1001, 1002], 2);
    let bounds = Bounds { dns, heals: true, is_coarse: true, ..bounds };
    fails(with(Flaw::NeverWithdraws, bounds), "it heals");
}

#[test]
fn an_enlisted_node_that_waits_for_ever_blocks_for_ever() {
    let bounds = Bounds { crashes: 1, boots: 1, heals: true, ..three() };
    fails(with(Flaw::NeverAbandons, bounds), "it heals");
}
