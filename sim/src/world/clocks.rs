//! A plan of faults that shows who decides what has expired: the partition, by what
//! is committed. A leader whose clock is ahead of all others' is cut off, so that it
//! can still read for a moment, and not commit. Did it say what has expired by its own
//! clock, the next leader, whose clock is behind, would bring that back.

use std::time::Duration;

use super::World;
use crate::faults::Kind;

/// How often it happens.
const ROUNDS: usize = 6;
/// By how much the leader's clock is then ahead of any other at least.
const AHEAD: Duration = Duration::from_secs(30);
/// How long it leads with that clock.
const LEADS: Duration = Duration::from_secs(4);
/// How long it is cut off: enough for another to lead, and to be asked.
const APART: Duration = Duration::from_secs(8);
/// How long the cluster may take to be whole again between two rounds.
const ROUND_MAX: Duration = Duration::from_secs(120);

impl World<'_> {
    /// Lets it happen, again and again.
    pub(super) fn misjudge(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            self.until("the cluster is not whole again", ROUND_MAX, Self::is_whole)?;
            let Some([leads, ..]) = self.replicas() else { continue };
            self.put_ahead(leads);
            self.go_on(LEADS)?;
            self.plan(Kind::Isolation, leads, APART);
            self.go_on(APART)?;
        }
        self.coverage.require("isolation: a leader", 3);
        Ok(())
    }

    /// Puts a node's clock ahead of all that any clock has shown.
    fn put_ahead(&mut self, number: usize) {
        self.read_clocks();
        let own = self.slots[number].ahead_millis(self.sim.elapsed()).unwrap_or_default();
        let by = Duration::from_millis(self.seen.ahead_most().abs_diff(own)) + AHEAD;
        if let Some((hand, _)) = self.slots[number].hand.get() {
            hand.put_forward(by);
        }
        self.read_clocks();
    }
}
