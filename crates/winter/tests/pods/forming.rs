//! However the pods are started and whatever the DNS says, they form one
//! cluster, and never two.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use winter_testkit::{Answer, Pods, metric, within};

use crate::watch::standing;
use crate::{REPLACED_MAX, claims, is_kept, keep, one, side_by_side, winter};

/// Where nobody ever was.
const GONE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 9, 1), Ipv4Addr::new(10, 0, 9, 2)];

/// Waits until pod `number` says in its log what it waits for.
#[track_caller]
fn waits(pods: &Pods, number: usize, what: &str) {
    within(REPLACED_MAX, &format!("pod {number} {what}"), || {
        pods.log(number).iter().any(|line| line.contains(what)).then_some(())
    });
}

/// No pod is of a cluster, and none is ready.
#[track_caller]
fn none(pods: &Pods) {
    for number in pods.running() {
        assert_eq!(standing(pods, number).cluster, "none");
        let why = pods.readiness(number).unwrap_err();
        assert!(why.starts_with("HTTP/1.1 503"), "{why}");
    }
}

/// Waits until every pod was told so many times what the DNS says now.
#[track_caller]
fn asked_again(pods: &Pods, times: u32) {
    let asked = |number: usize| pods.dns.asked(pods.ip(number));
    let before: Vec<_> = pods.running().into_iter().map(|n| (n, asked(n) + times)).collect();
    within(REPLACED_MAX, "the DNS is asked", || {
        before.iter().all(|&(number, wanted)| asked(number) >= wanted).then_some(())
    });
}

#[track_caller]
fn becomes_one(pods: &Pods) -> String {
    within(REPLACED_MAX, "the pods are ready", || {
        pods.running().into_iter().all(|number| pods.readiness(number).is_ok()).then_some(())
    });
    one(pods)
}

#[test]
fn pods_that_start_together_form_one_cluster() {
    let Some(pods) = winter().start() else { return };
    becomes_one(&pods);
}

#[test]
fn pods_that_start_apart_form_one_cluster_and_none_before_all_are_there() {
    let Some(mut pods) = winter().lay_out() else { return };
    for (number, what) in ["; 1 listed", "; 2 listed"].into_iter().enumerate() {
        pods.start(number);
        waits(&pods, number, what);
        asked_again(&pods, 3);
        none(&pods);
    }
    pods.start(2);
    becomes_one(&pods);
}

#[test]
fn whatever_the_dns_says_there_is_one_cluster_or_none_yet() {
    side_by_side(claims![
        a_slow_dns_delays_one_cluster,
        a_dns_that_is_empty_fails_or_is_silent_at_first_delays_one_cluster,
        a_dns_that_shows_each_pod_others_makes_one_cluster_when_it_shows_all,
        a_stale_dns_is_waited_for_by_those_who_found_and_by_nobody_who_joins,
        a_dns_that_lists_only_the_gone_and_the_new_pod_leads_it_nowhere,
        a_dns_that_lists_strangers_makes_no_cluster_with_them,
        of_two_clusters_that_a_dns_has_made_the_one_without_tables_joins_the_other,
        of_two_clusters_with_tables_both_stay_and_say_so,
    ]);
}

fn a_slow_dns_delays_one_cluster() {
    let Some(mut pods) = winter().lay_out() else { return };
    pods.dns.answer_after(Duration::from_millis(2_500));
    pods.start_all(3);
    becomes_one(&pods);
}

fn a_dns_that_is_empty_fails_or_is_silent_at_first_delays_one_cluster() {
    let Some(mut pods) = winter().lay_out() else { return };
    pods.dns.lie(|_, _| Answer::NoName);
    pods.start_all(3);
    for answer in [Answer::NoName, Answer::Failure, Answer::Silence, Answer::Addresses(Vec::new())]
    {
        pods.dns.lie(move |_, _| answer.clone());
        asked_again(&pods, 1);
        none(&pods);
    }
    pods.dns.tell_the_truth();
    becomes_one(&pods);
}

fn a_dns_that_shows_each_pod_others_makes_one_cluster_when_it_shows_all() {
    let Some(mut pods) = winter().lay_out() else { return };
    // Everyone sees itself and one other, then everyone but itself.
    pods.dns.lie(|asker, listed| {
        let at = listed.iter().position(|&address| address == asker).unwrap_or_default();
        let next = listed.get((at + 1) % listed.len().max(1)).copied();
        Answer::Addresses([Some(asker), next].into_iter().flatten().collect())
    });
    pods.start_all(3);
    asked_again(&pods, 3);
    none(&pods);
    pods.dns.lie(|asker, listed| {
        Answer::Addresses(listed.iter().copied().filter(|&address| address != asker).collect())
    });
    asked_again(&pods, 3);
    none(&pods);
    pods.dns.tell_the_truth();
    becomes_one(&pods);
}

fn a_stale_dns_is_waited_for_by_those_who_found_and_by_nobody_who_joins() {
    let Some(mut pods) = winter().lay_out() else { return };
    let stale = |_, listed: &[Ipv4Addr]| Answer::Addresses([&GONE[..], listed].concat());
    pods.dns.lie(stale);
    pods.start_all(3);
    waits(&pods, 0, &GONE[0].to_string());
    none(&pods);
    pods.dns.tell_the_truth();
    let id = becomes_one(&pods);
    pods.dns.lie(stale);
    pods.start(3);
    assert_eq!(becomes_one(&pods), id);
}

fn a_dns_that_lists_only_the_gone_and_the_new_pod_leads_it_nowhere() {
    let Some(mut pods) = winter().start() else { return };
    let id = becomes_one(&pods);
    let new = pods.network().host();
    let address = new.address();
    drop(new);
    pods.dns.lie(move |asker, listed| {
        let others: Vec<_> = listed.iter().copied().filter(|&at| at != asker).collect();
        if asker > address {
            Answer::Addresses([&GONE[..], &[asker]].concat())
        } else {
            Answer::Addresses(others)
        }
    });
    pods.start(3);
    waits(&pods, 3, &GONE[0].to_string());
    assert_eq!(standing(&pods, 3).cluster, "none");
    pods.dns.tell_the_truth();
    assert_eq!(becomes_one(&pods), id);
}

fn a_dns_that_lists_strangers_makes_no_cluster_with_them() {
    let Some(mut pods) = winter().lay_out() else { return };
    // Something else answers at this address, to everything and at once.
    let listener = TcpListener::bind((pods.network().client(), 6062)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let stranger = pods.network().client();
    pods.dns.lie(move |_, listed| Answer::Addresses([listed, &[stranger]].concat()));
    pods.start_all(3);
    waits(&pods, 0, &stranger.to_string());
    asked_again(&pods, 3);
    none(&pods);
    pods.dns.tell_the_truth();
    let id = becomes_one(&pods);
    // A cluster that stands is not troubled by them.
    pods.dns.lie(move |_, listed| Answer::Addresses([&[stranger], listed].concat()));
    pods.start(3);
    assert_eq!(becomes_one(&pods), id);
}

#[test]
fn pods_that_cannot_all_reach_each_other_form_one_cluster_when_they_can() {
    let Some(mut pods) = winter().lay_out() else { return };
    pods.dns.lie(|_, _| Answer::NoName);
    pods.start_all(3);
    pods.lose(0, 1);
    pods.lose(1, 0);
    pods.dns.tell_the_truth();
    asked_again(&pods, 3);
    pods.heal();
    becomes_one(&pods);
}

/// Four pods, of which a DNS that shows each two has made two clusters.
#[track_caller]
fn two_clusters() -> Option<Pods> {
    let mut pods = winter().set("WINTER_CLUSTER_SIZE", 2).lay_out()?;
    pods.dns.lie(|by, listed| {
        let half = listed.chunks(2).find(|half| half.contains(&by));
        Answer::Addresses(half.map(<[Ipv4Addr]>::to_vec).unwrap_or_default())
    });
    pods.start_all(4);
    within(REPLACED_MAX, "the pods are ready", || {
        (0..4).all(|number| pods.readiness(number).is_ok()).then_some(())
    });
    let id = |number| standing(&pods, number).cluster;
    assert_eq!((id(0), id(2)), (id(1), id(3)));
    assert_ne!(id(0), id(2));
    Some(pods)
}

fn of_two_clusters_that_a_dns_has_made_the_one_without_tables_joins_the_other() {
    let Some(mut pods) = two_clusters() else { return };
    keep(&pods);
    let id = standing(&pods, 0).cluster;
    pods.dns.tell_the_truth();
    for number in [2, 3] {
        assert_eq!(pods.container_ended(number).code(), Some(75));
        pods.start_again(number);
    }
    assert_eq!(becomes_one(&pods), id);
    is_kept(&pods);
}

fn of_two_clusters_with_tables_both_stay_and_say_so() {
    let Some(pods) = two_clusters() else { return };
    for number in [0, 2] {
        let mut wire = pods.connect(number);
        wire.exchange("CREATE t\nPUTNEW t k v\n", "created\nok\n");
    }
    let ids = [standing(&pods, 0).cluster, standing(&pods, 2).cluster];
    pods.dns.tell_the_truth();
    within(REPLACED_MAX, "all say so", || {
        let says_so = |number| {
            let why = pods.readiness(number).err();
            why.is_some_and(|why| why.contains("another cluster of this application was met"))
        };
        (0..4).all(says_so).then_some(())
    });
    asked_again(&pods, 5);
    assert_eq!([standing(&pods, 0).cluster, standing(&pods, 2).cluster], ids);
    for number in 0..4 {
        pods.connect(number).exchange("GET t k\n", "v\n");
        let page = pods.http(number, "/metrics").unwrap();
        let met = metric(&page, "winter_cluster_rivals_total");
        assert!(met > Some(0), "{met:?}");
        let told = "another cluster of this application was met";
        let is_error = |line: &&String| line.contains(told) && line.contains("\"level\":\"ERROR\"");
        assert!(pods.log(number).iter().any(|line| is_error(&line)), "node {number} logs it");
    }
}
