//! A group's limits and times, and openraft's settings made of them.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use winter_core::cluster::GroupId;

use super::error::StartError;

/// Entries travel in messages of about so many bytes; a longer one goes alone.
pub(super) const APPEND_BYTES_MAX: usize = 1 << 20;
/// A message carries no more entries than this.
const APPEND_ENTRIES_MAX: u64 = 4096;
/// The largest chunk of a snapshot.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// A snapshot that takes longer is begun anew.
pub(super) const SNAPSHOT_WAIT: Duration = Duration::from_secs(120);
/// A replica that has so many entries to go has caught up.
pub(super) const LAG_MAX: u64 = 64;
/// Messages to a group's core that may wait.
const CORE_QUEUE_MAX: u64 = 8192;
/// Entries to apply that may wait for the machine, in batches.
const MACHINE_QUEUE_MAX: u64 = 1024;

/// A group's limits and times. They are the same on all its replicas.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The log's bytes, of which no more are kept than are of use. While it is
    /// full, what is new waits to be proposed.
    pub log_bytes_max: usize,
    /// How often a leader shows itself.
    pub heartbeat: Duration,
    /// The least time without a leader after which another is elected.
    pub election_min: Duration,
    /// The most; and a leader's lease.
    pub election_max: Duration,
    /// Operations that may wait to be proposed.
    pub queue_operations_max: usize,
    /// Their bytes, and for one operation alone whatever it has; past them a new one
    /// is refused as busy.
    pub queue_bytes_max: usize,
    /// Operations in one entry.
    pub entry_operations_max: usize,
    /// Their bytes. One operation alone may be longer.
    pub entry_bytes_max: usize,
    /// Entries that are proposed before the first is applied.
    pub entries_in_flight_max: usize,
    /// How long an operation waits to be proposed.
    pub queue_wait: Duration,
    /// How long a proposed operation waits for its reply.
    pub commit_wait: Duration,
    /// How long a read waits for its confirmation.
    pub read_wait: Duration,
    /// How long a change of replicas or of the leader may take.
    pub change_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_bytes_max: 16 << 20,
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(800),
            queue_operations_max: 4096,
            queue_bytes_max: 8 << 20,
            entry_operations_max: 256,
            entry_bytes_max: 64 << 10,
            entries_in_flight_max: 2,
            queue_wait: Duration::from_secs(1),
            commit_wait: Duration::from_secs(5),
            read_wait: Duration::from_secs(1),
            change_wait: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// How long a leader that a majority confirmed stays the only one.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.election_max
    }

    /// How old that confirmation may be for a read. What is left of the lease
    /// is for clocks that do not run alike.
    #[must_use]
    pub fn read_age_max(&self) -> Duration {
        self.lease() * 6 / 10
    }

    /// Entries that are applied are dropped when the log is longer.
    pub(super) const fn purge_above(&self) -> usize {
        self.log_bytes_max / 2
    }

    /// So much is kept then, for replicas that lag a little.
    pub(super) const fn purge_down_to(&self) -> usize {
        self.log_bytes_max / 4
    }

    /// A log as long as this waits for no snapshot that is being sent.
    pub(super) const fn purge_anyway(&self) -> usize {
        self.log_bytes_max / 8 * 7
    }

    /// openraft's settings. What differs from its defaults has its reason in
    /// `docs/decisions/0011-consensus.md`.
    pub(super) fn config(&self, group: GroupId) -> Result<Arc<Config>, StartError> {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Config {
            cluster_name: group.to_string(),
            heartbeat_interval: millis(self.heartbeat),
            heartbeat_min_interval: Some(millis(self.heartbeat)),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: millis(SNAPSHOT_WAIT),
            max_payload_entries: APPEND_ENTRIES_MAX,
            replication_lag_threshold: LAG_MAX,
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            api_channel_size: Some(CORE_QUEUE_MAX),
            notification_channel_size: Some(CORE_QUEUE_MAX),
            state_machine_channel_size: Some(MACHINE_QUEUE_MAX),
            quorum_loss_probe_interval: Some(2 * millis(self.lease())),
            enable_pre_vote: Some(true),
            allow_log_reversion: Some(false),
            enable_leader_restore: Some(false),
            backoff: "50ms 100ms 200ms ...1s".to_owned(),
            ..Config::default()
        }
        .validate()
        .map(Arc::new)
        .map_err(|error| StartError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_options_are_valid() {
        assert!(Options::default().config(GroupId::Meta).is_ok());
    }

    #[test]
    fn a_heartbeat_that_is_no_shorter_than_an_election_is_refused() {
        let options = Options { heartbeat: Duration::from_millis(400), ..Options::default() };
        assert!(options.config(GroupId::Meta).is_err());
    }

    #[test]
    fn a_read_trusts_less_than_the_lease() {
        let options = Options::default();
        assert_eq!(options.lease(), Duration::from_millis(800));
        assert_eq!(options.read_age_max(), Duration::from_millis(480));
    }
}
