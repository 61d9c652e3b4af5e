//! Leaders come and go; what was acknowledged stays.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use winter_server::consensus::{ProposeError, ReadError, ReadPolicy, Role};

use crate::kit::{Cluster, until};

#[tokio::test(start_paused = true)]
async fn three_replicas_elect_one_and_agree() {
    let cluster = Cluster::of(3).await;
    for n in 0..20_usize {
        let operation = Bytes::from(format!("operation {n}"));
        assert_eq!(cluster.write(operation.clone()).await, (n, operation));
    }
    assert_eq!(cluster.settle().await.lines.len(), 20);
    let roles = cluster.nodes().into_iter().map(|node| cluster.status(node).role);
    assert_eq!(roles.filter(|role| *role == Role::Leader).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_replica_alone_is_a_group_too() {
    let cluster = Cluster::of(1).await;
    cluster.write("a").await;
    let group = cluster.group(cluster.leader().await);
    for policy in [ReadPolicy::Lease, ReadPolicy::Quorum] {
        assert_eq!(group.read_barrier(policy).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_leader_is_replaced_within_three_seconds_and_nothing_is_lost() {
    let cluster = Cluster::of(3).await;
    for n in 0..10 {
        cluster.write(format!("before {n}")).await;
    }
    cluster.kill(cluster.leader().await).await;
    let lost = Instant::now();
    let line = cluster.write("after").await;
    assert!(lost.elapsed() < Duration::from_secs(3), "{:?}", lost.elapsed());
    assert_eq!(line.0, 10, "all ten are still there");
    cluster.settle().await;
}

#[tokio::test(start_paused = true)]
async fn followers_take_neither_proposals_nor_reads_and_name_the_leader() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    for node in cluster.others(&[leader]) {
        until("the leader is known", || cluster.status(node).leader == Some(leader)).await;
        let group = cluster.group(node);
        let leader = Some(leader);
        assert_eq!(group.propose("a".into()).await, Err(ProposeError::NotLeader { leader }));
        for policy in [ReadPolicy::Lease, ReadPolicy::Quorum] {
            assert_eq!(group.read_barrier(policy).await, Err(ReadError::NotLeader { leader }));
        }
    }
    assert!(cluster.settle().await.lines.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_isolated_leader_neither_answers_nor_acknowledges() {
    let cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let old = cluster.leader().await;
    let group = cluster.group(old);
    cluster.part(&[old]);
    // Within the lease it may take a proposal, of which it then knows nothing.
    assert_eq!(group.propose("in the lease".into()).await, Err(ProposeError::Unknown));
    assert!(group.is_leader(), "it does not know better");
    assert_eq!(group.propose("after it".into()).await, Err(ProposeError::Unavailable));
    for policy in [ReadPolicy::Lease, ReadPolicy::Quorum] {
        assert_eq!(group.read_barrier(policy).await, Err(ReadError::Unavailable));
    }
    let new = cluster.leader_among(&cluster.others(&[old])).await;
    cluster.group(new).propose("by the new one".into()).await.unwrap();
    assert_eq!(cluster.lines(old), ["before"]);

    cluster.heal();
    cluster.settle().await;
    assert_eq!(cluster.lines(old), ["before", "by the new one"]);
}

#[tokio::test(start_paused = true)]
async fn no_lease_read_is_answered_once_another_may_lead() {
    let cluster = Cluster::of(3).await;
    let old = cluster.leader().await;
    let group = cluster.group(old);
    cluster.part(&[old]);
    let cut = Instant::now();
    let mut last_answered = Duration::ZERO;
    let mut first_other = None;
    while cut.elapsed() < Duration::from_secs(10) {
        if tokio::time::timeout(Duration::from_millis(1), group.read_barrier(ReadPolicy::Lease))
            .await
            == Ok(Ok(()))
        {
            last_answered = cut.elapsed();
        }
        let led = cluster.others(&[old]).iter().any(|node| cluster.group(*node).is_leader());
        if led {
            first_other = first_other.or(Some(cut.elapsed()));
        }
        sleep(Duration::from_millis(1)).await;
    }
    let first_other = first_other.expect("the others elect one");
    assert!(last_answered <= cluster.options.read_age_max(), "{last_answered:?}");
    assert!(first_other >= cluster.options.lease(), "{first_other:?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_asks_a_majority_by_quorum_even_within_the_lease() {
    const READS: usize = 20;
    let cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    let messages = async |policy| {
        cluster.network.weather(|weather| weather.prompt_messages = 0);
        for _ in 0..READS {
            assert_eq!(group.read_barrier(policy).await, Ok(()));
        }
        cluster.network.weather(|weather| weather.prompt_messages)
    };
    assert_eq!(messages(ReadPolicy::Lease).await, 0, "the lease was confirmed a moment ago");
    let asked = messages(ReadPolicy::Quorum).await;
    assert!(asked >= READS, "{asked} messages for {READS} reads");

    cluster.part(&[leader]);
    assert_eq!(group.read_barrier(ReadPolicy::Lease).await, Ok(()), "nobody else leads yet");
    assert_eq!(group.read_barrier(ReadPolicy::Quorum).await, Err(ReadError::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn proposals_during_a_loss_are_done_once_or_not_at_all() {
    let cluster = Cluster::of(3).await;
    let mut told = Vec::new();
    for round in 0..5 {
        let leader = cluster.leader().await;
        let group = cluster.group(leader);
        let before: Vec<_> = (0..40).map(|n| format!("{round}.{n}")).collect();
        let pending: Vec<_> =
            before.iter().map(|text| group.submit(text.clone().into()).unwrap()).collect();
        cluster.part(&[leader]);
        for (text, pending) in before.into_iter().zip(pending) {
            told.push((text, pending.await));
        }
        cluster.heal();
    }
    let lines: Vec<String> = cluster
        .settle()
        .await
        .lines
        .iter()
        .map(|(_, line)| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    let mut unknown = 0;
    for (text, outcome) in told {
        let count = lines.iter().filter(|line| **line == text).count();
        match outcome {
            Ok(_) => assert_eq!(count, 1, "{text} was acknowledged"),
            Err(ProposeError::Unknown) => {
                assert!(count <= 1, "{text}");
                unknown += 1;
            }
            Err(_) => assert_eq!(count, 0, "{text} was refused"),
        }
    }
    assert!(unknown > 0, "the loss came in the middle");
}

#[tokio::test(start_paused = true)]
async fn of_five_the_three_that_see_each_other_go_on() {
    let cluster = Cluster::of(5).await;
    cluster.write("before").await;
    let old = cluster.leader().await;
    let with = cluster.others(&[old])[0];
    cluster.part(&[old, with]);
    let new = cluster.leader_among(&cluster.others(&[old, with])).await;
    cluster.group(new).propose("in the majority".into()).await.unwrap();
    let minority = cluster.group(old);
    assert!(matches!(
        minority.propose("in the minority".into()).await,
        Err(ProposeError::Unavailable | ProposeError::Unknown)
    ));
    cluster.heal();
    cluster.settle().await;
    assert_eq!(cluster.lines(old), ["before", "in the majority"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_heard_and_does_not_hear_is_replaced() {
    let cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let old = cluster.leader().await;
    let group = cluster.group(old);
    for other in cluster.others(&[old]) {
        cluster.cut(other, old);
    }
    // It has something that nobody acknowledges, which it sends on and on.
    assert_eq!(group.propose("unheard".into()).await, Err(ProposeError::Unknown));
    let new = cluster.leader_among(&cluster.others(&[old])).await;
    cluster.group(new).propose("after".into()).await.unwrap();
    cluster.heal();
    let lines = cluster.settle().await.lines;
    assert!(lines.iter().filter(|line| line.1 == "unheard").count() <= 1);
    assert_eq!(lines.last().unwrap().1, "after");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_hears_nothing_does_not_depose_the_leader() {
    let cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).term;
    let deaf = cluster.others(&[leader])[0];
    for other in cluster.others(&[deaf]) {
        cluster.cut(other, deaf);
    }
    sleep(cluster.options.election_max * 20).await;
    cluster.write("meanwhile").await;
    cluster.heal();
    cluster.settle().await;
    assert_eq!(cluster.leader().await, leader);
    assert_eq!(cluster.status(leader).term, term, "no election was held");
}

/// A replica that is not heard, or hears nothing, whether it led or not.
#[tokio::test(start_paused = true)]
async fn a_link_that_works_one_way_brings_few_elections_and_then_none() {
    for (led, is_mute) in [(true, true), (true, false), (false, true), (false, false)] {
        let cluster = Cluster::of(3).await;
        cluster.write("before").await;
        let leader = cluster.leader().await;
        let before = cluster.status(leader).term;
        let hindered = if led { leader } else { cluster.others(&[leader])[0] };
        let others = cluster.others(&[hindered]);
        for &other in &others {
            let (from, to) = if is_mute { (hindered, other) } else { (other, hindered) };
            cluster.cut(from, to);
        }
        let highest = || {
            let terms = cluster.nodes().into_iter().map(|node| cluster.status(node).term);
            terms.max().unwrap()
        };
        sleep(cluster.options.election_max * 20).await;
        let new = cluster.leader_among(&others).await;
        let settled = highest();
        let elections = settled - before;
        assert!(elections <= if led { 3 } else { 0 }, "{elections}, {led} {is_mute}");
        sleep(cluster.options.election_max * 40).await;
        cluster.group(new).propose("meanwhile".into()).await.unwrap();
        assert_eq!(highest(), settled, "elections went on, {led} {is_mute}");
        cluster.heal();
        cluster.settle().await;
        assert!(highest() <= settled + 1, "the healed one deposes nobody, {led} {is_mute}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_network_makes_it_slow_and_nothing_else() {
    let cluster = Cluster::of(3).await;
    cluster.network.weather(|weather| {
        weather.losses = 5;
        weather.delay = (Duration::from_millis(1), Duration::from_millis(20));
    });
    let mut acknowledged = Vec::new();
    for n in 0..300 {
        let leader = cluster.leader().await;
        let operation = Bytes::from(format!("{n}"));
        if let Ok((_, line)) = cluster.group(leader).propose(operation).await {
            acknowledged.push(line);
        }
    }
    cluster.network.weather(|weather| weather.losses = 0);
    let lines = cluster.settle().await.lines;
    for line in &acknowledged {
        assert_eq!(lines.iter().filter(|(_, other)| other == line).count(), 1, "{line:?}");
    }
    assert!(acknowledged.len() > 200, "{}", acknowledged.len());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_panics_stops_its_group_and_says_so() {
    let cluster = Cluster::of(1).await;
    let group = cluster.group(cluster.leader().await);
    assert_eq!(group.propose(crate::ledger::PANIC.into()).await, Err(ProposeError::Unknown));
    until("it has stopped", || group.status().role == Role::Stopped).await;
    let refused = group.propose("more".into()).await.unwrap_err();
    assert_ne!(refused, ProposeError::Unknown, "nothing can have been done");
    assert!(group.read_barrier(ReadPolicy::Lease).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_a_group_is_stopped_is_told() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    cluster.part(&[leader]);
    let pending: Vec<_> = (0..600).map(|n| group.submit(format!("{n}").into()).unwrap()).collect();
    sleep(Duration::from_millis(1)).await;
    group.shutdown().await;
    let mut outcomes = Vec::new();
    for pending in pending {
        outcomes.push(pending.await.unwrap_err());
    }
    // Two entries of 256 operations were on their way.
    assert!(outcomes[..512].iter().all(|told| *told == ProposeError::Unknown));
    assert!(outcomes[512..].iter().all(|told| *told == ProposeError::Stopped));
    assert_eq!(group.propose("more".into()).await, Err(ProposeError::Stopped));
}
