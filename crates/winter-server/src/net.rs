//! Sockets: the only module that names `tokio::net`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

pub use tokio::net::TcpListener as Listener;
pub use tokio::net::TcpStream as Stream;

const BACKLOG: i32 = 1_024;
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long data may stay unacknowledged before the kernel gives the peer up.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Binds a listener for clients at `address`.
///
/// # Errors
/// Those of the system: the address is in use, is not ours, or may not be bound.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Sets what every client's connection needs: no delay for small replies, and an
/// end to connections whose peer is gone.
///
/// # Errors
/// Those of the system, when the connection broke already.
pub fn tune(stream: &Stream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}
