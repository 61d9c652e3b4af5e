//! `INFO`: what the node says of itself, with the fields that Redis's clients read.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::server::Shared;

/// The version of Redis whose protocol is spoken, for clients that ask.
pub const REDIS_VERSION: &str = "7.4.0";

type Section = (&'static str, fn(&Shared) -> Vec<(&'static str, String)>);

const SECTIONS: [Section; 7] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
];

/// The sections that `names` ask for, all of them if they ask for none.
#[must_use]
pub fn text(shared: &Arc<Shared>, names: &[&[u8]]) -> String {
    let mut text = String::new();
    for (name, fields) in SECTIONS {
        if !is_wanted(name, names) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&format!("# {name}\r\n"));
        for (field, value) in fields(shared) {
            text.push_str(&format!("{field}:{value}\r\n"));
        }
    }
    text
}

fn is_wanted(section: &str, names: &[&[u8]]) -> bool {
    names.is_empty()
        || names.iter().any(|name| {
            name.eq_ignore_ascii_case(section.as_bytes())
                || [&b"all"[..], b"everything", b"default"]
                    .iter()
                    .any(|all| name.eq_ignore_ascii_case(all))
        })
}

fn server(shared: &Shared) -> Vec<(&'static str, String)> {
    let node = &shared.node;
    vec![
        ("winter_version", env!("CARGO_PKG_VERSION").into()),
        ("redis_version", REDIS_VERSION.into()),
        ("redis_mode", "standalone".into()),
        ("os", std::env::consts::OS.into()),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("tcp_port", shared.address.port().to_string()),
        ("threads", node.config.threads.to_string()),
        ("threads_active", shared.threads.active().to_string()),
        ("uptime_in_seconds", node.clock.uptime().as_secs().to_string()),
        ("uptime_in_days", (node.clock.uptime().as_secs() / 86_400).to_string()),
    ]
}

fn clients(shared: &Shared) -> Vec<(&'static str, String)> {
    vec![
        ("connected_clients", shared.clients.len().to_string()),
        ("maxclients", shared.node.config.connections_max.to_string()),
        ("blocked_clients", "0".into()),
    ]
}

fn memory(shared: &Shared) -> Vec<(&'static str, String)> {
    let memory = &shared.node.memory;
    vec![
        ("used_memory", memory.counted().to_string()),
        ("used_memory_rss", crate::process::resident_bytes().unwrap_or(0).to_string()),
        ("used_memory_store", memory.store().to_string()),
        ("used_memory_buffers", memory.buffers().to_string()),
        ("maxmemory", memory.limit().to_string()),
        ("maxmemory_policy", "noeviction".into()),
    ]
}

fn stats(shared: &Shared) -> Vec<(&'static str, String)> {
    let stats = &shared.node.stats;
    let (bytes_in, bytes_out) = stats.bytes();
    let mut expired = 0;
    shared.node.shards.iter().for_each(|shard| expired += shard.lock().reclaimed().expired);
    vec![
        ("total_connections_received", stats.events.connections_accepted.read().to_string()),
        ("rejected_connections", stats.events.connections_refused.read().to_string()),
        ("total_commands_processed", stats.commands_total().to_string()),
        ("total_net_input_bytes", bytes_in.to_string()),
        ("total_net_output_bytes", bytes_out.to_string()),
        ("expired_keys", expired.to_string()),
        ("evicted_keys", "0".into()),
    ]
}

fn replication(_: &Shared) -> Vec<(&'static str, String)> {
    vec![("role", "master".into()), ("connected_slaves", "0".into()), ("loading", "0".into())]
}

/// Redis's cluster protocol is not spoken, whether or not there is a cluster:
/// clients are to talk to any node as to one server.
fn cluster(shared: &Shared) -> Vec<(&'static str, String)> {
    let mut fields = vec![("cluster_enabled", "0".to_owned())];
    fields.extend(shared.cluster().into_iter().flat_map(Cluster::fields));
    fields
}

fn keyspace(shared: &Shared) -> Vec<(&'static str, String)> {
    if let Some(cluster) = shared.cluster() {
        let tables = cluster.survey().tables;
        let entries: u64 = tables.iter().map(|(_, held)| held.entries).sum();
        return vec![("tables", tables.len().to_string()), ("entries", entries.to_string())];
    }
    let mut entries = 0;
    shared.node.shards.iter().for_each(|shard| {
        entries += shard.lock().all_holdings().map(|(_, held)| held.entries).sum::<u64>();
    });
    vec![("tables", shared.node.catalog.len().to_string()), ("entries", entries.to_string())]
}
