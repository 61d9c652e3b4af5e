//! openraft's own tests of what it is given to store in.

use std::sync::Arc;

use bytes::Bytes;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use winter_core::cluster::{GroupId, NodeId};
use winter_core::time::Timestamp;

use super::batcher::Batch;
use super::log::Log;
use super::machine::{Machine, Replies, Source, Target, Unreadable};
use super::state::{Applier, State};
use super::types::Types;

/// A machine without a state: the suite proposes nothing.
struct Nothing;

impl Machine for Nothing {
    type Reply = ();
    type Source = Self;
    type Target = Self;

    fn pack(_: &[Batch], _: Timestamp) -> Bytes {
        Bytes::new()
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
        let state = State::new(NodeId(0), GroupId::Meta, Nothing, Arc::default());
        Ok(((), Log::new(usize::MAX), Applier::new(state)))
    }
}

#[test]
fn log_and_state_are_what_openraft_asks_for() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}
