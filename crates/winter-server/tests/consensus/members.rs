//! Replicas come and go, and leadership is handed on.

use std::time::Duration;

use tokio::time::Instant;
use winter_core::cluster::NodeId;
use winter_core::cluster::meta::FIRST_INCARNATION;
use winter_server::config::Config;
use winter_server::consensus::{ChangeError, Group, ProposeError, ReadError, ReadPolicy};
use winter_server::logging;
use winter_testkit::Log;

use crate::kit::{Cluster, DEADLINE, address, set, until};
use crate::ledger::Ledger;

/// Adds a node without a vote to the group, and gives it the log.
async fn teach(cluster: &mut Cluster, leader: &Group<Ledger>) -> NodeId {
    let node = cluster.add_node().await;
    leader.add_learner(node, &address(node), FIRST_INCARNATION).await.unwrap();
    leader.caught_up(node, DEADLINE).await.unwrap();
    node
}

/// Adds a node to the group and makes it vote.
async fn admit(cluster: &mut Cluster) -> NodeId {
    let leader = cluster.group(cluster.leader().await);
    let node = teach(cluster, &leader).await;
    let mut voters = leader.voters();
    voters.insert(node);
    leader.change_voters(&voters).await.unwrap();
    node
}

/// So much of the virtual time, in which nothing is to happen.
async fn has_passed(time: Duration) {
    let from = Instant::now();
    until("the time has passed", || from.elapsed() >= time).await;
}

#[tokio::test(start_paused = true)]
async fn a_learner_is_given_the_log_and_votes_after_one_change() {
    let mut cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let group = cluster.group(cluster.leader().await);
    let node = teach(&mut cluster, &group).await;
    let status = group.status();
    assert_eq!(status.learners, set(&[node]));
    assert!(status.lag(node).is_some_and(|lag| lag <= 64), "{status:?}");
    assert_eq!(status.addresses[&node], address(node));

    let before = group.status().entries;
    let voters = set(&cluster.nodes());
    group.change_voters(&voters).await.unwrap();
    let status = group.status();
    assert_eq!(status.voter_sets, [voters]);
    assert_eq!(status.entries - before, 2, "into both sets, and out of the old one");
    cluster.write("after").await;
    assert_eq!(cluster.settle().await.lines.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_replica_in_the_place_of_one_that_was_let_go_is_sent_everything() {
    let mut cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let group = cluster.group(cluster.leader().await);
    let node = teach(&mut cluster, &group).await;
    cluster.host(node, 8).await;
    // It is sent nothing while the leader takes it for the one before.
    for n in 0..20 {
        cluster.write(format!("between {n}")).await;
    }
    has_passed(Duration::from_secs(5)).await;
    assert!(cluster.lines(node).is_empty());
    group.add_learner(node, &address(node), 8).await.unwrap();
    group.caught_up(node, DEADLINE).await.unwrap();
    group.change_voters(&set(&cluster.nodes())).await.unwrap();
    cluster.write("after").await;
    assert_eq!(cluster.settle().await.lines.len(), 22);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_has_forgotten_its_vote_is_not_asked_as_the_one_that_had_it() {
    let mut cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let leader = cluster.leader().await;
    let others = cluster.others(&[leader]);
    let (late, moved) = (others[0], others[1]);
    // One does not hear that another was replaced.
    let group = cluster.group(leader);
    cluster.part(&[late]);
    let node = teach(&mut cluster, &group).await;
    cluster.part(&[late]);
    group.change_voters(&set(&[leader, late, node])).await.unwrap();
    cluster.host(moved, 8).await;
    cluster.write("after").await;
    // Those two were a majority once.
    cluster.heal();
    cluster.part(&[late, moved]);
    has_passed(Duration::from_secs(60)).await;
    assert!(!cluster.group(late).is_leader(), "{:?}", cluster.status(late));
    cluster.write("all the time").await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_has_caught_up_with_itself() {
    // It may be a learner among voters, and be given its vote back.
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let asked = Instant::now();
    cluster.group(leader).caught_up(leader, DEADLINE).await.unwrap();
    assert!(asked.elapsed() < DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn one_joint_change_replaces_a_lost_replica() {
    let mut cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    let lost = cluster.others(&[leader])[0];
    cluster.kill(lost).await;
    let node = teach(&mut cluster, &group).await;
    let voters = set(&cluster.nodes());
    group.change_voters(&voters).await.unwrap();
    assert_eq!(group.voters(), voters);
    assert!(group.status().learners.is_empty(), "the lost one is let go");
    // The new one's vote counts: the other follower may be lost as well.
    let other = cluster.others(&[leader, node])[0];
    cluster.kill(other).await;
    cluster.write("after").await;
    assert_eq!(cluster.settle().await.lines.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_grows_from_one_to_five_and_shrinks_again() {
    let mut cluster = Cluster::of(1).await;
    for n in 0..4 {
        cluster.write(format!("{n}")).await;
        admit(&mut cluster).await;
    }
    assert_eq!(cluster.status(cluster.leader().await).voters().len(), 5);
    for _ in 0..4 {
        let leader = cluster.leader().await;
        let leaving = cluster.others(&[leader])[0];
        let voters = set(&cluster.others(&[leaving]));
        cluster.group(leader).change_voters(&voters).await.unwrap();
        cluster.kill(leaving).await;
        cluster.write("less").await;
    }
    assert_eq!(cluster.settle().await.lines.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_removed_steps_down_and_another_leads() {
    let cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let old = cluster.leader().await;
    let group = cluster.group(old);
    group.change_voters(&set(&cluster.others(&[old]))).await.unwrap();
    until("it steps down", || !group.is_leader()).await;
    cluster.kill(old).await;
    cluster.write("after").await;
    assert_eq!(cluster.settle().await.lines.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_removed_replica_that_hears_of_nothing_disturbs_nobody() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let removed = cluster.others(&[leader])[0];
    cluster.part(&[removed]);
    let voters = set(&cluster.others(&[removed]));
    cluster.group(leader).change_voters(&voters).await.unwrap();
    let term = cluster.status(leader).term;
    cluster.heal();
    tokio::time::sleep(cluster.options.election_max * 20).await;
    assert_eq!(cluster.leader().await, leader);
    assert_eq!(cluster.status(leader).term, term);
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_on_within_a_second() {
    let cluster = Cluster::of(3).await;
    cluster.write("before").await;
    for _ in 0..6 {
        let from = cluster.leader().await;
        let to = cluster.others(&[from])[0];
        let begun = Instant::now();
        cluster.group(from).transfer_leader(to).await.unwrap();
        assert_eq!(cluster.leader().await, to);
        cluster.write("after").await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    assert_eq!(cluster.settle().await.lines.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_handover_that_fails_ends_in_an_election() {
    let cluster = Cluster::of(3).await;
    let from = cluster.leader().await;
    let group = cluster.group(from);
    let to = cluster.others(&[from])[0];
    // It hears of its luck, and cannot ask for votes.
    for other in cluster.others(&[to]) {
        cluster.cut(to, other);
    }
    let handed = group.transfer_leader(to).await;
    assert_ne!(handed, Ok(()));
    cluster.heal();
    cluster.write("after").await;
    cluster.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hands_over_answers_nothing_from_then_on() {
    let cluster = Cluster::of(3).await;
    let from = cluster.leader().await;
    let group = cluster.group(from);
    let to = cluster.others(&[from])[0];
    let handing = group.transfer_leader(to);
    tokio::pin!(handing);
    // One look starts it.
    assert!(tokio::time::timeout(Duration::ZERO, &mut handing).await.is_err());
    tokio::task::yield_now().await;
    let leader = Some(to);
    assert!(!group.is_surely_leader());
    assert_eq!(group.read_barrier(ReadPolicy::Lease).await, Err(ReadError::NotLeader { leader }));
    assert_eq!(group.propose("late".into()).await, Err(ProposeError::NotLeader { leader }));
    assert_eq!(handing.await, Ok(()));
    assert!(cluster.settle().await.lines.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_is_sure_of_itself_once_it_has_applied_its_own_and_until_it_hands_over() {
    let cluster = Cluster::of(3).await;
    let (mut from, mut term) = (cluster.leader().await, 0);
    for round in 0..4 {
        cluster.write("of this leader").await;
        for node in cluster.others(&[]) {
            assert_eq!(cluster.group(node).is_surely_leader(), node == from, "round {round}");
        }
        let status = cluster.status(from);
        assert!(status.term > term, "round {round}");
        term = status.term;
        let to = cluster.others(&[from])[0];
        cluster.group(from).transfer_leader(to).await.unwrap();
        assert!(!cluster.group(from).is_surely_leader(), "round {round}");
        from = to;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_handover_failed_is_sure_of_itself_when_it_leads_again() {
    let cluster = Cluster::of(3).await;
    let from = cluster.leader().await;
    let group = cluster.group(from);
    let to = cluster.others(&[from])[0];
    cluster.part(&[from]);
    assert_eq!(group.transfer_leader(to).await, Err(ChangeError::Unknown), "nobody hears of it");
    assert!(!group.is_surely_leader());
    cluster.heal();
    cluster.write("of another leader").await;
    let led_by = cluster.leader().await;
    assert_ne!(led_by, from);
    cluster.group(led_by).transfer_leader(from).await.unwrap();
    cluster.write("of this leader").await;
    assert!(group.is_surely_leader());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nobody_is_sure_of_itself_for_no_longer_than_reads_may_trust() {
    let cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    assert!(group.is_surely_leader());
    for other in cluster.others(&[leader]) {
        cluster.cut(leader, other);
    }
    let cut = Instant::now();
    while group.is_surely_leader() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(cut.elapsed() <= cluster.options.read_age_max() + Duration::from_millis(5));
    assert_eq!(cluster.status(leader).leader, Some(leader), "it does not know better");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    let stranger = cluster.add_node().await;
    let is_refused = |result: Result<(), ChangeError>| {
        assert!(matches!(result, Err(ChangeError::Refused(_))), "{result:?}");
    };
    is_refused(group.transfer_leader(stranger).await);
    is_refused(group.change_voters(&set(&[])).await);
    is_refused(group.change_voters(&set(&[leader, stranger])).await);
    is_refused(group.initialize(&[(leader, address(leader))]).await);
    let follower = cluster.group(cluster.others(&[leader, stranger])[0]);
    let leader = Some(leader);
    assert_eq!(
        follower.change_voters(&set(&[stranger])).await,
        Err(ChangeError::NotLeader { leader })
    );
    assert_eq!(follower.transfer_leader(stranger).await, Err(ChangeError::NotLeader { leader }));
}

#[tokio::test(start_paused = true)]
async fn a_change_without_a_majority_is_unknown_and_can_be_finished() {
    let mut cluster = Cluster::of(3).await;
    let old = cluster.leader().await;
    let node = cluster.add_node().await;
    let group = cluster.group(old);
    group.add_learner(node, &address(node), FIRST_INCARNATION).await.unwrap();
    group.caught_up(node, DEADLINE).await.unwrap();
    cluster.part(&[old]);
    let voters = set(&cluster.nodes());
    assert_eq!(group.change_voters(&voters).await, Err(ChangeError::Unknown));
    let log = Log::default();
    let writer = log.clone();
    let errors = Config { log: "error".to_owned(), ..Config::default() };
    let subscriber = logging::subscriber(&errors, false, move || writer.clone());
    let logged = tracing::subscriber::set_default(subscriber);
    assert_eq!(group.change_voters(&voters).await, Err(ChangeError::InProgress));
    assert_eq!(log.len(), 0, "to be asked again is no error");
    drop(logged);
    cluster.heal();
    let leader = cluster.leader().await;
    let mut changed = cluster.group(leader).change_voters(&voters).await;
    while matches!(changed, Err(ChangeError::InProgress | ChangeError::NotLeader { .. })) {
        let leader = cluster.leader().await;
        changed = cluster.group(leader).change_voters(&voters).await;
    }
    changed.unwrap();
    cluster.write("after").await;
    cluster.settle().await;
    let status = cluster.status(cluster.leader().await);
    assert_eq!(status.voter_sets, [voters]);
}

#[test]
fn a_group_runs_where_it_was_started_and_is_used_from_elsewhere() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let home = std::thread::spawn(move || {
        runtime().block_on(async {
            let cluster = Cluster::of(3).await;
            let leader = cluster.leader().await;
            let other = cluster.others(&[leader])[0];
            tell.send((cluster.group(leader), cluster.group(other), other)).unwrap();
            ended.await.unwrap();
        });
    });
    let (group, other, to) = told.recv().unwrap();
    runtime().block_on(async {
        group.propose("from elsewhere".into()).await.unwrap();
        for policy in [ReadPolicy::Lease, ReadPolicy::Quorum] {
            group.read_barrier(policy).await.unwrap();
        }
        assert_eq!(group.machine(|ledger| ledger.lines.len()), 1);
        group.transfer_leader(to).await.unwrap();
        other.propose("and again".into()).await.unwrap();
        other.shutdown().await;
        assert_eq!(other.propose("late".into()).await, Err(ProposeError::Stopped));
    });
    end.send(()).unwrap();
    home.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_is_left_goes_on_alone_with_all_of_its_log_and_others_may_join_it() {
    let mut cluster = Cluster::of(3).await;
    for n in 0..5 {
        cluster.write(format!("{n}")).await;
    }
    cluster.settle().await;
    let leader = cluster.leader().await;
    let followers = cluster.others(&[leader]);
    // It has what nobody has committed: that is not lost, for it may have been acknowledged.
    cluster.part(&[leader]);
    let unsure = cluster.group(leader).submit("unsure".into()).unwrap();
    until("it is in the log", || cluster.status(leader).entries > cluster.status(leader).applied)
        .await;
    for lost in followers {
        cluster.kill(lost).await;
    }
    cluster.heal();
    assert_eq!(
        cluster.group(leader).read_barrier(ReadPolicy::Quorum).await,
        Err(ReadError::Unavailable)
    );
    let before = cluster.status(leader);
    cluster.leave_alone(leader).await;
    assert_eq!(unsure.await.err(), Some(ProposeError::Unknown));
    cluster.write("alone").await;
    let after = cluster.status(leader);
    assert!(after.term > before.term, "{after:?}");
    assert_eq!(after.voters(), set(&[leader]));
    let lines: Vec<_> = cluster.lines(leader).iter().map(|line| line.to_vec()).collect();
    assert_eq!(lines, [&b"0"[..], b"1", b"2", b"3", b"4", b"unsure", b"alone"]);
    for _ in 0..2 {
        admit(&mut cluster).await;
    }
    cluster.write("together").await;
    assert_eq!(cluster.settle().await.lines.len(), 8);
}
