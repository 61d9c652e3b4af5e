//! A cluster of Winter's nodes on this machine, each on a loopback address of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::view::View;
use crate::arguments::Setup;
use crate::contender::Kind;
use crate::control::{Control, Framing};
use crate::process::ServerProcess;
use crate::procfs;

/// The table of every race.
pub(super) const TABLE: &str = "t0";

const CLIENT_PORT: u16 = 6060;
const HTTP_PORT: u16 = 6061;
const PEER_PORT: u16 = 6062;

/// How long a cluster may take to be founded, or a node to be taken in. Longer than the 30 s after
/// which a silent member is dead.
const READY_PATIENCE: Duration = Duration::from_secs(120);

/// How long a node may take over a request about itself.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// How often what is waited for is looked at.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Each cluster of this process has a network of its own.
static NETWORKS: AtomicU8 = AtomicU8::new(0);

/// An address of loopback that no other cluster of this process, and likely none of another, has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network([u8; 2]);

impl Network {
    pub(super) fn draw() -> Self {
        let process = u8::try_from(std::process::id() % 120).expect("less than 120");
        Self([120 + process, NETWORKS.fetch_add(1, Ordering::Relaxed)])
    }

    pub(super) fn host(self, place: usize) -> Ipv4Addr {
        let place = u8::try_from(place + 1).expect("a small cluster");
        Ipv4Addr::new(127, self.0[0], self.0[1], place)
    }
}

/// Running nodes. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Nodes {
    program: PathBuf,
    network: Network,
    partitions: Option<u16>,
    members: Vec<ServerProcess>,
}

impl Nodes {
    /// Starts nodes, waits until all of them are ready, and creates the table.
    pub(super) fn start(setup: &Setup, count: usize, partitions: Option<u16>) -> Result<Self> {
        let program = setup.program(Kind::Winter)?;
        let network = Network::draw();
        let mut nodes = Self { program, network, partitions, members: Vec::new() };
        for place in 0..count {
            let member = nodes.launch(place, count)?;
            nodes.members.push(member);
        }
        for place in 0..count {
            nodes.wait_ready(place)?;
        }
        let replicas = count.min(3);
        let view = nodes.wait_for(0, READY_PATIENCE, |view| view.is_whole(replicas))?;
        if view.nodes.len() != count {
            bail!("{} of {count} nodes are members", view.nodes.len());
        }
        nodes.control(0)?.ask(&["CREATE", TABLE])?;
        Ok(nodes)
    }

    fn launch(&self, place: usize, count: usize) -> Result<ServerProcess> {
        let host = self.network.host(place).to_string();
        let seed = |place| format!("{}:{PEER_PORT}", self.network.host(place));
        let seeds: Vec<_> = (0..count).map(seed).collect();
        let mut command = Command::new(&self.program);
        command.current_dir(std::env::temp_dir());
        command.env("IS_DISTRIBUTED", "true").env("DNS_APPLICATION_NAME", "race");
        command.env("WINTER_SEEDS", seeds.join(",")).env("WINTER_CLUSTER_SIZE", count.to_string());
        command.env("WINTER_BIND", host).env("RECEPTOR_PORT", CLIENT_PORT.to_string());
        command.env("WINTER_HTTP_PORT", HTTP_PORT.to_string());
        command.env("WINTER_PEER_PORT", PEER_PORT.to_string());
        command.env("WINTER_LOG", "warn").env("WINTER_LOG_FORMAT", "text");
        if let Some(partitions) = self.partitions {
            command.env("WINTER_PARTITIONS", partitions.to_string());
        }
        ServerProcess::start_at(self.address(place), command)
    }

    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Where clients reach the node.
    pub(super) fn address(&self, place: usize) -> SocketAddr {
        (self.network.host(place), CLIENT_PORT).into()
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        (0..self.count()).map(|place| self.address(place)).collect()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.pid).collect()
    }

    /// A connection for single commands.
    pub(super) fn control(&self, place: usize) -> Result<Control> {
        Control::connect(self.address(place), Framing::Resp)
    }

    /// Kills a node without a warning.
    pub(super) fn kill(&self, place: usize) {
        self.members[place].kill();
    }

    /// Ends a node as Kubernetes does.
    pub(super) fn terminate(&self, place: usize) -> Result<()> {
        let status = self.members[place].terminate(READY_PATIENCE)?;
        if !status.success() {
            bail!("node {place} ended with {status}: {}", self.members[place].last_words());
        }
        Ok(())
    }

    /// Starts a new process in the place of one that has ended.
    pub(super) fn replace(&mut self, place: usize) -> Result<()> {
        self.members[place] = self.launch(place, self.count())?;
        Ok(())
    }

    /// Waits until the node says that it is ready.
    pub(super) fn wait_ready(&mut self, place: usize) -> Result<()> {
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            if self.members[place].asks_to_be_restarted() {
                self.replace(place)?;
            }
            let readiness = self.readiness(place);
            match &readiness {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => return Ok(()),
                _ if Instant::now() < deadline && self.members[place].is_alive() => {}
                _ => bail!(
                    "node {place} is not ready: {readiness:?}; {}",
                    self.members[place].last_words()
                ),
            }
            thread::sleep(TICK);
        }
    }

    fn readiness(&self, place: usize) -> Result<String> {
        let address = (self.network.host(place), HTTP_PORT).into();
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_PATIENCE)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// What this node sees of the cluster.
    pub(super) fn view(&self, place: usize) -> Result<View> {
        let mut control =
            Control::connect_within(self.address(place), Framing::Resp, ANSWER_PATIENCE)?;
        View::parse(&control.ask_lines(&["CLUSTER"])?)
    }

    /// Waits until what this node sees is as wanted, and returns it.
    pub(super) fn wait_for(
        &self,
        place: usize,
        patience: Duration,
        is_wanted: impl Fn(&View) -> bool,
    ) -> Result<View> {
        let deadline = Instant::now() + patience;
        loop {
            let view = self.view(place);
            match view {
                Ok(view) if is_wanted(&view) => return Ok(view),
                _ if Instant::now() < deadline && self.members[place].is_alive() => {}
                view => {
                    let words = self.members[place].last_words();
                    let view = view.context(words)?;
                    bail!("the cluster did not become what was waited for: {view:?}");
                }
            }
            thread::sleep(TICK);
        }
    }

    /// The place of the node that leads most partitions, as `asked` sees it.
    pub(super) fn busiest(&self, asked: usize) -> Result<usize> {
        let view =
            self.wait_for(asked, READY_PATIENCE, |view| view.is_whole(self.count().min(3)))?;
        let led = |place: &usize| {
            let node = view.at(&self.address(*place).to_string());
            node.map_or(0, |node| view.led_by(&node.id))
        };
        (0..self.count()).max_by_key(led).context("a cluster has nodes")
    }

    /// What prevents a figure from being one.
    pub(super) fn last_words(&self) -> String {
        let words = self.members.iter().enumerate();
        words.map(|(place, member)| format!("node {place}: {}\n", member.last_words())).collect()
    }
}

/// CPU time of these processes together.
pub(super) fn cpu_time(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|&pid| procfs::cpu_time(pid)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_has_a_network_of_its_own() {
        let (first, second) = (Network::draw(), Network::draw());
        assert!(first.host(0).is_loopback() && second.host(8).is_loopback());
        assert_ne!(first.host(0), second.host(0));
        assert_ne!(first.host(0), first.host(1));
    }
}
