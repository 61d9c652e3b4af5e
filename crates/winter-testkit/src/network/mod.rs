//! A network of hosts on this machine, each in a network namespace with an
//! address of its own, joined by a bridge that leads nowhere else. What hosts
//! send each other can be lost, one way or both, and a host can be unplugged.
//!
//! It takes root, and nothing of it is left when the test has ended, however it
//! ended.

mod dns;
mod host;
mod namespace;

use std::cell::Cell;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::net::Ipv4Addr;

use namespace::Namespace;

pub use dns::{Answer, NameServer};
pub use host::Host;

/// Set to `required` where a test that cannot have a network must fail.
const VARIABLE: &str = "WINTER_NAMESPACES";
/// Where tests are, as clients.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Where the name server is.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 53);
/// The first address of other hosts.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);

/// A network. The thread that lays it is one of its hosts until this is dropped,
/// and so is every thread that it starts meanwhile.
#[derive(Debug)]
pub struct Network {
    bridge: Namespace,
    given: Cell<u32>,
    client: Host,
    /// Where the thread was before.
    outside: Namespace,
    /// A thread is moved, so this stays with it.
    here: PhantomData<*const ()>,
}

impl Network {
    /// Lays a network, or says loudly why it cannot be had here.
    ///
    /// # Panics
    /// If it cannot, and `WINTER_NAMESPACES` says that it is required.
    #[must_use]
    pub fn lay() -> Option<Self> {
        match Self::try_lay() {
            Ok(network) => Some(network),
            Err(error) => {
                assert!(!is_required(), "no network namespaces: {error}");
                let test = std::thread::current().name().unwrap_or("a test").to_owned();
                // Past what captures the output of tests that pass.
                let _ = writeln!(
                    io::stderr(),
                    "NOT TESTED: {test} takes root, for network namespaces: {error}"
                );
                None
            }
        }
    }

    fn try_lay() -> io::Result<Self> {
        let outside = Namespace::current()?;
        let bridge = Namespace::new()?;
        bridge.ip("link add hosts type bridge\nlink set hosts up\n");
        let client = Host::plug_into(&bridge, CLIENT)?;
        client.enter()?;
        Ok(Self { bridge, given: Cell::new(0), client, outside, here: PhantomData })
    }

    /// A new host, with an address that no other had.
    ///
    /// # Panics
    /// If the system does not let it be.
    #[must_use]
    pub fn host(&self) -> Host {
        let given = self.given.get();
        self.given.set(given + 1);
        Host::plug_into(&self.bridge, Ipv4Addr::from_bits(FIRST.to_bits() + given))
            .expect("there was one before it")
    }

    /// A name server on a host of its own. There can be one.
    ///
    /// # Panics
    /// If there is one.
    #[must_use]
    pub fn name_server(&self) -> NameServer {
        let host = Host::plug_into(&self.bridge, NAME_SERVER).expect("there was one before it");
        NameServer::start(host)
    }

    /// The address from which this thread asks.
    #[must_use]
    pub const fn client(&self) -> Ipv4Addr {
        self.client.address()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.outside.enter().expect("the thread was there before");
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says it, not a setting")]
fn is_required() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "required")
}
