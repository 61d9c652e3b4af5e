//! A group on several nodes, and what can happen to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use winter_core::cluster::meta::FIRST_INCARNATION;
use winter_core::cluster::{Address, GroupId, NodeId};
use winter_core::time::Timestamp;
use winter_server::consensus::{
    Batch, Counters, Group, Machine as _, Options, Pace, ProposeError, ReadPolicy, Stamp, Start,
    Status,
};

use crate::ledger::{Freezes, Ledger, Line};
use crate::network::{End, Network};

/// Longer than anything takes here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Cluster {
    pub(crate) network: Arc<Network>,
    pub(crate) options: Options,
    pub(crate) counters: Arc<Counters>,
    started: Instant,
    next: u64,
}

pub(crate) fn address(node: NodeId) -> Address {
    format!("winter-{}.winter:6062", node.0).parse().unwrap()
}

impl Cluster {
    /// So many nodes, of which the first is told to make a group of all.
    pub(crate) async fn of(nodes: u64) -> Self {
        Self::with(nodes, Options::default()).await
    }

    pub(crate) async fn with(nodes: u64, options: Options) -> Self {
        let (network, counters) = (Arc::default(), Arc::default());
        let mut cluster = Self { network, options, counters, started: Instant::now(), next: 1 };
        let mut list = Vec::new();
        for _ in 0..nodes {
            let node = cluster.add_node().await;
            list.push((node, address(node)));
        }
        cluster.group(list[0].0).initialize(&list).await.unwrap();
        cluster.leader().await;
        cluster
    }

    /// Another node, which belongs to no group yet.
    pub(crate) async fn add_node(&mut self) -> NodeId {
        let node = NodeId(self.next);
        self.next += 1;
        self.host(node, FIRST_INCARNATION).await;
        node
    }

    /// A replica on this node, in the place of one that it may have had.
    pub(crate) async fn host(&self, node: NodeId, incarnation: u64) {
        if let Some(former) = self.network.remove(node) {
            former.shutdown().await;
        }
        let group = Group::start(Start {
            options: self.options,
            me: node,
            group: GroupId::Meta,
            incarnation,
            machine: Ledger::default(),
            transport: self.end(node),
            stamp: self.stamp(),
            counters: Arc::clone(&self.counters),
            pace: Pace::begin(),
        });
        self.network.add(node, group.await.unwrap());
    }

    fn end(&self, node: NodeId) -> Arc<End> {
        Arc::new(End { network: Arc::clone(&self.network), me: node })
    }

    fn stamp(&self) -> Stamp {
        let started = self.started;
        Box::new(move || {
            Timestamp::from_millis(u64::try_from(started.elapsed().as_millis()).unwrap())
        })
    }

    /// Lets a node go on without the others.
    pub(crate) async fn leave_alone(&self, node: NodeId) {
        let former = self.group(node);
        let alone = former.go_on_alone(&address(node), self.end(node), self.stamp()).await;
        self.network.remove(node);
        self.network.add(node, alone.unwrap());
    }

    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.network.nodes().into_keys().collect()
    }

    pub(crate) fn group(&self, node: NodeId) -> Group<Ledger> {
        self.network.nodes().remove(&node).unwrap()
    }

    pub(crate) fn status(&self, node: NodeId) -> Status {
        self.group(node).status()
    }

    pub(crate) fn lines(&self, node: NodeId) -> Vec<Bytes> {
        let lines = |ledger: &Ledger| ledger.lines.iter().map(|line| line.1.clone()).collect();
        self.group(node).machine(lines)
    }

    pub(crate) fn freezes(&self) -> usize {
        let count = |group: Group<Ledger>| group.machine(|now| Freezes::count(&now.freezes));
        self.network.nodes().into_values().map(count).sum()
    }

    /// The node that a majority confirms as the leader, once there is one.
    pub(crate) async fn leader(&self) -> NodeId {
        self.leader_among(&self.nodes()).await
    }

    pub(crate) async fn leader_among(&self, nodes: &[NodeId]) -> NodeId {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            for node in nodes {
                if self.group(*node).read_barrier(ReadPolicy::Quorum).await.is_ok() {
                    return *node;
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("no leader among {nodes:?}: {:#?}", self.statuses());
    }

    /// Proposes at the leader, until it is known to be done.
    pub(crate) async fn write(&self, operation: impl Into<Bytes>) -> Line {
        let operation = operation.into();
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let leader = self.leader().await;
            match self.group(leader).propose(operation.clone()).await {
                Ok(line) => return line,
                Err(ProposeError::Unknown | ProposeError::Stopped) => panic!("not known"),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("not written: {:#?}", self.statuses());
    }

    /// Waits until all replicas have applied what the leader has, and checks
    /// that they are equal.
    pub(crate) async fn settle(&self) -> Ledger {
        let leader = self.leader().await;
        let groups: Vec<_> = self.network.nodes().into_values().collect();
        until("all have applied all", || {
            let entries = self.status(leader).entries;
            groups.iter().all(|group| group.status().applied == entries)
        })
        .await;
        let ledgers: Vec<Ledger> = groups.iter().map(|group| group.machine(Clone::clone)).collect();
        for ledger in &ledgers {
            assert!(*ledger == ledgers[0], "replicas differ");
        }
        ledgers[0].clone()
    }

    /// Nothing comes from one node to the other.
    pub(crate) fn cut(&self, from: NodeId, to: NodeId) {
        self.network.weather(|weather| weather.cuts.insert((from, to)));
    }

    /// Nothing comes from these to the others, nor from those to these.
    pub(crate) fn part(&self, some: &[NodeId]) {
        for one in some {
            for other in self.nodes().iter().filter(|other| !some.contains(other)) {
                self.cut(*one, *other);
                self.cut(*other, *one);
            }
        }
    }

    pub(crate) fn heal(&self) {
        self.network.weather(|weather| weather.cuts.clear());
    }

    /// Ends a node, as a crash does: without a word, and for good.
    pub(crate) async fn kill(&self, node: NodeId) {
        let group = self.network.remove(node).unwrap();
        self.network.weather(|weather| {
            for other in self.network.nodes().into_keys() {
                weather.cuts.insert((node, other));
            }
        });
        group.shutdown().await;
    }

    pub(crate) fn others(&self, than: &[NodeId]) -> Vec<NodeId> {
        self.nodes().into_iter().filter(|node| !than.contains(node)).collect()
    }

    fn statuses(&self) -> Vec<Status> {
        self.network.nodes().into_values().map(|group| group.status()).collect()
    }
}

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + DEADLINE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{at}: never: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn set(nodes: &[NodeId]) -> BTreeSet<NodeId> {
    nodes.iter().copied().collect()
}

/// An entry of one operation, as long as it is in the log.
pub(crate) fn packed(operation: &Bytes) -> usize {
    Ledger::pack(&[Batch::from(operation.clone())], Timestamp::default()).len()
}
