//! What an environment's variables come to, by the server's own reader.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use winter_server::config::{Config, Environment, Machine, Name};

/// Where a node finds its cluster.
pub(crate) struct Node {
    pub config: Config,
    /// The value of `DNS_SERVICE_NAME`.
    pub dns_service_name: String,
    /// The value of `WINTER_CLUSTER_SIZE`.
    pub size: u64,
}

/// The settings of a node with this environment; `None` when one of them is no
/// setting, has a value that is not accepted, or leaves the node alone.
pub(crate) fn node(environment: &Environment) -> Option<Node> {
    let machine = Machine { cores: 2, memory_bytes: Some(512 << 20), stderr_is_terminal: false };
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let reading = Config::read(&[], environment, &no_file, &machine);
    let is_a_setting = |name: &String| {
        let mut all = winter_server::config::SETTINGS.iter();
        all.any(|setting| setting.environment == name)
    };
    if !environment.keys().all(is_a_setting) || !reading.warnings.is_empty() {
        return None;
    }
    let config = reading.config.ok()?;
    let cluster = config.cluster.as_ref()?;
    let dns_service_name = cluster.dns_service_name.clone()?;
    let size = cluster.size?.into();
    Some(Node { config, dns_service_name, size })
}

/// A duration as Compose writes it, which is how ours are written, too.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let drain = Name::DrainTimeout.setting().environment;
    let environment = BTreeMap::from([(drain.to_owned(), text.to_owned())]);
    let machine = Machine { cores: 1, memory_bytes: None, stderr_is_terminal: false };
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    Config::read(&[], &environment, &no_file, &machine).config.ok().map(|c| c.drain_timeout)
}
