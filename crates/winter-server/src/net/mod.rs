//! Sockets: the only module that names `tokio::net`.
//!
//! Clients and HTTP are served on the system's sockets. Nodes reach each other
//! through [`link`], which the simulator puts on a network of its own.

pub mod link;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

pub use tokio::net::TcpListener as Listener;
pub use tokio::net::TcpStream as Stream;

/// What the kernel may hold of an answer of HTTP: the rest waits here, where all
/// who read slowly share it.
const HTTP_SEND_BUFFER_BYTES: usize = 32 << 10;
/// Connections that the system holds until they are accepted.
pub const BACKLOG: i32 = 1_024;
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

/// Sets what a connection to HTTP needs beyond that.
///
/// # Errors
/// Those of the system, when the connection broke already.
pub fn tune_http(stream: &Stream) -> io::Result<()> {
    tune(stream)?;
    SockRef::from(stream).set_send_buffer_size(HTTP_SEND_BUFFER_BYTES)
}

/// Lets go at once of what was sent and not taken when the connection is closed.
///
/// # Errors
/// Those of the system, when the connection broke already.
pub fn abandon(stream: &Stream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// Makes an end of `stream` without a goodbye: what the peer has not taken of
/// its replies is let go at once, where the kernel would keep it for a while.
pub fn let_go(stream: &Stream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection's unread replies stay with the system");
    }
}

/// Bytes that have come on `stream` and were not read yet.
#[must_use]
pub fn unread_bytes(stream: &Stream) -> u64 {
    // It fails only for what is no socket.
    rustix::io::ioctl_fionread(stream).unwrap_or(0)
}
