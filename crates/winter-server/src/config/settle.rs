//! Texts into a [`Config`], keeping every fault on the way.

use winter_core::limits::CLUSTER_VALUE_BYTES_MAX;

use super::accepts::{Accepts, size_text};
use super::cluster::{APPLICATION_NAME_DEFAULT, ClusterConfig};
use super::fault::{Origin, SettingFault, SettingFaults};
use super::layers::{Gathered, Layers};
use super::setting::{Group, Name, SETTINGS};
use super::{Config, Effective, Machine, Reading};

/// Reads every setting of what was gathered.
pub(super) fn settle(gathered: Gathered, machine: &Machine) -> Reading {
    let Gathered { layers, faults, warnings } = gathered;
    let mut settling = Settling { layers, machine, faults, warnings, distributed: false };
    settling.distributed = settling.required(Name::Distributed, Accepts::truth);
    let config = settling.config();
    settling.check_ports(&config);
    settling.check_values(&config);
    settling.warn(&config);
    let effective = settling.effective(&config);
    let Settling { faults, warnings, .. } = settling;
    let config = if faults.is_empty() { Ok(config) } else { Err(SettingFaults(faults)) };
    Reading { config, warnings, effective }
}

struct Settling<'a> {
    layers: Layers,
    machine: &'a Machine,
    faults: Vec<SettingFault>,
    warnings: Vec<String>,
    distributed: bool,
}

impl Settling<'_> {
    /// What was said, read; a text that is not accepted is a fault, and reads as nothing.
    fn optional<T>(&mut self, name: Name, read: impl Fn(Accepts, &str) -> Option<T>) -> Option<T> {
        let (text, origin) = self.layers.said(name)?;
        let setting = name.setting();
        let value = read(setting.accepts, text);
        if value.is_none() {
            self.faults.push(SettingFault::unaccepted(setting, text, &origin));
        }
        value
    }

    /// As `optional`, and the default where nothing that is accepted was said.
    fn required<T>(&mut self, name: Name, read: impl Fn(Accepts, &str) -> Option<T>) -> T {
        let setting = name.setting();
        self.optional(name, &read).unwrap_or_else(|| {
            let default = setting.default_text(self.distributed);
            default
                .and_then(|text| read(setting.accepts, text))
                .expect("a test reads every default as this type")
        })
    }

    fn bytes(&mut self, name: Name) -> usize {
        usize::try_from(self.required(name, Accepts::number)).unwrap_or(usize::MAX)
    }

    fn small(&mut self, name: Name) -> u16 {
        self.required(name, small)
    }

    fn config(&mut self) -> Config {
        let machine = self.machine;
        self.optional(Name::ConfigFile, Accepts::text);
        Config {
            port: self.required(Name::Port, Accepts::port),
            bind: self.required(Name::Bind, Accepts::address),
            http_port: self.required(Name::HttpPort, Accepts::optional_port),
            threads: self.required(Name::Threads, |accepts, text| accepts.threads(text, machine)),
            memory_bytes_max: self
                .required(Name::MaxMemory, |accepts, text| accepts.memory(text, machine)),
            value_bytes_max: self.bytes(Name::MaxValue),
            connections_max: self.bytes(Name::MaxConnections),
            output_bytes_max: self.bytes(Name::MaxOutput),
            request_timeout: self.required(Name::RequestTimeout, Accepts::span),
            write_timeout: self.required(Name::WriteTimeout, Accepts::span),
            drain_timeout: self.required(Name::DrainTimeout, Accepts::span),
            log: self.required(Name::Log, Accepts::text),
            log_format: self
                .required(Name::LogFormat, |accepts, text| accepts.format(text, machine)),
            slow_command: Some(self.required(Name::SlowCommand, Accepts::span))
                .filter(|span| !span.is_zero()),
            cluster: self.cluster(),
        }
    }

    /// Every value is read even where none is used, so that a wrong one is said.
    fn cluster(&mut self) -> Option<ClusterConfig> {
        let application_name = self.optional(Name::DnsApplicationName, Accepts::text);
        let config = ClusterConfig {
            dns_service_name: self.optional(Name::DnsServiceName, Accepts::text),
            application_name: application_name.unwrap_or(APPLICATION_NAME_DEFAULT.to_owned()),
            seeds: self.optional(Name::Seeds, Accepts::seeds).unwrap_or_default(),
            size: self.optional(Name::ClusterSize, small),
            replicas: self.small(Name::Replicas),
            partitions: self.small(Name::Partitions),
            peer_port: self.required(Name::PeerPort, Accepts::port),
            reads: self.required(Name::Reads, Accepts::reads),
            command_timeout: self.required(Name::CommandTimeout, Accepts::span),
        };
        if self.distributed {
            self.check_names();
        }
        self.distributed.then_some(config)
    }

    fn check_names(&mut self) {
        let said = |name| self.layers.said(name).is_some();
        let (service, application) = (said(Name::DnsServiceName), said(Name::DnsApplicationName));
        let missing = match (service, application) {
            _ if said(Name::Seeds) => return,
            (true, true) => return,
            (true, false) => "DNS_APPLICATION_NAME, the cluster's name, beside DNS_SERVICE_NAME",
            (false, true) => "DNS_SERVICE_NAME or WINTER_SEEDS beside DNS_APPLICATION_NAME",
            (false, false) => "DNS_SERVICE_NAME and DNS_APPLICATION_NAME, or WINTER_SEEDS",
        };
        self.fault(Name::Distributed, format!("it needs {missing}"));
    }

    fn check_ports(&mut self, config: &Config) {
        let mut taken = vec![(Name::Port, config.port)];
        taken.extend(config.http_port.map(|port| (Name::HttpPort, port)));
        taken.extend(config.cluster.as_ref().map(|cluster| (Name::PeerPort, cluster.peer_port)));
        for (i, &(name, port)) in taken.iter().enumerate() {
            let Some((first, _)) = taken[..i].iter().find(|&&(_, p)| p == port && p != 0) else {
                continue;
            };
            let first = first.setting().environment;
            self.fault(name, format!("port {port} is already that of {first}; give another"));
        }
    }

    fn check_values(&mut self, config: &Config) {
        if self.distributed && config.value_bytes_max > CLUSTER_VALUE_BYTES_MAX {
            let most = size_text(CLUSTER_VALUE_BYTES_MAX as u64);
            let sentence = format!("with IS_DISTRIBUTED=true it is {most} at the most");
            self.fault(Name::MaxValue, sentence);
        }
    }

    /// Blames the value that holds for `name`.
    fn fault(&mut self, name: Name, sentence: String) {
        let setting = name.setting();
        let default = (setting.default_text(self.distributed).unwrap_or_default(), Origin::Default);
        let (value, origin) = self.layers.said(name).unwrap_or(default);
        let (name, value) = (origin.name_of(setting), Some(value.to_owned()));
        self.faults.push(SettingFault { name, value, origin, sentence });
    }

    fn warn(&mut self, config: &Config) {
        let machine_bytes = self.machine.memory_bytes;
        if machine_bytes.is_none() && self.layers.said(Name::MaxMemory).is_none() {
            self.warnings.push(format!(
                "the system does not say how much memory there is; {} is taken as the limit; set WINTER_MAX_MEMORY",
                size_text(config.memory_bytes_max)
            ));
        }
        if machine_bytes.is_some_and(|bytes| config.memory_bytes_max > bytes) {
            self.warnings.push("WINTER_MAX_MEMORY is more than there is".to_owned());
        }
        if config.output_bytes_max < config.value_bytes_max {
            self.warnings.push(
                "WINTER_MAX_OUTPUT is less than WINTER_MAX_VALUE: whoever reads a longer value is dropped"
                    .to_owned(),
            );
        }
        if !self.distributed {
            self.warn_of_idle_settings();
        }
    }

    fn warn_of_idle_settings(&mut self) {
        let idle: Vec<&str> = SETTINGS
            .iter()
            .filter(|setting| setting.group == Group::Cluster && setting.name != Name::Distributed)
            .filter(|setting| self.layers.said(setting.name).is_some())
            .map(|setting| setting.environment)
            .collect();
        if !idle.is_empty() {
            let idle = idle.join(", ");
            self.warnings.push(format!("without effect while IS_DISTRIBUTED is false: {idle}"));
        }
    }

    fn effective(&self, config: &Config) -> Vec<Effective> {
        let effective = |setting: &'static super::Setting| {
            let default =
                setting.default_text(self.distributed).map(|text| (text, Origin::Default));
            let (text, origin) = self.layers.said(setting.name).or(default)?;
            let (name, value) = (origin.name_of(setting), Some(text));
            let is_wrong =
                self.faults.iter().any(|f| f.name == name && f.value.as_deref() == value);
            let means = config.resolved(setting.name).filter(|means| means != text && !is_wrong);
            Some(Effective { setting, text: text.to_owned(), means, origin, is_wrong })
        };
        SETTINGS.iter().filter_map(effective).collect()
    }
}

fn small(accepts: Accepts, text: &str) -> Option<u16> {
    accepts.number(text).and_then(|n| u16::try_from(n).ok())
}

impl Config {
    /// What a relative text came to on this machine.
    fn resolved(&self, name: Name) -> Option<String> {
        match name {
            Name::Threads => Some(self.threads.to_string()),
            Name::MaxMemory => Some(format!("{} mb", self.memory_bytes_max >> 20)),
            Name::LogFormat => Some(self.log_format.to_string()),
            _ => None,
        }
    }
}
