//! One GET at a time over a blocking socket: for probes, which time a single request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};
use winter_bench::wire::{Dialect, Operation, Reply, ReplyScanner, RequestEncoder, Scan};

/// A server that does not answer a single GET within this time has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any reply that a query expects.
const REPLY_LEN_MAX: usize = 16 * 1024;

/// A GET of one key, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    address: SocketAddr,
    request: Vec<u8>,
    dialect: Dialect,
    value_len: usize,
}

impl Query {
    /// The GET of the key with this number.
    pub(crate) fn new(
        address: SocketAddr,
        dialect: Dialect,
        table: &str,
        number: u64,
        value_len: usize,
    ) -> Self {
        let tables = [table.to_owned()];
        let mut request = Vec::new();
        RequestEncoder::new(dialect, Operation::Get, &tables, value_len, false).encode(
            &mut request,
            number,
            None,
        );
        Self { address, request, dialect, value_len }
    }

    pub(crate) fn connect(&self) -> Result<Asker> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let scanner = ReplyScanner::new(self.dialect, Operation::Get, self.value_len);
        Ok(Asker { stream, scanner })
    }
}

/// A connection that queries are sent on.
#[derive(Debug)]
pub(crate) struct Asker {
    stream: TcpStream,
    scanner: ReplyScanner,
}

impl Asker {
    /// Sends the query and waits for its reply: a hit, or a miss.
    pub(crate) fn ask(&mut self, query: &Query) -> Result<Reply> {
        self.stream.write_all(&query.request)?;
        let mut reply = [0; REPLY_LEN_MAX];
        let mut held = 0;
        loop {
            let read = self.stream.read(&mut reply[held..])?;
            held += read;
            match self.scanner.scan(&reply[..held]) {
                Scan::Partial if read > 0 => {}
                Scan::Whole(reply @ (Reply::Hit | Reply::Miss), len) if len == held => {
                    return Ok(reply);
                }
                _ => bail!("a probe was answered {:?}", reply[..held].escape_ascii().to_string()),
            }
        }
    }
}
