//! A table's keys, step by step.

use std::vec;

use winter_core::command::Verb;

use crate::client::Client;
use crate::commands::table_request;
use crate::error::Error;
use crate::outcome;

/// A scan under way. Holds one step's keys at a time.
///
/// ```no_run
/// # async fn example(winter: winter_client::Client) -> Result<(), winter_client::Error> {
/// let mut keys = winter.scan("leases").prefix("job:");
/// while let Some(key) = keys.next().await? {
///     println!("{}", String::from_utf8_lossy(&key));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Keys {
    client: Client,
    table: String,
    prefix: Vec<u8>,
    count: Option<u64>,
    /// Where the next step begins; `None` after the last.
    cursor: Option<u64>,
    step: vec::IntoIter<Vec<u8>>,
}

impl Keys {
    pub(crate) fn new(client: Client, table: &str) -> Self {
        Self {
            client,
            table: table.to_owned(),
            prefix: Vec::new(),
            count: None,
            cursor: Some(0),
            step: Vec::new().into_iter(),
        }
    }

    /// Only keys that begin so.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many entries a step looks at, 1 to 10,000; the server's 100 if not said.
    #[must_use]
    pub const fn step_of(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// The next key; `None` at the end.
    ///
    /// # Errors
    /// As any command. Asking again goes on with the step that failed.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(key) = self.step.next() {
                return Ok(Some(key));
            }
            let Some(cursor) = self.cursor else { return Ok(None) };
            let (next, keys) = self.fetch(cursor).await?;
            self.cursor = (next != 0).then_some(next);
            self.step = keys.into_iter();
        }
    }

    async fn fetch(&self, cursor: u64) -> Result<(u64, Vec<Vec<u8>>), Error> {
        let mut request = table_request(Verb::Scan, &self.table).number(cursor);
        if !self.prefix.is_empty() {
            request = request.word("PREFIX").word(&self.prefix);
        }
        if let Some(count) = self.count {
            request = request.word("COUNT").number(count);
        }
        outcome::step(self.client.outcome(&request).await?)
    }
}
