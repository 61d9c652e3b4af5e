//! Pods that are replaced, updated, scaled and lost: always at new addresses.

use winter_testkit::{Pods, within};

use crate::load::{Manner, Nodes};
use crate::watch::{number_of, standing};
use crate::{
    REPLACED_MAX, addresses, becomes_whole, claims, is_kept, judge, keep, load, make, one,
    side_by_side, until_all_is_written, winter,
};

/// Waits until pod `number` is ready, however much it has to be given.
#[track_caller]
fn ready(pods: &Pods, number: usize) {
    within(REPLACED_MAX, "the pod is ready", || pods.readiness(number).ok());
}

/// Clients learn where the pods are now.
fn tell(pods: &Pods, nodes: &Nodes) {
    *nodes.lock().unwrap() = addresses(pods);
}

#[test]
fn a_rolling_update_to_new_addresses_under_load_loses_nothing() {
    let Some(mut pods) = winter().start() else { return };
    let id = one(&pods);
    keep(&pods);
    let (load, nodes) = load(&pods, Manner::OneByOne, 21);
    let first = addresses(&pods);
    // As a StatefulSet goes about it: the last pod first.
    for number in (0..3).rev() {
        load.wait_for_writes(40);
        let status = pods.terminate(number);
        assert_eq!(status.code(), Some(0), "{status}");
        tell(&pods, &nodes);
        pods.start(number);
        ready(&pods, number);
        tell(&pods, &nodes);
    }
    load.wait_for_writes(40);
    judge(load);
    assert!(addresses(&pods).iter().all(|address| !first.contains(address)), "{first:?}");
    assert_eq!(one(&pods), id);
    is_kept(&pods);
}

#[test]
fn what_is_lost_for_good_is_replaced() {
    side_by_side(claims![
        a_pod_that_was_deleted_by_force_comes_back_as_another_member,
        a_machine_that_is_lost_for_good_is_replaced_by_a_spare,
    ]);
}

fn a_pod_that_was_deleted_by_force_comes_back_as_another_member() {
    let Some(mut pods) = winter().start() else { return };
    let id = one(&pods);
    keep(&pods);
    let former = standing(&pods, 1).me;
    let (load, nodes) = load(&pods, Manner::OneByOne, 22);
    load.wait_for_writes(40);
    pods.kill(1);
    tell(&pods, &nodes);
    pods.start(1);
    tell(&pods, &nodes);
    load.wait_for_writes(40);
    let now = becomes_whole(&pods);
    assert_eq!(now.cluster, id);
    assert!(!now.nodes.contains_key(&former), "{now:?}");
    ready(&pods, 1);
    judge(load);
    is_kept(&pods);
}

fn a_machine_that_is_lost_for_good_is_replaced_by_a_spare() {
    let Some(mut pods) = winter().lay_out() else { return };
    pods.start_all(3);
    let id = one(&pods);
    pods.start(3);
    ready(&pods, 3);
    one(&pods);
    keep(&pods);
    let (load, nodes) = load(&pods, Manner::OneByOne, 23);
    load.wait_for_writes(40);
    let lost = number_of(&pods, &standing(&pods, 0).leaders[0]);
    // The DNS goes on listing it, and nobody closes its connections.
    pods.lose_machine(lost);
    tell(&pods, &nodes);
    load.wait_for_writes(40);
    let now = becomes_whole(&pods);
    assert_eq!((now.nodes.len(), &now.cluster), (3, &id));
    load.wait_for_writes(40);
    // Somebody confirms it, and the pod is started elsewhere.
    pods.forget(lost);
    pods.start(lost);
    ready(&pods, lost);
    tell(&pods, &nodes);
    assert_eq!(one(&pods), id);
    judge(load);
    is_kept(&pods);
}

#[test]
fn a_cluster_is_scaled_out_and_in_again() {
    let Some(mut pods) = winter().start() else { return };
    let id = one(&pods);
    keep(&pods);
    let (load, nodes) = load(&pods, Manner::OneByOne, 24);
    pods.start_all(5);
    for number in 3..5 {
        ready(&pods, number);
    }
    tell(&pods, &nodes);
    assert_eq!(one(&pods), id);
    let held = |number: usize| {
        let seen = standing(&pods, 0);
        let me = standing(&pods, number).me;
        seen.replicas.iter().filter(|replicas| replicas.contains(&me)).count()
    };
    within(REPLACED_MAX, "the new ones have their share", || {
        (held(3) > 0 && held(4) > 0).then_some(())
    });
    load.wait_for_writes(40);
    for number in [4, 3] {
        let status = pods.terminate(number);
        assert_eq!(status.code(), Some(0), "{status}");
        tell(&pods, &nodes);
        assert_eq!(one(&pods), id);
        load.wait_for_writes(40);
    }
    judge(load);
    is_kept(&pods);
}

#[test]
fn all_pods_that_are_lost_at_once_found_another_cluster() {
    let Some(mut pods) = winter().start() else { return };
    let id = one(&pods);
    keep(&pods);
    for number in 0..3 {
        pods.kill(number);
    }
    for number in 0..3 {
        pods.start(number);
    }
    assert_ne!(one(&pods), id);
    let mut wire = pods.connect(0);
    assert_eq!(wire.ask("GET kept k0"), "missing table");
    make(&pods, "t");
    until_all_is_written(&mut wire, "t");
}
