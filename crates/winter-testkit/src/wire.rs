//! A connection: bytes out, bytes in, and a deadline on both.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::{DEADLINE, Reply, request};

/// How long a connection must stay silent to count as silent.
const QUIET: Duration = Duration::from_millis(30);

/// A raw connection. Whatever takes longer than [`DEADLINE`] fails the test.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// Bytes that came and were not looked at yet.
    unread: Vec<u8>,
}

impl Wire {
    /// Connects to `address`.
    ///
    /// # Panics
    /// If nobody listens there.
    #[must_use]
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).expect("the socket is open");
        stream.set_write_timeout(Some(DEADLINE)).expect("the socket is open");
        Self { stream, unread: Vec::new() }
    }

    /// The socket, for what only it can do. What was read already is not in it.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends `bytes`.
    ///
    /// # Panics
    /// If the server does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.stream.write_all(bytes.as_ref()) {
            let came = self.read_what_comes();
            panic!("cannot send: {error}; what came last: \"{}\"", shown(&came));
        }
    }

    /// Sends `bytes` one at a time, each in a segment of its own.
    #[track_caller]
    pub fn send_byte_by_byte(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
    }

    /// Says that no more will be sent; replies can still be read.
    ///
    /// # Panics
    /// If the connection is gone.
    #[track_caller]
    pub fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Reads as many bytes as `expected` has, which must be those.
    ///
    /// # Panics
    /// If others come, or too few.
    #[track_caller]
    pub fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        while self.unread.len() < expected.len() && self.unread == expected[..self.unread.len()] {
            if !self.read_more() {
                break;
            }
        }
        if self.unread.starts_with(expected) {
            self.unread.drain(..expected.len());
            return;
        }
        let came = self.read_what_comes();
        panic!("\nexpected \"{}\"\n    came \"{}\"", shown(expected), shown(&came));
    }

    /// Sends `bytes`, then reads what must come back.
    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
        self.send(bytes);
        self.expect(expected);
    }

    /// Reads up to `end`, which is not returned.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut looked_at = 0;
        loop {
            let unseen = &self.unread[looked_at..];
            if let Some(at) = unseen.windows(end.len()).position(|window| window == end) {
                let mut text: Vec<u8> = self.unread.drain(..looked_at + at + end.len()).collect();
                text.truncate(looked_at + at);
                return text;
            }
            looked_at = self.unread.len().saturating_sub(end.len() - 1);
            assert!(self.read_more(), "closed within a line: \"{}\"", shown(&self.unread));
        }
    }

    /// Reads up to the next LF, which is not returned.
    #[track_caller]
    pub fn read_line(&mut self) -> String {
        String::from_utf8_lossy(&self.read_until(b"\n")).into_owned()
    }

    /// Sends one line and reads the one line that answers it.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.read_line()
    }

    /// Sends one line and reads a reply of a count and that many lines.
    ///
    /// # Panics
    /// If the reply's first line is no count.
    #[track_caller]
    pub fn ask_lines(&mut self, line: &str) -> Vec<String> {
        let count = self.ask(line);
        let count: usize = count.parse().unwrap_or_else(|_| panic!("no count: {count}"));
        (0..count).map(|_| self.read_line()).collect()
    }

    /// A field of `DESCRIBE`.
    ///
    /// # Panics
    /// If there is none of that name.
    #[track_caller]
    pub fn describe(&mut self, table: &str, field: &str) -> String {
        let lines = self.ask_lines(&format!("DESCRIBE {table}"));
        let value = lines.iter().find_map(|line| line.strip_prefix(field)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {field} in {lines:?}")).to_owned()
    }

    /// Reads one RESP reply.
    ///
    /// # Panics
    /// If none comes, or what comes is none.
    #[track_caller]
    pub fn read_reply(&mut self) -> Reply {
        loop {
            match Reply::parse(&self.unread) {
                Ok(Some((reply, length))) => {
                    self.unread.drain(..length);
                    return reply;
                }
                Ok(None) => {}
                Err(why) => panic!("no RESP reply ({why}): \"{}\"", shown(&self.unread)),
            }
            assert!(self.read_more(), "closed within a reply: \"{}\"", shown(&self.unread));
        }
    }

    /// Sends one RESP command and reads its reply.
    #[track_caller]
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Reply {
        self.send(request(words));
        self.read_reply()
    }

    /// Fails unless nothing more comes for a moment. Use [`Wire::expect`] on the
    /// reply to a later command where there can be one: that is certain.
    ///
    /// # Panics
    /// If something comes, or the server closes.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.stream.set_read_timeout(Some(QUIET)).expect("the socket is open");
        let mut buffer = [0; 256];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
            Err(error) if is_timeout(&error) => {}
            Err(error) => panic!("the connection broke: {error}"),
        }
        assert!(self.unread.is_empty(), "came unasked: \"{}\"", shown(&self.unread));
    }

    /// Reads to the end: the server closes and sends nothing more.
    ///
    /// # Panics
    /// If anything else comes, or the connection stays open.
    #[track_caller]
    pub fn expect_close(&mut self) {
        while self.read_more() {}
        assert!(self.unread.is_empty(), "came before the end: \"{}\"", shown(&self.unread));
    }

    /// Reads everything until the server closes.
    #[must_use]
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.read_more() {}
        std::mem::take(&mut self.unread)
    }

    /// Reads something: whether anything came before the end.
    #[track_caller]
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        let started = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(started.elapsed());
            assert!(
                !left.is_zero(),
                "no reply in {DEADLINE:?}; so far \"{}\"",
                shown(&self.unread)
            );
            self.stream.set_read_timeout(Some(left)).expect("the socket is open");
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => {
                    self.unread.extend_from_slice(&buffer[..length]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }

    /// What has come and comes within a moment, for a failure's message.
    fn read_what_comes(&mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let timeout = self.stream.set_read_timeout(Some(QUIET));
        while timeout.is_ok()
            && let Ok(length @ 1..) = self.stream.read(&mut buffer)
        {
            self.unread.extend_from_slice(&buffer[..length]);
        }
        std::mem::take(&mut self.unread)
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Bytes for a failure's message: printable, and not too many.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 2048;
    let mut text = bytes[..bytes.len().min(MOST)].escape_ascii().to_string();
    if bytes.len() > MOST {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}
