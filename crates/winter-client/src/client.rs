//! The connection as its users see it.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use winter_core::command::Verb;

use crate::connection::{self, Caller, Envelope, Reason};
use crate::error::Error;
use crate::reply::Value;
use crate::request::Request;

/// How a connection is made and used.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long connecting may take, the greeting included.
    pub connect_timeout: Duration,
    /// How long a command's reply may take, waiting to be sent included.
    pub command_timeout: Duration,
    /// What `CLIENT LIST` calls the connection; no spaces.
    pub name: Option<String>,
}

impl Default for Options {
    /// Five seconds to connect, thirty for a command, no name.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(30),
            name: None,
        }
    }
}

/// A connection to Winter. Clones share it; it closes with the last of them.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Envelope>,
    reason: Reason,
    command_timeout: Duration,
}

impl Client {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there, or somebody who is not Winter.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_with(address, &Options::default()).await
    }

    /// Connects to `host:port` in a way of your own.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(address: &str, options: &Options) -> Result<Self, Error> {
        timeout(options.connect_timeout, Self::dial(address, options))
            .await
            .map_err(|_| Error::connect(address, &"nobody answered in time"))?
    }

    async fn dial(address: &str, options: &Options) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::connect(address, &error);
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (requests, reason) = connection::start(stream, options.command_timeout);
        let client = Self { requests, reason, command_timeout: options.command_timeout };
        let mut hello = Request::new(Verb::Hello).number(3);
        if let Some(name) = &options.name {
            hello = hello.word("SETNAME").word(name);
        }
        match client.call(&hello).await {
            Ok(Value::Map(_)) => Ok(client),
            Ok(Value::Error(error)) => Err(Error::connect(address, &error)),
            Ok(other) => Err(Error::connect(address, &format!("it greets with {other:?}"))),
            Err(error) => Err(Error::connect(address, &error)),
        }
    }

    /// Sends a command and waits for its reply, whatever it is.
    ///
    /// # Errors
    /// [`Error::Timeout`] and [`Error::Closed`]; an error that the server
    /// answers is a [`Value::Error`].
    pub async fn call(&self, request: &Request) -> Result<Value, Error> {
        self.within_time(async { self.send(request).await?.reply().await }).await
    }

    /// Sends a command and waits for its outcome.
    pub(crate) async fn outcome(&self, request: &Request) -> Result<Value, Error> {
        match self.call(request).await? {
            Value::Error(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    /// Puts a command in the queue, and returns before it is answered. Commands
    /// are done in the order in which they are sent here. Has no time-out.
    ///
    /// # Errors
    /// [`Error::Closed`].
    ///
    /// # Panics
    /// If `request` has no words: nothing would ever answer it.
    pub async fn send(&self, request: &Request) -> Result<Pending, Error> {
        assert!(!request.is_empty(), "a command has a name");
        let mut frames = Vec::new();
        request.write(&mut frames);
        self.submit(frames, 1).await
    }

    pub(crate) async fn submit(&self, frames: Vec<u8>, replies: usize) -> Result<Pending, Error> {
        let (answer, reply) = oneshot::channel();
        let envelope = Envelope { frames, caller: Caller { replies, answer } };
        let pending = Pending { reply, reason: self.reason.clone() };
        match self.requests.send(envelope).await {
            Ok(()) => Ok(pending),
            Err(_) => Err(pending.closed()),
        }
    }

    pub(crate) async fn within_time<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout(self.command_timeout, work)
            .await
            .map_err(|_| Error::Timeout(self.command_timeout))?
    }

    /// Whether the connection has ended; every command then answers [`Error::Closed`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed() || self.reason.get().is_some()
    }
}

/// A command that was sent, and its replies to come.
#[derive(Debug)]
pub struct Pending {
    reply: oneshot::Receiver<Vec<Value>>,
    reason: Reason,
}

impl Pending {
    /// Waits for the reply, for as long as the connection stands.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn reply(self) -> Result<Value, Error> {
        let mut replies = self.replies().await?;
        Ok(replies.pop().expect("one command has one reply"))
    }

    pub(crate) async fn replies(mut self) -> Result<Vec<Value>, Error> {
        (&mut self.reply).await.map_err(|_| self.closed())
    }

    fn closed(&self) -> Error {
        let reason = self.reason.get().map_or("it ended", String::as_str);
        Error::Closed(reason.to_owned())
    }
}
