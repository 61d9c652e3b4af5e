//! The table of metrics.

use winter_core::fault::Kind as FaultKind;

use super::Kind::{Counter, Gauge, Histogram};
use super::cluster::{self, figure, groups, link, members, refused};
use super::snapshot::Snapshot;
use super::tables::Figures;
use super::{Kind, Metric, Series};
use crate::stats::{self, command_name};
use crate::{logging, process};

type Read = fn(&Snapshot<'_>, &mut Series<'_>);

const fn row(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    read: Read,
) -> Metric {
    Metric { name, kind, labels, help, distributed: false, read }
}

/// A metric that only a node of a cluster has.
const fn far(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    read: Read,
) -> Metric {
    Metric { name, kind, labels, help, distributed: true, read }
}

/// Every metric, in the order of the documentation.
#[rustfmt::skip]
pub static METRICS: &[Metric] = &[
    row("winter_build_info", Gauge, &["version"],
        "The version that runs; the value is always 1.",
        |_, out| out.add(&[env!("CARGO_PKG_VERSION")], 1.0)),
    row("winter_start_time_seconds", Gauge, &[],
        "When the node started, in seconds since 1970.",
        |s, out| out.one(s.node().clock.started_at().as_millis() as f64 / 1e3)),
    row("winter_uptime_seconds", Gauge, &[],
        "How long the node has been up.",
        |s, out| out.one(s.node().clock.uptime().as_secs_f64())),
    row("winter_ready", Gauge, &[],
        "Whether `/readyz` says that the node takes commands.",
        |s, out| out.one(yes(s.shared.unready().is_none()))),
    row("winter_draining", Gauge, &[],
        "Whether the node is about to stop.",
        |s, out| out.one(yes(s.shared.drain.is_cancelled()))),
    row("winter_threads", Gauge, &[],
        "Threads that may serve clients.",
        |s, out| out.one(count(s.node().config.threads as u64))),
    row("winter_threads_active", Gauge, &[],
        "Threads in use: those that sessions live on or move to.",
        |s, out| out.one(count(s.shared.threads.active() as u64))),
    row("winter_sessions_moved_total", Counter, &[],
        "Sessions that moved to another thread because more or fewer came into use.",
        |s, out| out.one(count(s.stats().events.sessions_moved.read()))),
    row("winter_cpu_seconds_total", Counter, &[],
        "Processor time that the process has used.",
        |_, out| out.maybe(process::cpu_time().map(|time| time.as_secs_f64()))),
    row("winter_open_files", Gauge, &[],
        "File descriptors that are open.",
        |_, out| out.maybe(process::open_files().map(count))),
    row("winter_open_files_limit", Gauge, &[],
        "File descriptors that may be open.",
        |_, out| out.maybe(process::open_files_limit().map(count))),
    row("winter_memory_store_bytes", Gauge, &[],
        "Memory counted that tables and partitions have allocated.",
        |s, out| out.one(count(s.node().memory.store()))),
    row("winter_memory_buffers_bytes", Gauge, &[],
        "Memory counted that is buffered for sessions and peers.",
        |s, out| out.one(count(s.node().memory.buffers()))),
    row("winter_memory_limit_bytes", Gauge, &[],
        "Memory that may be counted before writes are refused (`WINTER_MAX_MEMORY`).",
        |s, out| out.one(count(s.node().memory.limit()))),
    row("winter_memory_resident_bytes", Gauge, &[],
        "Memory of the process that is resident.",
        |_, out| out.maybe(process::resident_bytes().map(count))),
    row("winter_connections_open", Gauge, &[],
        "Clients that are connected.",
        |s, out| out.one(count(s.shared.clients.len() as u64))),
    row("winter_connections_limit", Gauge, &[],
        "Clients that may be connected (`WINTER_MAX_CONNECTIONS`).",
        |s, out| out.one(count(s.node().config.connections_max as u64))),
    row("winter_connections_accepted_total", Counter, &[],
        "Connections that were accepted.",
        |s, out| out.one(count(s.stats().events.connections_accepted.read()))),
    row("winter_connections_refused_total", Counter, &[],
        "Connections refused because there were too many.",
        |s, out| out.one(count(s.stats().events.connections_refused.read()))),
    row("winter_accept_errors_total", Counter, &[],
        "Errors of `accept` itself, such as too few file descriptors.",
        |s, out| out.one(count(s.stats().events.accept_errors.read()))),
    row("winter_sessions_ended_total", Counter, &["reason"],
        "Sessions that ended, by reason.",
        |s, out| {
            s.stats().ends().for_each(|(end, n)| out.add(&[end.word()], count(n)));
        }),
    row("winter_received_bytes_total", Counter, &[],
        "Bytes read from clients.",
        |s, out| out.one(count(s.stats().bytes().0))),
    row("winter_sent_bytes_total", Counter, &[],
        "Bytes written to clients.",
        |s, out| out.one(count(s.stats().bytes().1))),
    row("winter_commands_total", Counter, &["command", "result"],
        "Commands by name and what became of them; `unknown` is what is no command.",
        |s, out| {
            for (row, outcome, n) in s.stats().commands() {
                out.add(&[&command_name(row), outcome.word()], count(n));
            }
        }),
    row("winter_faults_total", Counter, &["kind"],
        "Error replies by kind.",
        faults),
    row("winter_command_duration_seconds", Histogram, &["command"],
        "How long commands took, from the start of their pass to their replies' encoding. Commands of one pass count its whole time each.",
        |s, out| {
            for (row, latency) in s.stats().latencies() {
                out.latency(&[&command_name(row)], &latency);
            }
        }),
    row("winter_slow_commands_total", Counter, &[],
        "Commands that took longer than `WINTER_SLOW_COMMAND`.",
        |s, out| out.one(count(s.stats().events.slow_commands.read()))),
    row("winter_log_lines_lost_total", Counter, &[],
        "Lines of the log that were lost because standard error did not take them, or not in time.",
        |_, out| out.one(count(logging::lines_lost()))),
    row("winter_protocol_errors_total", Counter, &[],
        "Errors in bytes that cannot be read.",
        |s, out| out.one(count(s.stats().events.protocol_errors.read()))),
    row("winter_rejections_total", Counter, &["limit"],
        "Writes refused, by the limit: the node's memory or a table's quota.",
        |s, out| {
            let events = &s.stats().events;
            out.add(&["memory"], count(events.memory_rejections.read()));
            out.add(&["quota"], count(events.quota_rejections.read()));
        }),
    row("winter_expired_entries_total", Counter, &[],
        "Entries whose memory was reclaimed after they had expired.",
        |s, out| out.one(count(s.reclaimed.expired))),
    row("winter_moved_entries_total", Counter, &[],
        "Entries moved out of pages that were emptied.",
        |s, out| out.one(count(s.reclaimed.moved))),
    row("winter_reclaim_steps_total", Counter, &[],
        "Steps of reclaiming in the background.",
        |s, out| out.one(count(s.stats().events.reclaim_steps.read()))),
    row("winter_reclaim_seconds_total", Counter, &[],
        "Time spent on reclaiming in the background.",
        |s, out| out.one(seconds(&s.stats().events.reclaim_nanos))),
    row("winter_background_restarts_total", Counter, &["task"],
        "Background work started again after a fault of ours.",
        |s, out| {
            for (task, work) in s.shared.node.health.all() {
                out.add(&[task], count(work.restarts));
            }
        }),
    row("winter_background_failing", Gauge, &["task"],
        "Whether background work keeps failing, so that the node is not ready.",
        |s, out| {
            for (task, work) in s.shared.node.health.all() {
                out.add(&[task], yes(work.is_failing));
            }
        }),
    row("winter_tables", Gauge, &[],
        "Tables that stand.",
        |s, out| out.one(count(s.tables.all.tables))),
    row("winter_tables_fenced", Gauge, &[],
        "Tables out of service because they kept failing.",
        |s, out| out.one(count(s.tables.all.fenced))),
    row("winter_tables_entries", Gauge, &[],
        "Entries of all tables, expired ones that were not yet reclaimed among them.",
        |s, out| out.one(count(s.tables.all.held.entries))),
    row("winter_tables_bytes", Gauge, &[],
        "Bytes of all tables' entries and their slots.",
        |s, out| out.one(count(s.tables.all.held.bytes))),
    row("winter_tables_allocated_bytes", Gauge, &[],
        "Bytes allocated for all tables' entries.",
        |s, out| out.one(count(s.tables.all.held.allocated_bytes))),
    row("winter_tables_operations_total", Counter, &[],
        "Commands on keys of all tables, dropped ones among them.",
        |s, out| out.one(count(s.tables.all.tally.operations))),
    row("winter_tables_rejections_total", Counter, &[],
        "Writes that a limit has refused, over all tables, dropped ones among them.",
        |s, out| out.one(count(s.tables.all.tally.rejections))),
    row("winter_tables_restarts_total", Counter, &[],
        "Restarts of tables after a fault of ours, over all tables, dropped ones among them.",
        |s, out| out.one(count(s.tables.all.tally.restarts))),
    row("winter_table_entries", Gauge, &["table"],
        "Entries of a table, expired ones that were not yet reclaimed among them. Only the 100 largest tables are shown by name.",
        |s, out| by_table(s, out, |t| Some(count(t.held.entries)))),
    row("winter_table_bytes", Gauge, &["table"],
        "Bytes of a table's entries and their slots.",
        |s, out| by_table(s, out, |t| Some(count(t.held.bytes)))),
    row("winter_table_allocated_bytes", Gauge, &["table"],
        "Bytes allocated for a table's entries.",
        |s, out| by_table(s, out, |t| Some(count(t.held.allocated_bytes)))),
    row("winter_table_limit_entries", Gauge, &["table"],
        "A table's `MAXENTRIES`, if it has one.",
        |s, out| by_table(s, out, |t| t.options().entries_max.map(count))),
    row("winter_table_limit_bytes", Gauge, &["table"],
        "A table's `MAXBYTES`, if it has one.",
        |s, out| by_table(s, out, |t| t.options().bytes_max.map(count))),
    row("winter_table_operations_total", Counter, &["table"],
        "Commands on a table's keys.",
        |s, out| by_table(s, out, |t| Some(count(t.tally.operations)))),
    row("winter_table_rejections_total", Counter, &["table"],
        "Writes to a table that a limit has refused.",
        |s, out| by_table(s, out, |t| Some(count(t.tally.rejections)))),
    row("winter_table_restarts_total", Counter, &["table"],
        "Restarts of a table after a fault of ours.",
        |s, out| by_table(s, out, |t| Some(count(t.tally.restarts)))),
    row("winter_table_fenced", Gauge, &["table"],
        "Whether a table is out of service because it kept failing.",
        |s, out| by_table(s, out, |t| Some(yes(t.is_fenced())))),
    row("winter_tables_left_out", Gauge, &[],
        "Tables that are not shown by name, because 100 others are larger. What they hold together follows; their counts shrink when a table grows into the 100.",
        |s, out| out.one(count(s.tables.left_out.tables))),
    row("winter_tables_left_out_entries", Gauge, &[],
        "Entries of the tables that are left out.",
        |s, out| out.one(count(s.tables.left_out.held.entries))),
    row("winter_tables_left_out_bytes", Gauge, &[],
        "Bytes of the entries of the tables that are left out, and their slots.",
        |s, out| out.one(count(s.tables.left_out.held.bytes))),
    row("winter_tables_left_out_allocated_bytes", Gauge, &[],
        "Bytes allocated for the entries of the tables that are left out.",
        |s, out| out.one(count(s.tables.left_out.held.allocated_bytes))),
    row("winter_tables_left_out_operations", Gauge, &[],
        "Commands on keys of the tables that are left out.",
        |s, out| out.one(count(s.tables.left_out.tally.operations))),
    row("winter_tables_left_out_rejections", Gauge, &[],
        "Writes that a limit has refused, of the tables that are left out.",
        |s, out| out.one(count(s.tables.left_out.tally.rejections))),
    row("winter_tables_left_out_restarts", Gauge, &[],
        "Restarts of the tables that are left out.",
        |s, out| out.one(count(s.tables.left_out.tally.restarts))),
    row("winter_tables_left_out_fenced", Gauge, &[],
        "Fenced tables among those that are left out.",
        |s, out| out.one(count(s.tables.left_out.fenced))),
    far("winter_cluster_members", Gauge, &["state"],
        "Members of the cluster as this node knows them, by state; the dead are those that a group still counts.",
        members),
    far("winter_cluster_waiting", Gauge, &["for"],
        "What this node waits for before it is a member: 1 for that, 0 for all else. `nothing` is a member.",
        cluster::waiting),
    far("winter_cluster_peers_connected", Gauge, &[],
        "Members to which this node has a connection.",
        |s, out| figure(s, out, |f| f.connected)),
    far("winter_cluster_rivals_total", Counter, &[],
        "Times that a node of another cluster of this application was met.",
        |s, out| cluster::counter(s, out, |c| &c.rivals)),
    far("winter_cluster_strangers_total", Counter, &[],
        "Times that a node was met that does not belong here.",
        |s, out| cluster::counter(s, out, |c| &c.strangers)),
    far("winter_cluster_partitions", Gauge, &[],
        "Partitions of the cluster.",
        |s, out| figure(s, out, |f| f.partitions)),
    far("winter_cluster_partitions_hosted", Gauge, &[],
        "Partitions of which this node has a replica.",
        |s, out| figure(s, out, |f| f.hosted)),
    far("winter_cluster_partitions_led", Gauge, &[],
        "Partitions that this node leads.",
        |s, out| figure(s, out, |f| f.led)),
    far("winter_cluster_partitions_leaderless", Gauge, &[],
        "Partitions of which this node has a replica, and that nobody leads whom it hears.",
        |s, out| figure(s, out, |f| f.leaderless)),
    far("winter_cluster_partitions_short", Gauge, &[],
        "Partitions of the cluster with fewer replicas than they could have.",
        |s, out| figure(s, out, |f| f.short)),
    far("winter_cluster_changes", Gauge, &[],
        "Changes of replicas that are under way in the cluster.",
        |s, out| figure(s, out, |f| f.changes)),
    far("winter_cluster_lag_entries", Gauge, &[],
        "The most log entries that a replica has to go, of the partitions that this node leads.",
        |s, out| figure(s, out, |f| f.lag_entries)),
    far("winter_cluster_unapplied_entries", Gauge, &[],
        "The most log entries that a replica on this node has and has not applied.",
        |s, out| figure(s, out, |f| f.unapplied_entries)),
    far("winter_cluster_log_bytes", Gauge, &[],
        "Bytes of all logs on this node; they are counted as memory of the store.",
        |s, out| figure(s, out, |f| f.log_bytes)),
    far("winter_cluster_log_limit_bytes", Gauge, &[],
        "Bytes that the log of one partition may have.",
        |s, out| figure(s, out, |f| f.log_bytes_max)),
    far("winter_cluster_elections_total", Counter, &[],
        "Terms that began, as replicas on this node saw it.",
        |s, out| groups(s, out, |g| g.elections.read())),
    far("winter_cluster_leader_changes_total", Counter, &[],
        "Leaders that another node took over from, as replicas on this node saw it.",
        |s, out| groups(s, out, |g| g.leader_changes.read())),
    far("winter_cluster_forwarded_total", Counter, &[],
        "Batches of commands sent to the node that leads their partition.",
        |s, out| cluster::counter(s, out, |c| &c.forwarded)),
    far("winter_cluster_entry_operations", Histogram, &[],
        "Operations in the log entries that this node proposed.",
        cluster::operations),
    far("winter_cluster_commit_duration_seconds", Histogram, &[],
        "From an entry's proposal on this node until a majority has it and it is applied.",
        |s, out| cluster::latency(s, out, |g| &g.commits)),
    far("winter_cluster_apply_duration_seconds", Histogram, &[],
        "What it took to apply an entry to a replica on this node.",
        |s, out| cluster::latency(s, out, |g| &g.applies)),
    far("winter_cluster_snapshots_total", Counter, &["result"],
        "Snapshots by what became of them: `sent` and put in place, `failed` on the way, `received` and put in place.",
        cluster::snapshots),
    far("winter_cluster_snapshot_bytes_total", Counter, &["direction"],
        "Bytes of snapshots.",
        cluster::snapshot_bytes),
    far("winter_peer_connections_accepted_total", Counter, &[],
        "Connections that other nodes began.",
        |s, out| link(s, out, |c| &c.accepted)),
    far("winter_peer_accept_errors_total", Counter, &[],
        "Connections of other nodes that could not be accepted for want of something.",
        |s, out| link(s, out, |c| &c.accept_errors)),
    far("winter_peer_dials_total", Counter, &[],
        "Attempts to connect to another node.",
        |s, out| link(s, out, |c| &c.dials)),
    far("winter_peer_dial_failures_total", Counter, &[],
        "Those that led to no connection.",
        |s, out| link(s, out, |c| &c.dial_failures)),
    far("winter_peer_probes_total", Counter, &[],
        "Questions to addresses, whoever is there.",
        |s, out| link(s, out, |c| &c.probes)),
    far("winter_peer_refused_total", Counter, &["reason"],
        "What came at the peer port and was refused, by reason.",
        |s, out| refused(s, out, crate::peers::Counters::refused)),
    far("winter_peer_refused_by_peers_total", Counter, &["reason"],
        "Times that other nodes refused this one, by reason.",
        |s, out| refused(s, out, crate::peers::Counters::refused_by_peers)),
    far("winter_peer_frames_total", Counter, &["direction"],
        "Frames between nodes.",
        |s, out| cluster::both(s, out, |c| (&c.frames_in, &c.frames_out))),
    far("winter_peer_bytes_total", Counter, &["direction"],
        "Bytes between nodes.",
        |s, out| cluster::both(s, out, |c| (&c.bytes_in, &c.bytes_out))),
    far("winter_peer_calls_total", Counter, &[],
        "Calls of other nodes.",
        |s, out| link(s, out, |c| &c.calls)),
    far("winter_peer_calls_failed_total", Counter, &["outcome"],
        "Calls without an answer: `not_sent`, so that nothing was done, or `lost`, so that nobody knows.",
        cluster::calls_failed),
    far("winter_peer_answers_late_total", Counter, &[],
        "Answers to calls that had been given up.",
        |s, out| link(s, out, |c| &c.answers_late)),
    far("winter_peer_messages_total", Counter, &[],
        "Messages that want no answer and were queued.",
        |s, out| link(s, out, |c| &c.one_way)),
    far("winter_peer_requests_total", Counter, &[],
        "Calls that other nodes made here.",
        |s, out| link(s, out, |c| &c.requests)),
    far("winter_peer_requests_busy_total", Counter, &[],
        "Calls and messages that came when too much was under way.",
        |s, out| link(s, out, |c| &c.requests_busy)),
    far("winter_peer_handler_panics_total", Counter, &[],
        "Faults of ours while a call of another node was answered.",
        |s, out| link(s, out, |c| &c.handler_panics)),
    far("winter_peer_queue_calls", Gauge, &[],
        "Calls that wait to be sent.",
        |s, out| cluster::queue(s, out, |q| q.calls)),
    far("winter_peer_queue_bytes", Gauge, &[],
        "Bytes of these.",
        |s, out| cluster::queue(s, out, |q| q.bytes)),
    far("winter_peer_calls_open", Gauge, &[],
        "Calls that wait for their answers.",
        |s, out| cluster::queue(s, out, |q| q.answers)),
    row("winter_http_requests_total", Counter, &[],
        "Requests to HTTP.",
        |s, out| out.one(count(s.stats().events.http_requests.read()))),
    row("winter_http_dropped_total", Counter, &[],
        "Connections to HTTP that were dropped because they were too slow.",
        |s, out| out.one(count(s.stats().events.http_dropped.read()))),
    row("winter_scrapes_total", Counter, &[],
        "Times that metrics were put together before this one.",
        |s, out| out.one(count(s.stats().events.scrapes.read()))),
    row("winter_scrape_seconds_total", Counter, &[],
        "Time spent on that.",
        |s, out| out.one(seconds(&s.stats().events.scrape_nanos))),
];

pub(super) const fn count(n: u64) -> f64 {
    n as f64
}

fn yes(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn seconds(nanos: &stats::Counter) -> f64 {
    nanos.read() as f64 / 1e9
}

/// Every kind is there from the start, so that its first error is a rise.
fn faults(s: &Snapshot<'_>, out: &mut Series<'_>) {
    let mut counts = [0; FaultKind::ALL.len()];
    for (_, outcome, n) in s.stats().commands() {
        if let Some(kind) = outcome.fault() {
            counts[kind as usize] += n;
        }
    }
    for (kind, n) in FaultKind::ALL.into_iter().zip(counts) {
        out.add(&[kind.word()], count(n));
    }
}

fn by_table(s: &Snapshot<'_>, out: &mut Series<'_>, value: fn(&Figures) -> Option<f64>) {
    for table in &s.tables.shown {
        if let Some(value) = value(table) {
            out.add(&[table.name()], value);
        }
    }
}
