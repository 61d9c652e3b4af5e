//! The two tasks behind a [`Client`](crate::Client): one writes, one reads.
//!
//! Requests come over a bounded queue, are gathered into as few writes as there
//! are turns, and their callers wait in a second bounded queue in the order of
//! the replies to come. A caller that has gone takes nothing with it: its reply
//! is read and dropped, so the connection stays in step.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::error::Ended;
use crate::reply::{ReplyReader, Value};

/// Requests that may wait to be written; more wait in their callers.
const UNWRITTEN_MAX: usize = 1_024;
/// Requests that may wait for replies; more wait to be written.
const UNANSWERED_MAX: usize = 4_096;
/// Requests are gathered into writes of about so many bytes.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes that are read at once, at least.
const READ_BYTES: usize = 16 << 10;

/// Frames to be written, and who waits for the replies.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) frames: Vec<u8>,
    pub(crate) caller: Caller,
}

/// Who waits for how many replies.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) replies: usize,
    pub(crate) answer: oneshot::Sender<Vec<Value>>,
}

/// Why the connection ended; empty while it has not.
pub(crate) type Reason = Arc<OnceLock<String>>;

/// Starts both tasks on `stream`. They end when the connection does, or when
/// the queue's last sender is gone.
pub(crate) fn start(
    stream: TcpStream,
    write_timeout: Duration,
) -> (mpsc::Sender<Envelope>, Reason) {
    let (requests, inbox) = mpsc::channel(UNWRITTEN_MAX);
    let (waiting, callers) = mpsc::channel(UNANSWERED_MAX);
    let (input, output) = stream.into_split();
    let reason = Reason::default();
    let mut writer = Writer { output, inbox, waiting, frames: Vec::new(), write_timeout };
    let mut reader = Reader {
        input,
        callers,
        caller: None,
        values: Vec::new(),
        replies: ReplyReader::default(),
    };
    let (read, written) = (Arc::clone(&reason), Arc::clone(&reason));
    tokio::spawn(async move { note(&read, reader.run().await) });
    tokio::spawn(async move { note(&written, writer.run().await) });
    (requests, reason)
}

/// Notes why the connection ended, before the task's end lets go the callers who still wait.
fn note(reason: &Reason, end: Result<(), Ended>) {
    if let Err(ended) = end {
        // The first reason is the one that explains the others.
        let _ = reason.set(ended.to_string());
    }
}

struct Writer {
    output: OwnedWriteHalf,
    inbox: mpsc::Receiver<Envelope>,
    waiting: mpsc::Sender<Caller>,
    frames: Vec<u8>,
    write_timeout: Duration,
}

impl Writer {
    async fn run(&mut self) -> Result<(), Ended> {
        loop {
            let envelope = tokio::select! {
                envelope = self.inbox.recv() => envelope,
                () = self.waiting.closed() => return Ok(()),
            };
            let Some(envelope) = envelope else { break };
            self.take(envelope).await?;
            while self.frames.len() < WRITE_BYTES
                && let Ok(envelope) = self.inbox.try_recv()
            {
                self.take(envelope).await?;
            }
            self.write().await?;
        }
        self.output.shutdown().await?;
        Ok(())
    }

    async fn take(&mut self, envelope: Envelope) -> Result<(), Ended> {
        self.frames.extend_from_slice(&envelope.frames);
        match self.waiting.try_send(envelope.caller) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(caller)) => {
                // There is room after some replies, and replies after what is unwritten.
                self.write().await?;
                self.waiting.send(caller).await.map_err(|_| Ended::ByServer)
            }
            Err(TrySendError::Closed(_)) => Err(Ended::ByServer),
        }
    }

    async fn write(&mut self) -> Result<(), Ended> {
        let written = self.output.write_all(&self.frames);
        tokio::time::timeout(self.write_timeout, written).await.map_err(|_| Ended::Unread)??;
        self.frames.clear();
        self.frames.shrink_to(4 * WRITE_BYTES);
        Ok(())
    }
}

struct Reader {
    input: OwnedReadHalf,
    callers: mpsc::Receiver<Caller>,
    caller: Option<Caller>,
    values: Vec<Value>,
    replies: ReplyReader,
}

impl Reader {
    async fn run(&mut self) -> Result<(), Ended> {
        let mut unread = Vec::new();
        loop {
            let mut used = 0;
            loop {
                let (bytes, reply) = self.replies.read(&unread[used..])?;
                used += bytes;
                let Some(reply) = reply else { break };
                self.deliver(reply).await?;
            }
            unread.drain(..used);
            unread.reserve(READ_BYTES);
            if self.input.read_buf(&mut unread).await? == 0 {
                return Err(Ended::ByServer);
            }
        }
    }

    /// Hands a reply to whoever is next. A reply that nobody waits for is an
    /// error that the server sends before it closes: the next caller learns of it.
    async fn deliver(&mut self, reply: Value) -> Result<(), Ended> {
        if self.caller.is_none() {
            self.caller = self.callers.recv().await;
        }
        let caller = self.caller.as_ref().ok_or(Ended::ByServer)?;
        self.values.push(reply);
        if self.values.len() == caller.replies
            && let Some(caller) = self.caller.take()
        {
            // A caller that has gone does not want it.
            let _ = caller.answer.send(std::mem::take(&mut self.values));
        }
        Ok(())
    }
}
