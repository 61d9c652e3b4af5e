//! A blocking connection for the commands around a race: create, drop, flush, ping.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};

/// How long a command may take: dropping millions of entries at once takes some servers seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How requests are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// An array of bulk strings.
    Resp,
    /// Words on a line.
    Line,
}

/// A connection for commands whose reply is one line.
#[derive(Debug)]
pub(crate) struct Control {
    stream: BufReader<TcpStream>,
    framing: Framing,
}

impl Control {
    pub(crate) fn connect(address: SocketAddr, framing: Framing) -> Result<Self> {
        Self::connect_within(address, framing, PATIENCE)
    }

    /// Like `connect`, for a server that must accept and answer within `patience`.
    pub(crate) fn connect_within(
        address: SocketAddr,
        framing: Framing,
        patience: Duration,
    ) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self { stream: BufReader::new(stream), framing })
    }

    /// Sends a command and returns the line that answers it, unless it is an error.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<String> {
        let line = self.exchange(words)?;
        if is_error(&line) {
            bail!("{} was answered {line:?}", words.join(" "));
        }
        Ok(line)
    }

    /// Sends a command in RESP and returns the bulk strings of the array that answers it.
    pub(crate) fn ask_lines(&mut self, words: &[&str]) -> Result<Vec<String>> {
        let head = self.ask(words)?;
        let Some(count) = head.strip_prefix('*').and_then(|count| count.parse().ok()) else {
            bail!("{} was answered {head:?}", words.join(" "));
        };
        let count: usize = count;
        (0..count)
            .map(|_| {
                // A line holds no line end, so that its length need not be looked at.
                self.line()?;
                self.line()
            })
            .collect()
    }

    /// Sends a write in RESP that is answered with `ok` and a version, or an error: whether it was
    /// acknowledged.
    pub(crate) fn ask_write(&mut self, words: &[&str]) -> Result<bool> {
        let head = self.exchange(words)?;
        if head.starts_with('-') {
            return Ok(false);
        }
        let answer = [head, self.line()?, self.line()?, self.line()?];
        match &answer {
            [array, len, word, version]
                if array == "*2" && len == "$2" && word == "ok" && version.starts_with(':') =>
            {
                Ok(true)
            }
            _ => bail!("{} was answered {answer:?}", words.join(" ")),
        }
    }

    /// Sends a command in RESP and returns the bulk string that answers it, if one does. It must
    /// hold no line end.
    pub(crate) fn ask_value(&mut self, words: &[&str]) -> Result<Option<String>> {
        let head = self.ask(words)?;
        if head.starts_with("$-") {
            return Ok(None);
        }
        self.line().map(Some)
    }

    /// Sends a command and returns the line that answers it, whatever it says.
    pub(crate) fn exchange(&mut self, words: &[&str]) -> Result<String> {
        self.stream.get_mut().write_all(&frame(self.framing, words))?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}

fn is_error(line: &str) -> bool {
    let words = ["-", "error", "ERROR", "SERVER_ERROR", "CLIENT_ERROR", "unrecognized", "missing"];
    line.is_empty() || words.iter().any(|word| line.starts_with(word))
}

fn frame(framing: Framing, words: &[&str]) -> Vec<u8> {
    match framing {
        Framing::Line => format!("{}\r\n", words.join(" ")).into_bytes(),
        Framing::Resp => {
            let bulks = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
            format!("*{}\r\n{}", words.len(), bulks.collect::<String>()).into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_answers() {
        for line in ["-ERR unknown command", "ERROR", "error usage: DROP table", "missing table"] {
            assert!(is_error(line), "{line}");
        }
        for line in ["+OK", "dropped", "+created", "pong", "VERSION 1.6"] {
            assert!(!is_error(line), "{line}");
        }
    }

    #[test]
    fn a_write_is_acknowledged_with_a_version_and_refused_with_an_error() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(b"*2\r\n$2\r\nok\r\n:36\r\n-ERR unavailable: no\r\n").unwrap();
            stream
        });
        let mut control = Control::connect(address, Framing::Resp).unwrap();
        assert!(control.ask_write(&["PUT", "t", "k", "1"]).unwrap());
        assert!(!control.ask_write(&["PUT", "t", "k", "2"]).unwrap());
        drop(server.join().unwrap());
    }

    #[test]
    fn commands_are_framed() {
        assert_eq!(frame(Framing::Line, &["DROP", "t"]), b"DROP t\r\n");
        assert_eq!(frame(Framing::Resp, &["DROP", "t"]), b"*2\r\n$4\r\nDROP\r\n$1\r\nt\r\n");
    }
}
