//! What a scrape reads of the node, once.

use winter_core::store::slice::Reclaimed;

use super::tables::Tables;
use crate::node::Node;
use crate::server::Shared;
use crate::stats::Stats;

/// The node at about one time: counters go on while they are read.
pub(super) struct Snapshot<'s> {
    pub(super) shared: &'s Shared,
    pub(super) tables: Tables,
    pub(super) reclaimed: Reclaimed,
}

impl<'s> Snapshot<'s> {
    pub(super) fn take(shared: &'s Shared) -> Self {
        let survey = shared.node.survey();
        let reclaimed = survey.reclaimed;
        Self { shared, tables: Tables::of(survey), reclaimed }
    }

    pub(super) fn node(&self) -> &Node {
        &self.shared.node
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.shared.node.stats
    }
}
