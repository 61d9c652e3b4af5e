//! What a scrape reads of the node, once.

use winter_core::store::slice::Reclaimed;

use super::tables::Tables;
use crate::cluster::{Cluster, Figures};
use crate::node::Node;
use crate::server::Shared;
use crate::stats::Stats;

/// The node at about one time: counters go on while they are read.
pub(super) struct Snapshot<'s> {
    pub(super) shared: &'s Shared,
    pub(super) tables: Tables,
    pub(super) reclaimed: Reclaimed,
    /// The node's part in its cluster, if it has one.
    pub(super) cluster: Option<(&'s Cluster, Figures)>,
}

impl<'s> Snapshot<'s> {
    pub(super) fn take(shared: &'s Shared) -> Self {
        let cluster = shared.cluster();
        let survey = cluster.map_or_else(|| shared.node.survey(), Cluster::survey);
        let reclaimed = survey.reclaimed;
        let cluster = cluster.map(|cluster| (cluster, cluster.figures()));
        Self { shared, tables: Tables::of(survey), reclaimed, cluster }
    }

    pub(super) fn node(&self) -> &Node {
        &self.shared.node
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.shared.node.stats
    }
}
