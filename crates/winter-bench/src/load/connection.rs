//! One connection of a load: a batch out, its replies in.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::LoadError;
use super::report::{LoadReport, excerpt};
use crate::wire::{ReplyScanner, Scan};

/// A server that does not accept within this time is not there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Where a connection stands with its batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Replies are still owed; the socket has no more for now.
    Waiting,
    /// Every reply of the batch is here.
    Done,
}

/// A socket and the batch on its way.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    owed: usize,
    sent_at: Instant,
    /// What the socket has not taken yet of the batch.
    unsent: Vec<u8>,
    /// The beginning of a reply whose end has not arrived.
    partial: Vec<u8>,
}

impl Connection {
    pub(super) fn open(target: SocketAddr) -> Result<Self, LoadError> {
        let connect = || {
            let stream = std::net::TcpStream::connect_timeout(&target, CONNECT_PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(TcpStream::from_std(stream))
        };
        Ok(Self {
            stream: connect().map_err(LoadError::io("connecting"))?,
            owed: 0,
            sent_at: Instant::now(),
            unsent: Vec::new(),
            partial: Vec::new(),
        })
    }

    /// Whether replies are owed.
    pub(super) const fn is_waiting(&self) -> bool {
        self.owed > 0
    }

    /// Sends a batch of `requests` requests, or as much of it as the socket takes now.
    pub(super) fn send(
        &mut self,
        batch: &[u8],
        requests: usize,
        now: Instant,
    ) -> Result<(), LoadError> {
        assert_eq!(self.owed, 0, "one batch at a time");
        self.owed = requests;
        self.sent_at = now;
        let written = write_some(&mut self.stream, batch)?;
        self.unsent.extend_from_slice(&batch[written..]);
        Ok(())
    }

    /// Sends what is left of the batch.
    pub(super) fn flush(&mut self) -> Result<(), LoadError> {
        if !self.unsent.is_empty() {
            let written = write_some(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..written);
        }
        Ok(())
    }

    /// Takes in the replies that have arrived, by way of `inbox`, which all connections share and
    /// which is longer than any reply.
    pub(super) fn receive(
        &mut self,
        scanner: &ReplyScanner,
        inbox: &mut [u8],
        report: &mut LoadReport,
    ) -> Result<Progress, LoadError> {
        while self.is_waiting() {
            let held = self.partial.len();
            let Some(read) = read_some(&mut self.stream, &mut inbox[held..])? else {
                return Ok(Progress::Waiting);
            };
            if read == 0 {
                return Err(LoadError::Closed { owed: self.owed });
            }
            let full = held + read == inbox.len();
            inbox[..held].copy_from_slice(&self.partial);
            self.partial.clear();
            self.take_replies(scanner, &inbox[..held + read], report)?;
            if self.is_waiting() && !full {
                // A short read emptied the socket; what arrives later raises a new event.
                return Ok(Progress::Waiting);
            }
        }
        report.record_batch(self.sent_at.elapsed());
        Ok(Progress::Done)
    }

    fn take_replies(
        &mut self,
        scanner: &ReplyScanner,
        mut bytes: &[u8],
        report: &mut LoadReport,
    ) -> Result<(), LoadError> {
        while self.owed > 0 {
            match scanner.scan(bytes) {
                Scan::Whole(reply, len) => {
                    report.count(reply, &bytes[..len]);
                    bytes = &bytes[len..];
                    self.owed -= 1;
                }
                Scan::Partial => {
                    self.partial.extend_from_slice(bytes);
                    return Ok(());
                }
                Scan::Unexpected => return Err(LoadError::Unexpected(excerpt(bytes))),
            }
        }
        if bytes.is_empty() { Ok(()) } else { Err(LoadError::Unexpected(excerpt(bytes))) }
    }
}

/// Bytes read, 0 at the end of the stream, or `None` if nothing has arrived.
fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Option<usize>, LoadError> {
    loop {
        match stream.read(buffer) {
            Ok(read) => return Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LoadError::io("reading replies")(error)),
        }
    }
}

/// Bytes written before the socket would have blocked.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize, LoadError> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LoadError::io("sending requests")(error)),
        }
    }
    Ok(written)
}
