//! Many commands at once.

use std::time::Duration;

use winter_core::command::Verb;

use crate::client::Client;
use crate::commands::{expiring, key_request};
use crate::error::Error;
use crate::reply::Value;
use crate::request::Request;

/// Commands that are sent together and answered together, in their order. They
/// are not a transaction: other clients' commands may come between.
///
/// ```no_run
/// # async fn example(winter: winter_client::Client) -> Result<(), winter_client::Error> {
/// let replies = winter.pipeline().put_new("t", "a", "1", None).get("t", "a").run().await?;
/// assert_eq!(replies[1].as_str(), Some("1"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a pipeline does nothing until it is run"]
pub struct Pipeline {
    client: Client,
    frames: Vec<u8>,
    commands: usize,
}

impl Client {
    /// A pipeline with no commands yet.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline { client: self.clone(), frames: Vec::new(), commands: 0 }
    }
}

impl Pipeline {
    /// Any command.
    ///
    /// # Panics
    /// If `request` has no words: nothing would ever answer it.
    pub fn command(mut self, request: &Request) -> Self {
        assert!(!request.is_empty(), "a command has a name");
        request.write(&mut self.frames);
        self.commands += 1;
        self
    }

    /// `GET`.
    pub fn get(self, table: &str, key: impl AsRef<[u8]>) -> Self {
        self.command(&key_request(Verb::Get, table, key))
    }

    /// `PUTNEW`.
    pub fn put_new(
        self,
        table: &str,
        key: impl AsRef<[u8]>,
        data: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Self {
        self.command(&expiring(key_request(Verb::PutNew, table, key).word(data), ttl))
    }

    /// `PUT`.
    pub fn put(
        self,
        table: &str,
        key: impl AsRef<[u8]>,
        data: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Self {
        self.command(&expiring(key_request(Verb::Put, table, key).word(data), ttl))
    }

    /// `DELETE`.
    pub fn delete(self, table: &str, key: impl AsRef<[u8]>) -> Self {
        self.command(&key_request(Verb::Delete, table, key))
    }

    /// Sends the commands and waits for all replies, one for each; errors of the
    /// server are among them.
    ///
    /// # Errors
    /// [`Error::Timeout`] and [`Error::Closed`]: any part may have been done.
    pub async fn run(self) -> Result<Vec<Value>, Error> {
        if self.commands == 0 {
            return Ok(Vec::new());
        }
        let Self { client, frames, commands } = self;
        client.within_time(async { client.submit(frames, commands).await?.replies().await }).await
    }
}
