//! The system's sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use tokio::net::TcpListener as Listener;
pub use tokio::net::TcpStream as Stream;
pub use tokio::net::tcp::{OwnedReadHalf as ReadHalf, OwnedWriteHalf as WriteHalf};

pub use crate::net::tune;

/// A listener that is bound, and belongs to no runtime yet.
pub type Bound = std::net::TcpListener;

/// Binds a listener for peers at `address`.
///
/// # Errors
/// Those of the system: the address is in use, is not ours, or may not be bound.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    super::super::bind(address)
}

/// Takes connections at `bound`, within the runtime that this is called in.
///
/// # Errors
/// Those of the system.
pub fn listen(bound: Bound) -> io::Result<Listener> {
    Listener::from_std(bound)
}

/// The addresses that `host:port` stands for now.
///
/// # Errors
/// Those of the system's resolver: no such name, or nobody to ask.
pub async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(address).await?.collect())
}

/// The address of this machine at which whoever listens on `bind` is found from
/// `address`: that one, or if it stands for all, the one from which `address` is
/// reached. Nothing is sent.
pub async fn own_address_towards(address: &str, bind: IpAddr) -> Option<IpAddr> {
    if !bind.is_unspecified() {
        return Some(bind);
    }
    let to = resolve(address).await.ok()?.into_iter().next()?;
    let any = if to.is_ipv4() { IpAddr::from([0, 0, 0, 0]) } else { IpAddr::from([0; 16]) };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|own| own.ip())
}

/// Connects to `address`.
///
/// # Errors
/// Those of the system; `TimedOut` when it takes longer than `within`.
pub async fn dial(address: SocketAddr, within: Duration) -> io::Result<Stream> {
    match tokio::time::timeout(within, Stream::connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
