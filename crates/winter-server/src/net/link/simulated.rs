//! The simulator's sockets. Names are asked of a host of the simulated network,
//! so that the way to DNS can be slow or cut like any other, and its answers lie.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use turmoil::net::TcpListener as Listener;
pub use turmoil::net::TcpStream as Stream;
pub use turmoil::net::tcp::{OwnedReadHalf as ReadHalf, OwnedWriteHalf as WriteHalf};

/// The simulated host that resolves names.
pub const DNS_HOST: &str = "dns";
/// Its port.
pub const DNS_PORT: u16 = 53;

/// A listener, which belongs to its host from the start.
pub type Bound = Listener;

/// A server with threads of its own cannot be simulated.
///
/// # Errors
/// Always.
pub fn bind(_: SocketAddr) -> io::Result<Bound> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Takes connections at `bound`.
///
/// # Errors
/// None here.
pub fn listen(bound: Bound) -> io::Result<Listener> {
    Ok(bound)
}

/// The addresses that `host:port` stands for now. Whoever is asked reads a line
/// with the name, and answers with one address a line, or closes.
///
/// # Errors
/// No such name, or nobody to ask.
pub async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (name, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let port: u16 = port.parse().map_err(|_| invalid())?;
    let mut stream = Stream::connect((DNS_HOST, DNS_PORT)).await?;
    stream.write_all(format!("{name}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let found: Vec<SocketAddr> = answer
        .lines()
        .filter_map(|line| Some(SocketAddr::new(line.parse::<IpAddr>().ok()?, port)))
        .collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}

/// The address of this host at which whoever listens on `bind` is found from
/// `address`: that one, or if it stands for all, the one from which `address` is
/// reached.
pub async fn own_address_towards(address: &str, bind: IpAddr) -> Option<IpAddr> {
    if !bind.is_unspecified() {
        return Some(bind);
    }
    let to = resolve(address).await.ok()?.into_iter().next()?;
    let stream = dial(to, Duration::from_secs(1)).await.ok()?;
    stream.local_addr().ok().map(|own| own.ip())
}

/// Connects to `address`.
///
/// # Errors
/// Nobody is there; `TimedOut` when it takes longer than `within`.
pub async fn dial(address: SocketAddr, within: Duration) -> io::Result<Stream> {
    match tokio::time::timeout(within, Stream::connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// There is nothing to be set here.
///
/// # Errors
/// None here.
pub fn tune(_: &Stream) -> io::Result<()> {
    Ok(())
}
