//! Whom the meta group's leader holds for dead: members of whom it has heard
//! nothing for too long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use winter_core::cluster::NodeId;

/// A member that was not heard of for so long is dead.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Since when a leader waits to hear of each member. Nobody was silent before the
/// leader knew of him: neither before it led, nor before the member was let in.
#[derive(Debug, Default)]
pub(super) struct Silence(BTreeMap<NodeId, Instant>);

impl Silence {
    /// The members that were silent for too long, when each was `heard` last.
    pub(super) fn too_long(
        &mut self,
        now: Instant,
        members: &BTreeSet<NodeId>,
        heard: &BTreeMap<NodeId, Instant>,
    ) -> BTreeSet<NodeId> {
        self.0.retain(|node, _| members.contains(node));
        let is_over = |&node: &NodeId| {
            let known = *self.0.entry(node).or_insert(now);
            let last = heard.get(&node).map_or(known, |&at| at.max(known));
            now.duration_since(last) > SILENCE_MAX
        };
        members.iter().copied().filter(is_over).collect()
    }

    /// Whoever led does so no more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: NodeId = NodeId(1);
    const NEW: NodeId = NodeId(2);
    const LITTLE: Duration = Duration::from_millis(1);

    fn nodes(nodes: &[NodeId]) -> BTreeSet<NodeId> {
        nodes.iter().copied().collect()
    }

    #[test]
    fn a_newcomer_has_all_the_time_to_be_heard_however_long_the_leader_leads() {
        let (mut silence, began) = (Silence::default(), Instant::now());
        let none = BTreeMap::new();
        assert_eq!(silence.too_long(began, &nodes(&[OLD]), &none), nodes(&[]));
        let joined = began + SILENCE_MAX + LITTLE;
        assert_eq!(silence.too_long(joined, &nodes(&[OLD, NEW]), &none), nodes(&[OLD]));
        let due = joined + SILENCE_MAX;
        assert_eq!(silence.too_long(due, &nodes(&[NEW]), &none), nodes(&[]));
        assert_eq!(silence.too_long(due + LITTLE, &nodes(&[NEW]), &none), nodes(&[NEW]));
    }

    #[test]
    fn who_is_heard_lives_and_a_new_leader_begins_to_count_anew() {
        let (mut silence, began) = (Silence::default(), Instant::now());
        let members = nodes(&[OLD]);
        let heard = BTreeMap::from([(OLD, began)]);
        assert_eq!(silence.too_long(began, &members, &heard), nodes(&[]));
        let late = began + SILENCE_MAX + LITTLE;
        assert_eq!(silence.too_long(late, &members, &heard), members);
        let again = BTreeMap::from([(OLD, began + LITTLE)]);
        assert_eq!(silence.too_long(late, &members, &again), nodes(&[]));
        silence.forget();
        assert_eq!(silence.too_long(late, &members, &heard), nodes(&[]));
    }
}
