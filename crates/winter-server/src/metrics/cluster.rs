//! What the rows on a cluster read. A node that stands alone has none of them.

use winter_core::cluster::founding::Wait;

use super::Series;
use super::snapshot::Snapshot;
use super::table::count;
use crate::cluster::{Counters, Figures};
use crate::consensus::{self, OPERATIONS_BOUNDS};
use crate::peers::{self, Queues, Reason};
use crate::stats::{Counter, SharedLatency};

/// A number of [`Figures`].
pub(super) fn figure(s: &Snapshot<'_>, out: &mut Series<'_>, value: fn(&Figures) -> u64) {
    if let Some((_, figures)) = &s.cluster {
        out.one(count(value(figures)));
    }
}

/// A count of the cluster's.
pub(super) fn counter(s: &Snapshot<'_>, out: &mut Series<'_>, value: fn(&Counters) -> &Counter) {
    if let Some((cluster, _)) = &s.cluster {
        out.one(count(value(cluster.counters()).read()));
    }
}

/// A count of the groups'.
pub(super) fn groups(
    s: &Snapshot<'_>,
    out: &mut Series<'_>,
    value: fn(&consensus::Counters) -> u64,
) {
    if let Some((cluster, _)) = &s.cluster {
        out.one(count(value(cluster.groups())));
    }
}

/// A count of the link's.
pub(super) fn link(
    s: &Snapshot<'_>,
    out: &mut Series<'_>,
    value: fn(&peers::Counters) -> &Counter,
) {
    if let Some((cluster, _)) = &s.cluster {
        out.one(count(value(cluster.link().counters()).read()));
    }
}

/// Two counts of the link's: what came, and what was sent.
pub(super) fn both(
    s: &Snapshot<'_>,
    out: &mut Series<'_>,
    values: fn(&peers::Counters) -> (&Counter, &Counter),
) {
    if let Some((cluster, _)) = &s.cluster {
        let (received, sent) = values(cluster.link().counters());
        out.add(&["in"], count(received.read()));
        out.add(&["out"], count(sent.read()));
    }
}

/// A count of the link's for each reason; all are there from the start, so that
/// the first of each is a rise.
pub(super) fn refused(
    s: &Snapshot<'_>,
    out: &mut Series<'_>,
    value: fn(&peers::Counters, Reason) -> u64,
) {
    if let Some((cluster, _)) = &s.cluster {
        for reason in Reason::ALL {
            out.add(&[reason.word()], count(value(cluster.link().counters(), reason)));
        }
    }
}

/// How much waits on the link.
pub(super) fn queue(s: &Snapshot<'_>, out: &mut Series<'_>, value: fn(&Queues) -> usize) {
    if let Some((cluster, _)) = &s.cluster {
        out.one(count(value(&cluster.link().queues()) as u64));
    }
}

pub(super) fn members(s: &Snapshot<'_>, out: &mut Series<'_>) {
    if let Some((_, figures)) = &s.cluster {
        figures.members.iter().for_each(|(state, members)| out.add(&[state], count(*members)));
    }
}

pub(super) fn waiting(s: &Snapshot<'_>, out: &mut Series<'_>) {
    if let Some((_, figures)) = &s.cluster {
        for label in Wait::LABELS {
            out.add(&[label], f64::from(u8::from(*label == figures.waits_for)));
        }
    }
}

pub(super) fn operations(s: &Snapshot<'_>, out: &mut Series<'_>) {
    if let Some((cluster, _)) = &s.cluster {
        let operations = cluster.groups().operations();
        let bounds = OPERATIONS_BOUNDS.map(count);
        out.histogram(&[], &bounds, &operations.buckets, count(operations.sum));
    }
}

pub(super) fn latency(
    s: &Snapshot<'_>,
    out: &mut Series<'_>,
    value: fn(&consensus::Counters) -> &SharedLatency,
) {
    if let Some((cluster, _)) = &s.cluster {
        out.latency(&[], &value(cluster.groups()).read());
    }
}

pub(super) fn snapshots(s: &Snapshot<'_>, out: &mut Series<'_>) {
    if let Some((cluster, _)) = &s.cluster {
        let groups = cluster.groups();
        out.add(&["sent"], count(groups.snapshots_sent.read()));
        out.add(&["failed"], count(groups.snapshots_failed.read()));
        out.add(&["received"], count(groups.snapshots_received.read()));
    }
}

pub(super) fn snapshot_bytes(s: &Snapshot<'_>, out: &mut Series<'_>) {
    if let Some((cluster, _)) = &s.cluster {
        let groups = cluster.groups();
        out.add(&["in"], count(groups.snapshot_bytes_received.read()));
        out.add(&["out"], count(groups.snapshot_bytes_sent.read()));
    }
}

pub(super) fn calls_failed(s: &Snapshot<'_>, out: &mut Series<'_>) {
    if let Some((cluster, _)) = &s.cluster {
        let counters = cluster.link().counters();
        out.add(&["not_sent"], count(counters.calls_not_sent.read()));
        out.add(&["lost"], count(counters.calls_lost.read()));
    }
}
