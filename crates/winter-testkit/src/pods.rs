//! A cluster of real processes as Kubernetes runs one: each on a host of its
//! own, with an address that no process had before, found through the DNS alone.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::process::ExitStatus;

use rustix::process::Signal;

use crate::{Host, Launched, NameServer, Network, Server, ServerBuilder, TestCluster};

/// The service that the pods ask for, and their application's name.
const SERVICE: &str = "winter";

/// How to start pods.
#[derive(Clone, Debug)]
pub struct PodsBuilder {
    binary: String,
    settings: Vec<(String, String)>,
}

impl PodsBuilder {
    /// Sets an environment variable of every pod.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a value is written where it is set")]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// A network and its name server, and no pod yet. `None` where there can be no network.
    #[must_use]
    pub fn lay_out(self) -> Option<Pods> {
        let network = Network::lay()?;
        let dns = network.name_server();
        let cluster = TestCluster::of(&self.binary).founders(0).lay_out();
        Some(Pods { builder: self, cluster, hosts: Vec::new(), dns, network })
    }

    /// Three pods that were started together and are ready.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Option<Pods> {
        let mut pods = self.lay_out()?;
        pods.start_all(3);
        pods.wait_until_ready();
        Some(pods)
    }
}

/// Pods. What only looks at a cluster is that of [`TestCluster`].
#[derive(Debug)]
pub struct Pods {
    builder: PodsBuilder,
    // The processes end before their hosts.
    cluster: TestCluster,
    hosts: Vec<Option<Host>>,
    /// What the pods ask for names. It lists the pods that run, if told nothing else.
    pub dns: NameServer,
    network: Network,
}

impl Pods {
    /// Pods of `binary`, which is `env!("CARGO_BIN_EXE_winter")` in a test of the package.
    #[must_use]
    pub fn of(binary: &str) -> PodsBuilder {
        PodsBuilder { binary: binary.to_owned(), settings: Vec::new() }
    }

    /// The network that they are in.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Where pod `number` is.
    ///
    /// # Panics
    /// If it is nowhere.
    #[must_use]
    #[track_caller]
    pub fn ip(&self, number: usize) -> Ipv4Addr {
        self.host(number).address()
    }

    #[track_caller]
    fn host(&self, number: usize) -> &Host {
        self.hosts[number].as_ref().expect("the pod has a host")
    }

    /// Starts pods until there are `count`, all at the same time.
    #[track_caller]
    pub fn start_all(&mut self, count: usize) {
        let launched: Vec<_> = (self.size()..count).map(|number| self.launch(number)).collect();
        for (host, server) in launched {
            self.put(self.size(), host, server);
        }
    }

    /// Starts a pod that knows nothing in place `number`, at a new address.
    #[track_caller]
    pub fn start(&mut self, number: usize) {
        let (host, server) = self.launch(number);
        self.put(number, host, server);
    }

    /// Starts the container of a pod again: another process, on the same host.
    #[track_caller]
    pub fn start_again(&mut self, number: usize) {
        let host = self.hosts[number].take().expect("the pod has a host");
        let server = self.container(number, &host).launch();
        self.put(number, host, server);
    }

    /// A pod is listed from the moment on at which it has an address.
    fn launch(&self, number: usize) -> (Host, Launched) {
        let host = self.network.host();
        self.dns.list(host.address());
        let server = self.container(number, &host).launch();
        (host, server)
    }

    fn container(&self, number: usize, host: &Host) -> ServerBuilder {
        let own = Server::of(&self.builder.binary)
            .by_way_of(host.before_a_command(&format!("{SERVICE}-{number}")))
            .set("IS_DISTRIBUTED", true)
            .set("DNS_SERVICE_NAME", SERVICE)
            .set("DNS_APPLICATION_NAME", SERVICE)
            .set("WINTER_CLUSTER_SIZE", 3)
            .set("RECEPTOR_PORT", 6060)
            .set("WINTER_HTTP_PORT", 6061);
        self.builder.settings.iter().fold(own, |pod, (name, value)| pod.set(name, value))
    }

    #[track_caller]
    fn put(&mut self, number: usize, host: Host, server: Launched) {
        let server = server.ready();
        self.cluster.place_at(number, IpAddr::V4(host.address()), server);
        self.hosts.resize_with(self.cluster.size(), || None);
        self.hosts[number] = Some(host);
    }

    /// Asks a pod to stop, as Kubernetes does it: it is listed until its process
    /// has ended.
    #[track_caller]
    pub fn terminate(&mut self, number: usize) -> ExitStatus {
        let status = self.cluster.terminate(number);
        self.forget(number);
        status
    }

    /// Ends a pod with no warning; its host closes its connections.
    #[track_caller]
    pub fn kill(&mut self, number: usize) {
        self.cluster.kill(number);
        self.forget(number);
    }

    /// Ends the process of a pod that stays: it is listed, and can be started again.
    #[track_caller]
    pub fn kill_container(&mut self, number: usize) {
        self.cluster.kill(number);
    }

    /// Waits for the end of a pod's process, which comes by itself.
    #[track_caller]
    pub fn container_ended(&mut self, number: usize) -> ExitStatus {
        self.cluster.ended(number)
    }

    /// A machine is gone, and nothing says so: nobody closes its connections, and
    /// the DNS goes on listing it.
    #[track_caller]
    pub fn lose_machine(&mut self, number: usize) {
        self.host(number).unplug();
        self.cluster.server(number).signal(Signal::KILL);
        self.cluster.ended(number);
    }

    /// Somebody confirms that the machine of a pod is gone, or that the pod is.
    #[track_caller]
    pub fn forget(&mut self, number: usize) {
        let host = self.hosts[number].take().expect("the pod has a host");
        self.dns.delist(host.address());
    }

    /// From now on, what pod `from` sends to pod `to` is lost.
    #[track_caller]
    pub fn lose(&self, from: usize, to: usize) {
        self.host(to).lose(self.ip(from));
    }

    /// Nothing is lost any more.
    pub fn heal(&self) {
        self.hosts.iter().flatten().for_each(Host::lose_nothing);
    }
}

impl Deref for Pods {
    type Target = TestCluster;

    fn deref(&self) -> &TestCluster {
        &self.cluster
    }
}
