//! openraft's own tests of what it is given to store in, and what follows when it
//! or a task beside it panics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tokio::time::{Instant, sleep, timeout};
use winter_core::cluster::{GroupId, NodeId};
use winter_core::time::Timestamp;

use super::batcher::Batch;
use super::error::{ProposeError, ReadError};
use super::group::{Group, ReadPolicy, Start};
use super::log::Log;
use super::machine::{Machine, Replies, Source, Target, Unreadable};
use super::options::Options;
use super::pace::Pace;
use super::state::{Applier, State};
use super::status::Role;
use super::transport::{Answer, Lane, Transport, TransportError};
use super::types::Types;

/// Longer than anything takes here.
const DEADLINE: Duration = Duration::from_secs(60);

/// A machine without a state, whose operations cannot be packed.
struct Nothing;

impl Machine for Nothing {
    type Reply = ();
    type Source = Self;
    type Target = Self;

    fn pack(_: &[Batch], _: Timestamp) -> Bytes {
        panic!("as a test wants it")
    }

    fn apply(&mut self, _: u64, _: &[u8], _: &mut Replies<()>) {}

    fn freeze(&self) -> Self {
        Self
    }

    fn receive(&self) -> Self {
        Self
    }

    fn install(&mut self, _: Self) -> Result<(), Unreadable> {
        Ok(())
    }
}

impl Source for Nothing {
    fn next(&mut self, _: usize) -> Option<Bytes> {
        None
    }
}

impl Target for Nothing {
    fn push(&mut self, _: &[u8]) -> Result<(), Unreadable> {
        Ok(())
    }
}

struct Builder;

impl StoreBuilder<Types, Log, Applier<Nothing>> for Builder {
    async fn build(&self) -> Result<((), Log, Applier<Nothing>), StorageError<Types>> {
        let state = State::new(NodeId(0), GroupId::Meta, 0, Nothing, Arc::default());
        Ok(((), Log::new(usize::MAX), Applier::new(state)))
    }
}

#[test]
fn log_and_state_are_what_openraft_asks_for() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}

/// There is nobody else.
struct Nowhere;

impl Transport for Nowhere {
    fn call(&self, _: NodeId, _: GroupId, _: Lane, _: Bytes, _: Instant) -> Answer {
        Box::pin(async { Err(TransportError::NotSent) })
    }
}

/// A group of one replica, which leads it.
async fn alone() -> Group<Nothing> {
    let group = Group::start(Start {
        options: Options::default(),
        me: NodeId(1),
        group: GroupId::Meta,
        incarnation: 0,
        machine: Nothing,
        transport: Arc::new(Nowhere),
        stamp: Box::new(Timestamp::default),
        counters: Arc::default(),
        pace: Pace::begin(),
    });
    let group = group.await.unwrap();
    group.initialize(&[(NodeId(1), "winter-1:6062".parse().unwrap())]).await.unwrap();
    assert_eq!(group.led(DEADLINE).await, Some(NodeId(1)));
    group
}

async fn has_stopped(group: &Group<Nothing>) {
    let stopped = async {
        while group.status().role != Role::Stopped {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, stopped).await.expect("it does not lead any more");
    assert!(!group.is_leader());
    assert!(matches!(group.submit(Bytes::new()), Err(ProposeError::Stopped)));
    assert_eq!(group.read_barrier(ReadPolicy::Lease).await, Err(ReadError::Stopped));
}

#[tokio::test]
async fn a_replica_that_was_told_to_stop_has_not_failed() {
    let group = alone().await;
    assert!(!group.has_failed());
    group.shutdown().await;
    has_stopped(&group).await;
    assert!(!group.has_failed(), "whoever looks after it gave the node up");
}

#[tokio::test]
async fn a_replica_whose_core_has_panicked_has_stopped() {
    let group = alone().await;
    group.raft().external_request(|_| panic!("as the test wants it")).await.unwrap();
    has_stopped(&group).await;
    assert!(group.has_failed());
}

#[tokio::test]
async fn a_replica_whose_batcher_has_panicked_has_stopped() {
    let group = alone().await;
    assert_eq!(group.propose(Bytes::new()).await, Err(ProposeError::Unknown));
    has_stopped(&group).await;
    assert!(group.has_failed());
}
