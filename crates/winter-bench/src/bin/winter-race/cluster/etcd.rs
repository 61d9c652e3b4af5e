//! A cluster of etcd on this machine, as Debian has it.
//!
//! Its data lies on a tmpfs where there is one, unless told otherwise, so that it is not the disk
//! that is measured: etcd keeps its data through a loss of power, which Winter does not promise.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use winter_bench::load::etcd;

use super::nodes::{Network, TICK};
use crate::process::ServerProcess;

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// How long three members may take to elect a leader.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// Where a tmpfs is on Linux.
const TMPFS: &str = "/dev/shm";

/// The most that a member stores, in bytes.
const QUOTA_BYTES: &str = "8000000000";

/// Running members. They end, and their data is removed, when this is dropped.
#[derive(Debug)]
pub(super) struct Etcd {
    members: Vec<ServerProcess>,
    _data: TempDir,
}

impl Etcd {
    /// Starts members and waits until one leads.
    pub(super) fn start(program: &Path, data: &Path, count: usize) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("winter-race").tempdir_in(data)?;
        let network = Network::draw();
        let peer = |place| format!("http://{}:{PEER_PORT}", network.host(place));
        let cluster: Vec<_> = (0..count).map(|place| format!("m{place}={}", peer(place))).collect();
        let mut members = Vec::new();
        for place in 0..count {
            let address: SocketAddr = (network.host(place), CLIENT_PORT).into();
            let (name, client) = (format!("m{place}"), format!("http://{address}"));
            let mut command = Command::new(program);
            command.arg("--data-dir").arg(data.path().join(&name)).args(["--name", &name]);
            command.args(["--listen-peer-urls", &peer(place)]);
            command.args(["--initial-advertise-peer-urls", &peer(place)]);
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--initial-cluster", &cluster.join(","), "--log-level", "error"]);
            command.args(["--quota-backend-bytes", QUOTA_BYTES]);
            members.push(ServerProcess::start_at(address, command)?);
        }
        let etcd = Self { members, _data: data };
        etcd.wait()?;
        Ok(etcd)
    }

    fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            match self.leader() {
                Ok(_) => return Ok(()),
                Err(_) if Instant::now() < deadline => {}
                Err(error) => bail!("etcd has no leader: {error}; {}", self.last_words()),
            }
            thread::sleep(TICK);
        }
    }

    /// The place of the member that leads.
    pub(super) fn leader(&self) -> Result<usize> {
        etcd::leader_of(&self.addresses()).context("asking etcd who leads")
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.address).collect()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.pid).collect()
    }

    pub(super) fn last_words(&self) -> String {
        self.members.iter().map(ServerProcess::last_words).collect::<Vec<_>>().join("\n")
    }
}

/// Whether what lies there lies in memory, as far as is known.
pub(super) fn is_in_memory(data: &Path) -> bool {
    data.starts_with(TMPFS)
}

/// Where members' data lies unless somebody says where.
pub(super) fn usual_data() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let is_tmpfs = |line: &str| line.starts_with("tmpfs /dev/shm tmpfs rw");
    if mounts.lines().any(is_tmpfs) { TMPFS.into() } else { std::env::temp_dir() }
}
