//! Who is a node, but not one to talk to.

use winter_core::cluster::{ClusterId, NodeId};
use winter_server::peers::frame::Header;
use winter_server::peers::handshake::{Hello, Kind, Message, Purpose, Refusal, VERSIONS, Versions};
use winter_server::peers::{CallError, Link, NotSent, Options, Reason};

use crate::kit::{APPLICATION, CLUSTER, ECHO, Node, Pair, address, draw, eventually, patient};
use crate::raw::{Played, Raw, Session, hello, said};

/// A hello that is changed so is refused, and the answer says why.
async fn is_refused(reason: Reason, words: &[&str], change: impl Fn(&mut Hello)) {
    let pair = Pair::start().await;
    pair.refuses(reason, async |to| {
        let mut hello = hello();
        change(&mut hello);
        let mut raw = Raw::connect(to).await;
        raw.send(&said(&hello).bytes).await;
        let (told, text) = raw.refusal().await;
        assert_eq!(told, reason);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        raw.address()
    })
    .await;
}

#[tokio::test]
async fn a_node_of_another_application_is_refused_whatever_it_wants() {
    for purpose in [Purpose::Calls, Purpose::Bulk, Purpose::Probe] {
        is_refused(Reason::Application, &["\"other\"", APPLICATION], |hello| {
            hello.purpose = purpose;
            hello.application = "other".to_owned();
        })
        .await;
    }
}

#[tokio::test]
async fn an_application_s_name_cannot_write_lines_of_the_log() {
    is_refused(Reason::Application, &["\\n"], |hello| hello.application = "a\nb".to_owned()).await;
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused() {
    for purpose in [Purpose::Calls, Purpose::Bulk] {
        is_refused(Reason::Cluster, &[&ClusterId(8).to_string()], |hello| {
            hello.purpose = purpose;
            hello.cluster = Some(ClusterId(8));
        })
        .await;
    }
}

#[tokio::test]
async fn a_node_without_a_cluster_may_only_probe() {
    is_refused(Reason::NoCluster, &["only probe"], |hello| hello.cluster = None).await;
}

#[tokio::test]
async fn who_looks_for_another_node_is_refused() {
    let gone = NodeId(draw());
    let words = [&*gone.to_string()];
    is_refused(Reason::Receiver, &words, |hello| hello.receiver = Some(gone)).await;
}

#[tokio::test]
async fn a_body_that_is_no_hello_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Malformed, async |to| {
        let mut raw = Raw::connect(to).await;
        raw.send(&Message::new(Kind::Hello, VERSIONS, &[9_u8; 20]).bytes).await;
        assert_eq!(raw.refusal().await.0, Reason::Malformed);
        raw.address()
    })
    .await;
}

#[tokio::test]
async fn a_refusal_in_the_place_of_a_hello_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Unexpected, async |to| {
        let mut raw = Raw::connect(to).await;
        let refusal = Refusal { code: 0, told: String::new() };
        raw.send(&Message::new(Kind::Refusal, VERSIONS, &refusal).bytes).await;
        assert_eq!(raw.refusal().await.0, Reason::Unexpected);
        raw.address()
    })
    .await;
}

#[tokio::test]
async fn a_version_without_an_overlap_is_refused_before_its_body_is_read() {
    let pair = Pair::start().await;
    let later = Versions { oldest: VERSIONS.newest + 1, newest: VERSIONS.newest + 2 };
    pair.refuses(Reason::Version, async |to| {
        let mut raw = Raw::connect(to).await;
        raw.send(&Message::new(Kind::Hello, later, &"of another shape").bytes).await;
        let answer = raw.message().await;
        assert_eq!(answer.versions, VERSIONS, "it learns what we speak");
        let refusal: Refusal = answer.body().unwrap();
        assert_eq!(Reason::of(refusal.code), Reason::Version);
        assert!(refusal.told.contains("2 to 3"), "{}", refusal.told);
        assert_eq!(raw.end().await, "");
        raw.address()
    })
    .await;
}

#[tokio::test]
async fn neighbouring_versions_talk_in_the_highest_that_is_common() {
    let speaks = |oldest, newest| Options { versions: Versions { oldest, newest }, ..patient() };
    let (old, new) = (Node::with(speaks(1, 2)), Node::with(speaks(2, 3)));
    old.meet(&new).await;
    new.meet(&old).await;
    assert_eq!(old.peers.link(new.id), Some(Link::Connected { version: 2 }));
    assert_eq!(new.peers.link(old.id), Some(Link::Connected { version: 2 }));
    assert_eq!(old.call(new.id, ECHO, "hi").await.unwrap(), "hi");
    let newest = Node::with(speaks(3, 4));
    newest.peers.connect(old.id, address(old.at));
    let refused = Some(Link::Down(NotSent::Refused(Reason::Version)));
    eventually("they have none", || newest.peers.link(old.id) == refused).await;
}

#[tokio::test]
async fn fields_that_a_later_version_adds_to_its_hello_are_skipped() {
    let node = Node::member();
    let mut raw = Raw::connect(node.at).await;
    let versions = Versions { oldest: 1, newest: 2 };
    raw.send(&Message::new(Kind::Hello, versions, &(hello(), "more", 5_u64)).bytes).await;
    assert_eq!(raw.message().await.kind, Kind::Welcome);
}

#[tokio::test]
async fn a_recorded_connection_is_refused_when_it_is_played_again() {
    let pair = Pair::start().await;
    let mut session = Session::open(pair.target.at).await;
    session
        .send(
            Header::OneWay {
                channel: crate::kit::NOTE,
                group: winter_core::cluster::GroupId::Meta,
            },
            "once",
        )
        .await;
    let notes = &pair.target.deeds.notes;
    eventually("it is noted", || notes.lock().unwrap().len() == 1).await;
    let recorded = session.raw.sent.clone();
    pair.refuses(Reason::Unconfirmed, async |to| {
        let mut raw = Raw::connect(to).await;
        raw.send(&recorded).await;
        raw.end().await;
        raw.address()
    })
    .await;
    assert_eq!(*notes.lock().unwrap(), ["once"], "nothing is done again");
    drop(session);
}

#[tokio::test]
async fn a_recorded_welcome_is_refused_by_who_dials() {
    let (node, played) = (Node::member(), Played::start().await);
    node.peers.connect(played.id, address(played.at()));
    let (_, _, first) = played.greeted().await;
    let recorded = Message::new(Kind::Welcome, VERSIONS, &played.welcome(&first));
    let (mut raw, ..) = played.greeted().await;
    raw.send(&recorded.bytes).await;
    eventually("it is refused", || node.refused(Reason::Replayed) == 1).await;
    assert_eq!(raw.end().await, "", "nothing was sent to it");
}

#[tokio::test]
async fn who_answers_in_the_place_of_another_is_refused() {
    let (node, played) = (Node::member(), Played::start().await);
    node.peers.connect(played.id, address(played.at()));
    type Change = fn(&mut winter_server::peers::handshake::Welcome);
    let wrongs: [(Reason, Change); 4] = [
        (Reason::Receiver, |welcome| welcome.sender = NodeId(1)),
        (Reason::Cluster, |welcome| welcome.cluster = Some(ClusterId(8))),
        (Reason::NoCluster, |welcome| welcome.cluster = None),
        (Reason::Version, |welcome| welcome.version = 9),
    ];
    for (reason, change) in wrongs {
        let (mut raw, _, hello) = played.greeted().await;
        let mut welcome = played.welcome(&hello);
        change(&mut welcome);
        raw.send(&Message::new(Kind::Welcome, VERSIONS, &welcome).bytes).await;
        eventually("it is refused", || node.refused(reason) == 1).await;
        assert_eq!(raw.end().await, "");
        let link = Some(Link::Down(NotSent::Refused(reason)));
        eventually("calls are told", || node.peers.link(played.id) == link).await;
    }
    let _session = played.accept().await;
    eventually("the right one is taken", || node.is_connected(played.id)).await;
}

#[tokio::test]
async fn what_a_refusal_says_is_told_to_callers_and_counted() {
    let (ours, other) = (Node::member(), Node::member());
    other.peers.set_cluster(Some(ClusterId(8)));
    ours.peers.connect(other.id, address(other.at));
    let refused = NotSent::Refused(Reason::Cluster);
    eventually("it is refused", || ours.peers.link(other.id) == Some(Link::Down(refused))).await;
    assert!(ours.peers.counters().refused_by_peers(Reason::Cluster) > 0);
    assert!(other.refused(Reason::Cluster) > 0);
    assert_eq!(ours.refused_in_all(), 0);
    other.peers.set_cluster(Some(CLUSTER));
    eventually("they are of one cluster", || ours.is_connected(other.id)).await;
}

#[tokio::test]
async fn a_node_without_a_cluster_makes_no_calls() {
    let fresh = Node::fresh(APPLICATION, patient(), ([127, 0, 0, 1], 0).into());
    let member = Node::member();
    fresh.peers.connect(member.id, address(member.at));
    let error = fresh.call(member.id, ECHO, "x").await.unwrap_err();
    assert_eq!(error, CallError::NotSent(NotSent::NoCluster));
    fresh.peers.set_cluster(Some(CLUSTER));
    eventually("it joins", || fresh.is_connected(member.id)).await;
    assert_eq!(fresh.call(member.id, ECHO, "x").await.unwrap(), "x");
}

#[tokio::test]
async fn leaving_a_cluster_ends_its_connections_both_ways() {
    let (left, stays) = (Node::member(), Node::member());
    left.meet(&stays).await;
    stays.meet(&left).await;
    left.peers.set_cluster(Some(ClusterId(9)));
    let refused = Some(Link::Down(NotSent::Refused(Reason::Cluster)));
    eventually("out", || left.peers.link(stays.id) == refused).await;
    eventually("in", || stays.peers.link(left.id) == refused).await;
}
