//! What commands took: counted, noted for `CLIENT LIST`, and logged when it was long.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use winter_core::command::Verb;
use winter_core::protocol::Dialect;

use super::clients::Client;
use crate::node::{GROUP_MAX, Node};
use crate::stats::LatencyBucket;

/// Commands that share one look at the clock at the most.
const PASS_MAX: usize = 2 * GROUP_MAX;

/// Commands between two looks at the clock.
pub(super) struct Pass {
    pub began: Instant,
    pub verbs: ArrayVec<Verb, PASS_MAX>,
    /// How many commands the turn's earlier passes answered.
    pub answered: usize,
}

impl Pass {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), verbs: ArrayVec::new(), answered: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.verbs.remaining_capacity() < GROUP_MAX
    }

    pub(super) fn begin_next(&mut self, now: Instant) {
        self.answered += self.verbs.len();
        self.verbs.clear();
        self.began = now;
    }
}

/// Some commands of a client that were worked on together.
pub(super) struct Observed<'a> {
    pub worker: usize,
    pub client: &'a Client,
    pub dialect: Dialect,
    pub verbs: &'a [Verb],
}

impl Observed<'_> {
    /// They took `elapsed`, and were done at `finished`.
    pub(super) fn took(&self, node: &Node, elapsed: Duration, finished: Instant) {
        let (stats, bucket) = (node.stats.worker(self.worker), LatencyBucket::of(elapsed));
        self.verbs.iter().for_each(|&verb| stats.time(Some(verb), bucket));
        self.client.note(self.verbs.last().copied(), self.dialect, node.clock.at(finished));
        if node.config.slow_command.is_some_and(|slow| elapsed >= slow) {
            node.stats.events.slow_commands.bump_by(self.verbs.len() as u64);
            let Some(times) = node.lines.slow.line(finished) else { return };
            let commands: Vec<_> = self.verbs.iter().map(|verb| verb.spec().name).collect();
            let client = &self.client.address;
            tracing::warn!(%client, ?commands, ?elapsed, times, "slow commands");
        }
    }
}
