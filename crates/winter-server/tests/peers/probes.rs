//! Finding out who is there, before there is a cluster and across two.

use bytes::Bytes;
use tokio::time::Instant;
use winter_core::cluster::{ClusterId, GroupId};
use winter_server::peers::frame::Header;
use winter_server::peers::handshake::{Hello, Purpose};
use winter_server::peers::{PROBE_BYTES_MAX, ProbeError, Probed, Reason};

use crate::kit::{APPLICATION, CLUSTER, NOTE, Node, PATIENCE, Pair, address, patient};
use crate::raw::{Played, Session, hello};

fn fresh(application: &str) -> Node {
    Node::fresh(application, patient(), ([127, 0, 0, 1], 0).into())
}

async fn probe(from: &Node, to: &Node, body: &'static str) -> Result<Probed, ProbeError> {
    from.peers.probe(&address(to.at), Bytes::from(body), Instant::now() + PATIENCE).await
}

#[tokio::test]
async fn nodes_without_a_cluster_find_out_who_the_other_is() {
    let (one, other) = (fresh(APPLICATION), fresh(APPLICATION));
    let probed = probe(&one, &other, "who?").await.unwrap();
    assert_eq!((probed.node, probed.cluster), (other.id, None));
    assert_eq!(probed.attributes.address, address(other.at));
    assert_eq!(probed.body, "who?");
    let by = other.deeds.probed_by.lock().unwrap();
    assert_eq!((by[0].node, by[0].cluster), (one.id, None));
    assert_eq!(by[0].attributes.name, format!("pod-{}", one.id));
}

#[tokio::test]
async fn nodes_of_two_clusters_see_each_other_s_cluster() {
    let (one, other) = (Node::member(), Node::member());
    other.peers.set_cluster(Some(ClusterId(8)));
    assert_eq!(probe(&one, &other, "x").await.unwrap().cluster, Some(ClusterId(8)));
    assert_eq!(other.deeds.probed_by.lock().unwrap()[0].cluster, Some(CLUSTER));
    assert_eq!(one.refused_in_all() + other.refused_in_all(), 0);
}

#[tokio::test]
async fn a_node_recognises_itself() {
    let node = fresh(APPLICATION);
    assert_eq!(probe(&node, &node, "x").await.unwrap().node, node.id);
}

#[tokio::test]
async fn a_node_of_another_application_is_named_in_the_error() {
    let (one, other) = (fresh(APPLICATION), fresh("another"));
    match probe(&one, &other, "x").await {
        Err(ProbeError::Refused { reason: Reason::Application, told }) => {
            let whose = format!("who asks is of the application {APPLICATION:?}, who answers of");
            assert_eq!(told, format!("{whose} \"another\""));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(other.refused(Reason::Application), 1);
}

#[tokio::test]
async fn a_probe_can_be_declined() {
    let (one, other) = (fresh(APPLICATION), fresh(APPLICATION));
    assert_eq!(probe(&one, &other, "").await, Err(ProbeError::Declined));
}

#[tokio::test]
async fn a_probe_of_nobody_fails() {
    let (one, gone) = (fresh(APPLICATION), Played::start().await);
    let at = address(gone.at());
    drop(gone);
    let probed = one.peers.probe(&at, "x".into(), Instant::now() + PATIENCE).await;
    assert!(matches!(probed, Err(ProbeError::Unreachable(_))), "{probed:?}");
}

#[tokio::test]
async fn a_probe_has_a_deadline() {
    let (one, silent) = (fresh(APPLICATION), Played::start().await);
    let deadline = Instant::now() + std::time::Duration::from_millis(50);
    let probed = one.peers.probe(&address(silent.at()), "x".into(), deadline).await;
    assert!(matches!(probed, Err(ProbeError::Unreachable(_))), "{probed:?}");
}

#[tokio::test]
async fn a_probe_has_a_longest_body() {
    let (one, other) = (fresh(APPLICATION), fresh(APPLICATION));
    let at = address(other.at);
    let ask =
        async |bytes| one.peers.probe(&at, vec![1; bytes].into(), Instant::now() + PATIENCE).await;
    assert_eq!(ask(PROBE_BYTES_MAX).await.unwrap().body.len(), PROBE_BYTES_MAX);
    assert_eq!(ask(PROBE_BYTES_MAX + 1).await, Err(ProbeError::TooLong));
}

fn asks() -> Hello {
    Hello { purpose: Purpose::Probe, cluster: None, ..hello() }
}

#[tokio::test]
async fn whoever_probes_reaches_nothing_else() {
    let pair = Pair::start().await;
    let request =
        Header::Request { request: 0, channel: NOTE, group: GroupId::Meta, budget_millis: 1_000 };
    let mut session = Session::open_with(pair.target.at, &asks()).await;
    session.send(request, "for the cluster").await;
    assert_eq!(session.frame().await.body, "for the cluster", "it is answered as a probe");
    pair.refuses(Reason::Unexpected, async |_| {
        session.send(Header::OneWay { channel: NOTE, group: GroupId::Meta }, "x").await;
        assert!(session.next().await.is_none());
        session.raw.address()
    })
    .await;
    assert!(pair.target.deeds.notes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_long_body_on_a_connection_that_probes_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Oversized, async |to| {
        let mut session = Session::open_with(to, &asks()).await;
        session.raw.send(&(1_u32 << 20).to_le_bytes()).await;
        assert!(session.next().await.is_none());
        session.raw.address()
    })
    .await;
}
