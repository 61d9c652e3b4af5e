//! A host: an address, what reaches it, and the programs that run on it.

use std::io;
use std::net::Ipv4Addr;

use super::NAME_SERVER;
use super::namespace::Namespace;

/// What hosts know of names, as Kubernetes writes it.
const SEARCH: &str = "default.svc.cluster.local svc.cluster.local cluster.local";

/// A host of a network.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
    address: Ipv4Addr,
}

impl Host {
    pub(super) fn plug_into(bridge: &Namespace, address: Ipv4Addr) -> io::Result<Self> {
        let namespace = Namespace::new()?;
        let (port, path) = (port_of(address), namespace.path());
        bridge.ip(&format!(
            "link add {port} type veth peer name eth0 netns {path}\n\
             link set {port} master hosts up\n"
        ));
        namespace
            .ip(&format!("link set lo up\naddress add {address}/16 dev eth0\nlink set eth0 up\n"));
        namespace.nft(
            "table ip wire {\n\
               set lost { type ipv4_addr; }\n\
               chain incoming {\n\
                 type filter hook input priority filter;\n\
                 ip saddr @lost drop\n\
               }\n\
             }\n",
        );
        Ok(Self { namespace, address })
    }

    /// The host's address.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// From now on, what `from` sends here is lost.
    pub fn lose(&self, from: Ipv4Addr) {
        self.namespace.nft(&format!("add element ip wire lost {{ {from} }}\n"));
    }

    /// Nothing is lost any more.
    pub fn lose_nothing(&self) {
        self.namespace.nft("flush set ip wire lost\n");
    }

    /// Takes the host off the network, with no goodbye.
    pub fn unplug(&self) {
        self.namespace.ip("link set eth0 down\n");
    }

    pub(super) fn enter(&self) -> io::Result<()> {
        self.namespace.enter()
    }

    pub(super) fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        self.namespace.within(what)
    }

    /// The words that stand before a command for it to run on this host: each of
    /// the programs becomes the next. The host calls itself `name` there, asks the
    /// network's name server and knows no other names. The command is killed when
    /// the thread that starts it ends.
    #[must_use]
    pub fn before_a_command(&self, name: &str) -> Vec<String> {
        let script = format!(
            "echo {name} >/proc/sys/kernel/hostname && \
             mount -t tmpfs names /mnt && cd /mnt && \
             printf 'nameserver {NAME_SERVER}\\nsearch {SEARCH}\\noptions ndots:5\\n' >resolv.conf && \
             printf '127.0.0.1 localhost\\n{} {name}\\n' >hosts && \
             printf 'hosts: files dns\\n' >nsswitch.conf && \
             for file in *; do mount --bind $file /etc/$file || exit; done && \
             cd / && exec \"$@\"",
            self.address,
        );
        let net = format!("--net={}", self.namespace.path());
        ["/usr/bin/nsenter", &net]
            .into_iter()
            .chain([
                "/usr/bin/unshare",
                "--mount",
                "--uts",
                "/usr/bin/setpriv",
                "--pdeathsig",
                "KILL",
            ])
            .chain(["/bin/sh", "-c", &script, "sh"])
            .map(str::to_owned)
            .collect()
    }
}

/// The name of the bridge's end of the wire.
fn port_of(address: Ipv4Addr) -> String {
    let [.., c, d] = address.octets();
    format!("port{c}.{d}")
}
