//! How nodes are, told by each to all a few times a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::interval;
use winter_core::cluster::GroupId;
use winter_core::cluster::meta::Meta;

use crate::cluster::wire::{self, Affair, Pulse};
use crate::cluster::{Inner, others};
use crate::peers::Channel;

/// The time between two.
pub(super) const PULSE: Duration = Duration::from_millis(250);
/// A member that was not heard of for so long may be lost.
pub(crate) const HEARD_LATELY: Duration = Duration::from_secs(3);

/// Tells the others how this node is, again and again.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut beats = interval(PULSE);
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            _ = beats.tick() => {}
        }
        let map = inner.map();
        if map.cluster.is_none() {
            continue;
        }
        inner.count_logs();
        let pulse = inner.measure_all();
        let body = wire::encode(&Affair::Pulse(pulse));
        for node in others(&map, inner.me) {
            let told = inner.peers().send(node, Channel::MEMBERSHIP, GroupId::Meta, body.clone());
            if let Err(error) = told {
                tracing::trace!(%node, %error, "a member was not told");
            }
        }
    }
}

impl Inner {
    /// How it is now.
    pub(crate) fn how_it_is(&self) -> Pulse {
        let named = |meta: &Meta| {
            let quotas = meta.tables_with_quota();
            quotas.map(|table| (table.table.id, table.name.clone())).collect::<Vec<_>>()
        };
        let meta = self.hosted.meta();
        let named = meta.map(|meta| meta.machine(|m| named(m.meta()))).unwrap_or_default();
        let quotas: Vec<_> = named.iter().map(|(id, name)| (*id, &**name)).collect();
        let led = self.hosted.all_data().into_iter().filter(|(_, group)| group.is_leader());
        Pulse {
            is_full: self.node.memory.is_full(),
            leads: led.map(|(partition, _)| partition.0).collect(),
            usage: self.hosted.led_usage(&quotas),
        }
    }

    /// Counts what the groups hold beside their state.
    fn count_logs(&self) {
        let data = self.hosted.all_data().iter().map(|(_, group)| group.bytes()).sum::<usize>();
        let bytes = data + self.hosted.meta().map_or(0, |meta| meta.bytes());
        self.node.memory.count_store(self.log_bytes.swap(bytes, Ordering::Relaxed), bytes);
    }
}
