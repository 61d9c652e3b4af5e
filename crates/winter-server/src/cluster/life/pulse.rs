//! How nodes are, told by each to all a few times a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::interval;
use winter_core::cluster::GroupId;

use crate::cluster::wire::{self, Affair, Pulse};
use crate::cluster::{Inner, others};
use crate::peers::Channel;

/// The time between two.
pub(super) const PULSE: Duration = Duration::from_millis(250);
/// A member that was not heard of for so long may be lost.
pub(super) const HEARD_LATELY: Duration = Duration::from_secs(3);

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
        let pulse = inner.how_it_is();
        inner.count_logs();
        inner.heard(inner.me, pulse.clone());
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
    fn how_it_is(&self) -> Pulse {
        let mut pulse = Pulse { is_full: self.node.memory.is_full(), ..Pulse::default() };
        for (partition, group) in self.hosted.all_data() {
            if !group.is_leader() {
                continue;
            }
            pulse.leads.push(partition.0);
            group.machine(|machine| {
                machine.with(|replica| {
                    let quotas: Vec<_> =
                        replica.tables().filter(|table| table.usage.is_some()).cloned().collect();
                    for table in quotas {
                        let held = replica.partition().holdings(&table);
                        let sum = pulse.usage.entry(table.id.0).or_default();
                        sum.0 += held.entries;
                        sum.1 += held.bytes;
                    }
                });
            });
        }
        pulse
    }

    /// Counts what the groups hold beside their state.
    fn count_logs(&self) {
        let data = self.hosted.all_data().iter().map(|(_, group)| group.bytes()).sum::<usize>();
        let bytes = data + self.hosted.meta().map_or(0, |meta| meta.bytes());
        self.node.memory.count_store(self.log_bytes.swap(bytes, Ordering::Relaxed), bytes);
    }
}
