//! Metrics, in Prometheus's text format.
//!
//! [`METRICS`] is the one table of them: each row says what a metric is called,
//! what it means and where its values come from. Registration, scrapes and the
//! documentation go by it. Labels of unbounded number are capped: see `tables`.

mod cluster;
mod docs;
mod snapshot;
mod table;
mod tables;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use crate::server::Shared;
use crate::stats::{LATENCY_BOUNDS_MICROS, Latency};
pub use docs::metrics_markdown;
use snapshot::Snapshot;
pub use table::METRICS;
pub use tables::TABLES_SHOWN_MAX;

/// What a metric's values do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, until the node starts anew.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are counted by size.
    Histogram,
}

impl Kind {
    /// The kind's word, as Prometheus says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A row of the table of metrics.
#[derive(Debug)]
pub struct Metric {
    /// `winter_<noun>_<unit>`, and `_total` if it is a counter.
    pub name: &'static str,
    /// What its values do.
    pub kind: Kind,
    /// Its labels' names.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    /// Whether only a node of a cluster has it.
    pub distributed: bool,
    read: fn(&Snapshot<'_>, &mut Series<'_>),
}

/// The values of one metric, a series for each set of labels.
struct Series<'m> {
    metric: &'m Metric,
    all: Vec<proto::Metric>,
}

impl Series<'_> {
    /// The value of a metric without labels.
    fn one(&mut self, value: f64) {
        self.add(&[], value);
    }

    /// A value that the system may not tell.
    fn maybe(&mut self, value: Option<f64>) {
        value.into_iter().for_each(|value| self.one(value));
    }

    fn add(&mut self, labels: &[&str], value: f64) {
        let mut series = self.labelled(labels);
        if self.metric.kind == Kind::Counter {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            series.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            series.set_gauge(gauge);
        }
        self.all.push(series);
    }

    fn latency(&mut self, labels: &[&str], latency: &Latency) {
        let bounds = LATENCY_BOUNDS_MICROS.map(|micros| micros as f64 / 1e6);
        self.histogram(labels, &bounds, &latency.buckets, latency.seconds);
    }

    /// Counts by size: `counts` has one more than `bounds`, for what is above them.
    fn histogram(&mut self, labels: &[&str], bounds: &[f64], counts: &[u64], sum: f64) {
        assert_eq!(bounds.len() + 1, counts.len(), "{}: its buckets", self.metric.name);
        let mut count = 0;
        let buckets = bounds.iter().zip(counts).map(|(bound, n)| {
            count += n;
            let mut bucket = proto::Bucket::default();
            bucket.set_cumulative_count(count);
            bucket.set_upper_bound(*bound);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum);
        let mut series = self.labelled(labels);
        series.set_histogram(histogram);
        self.all.push(series);
    }

    fn labelled(&self, values: &[&str]) -> proto::Metric {
        assert_eq!(values.len(), self.metric.labels.len(), "{}: its labels", self.metric.name);
        let pairs = self.metric.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        proto::Metric::from_label(pairs.collect())
    }
}

/// A node's metrics.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
    registry: Registry,
}

impl Metrics {
    /// The metrics of a node.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        let registry = Registry::new();
        registry.register(Box::new(Node::new(Arc::clone(&shared)))).expect("the table is sound");
        Self { shared, registry }
    }

    /// All of them at this moment. Asks every partition: not to be done all the time.
    #[must_use]
    pub fn render(&self) -> String {
        let began = Instant::now();
        let text = TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("every family has a name and a value");
        let events = &self.shared.node.stats.events;
        events.scrapes.bump();
        events.scrape_nanos.bump_by(u64::try_from(began.elapsed().as_nanos()).unwrap_or(0));
        text
    }
}

/// What the registry asks.
struct Node {
    shared: Arc<Shared>,
    described: Vec<Desc>,
}

impl Node {
    fn new(shared: Arc<Shared>) -> Self {
        let described = METRICS.iter().map(|metric| {
            let labels = metric.labels.iter().map(|&name| name.to_owned()).collect();
            Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())
                .expect("the table is sound")
        });
        Self { shared, described: described.collect() }
    }
}

impl Collector for Node {
    fn desc(&self) -> Vec<&Desc> {
        self.described.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = Snapshot::take(&self.shared);
        METRICS.iter().map(|metric| family(metric, &snapshot)).collect()
    }
}

fn family(metric: &Metric, snapshot: &Snapshot<'_>) -> MetricFamily {
    let mut series = Series { metric, all: Vec::new() };
    (metric.read)(snapshot, &mut series);
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(match metric.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(series.all);
    family
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use winter_core::command::Verb;
    use winter_core::store::Seed;

    use super::*;
    use crate::config::Config;
    use crate::node;
    use crate::stats::{End, LatencyBucket, Outcome};

    fn shared() -> Arc<Shared> {
        let config = Config { threads: 2, ..Config::default() };
        Arc::new(Shared::new(node::Node::new(config, Seed(1, 2)), ([127, 0, 0, 1], 1).into()))
    }

    #[test]
    fn names_are_of_one_form() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len(), "no name twice");
        for Metric { name, kind, labels, help, .. } in METRICS {
            assert!(name.starts_with("winter_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            for unit in ["_ms", "_millis", "_micros", "_nanos", "_kb", "_mb", "_percent"] {
                assert!(!name.contains(unit), "{name}: base units only");
            }
            assert!(!labels.contains(&"key") && !labels.contains(&"client"), "{name}");
            assert!(help.starts_with(char::is_uppercase) && help.ends_with('.'), "{name}: {help}");
        }
    }

    #[test]
    fn the_cap_is_documented_as_it_is() {
        let help = METRICS.iter().filter(|m| m.help.contains(&format!("{TABLES_SHOWN_MAX} ")));
        let names: Vec<_> = help.map(|metric| metric.name).collect();
        assert_eq!(names, ["winter_table_entries", "winter_tables_left_out"]);
    }

    #[test]
    fn what_was_counted_is_told() {
        let shared = shared();
        let stats = &shared.node.stats;
        for worker in 0..2 {
            let stats = stats.worker(worker);
            stats.bytes_in.add(10);
            stats.count(Some(Verb::Get), Outcome::of(&winter_core::reply::Reply::Nil));
            stats.time(Some(Verb::Get), LatencyBucket::of(std::time::Duration::from_micros(3)));
        }
        stats.count_end(End::SlowReader);
        stats.events.reclaim_nanos.bump_by(1_500_000_000);
        shared.node.health.note("chore", |work| work.restarts = 3);
        let text = Metrics::new(Arc::clone(&shared)).render();
        let lines: BTreeSet<&str> = text.lines().collect();
        for line in [
            "winter_received_bytes_total 20",
            "winter_commands_total{command=\"get\",result=\"nil\"} 2",
            "winter_command_duration_seconds_bucket{command=\"get\",le=\"0.000002\"} 0",
            "winter_command_duration_seconds_bucket{command=\"get\",le=\"0.000005\"} 2",
            "winter_command_duration_seconds_bucket{command=\"get\",le=\"+Inf\"} 2",
            "winter_command_duration_seconds_sum{command=\"get\"} 0.000006",
            "winter_command_duration_seconds_count{command=\"get\"} 2",
            "winter_sessions_ended_total{reason=\"slow_reader\"} 1",
            "winter_sessions_ended_total{reason=\"client\"} 0",
            "winter_reclaim_seconds_total 1.5",
            "winter_background_restarts_total{task=\"chore\"} 3",
            "winter_background_failing{task=\"chore\"} 0",
            "winter_ready 1",
            "winter_draining 0",
        ] {
            assert!(lines.contains(line), "{line}\n{text}");
        }
        shared.drain.cancel();
        let text = Metrics::new(shared).render();
        assert!(text.contains("winter_ready 0\n") && text.contains("winter_draining 1\n"));
    }
}
