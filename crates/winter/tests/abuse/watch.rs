//! What can be seen of the server from outside: its memory, its files, its words.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::Socket;
use winter_testkit::{DEADLINE, Server, Wire, eventually, request};

/// Bytes of the server's memory that are resident.
#[track_caller]
pub(crate) fn resident_bytes(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() << 10
}

/// Files that the server has open.
#[track_caller]
pub(crate) fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// The server's end of the connection whose other end is `peer`, once it has it.
pub(crate) fn socket_of(server: &Server, peer: &TcpStream) -> Option<Socket> {
    let wanted = peer.local_addr().unwrap();
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok()).find_map(|number| {
        let file = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok()?;
        let socket = Socket::from(file);
        (socket.peer_addr().ok()?.as_socket() == Some(wanted)).then_some(socket)
    })
}

/// Processor time that the server has used.
#[track_caller]
pub(crate) fn processor_time(server: &Server) -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().skip(11).take(2);
    TICK * fields.map(|ticks| ticks.parse::<u32>().unwrap()).sum::<u32>()
}

/// Whether all threads of the server are stopped, as SIGSTOP does it in its own time.
pub(crate) fn is_stopped(server: &Server) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    threads.filter_map(Result::ok).all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:\tT"))
    })
}

/// A field of `INFO`.
#[track_caller]
pub(crate) fn info(wire: &mut Wire, field: &str) -> u64 {
    let lines = wire.ask_lines("INFO");
    let value = lines.iter().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {lines:?}")).parse().unwrap()
}

/// Waits until no client but the one that asks is connected.
#[track_caller]
pub(crate) fn alone(wire: &mut Wire) {
    eventually("the other clients are gone", || {
        (info(wire, "connected_clients") == 1).then_some(())
    });
}

/// Fails unless the server answers a new client.
#[track_caller]
pub(crate) fn answers(server: &Server) {
    server.connect().exchange("PING\n", "pong\n");
}

/// Gets `path` over HTTP: the status line and the body.
#[track_caller]
pub(crate) fn http(server: &Server, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect_timeout(&server.http(), DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: winter\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Writes `count` entries `k0`, `k1` and so on, a thousand at a time.
#[track_caller]
pub(crate) fn fill(wire: &mut Wire, table: &str, count: usize, data: &str) {
    for from in (0..count).step_by(1_000) {
        let range = from..count.min(from + 1_000);
        let expected = "ok\n".repeat(range.len());
        let lines: String = range.map(|n| format!("PUTNEW {table} k{n} {data}\n")).collect();
        wire.exchange(lines, expected);
    }
}

/// How many commands the server does for others while it answers one of this
/// client's: the median of several tries, so that a stall of the machine does
/// not count.
#[track_caller]
pub(crate) fn commands_meanwhile(wire: &mut Wire) -> u64 {
    let mut count = || info(wire, "total_commands_processed");
    let mut meanwhile: Vec<u64> = (0..15).map(|_| count().abs_diff(count())).collect();
    meanwhile.sort_unstable();
    meanwhile[meanwhile.len() / 2]
}

/// Sends slow commands without a pause until told to stop or cut off; none of
/// them is answered.
pub(crate) fn shout(wire: &mut Wire, stop: impl Fn() -> bool) {
    wire.exchange(request(&["CLIENT", "REPLY", "OFF"]), "");
    let commands = request(&["HELP"]).repeat(20_000);
    while !stop() && wire.stream().write_all(&commands).is_ok() {}
}

/// Connections that the server has closed and the system still has replies for.
pub(crate) fn unsent_ends(server: &Server) -> usize {
    const FIN_WAIT_1: &str = "04";
    let port = format!(":{:04X}", server.address().port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[1].ends_with(&port) && fields[3] == FIN_WAIT_1
    };
    sockets.lines().filter(is_one).count()
}
