//! The one table of settings: flags, environment, file, `--help`, the
//! documentation and the tests all read it.

use std::time::Duration;

use winter_core::limits::VALUE_BYTES_MAX;

use super::accepts::Accepts;
use crate::node::operations::THREADS_MAX;

/// Which setting, as an index into [`SETTINGS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described by its row in SETTINGS")]
pub enum Name {
    ConfigFile,
    Port,
    Bind,
    HttpPort,
    Threads,
    MaxMemory,
    MaxValue,
    MaxConnections,
    MaxOutput,
    RequestTimeout,
    WriteTimeout,
    DrainTimeout,
    Log,
    LogFormat,
    SlowCommand,
    Distributed,
    DnsServiceName,
    DnsApplicationName,
    Seeds,
    ClusterSize,
    Replicas,
    Partitions,
    PeerPort,
    Reads,
    CommandTimeout,
}

impl Name {
    /// The setting's row.
    #[must_use]
    pub fn setting(self) -> &'static Setting {
        &SETTINGS[self as usize]
    }
}

/// What a setting concerns; `--help` and the documentation are ordered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where settings come from.
    File,
    /// Where the node listens.
    Network,
    /// What it may use.
    Limits,
    /// How long it waits.
    Waits,
    /// What it tells.
    Logging,
    /// Nodes that act as one.
    Cluster,
}

impl Group {
    /// Every group, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::File, Self::Network, Self::Limits, Self::Waits, Self::Logging, Self::Cluster];

    /// The group's heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::File => "Settings file",
            Self::Network => "Network",
            Self::Limits => "Limits",
            Self::Waits => "Time-outs",
            Self::Logging => "Logging",
            Self::Cluster => "Cluster",
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Which.
    pub name: Name,
    /// What it concerns.
    pub group: Group,
    /// Its environment variable.
    pub environment: &'static str,
    /// Its flag, without the two dashes.
    pub flag: &'static str,
    /// Its key in the settings file; `None` for what a file cannot say.
    pub file_key: Option<&'static str>,
    /// What holds when nothing is said, as one would write it; `None` for nothing.
    pub default: Option<&'static str>,
    /// The default of a distributed node, where it differs.
    pub default_distributed: Option<&'static str>,
    /// What may be written.
    pub accepts: Accepts,
    /// One sentence on what it does.
    pub help: &'static str,
}

impl Setting {
    /// The text that holds when nothing is said.
    #[must_use]
    pub fn default_text(&self, distributed: bool) -> Option<&'static str> {
        if distributed { self.default_distributed.or(self.default) } else { self.default }
    }
}

const fn row(
    name: Name,
    group: Group,
    environment: &'static str,
    (flag, file_key): (&'static str, &'static str),
    default: &'static str,
    accepts: Accepts,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        group,
        environment,
        flag,
        file_key: Some(file_key),
        default: Some(default),
        default_distributed: None,
        accepts,
        help,
    }
}

impl Setting {
    const fn no_default(mut self) -> Self {
        self.default = None;
        self
    }

    const fn not_in_file(mut self) -> Self {
        self.file_key = None;
        self
    }

    const fn distributed(mut self, default: &'static str) -> Self {
        self.default_distributed = Some(default);
        self
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Every setting, in the order of [`Name`].
#[rustfmt::skip]
pub const SETTINGS: [Setting; 25] = {
    use Accepts::{
        Address, ApplicationName, Count, DnsName, Filter, Format, Memory, OptionalPort, Path, Port, Reads, Seeds, Size,
        Span, Threads, Truth,
    };
    use Group::{Cluster, File, Limits, Logging, Network, Waits};
    [
        row(Name::ConfigFile, File, "WINTER_CONFIG", ("config", ""), "", Path,
            "A TOML file of settings; flags and environment win over it.").no_default().not_in_file(),
        row(Name::Port, Network, "RECEPTOR_PORT", ("port", "port"), "6060", Port { any: true },
            "The port that clients connect to, in either dialect."),
        row(Name::Bind, Network, "WINTER_BIND", ("bind", "bind"), "127.0.0.1", Address,
            "The address that the node listens on.").distributed("0.0.0.0"),
        row(Name::HttpPort, Network, "WINTER_HTTP_PORT", ("http-port", "http_port"), "6061", OptionalPort,
            "The port of /livez, /readyz and /metrics, and of `winter recover`."),
        row(Name::Threads, Limits, "WINTER_THREADS", ("threads", "threads"), "cores", Threads { most: THREADS_MAX as u64 },
            "Threads that serve clients, at the most."),
        row(Name::MaxMemory, Limits, "WINTER_MAX_MEMORY", ("max-memory", "max_memory"), "75%", Memory { least: 1 << 20 },
            "Memory that data may take before writes are refused; a share is of the cgroup's limit, or else of the machine's memory."),
        row(Name::MaxValue, Limits, "WINTER_MAX_VALUE", ("max-value", "max_value"), "16mb",
            Size { least: 1, most: VALUE_BYTES_MAX as u64 },
            "The longest value; at most 32mb in a cluster."),
        row(Name::MaxConnections, Limits, "WINTER_MAX_CONNECTIONS", ("max-connections", "max_connections"), "10000",
            Count { least: 1, most: 1_000_000 },
            "Most connections of clients at a time; one more is told so and closed."),
        row(Name::MaxOutput, Limits, "WINTER_MAX_OUTPUT", ("max-output", "max_output"), "64mb",
            Size { least: 64 << 10, most: 16 << 30 },
            "Replies that a client may leave unread before it is dropped."),
        row(Name::RequestTimeout, Waits, "WINTER_REQUEST_TIMEOUT", ("request-timeout", "request_timeout"), "30s",
            Span { least: MILLISECOND, most: HOUR },
            "How long a command may take to arrive, once its first byte has."),
        row(Name::WriteTimeout, Waits, "WINTER_WRITE_TIMEOUT", ("write-timeout", "write_timeout"), "60s",
            Span { least: MILLISECOND, most: HOUR },
            "How long a client may go without reading what it is sent."),
        row(Name::DrainTimeout, Waits, "WINTER_DRAIN_TIMEOUT", ("drain-timeout", "drain_timeout"), "10s",
            Span { least: Duration::ZERO, most: HOUR },
            "How long a stopping node finishes what it has accepted; keep it below the orchestrator's grace period."),
        row(Name::Log, Logging, "WINTER_LOG", ("log", "log"), "info", Filter,
            "What is logged, to standard error."),
        row(Name::LogFormat, Logging, "WINTER_LOG_FORMAT", ("log-format", "log_format"), "auto", Format,
            "How it is logged; auto is text on a terminal and json elsewhere."),
        row(Name::SlowCommand, Logging, "WINTER_SLOW_COMMAND", ("slow-command", "slow_command"), "10ms",
            Span { least: Duration::ZERO, most: HOUR },
            "Commands that take longer are logged; 0 logs none."),
        row(Name::Distributed, Cluster, "IS_DISTRIBUTED", ("distributed", "distributed"), "false", Truth,
            "Whether the node is one of a cluster; true needs DNS_SERVICE_NAME and DNS_APPLICATION_NAME, or WINTER_SEEDS."),
        row(Name::DnsServiceName, Cluster, "DNS_SERVICE_NAME", ("dns-service-name", "dns_service_name"), "", DnsName,
            "The headless service whose A and AAAA records are the nodes.").no_default(),
        row(Name::DnsApplicationName, Cluster, "DNS_APPLICATION_NAME", ("dns-application-name", "dns_application_name"), "",
            ApplicationName,
            "The cluster's name; nodes of another name are refused.").no_default(),
        row(Name::Seeds, Cluster, "WINTER_SEEDS", ("seeds", "seeds"), "", Seeds,
            "Nodes to dial where no such DNS is; names are resolved again and again.").no_default(),
        row(Name::ClusterSize, Cluster, "WINTER_CLUSTER_SIZE", ("cluster-size", "cluster_size"), "",
            Count { least: 1, most: 256 },
            "How many nodes found the cluster.").no_default(),
        row(Name::Replicas, Cluster, "WINTER_REPLICAS", ("replicas", "replicas"), "3", Count { least: 1, most: 7 },
            "Copies of each partition; fixed when the cluster is founded."),
        row(Name::Partitions, Cluster, "WINTER_PARTITIONS", ("partitions", "partitions"), "16",
            Count { least: 1, most: 256 },
            "Partitions of the cluster; fixed when the cluster is founded."),
        row(Name::PeerPort, Cluster, "WINTER_PEER_PORT", ("peer-port", "peer_port"), "6062", Port { any: false },
            "The port of the other nodes; bound only when distributed."),
        row(Name::Reads, Cluster, "WINTER_READS", ("reads", "reads"), "lease", Reads,
            "How a leader makes sure that it leads before it answers a read: lease trusts clocks to run alike, quorum asks a majority."),
        row(Name::CommandTimeout, Cluster, "WINTER_COMMAND_TIMEOUT", ("command-timeout", "command_timeout"), "5s",
            Span { least: MILLISECOND, most: HOUR },
            "How long a command of a cluster may wait: for a leader, for room, for its outcome."),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_names() {
        for (i, setting) in SETTINGS.iter().enumerate() {
            assert_eq!(setting.name as usize, i, "{}", setting.environment);
        }
    }

    #[test]
    fn rows_stand_in_the_order_of_their_groups() {
        assert!(SETTINGS.is_sorted_by_key(|s| s.group as usize));
    }

    #[test]
    fn a_file_key_is_its_flag_with_underscores() {
        for setting in &SETTINGS {
            if let Some(key) = setting.file_key {
                assert_eq!(key, setting.flag.replace('-', "_"));
            }
        }
    }

    #[test]
    fn no_two_settings_share_a_name() {
        for (i, a) in SETTINGS.iter().enumerate() {
            for b in &SETTINGS[i + 1..] {
                assert_ne!(a.environment, b.environment);
                assert_ne!(a.flag, b.flag);
            }
        }
    }
}
