//! Wires that are cut: a minority is unavailable and says nothing that is
//! wrong, and all is whole when the wires are.

use std::time::Duration;

use winter_testkit::{Pods, eventually, within};

use crate::load::{Load, Manner};
use crate::watch::{number_of, standing};
use crate::{
    REPLACED_MAX, addresses, becomes_whole, claims, is_kept, judge, keep, load, make, one,
    side_by_side, until_all_is_written, winter,
};

/// How long a node stands still that then goes on as if nothing had been.
const PAUSE: Duration = Duration::from_millis(500);

/// Nothing that `from` sends reaches `to`, for each pair.
fn lose(pods: &Pods, pairs: &[(usize, usize)]) {
    for &(from, to) in pairs {
        pods.lose(from, to);
    }
}

/// Whatever pod `number` sends, and whatever is sent to it.
fn all_ways(number: usize) -> [(usize, usize); 4] {
    let [a, b] = [(number + 1) % 3, (number + 2) % 3];
    [(number, a), (a, number), (number, b), (b, number)]
}

#[track_caller]
fn meta_leader(pods: &Pods) -> usize {
    number_of(pods, &becomes_whole(pods).meta_leader)
}

/// The pod that leads a partition, and the two others.
#[track_caller]
fn leader_and_others(pods: &Pods) -> [usize; 3] {
    let leader = number_of(pods, &standing(pods, 0).leaders[0]);
    [leader, (leader + 1) % 3, (leader + 2) % 3]
}

/// Pods, one of which cannot be reached in some way, while clients ask all of
/// them: writes go on with the others, and all is whole after it.
#[track_caller]
fn survives(pods: &Pods, load: &Load, pairs: &[(usize, usize)], outside: &[usize]) {
    lose(pods, pairs);
    for &number in outside {
        until_all_is_written(&mut pods.connect(number), "probe");
    }
    load.wait_for_writes(40);
    pods.heal();
    pods.wait_until_ready();
    for number in pods.running() {
        until_all_is_written(&mut pods.connect(number), "probe");
    }
    one(pods);
}

#[test]
fn a_minority_that_is_cut_off_is_unavailable_and_breaks_no_order() {
    let Some(pods) = winter().set("WINTER_COMMAND_TIMEOUT", "1s").start() else { return };
    let id = one(&pods);
    keep(&pods);
    make(&pods, "probe");
    let (load, _) = load(&pods, Manner::OneByOne, 31);
    load.wait_for_writes(40);
    let [cut, a, _] = leader_and_others(&pods);
    let mut wire = pods.connect(cut);
    lose(&pods, &all_ways(cut));
    until_all_is_written(&mut pods.connect(a), "probe");
    for line in ["PUT probe k0 w", "GET probe k0", "COUNT probe", "CREATE u", "TABLES"] {
        eventually("it is unavailable", || {
            let reply = wire.ask(line);
            reply.starts_with("error unavailable: ").then_some(())
        });
    }
    eventually("it is not ready", || pods.readiness(cut).err());
    assert!(pods.http(cut, "/livez").unwrap().starts_with("HTTP/1.1 200"));
    load.wait_for_writes(40);
    pods.heal();
    pods.wait_until_ready();
    until_all_is_written(&mut wire, "probe");
    assert_eq!(one(&pods), id);
    judge(load);
    is_kept(&pods);
}

#[test]
fn a_leader_that_hears_nobody_or_is_heard_by_nobody_breaks_no_order() {
    let Some(pods) = winter().start() else { return };
    let id = one(&pods);
    keep(&pods);
    make(&pods, "probe");
    let (load, _) = load(&pods, Manner::OneByOne, 32);
    load.wait_for_writes(40);
    let [cut, a, b] = leader_and_others(&pods);
    survives(&pods, &load, &[(a, cut), (b, cut)], &[a, b]);
    let [cut, a, b] = leader_and_others(&pods);
    survives(&pods, &load, &[(cut, a), (cut, b)], &[a, b]);
    assert_eq!(one(&pods), id);
    judge(load);
    is_kept(&pods);
}

#[test]
fn two_pods_that_do_not_reach_each_other_break_no_order() {
    let Some(pods) = winter().start() else { return };
    let id = one(&pods);
    keep(&pods);
    make(&pods, "probe");
    let (load, _) = load(&pods, Manner::LongPipelines, 33);
    load.wait_for_writes(40);
    let [leader, a, b] = leader_and_others(&pods);
    survives(&pods, &load, &[(leader, a), (a, leader)], &[b]);
    let [leader, a, b] = leader_and_others(&pods);
    survives(&pods, &load, &[(leader, a)], &[b]);
    assert_eq!(one(&pods), id);
    judge(load);
    is_kept(&pods);
}

/// The others hold pod `number` for dead, which has been out of reach, and nobody
/// else: it ends by itself when `reach` lets it be reached, and comes back.
#[track_caller]
fn is_buried(pods: &mut Pods, number: usize, reach: impl FnOnce(&Pods)) {
    let id = standing(pods, (number + 1) % 3).cluster;
    let others = [(number + 1) % 3, (number + 2) % 3];
    let identities = others.map(|other| standing(pods, other).me);
    within(REPLACED_MAX, "the others hold it for dead", || {
        let nodes = standing(pods, others[0]).nodes;
        (nodes.len() == 2).then_some(())
    });
    reach(pods);
    let status = pods.container_ended(number);
    assert_eq!(status.code(), Some(75), "{status}");
    pods.start_again(number);
    assert_eq!(one(pods), id);
    assert_eq!(others.map(|other| standing(pods, other).me), identities);
}

#[test]
fn who_is_out_of_reach_for_too_long_is_held_for_dead_and_nobody_else_is() {
    side_by_side(claims![
        a_leader_that_is_cut_off_for_too_long_is_held_for_dead_and_takes_nobody_with_it,
        a_leader_that_is_paused_for_too_long_is_held_for_dead_and_takes_nobody_with_it,
        pods_that_all_hear_nothing_of_each_other_for_long_hold_nobody_for_dead,
    ]);
}

fn a_leader_that_is_cut_off_for_too_long_is_held_for_dead_and_takes_nobody_with_it() {
    let Some(mut pods) = winter().start() else { return };
    keep(&pods);
    let leader = meta_leader(&pods);
    lose(&pods, &all_ways(leader));
    is_buried(&mut pods, leader, Pods::heal);
    is_kept(&pods);
}

fn a_leader_that_is_paused_for_too_long_is_held_for_dead_and_takes_nobody_with_it() {
    let Some(mut pods) = winter().start() else { return };
    keep(&pods);
    let leader = meta_leader(&pods);
    pods.pause(leader);
    is_buried(&mut pods, leader, |pods| pods.resume(leader));
    is_kept(&pods);
}

fn pods_that_all_hear_nothing_of_each_other_for_long_hold_nobody_for_dead() {
    let Some(pods) = winter().start() else { return };
    let id = one(&pods);
    keep(&pods);
    let members = standing(&pods, 0).nodes;
    (0..3).for_each(|number| lose(&pods, &all_ways(number)));
    within(REPLACED_MAX, "all have heard nothing for long", || {
        let mut lines = (0..3).flat_map(|number| pods.connect(number).ask_lines("CLUSTER"));
        let is_long = |heard: u64| heard == 0 || heard > 32;
        lines.all(|line| seconds_silent(&line).is_none_or(is_long)).then_some(())
    });
    pods.heal();
    assert_eq!(one(&pods), id);
    assert_eq!(standing(&pods, 0).nodes, members);
    is_kept(&pods);
}

/// How long nothing was heard of the node that a line of `CLUSTER` is about.
fn seconds_silent(line: &str) -> Option<u64> {
    let mut words = line.split(' ').skip_while(|word| *word != "heard");
    words.nth(1)?.strip_suffix('s')?.parse().ok()
}

#[test]
fn kills_pauses_cuts_and_restarts_one_after_the_other_break_no_order() {
    let pods = winter().set("WINTER_THREADS", 2).set("WINTER_PARTITIONS", 16);
    let Some(mut pods) = pods.start() else { return };
    let id = one(&pods);
    keep(&pods);
    make(&pods, "probe");
    let (load, nodes) = load(&pods, Manner::LongPipelines, 34);
    for round in 0..2 {
        load.wait_for_writes(40);
        for number in 0..3 {
            // Too short for an election, or just long enough.
            pods.pause(number);
            std::thread::sleep(PAUSE);
            pods.resume(number);
        }
        load.wait_for_writes(40);
        let [paused, other, _] = leader_and_others(&pods);
        pods.pause(paused);
        until_all_is_written(&mut pods.connect(other), "probe");
        pods.resume(paused);
        pods.wait_until_ready();

        let [cut, a, _] = leader_and_others(&pods);
        survives(&pods, &load, &all_ways(cut), &[a]);

        let [stopped, ..] = leader_and_others(&pods);
        let status = pods.terminate(stopped);
        assert_eq!(status.code(), Some(0), "{status}");
        pods.start(stopped);
        *nodes.lock().unwrap() = addresses(&pods);
        one(&pods);

        if round == 0 {
            let [killed, ..] = leader_and_others(&pods);
            pods.kill_container(killed);
            pods.start_again(killed);
            one(&pods);
        }
    }
    judge(load);
    assert_eq!(one(&pods), id);
    is_kept(&pods);
}
