//! Both halves of a connection: a reader that parses all that came before it
//! reads again, and a writer that drains its queue before each write.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use winter_core::protocol::Dialect;

use super::counters::Counters;
use super::frame::{Decoder, Encoder, Frame, Header};
use super::handshake::{MAGIC, Message};
use super::options::{BYTES_PER_EXTRA_SECOND, Options, READ_BYTES, WRITE_BYTES};
use super::reason::Reason;
use crate::net::link::{ReadHalf, WriteHalf};

/// A buffer that held a long frame is not kept.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// Who speaks what at the wrong door, by its first bytes.
const STRANGERS: [(&[u8], &str); 5] = [
    (b"\x16\x03", "a TLS client"),
    (b"GET ", "an HTTP client, or a client of Winter"),
    (b"POST ", "an HTTP client"),
    (b"HEAD ", "an HTTP client"),
    (b"PRI * HTTP/2", "an HTTP/2 client"),
];

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The other side closed it, between two frames.
    Closed,
    /// We close it, for it is not needed any more.
    Done,
    /// What came is refused.
    Refused(Reason),
    /// Nothing came for too long.
    Silent,
    /// The system's reason.
    Broken(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the other side"),
            Self::Done => f.write_str("closed by this side"),
            Self::Refused(reason) => write!(f, "refused: {}", reason.word()),
            Self::Silent => f.write_str("nothing came for too long"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

/// The reading half.
pub(super) struct Reader<'a> {
    half: ReadHalf,
    buffer: BytesMut,
    options: &'a Options,
    counters: &'a Counters,
    /// When the first byte was seen of the frame that is not whole yet.
    began: Option<Instant>,
    /// See [`Writer::is_sending`].
    is_sending: Arc<AtomicBool>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(half: ReadHalf, options: &'a Options, counters: &'a Counters) -> Self {
        Self {
            half,
            buffer: BytesMut::new(),
            options,
            counters,
            began: None,
            is_sending: Arc::default(),
        }
    }

    /// A peer that takes a long body from `writer` is not silent.
    pub(super) fn minds(&mut self, writer: &Writer<'_>) {
        self.is_sending = Arc::clone(&writer.is_sending);
    }

    /// The next message of the handshake, whole before `due`.
    pub(super) async fn message(&mut self, due: Instant) -> Result<Message, End> {
        loop {
            if let Some(message) = Message::take(&mut self.buffer).map_err(End::Refused)? {
                return Ok(message);
            }
            self.read(READ_BYTES, due, Reason::Slow).await?;
        }
    }

    /// The next frame.
    pub(super) async fn frame(&mut self, decoder: &mut Decoder) -> Result<Frame, End> {
        loop {
            if let Some(frame) = decoder.next(&mut self.buffer).map_err(End::Refused)? {
                self.counters.frames_in.bump();
                self.began = None;
                return Ok(frame);
            }
            if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
                self.buffer = BytesMut::new();
            }
            let missing = decoder.missing(&self.buffer).map_err(End::Refused)?;
            // Room grows with what has come, never with what is only announced.
            let room = READ_BYTES.max(missing.min(self.buffer.len()));
            let silence = Instant::now() + self.options.silence;
            match self.due_of_frame(missing) {
                Some(due) if due < silence => self.read(room, due, Reason::Slow).await?,
                _ => self.read(room, silence, Reason::Other).await?,
            }
        }
    }

    /// When the frame that has begun to come has to be whole.
    fn due_of_frame(&mut self, missing: usize) -> Option<Instant> {
        if self.buffer.is_empty() {
            return None;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let extra = (self.buffer.len() + missing) / BYTES_PER_EXTRA_SECOND;
        Some(began + self.options.frame_timeout + Duration::from_secs(extra as u64))
    }

    async fn read(&mut self, room: usize, due: Instant, late: Reason) -> Result<(), End> {
        self.buffer.reserve(room);
        match timeout_at(due, self.half.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) if self.buffer.is_empty() => Err(End::Closed),
            Ok(Ok(0)) => Err(End::Refused(Reason::CutOff)),
            Ok(Ok(read)) => {
                self.counters.bytes_in.bump_by(read as u64);
                Ok(())
            }
            Ok(Err(error)) => Err(End::Broken(error)),
            Err(_) if late == Reason::Slow => Err(End::Refused(Reason::Slow)),
            Err(_) if self.is_sending.load(Ordering::Relaxed) => Ok(()),
            Err(_) => Err(End::Silent),
        }
    }

    /// What the bytes that are no frame look like.
    pub(super) fn sign(&self) -> &'static str {
        let begins = |(start, _): &&(&[u8], &str)| self.buffer.starts_with(start);
        if self.buffer.starts_with(&MAGIC) {
            return "";
        }
        let is_resp = self.buffer.first().is_some_and(|&b| Dialect::from_first_byte(b).is_resp());
        let otherwise = if is_resp { "a RESP client" } else { "" };
        STRANGERS.iter().find(begins).map_or(otherwise, |(_, who)| who)
    }
}

/// Where a writer gets what it writes.
pub(super) trait Source {
    /// Moves what waits to `batch`, but not much more than so many bytes. It
    /// says `Stop` only when it moved nothing.
    fn take(&self, batch: &mut Vec<(Header, Bytes)>, bytes: usize) -> Turn;

    /// Ready when there may be something to take.
    fn arrived(&self) -> impl Future<Output = ()> + Send;
}

/// What a writer does when it found nothing to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Waits for more.
    Wait,
    /// Stops.
    Stop,
}

/// The writing half.
pub(super) struct Writer<'a> {
    half: WriteHalf,
    stall: Duration,
    counters: &'a Counters,
    /// Whether a write is under way. While it lasts, who takes nothing is found
    /// out by `stall`, and need not answer: its questions wait behind this write.
    is_sending: Arc<AtomicBool>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(half: WriteHalf, options: &Options, counters: &'a Counters) -> Self {
        Self { half, stall: options.silence, counters, is_sending: Arc::default() }
    }

    /// Sends bytes that are whole messages already.
    pub(super) async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = timeout(self.stall, self.half.write(bytes)).await;
            let written = written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.counters.bytes_out.bump_by(written as u64);
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Sends what comes from `source` until there will be no more, and asks
    /// each `keepalive` whether anybody is there.
    pub(super) async fn run(
        mut self,
        mut encoder: Encoder,
        source: &impl Source,
        keepalive: Option<Duration>,
    ) -> End {
        let mut batch = Vec::new();
        let mut out = BytesMut::new();
        let mut ping_due = keepalive.map(|keepalive| Instant::now() + keepalive);
        loop {
            let turn = source.take(&mut batch, WRITE_BYTES);
            if let Some(keepalive) = keepalive.filter(|_| ping_due <= Some(Instant::now())) {
                batch.push((Header::Ping, Bytes::new()));
                ping_due = Some(Instant::now() + keepalive);
            }
            if turn == Turn::Stop || batch.is_empty() {
                if turn == Turn::Stop {
                    // The other side sees an orderly end; it may have closed already.
                    let _ = self.half.shutdown().await;
                    return End::Done;
                }
                match ping_due {
                    None => source.arrived().await,
                    Some(due) => drop(timeout_at(due, source.arrived()).await),
                }
                continue;
            }
            self.is_sending.store(true, Ordering::Relaxed);
            let sent = self.send_all(&mut encoder, &mut batch, &mut out).await;
            self.is_sending.store(false, Ordering::Relaxed);
            if let Err(error) = sent {
                return End::Broken(error);
            }
        }
    }

    /// Sends a batch in one write, or in a few when there are long bodies among it.
    pub(super) async fn send_all(
        &mut self,
        encoder: &mut Encoder,
        batch: &mut Vec<(Header, Bytes)>,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        self.counters.frames_out.bump_by(batch.len() as u64);
        for (header, body) in batch.drain(..) {
            if let Some(body) = encoder.encode(&header, body, out) {
                self.send(out).await?;
                out.clear();
                self.send(&body).await?;
            }
        }
        self.send(out).await?;
        out.clear();
        Ok(())
    }
}
