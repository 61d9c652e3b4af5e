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
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
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

    /// Sends a command and returns the line that answers it, whatever it says.
    pub(crate) fn exchange(&mut self, words: &[&str]) -> Result<String> {
        self.stream.get_mut().write_all(&frame(self.framing, words))?;
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
    fn commands_are_framed() {
        assert_eq!(frame(Framing::Line, &["DROP", "t"]), b"DROP t\r\n");
        assert_eq!(frame(Framing::Resp, &["DROP", "t"]), b"*2\r\n$4\r\nDROP\r\n$1\r\nt\r\n");
    }
}
