//! Every command of the contract, with its outcome.
//!
//! Times to live are whole milliseconds, 1 to 2^53; a fraction counts as a whole one.

use std::time::Duration;

use winter_core::command::{TableOptions, Verb};
use winter_core::time::Ttl;

use crate::client::Client;
use crate::error::Error;
use crate::keys::Keys;
use crate::outcome::{self, Added, Created, Guarded, Lifetime, Versioned};
use crate::request::Request;

type Outcome<T> = Result<T, Error>;

/// Commands on keys. Each fails with [`Error::MissingTable`] if the table does
/// not stand, and otherwise as [`Error`] and [`ErrorKind`](crate::ErrorKind) say.
impl Client {
    /// `GET`: the data of an entry, if there is one.
    pub async fn get(&self, table: &str, key: impl AsRef<[u8]>) -> Outcome<Option<Vec<u8>>> {
        outcome::data(self.outcome(&key_request(Verb::Get, table, key)).await?)
    }

    /// `GETS`: the version and data of an entry, if there is one.
    pub async fn gets(&self, table: &str, key: impl AsRef<[u8]>) -> Outcome<Option<Versioned>> {
        outcome::versioned(self.outcome(&key_request(Verb::Gets, table, key)).await?)
    }

    /// `TTL`: how long an entry lives.
    pub async fn ttl(&self, table: &str, key: impl AsRef<[u8]>) -> Outcome<Lifetime> {
        outcome::lifetime(&self.outcome(&key_request(Verb::Ttl, table, key)).await?)
    }

    /// `PUTNEW`: writes unless the key has an entry; the first writer's data
    /// stays, and which it was is not told.
    pub async fn put_new(
        &self,
        table: &str,
        key: impl AsRef<[u8]>,
        data: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Outcome<()> {
        let request = key_request(Verb::PutNew, table, key).word(data);
        outcome::word(&self.outcome(&expiring(request, ttl)).await?, "ok")
    }

    /// `ADD`: writes unless the key has an entry, and says who won.
    pub async fn add(
        &self,
        table: &str,
        key: impl AsRef<[u8]>,
        data: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Outcome<Added> {
        let request = key_request(Verb::Add, table, key).word(data);
        outcome::added(&self.outcome(&expiring(request, ttl)).await?)
    }

    /// `PUT`: writes whatever was there, its time to live too: the new version.
    pub async fn put(
        &self,
        table: &str,
        key: impl AsRef<[u8]>,
        data: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Outcome<u64> {
        let request = key_request(Verb::Put, table, key).word(data);
        outcome::version(&self.outcome(&expiring(request, ttl)).await?)
    }

    /// `CAS`: writes only if the entry still stands at `version`: the new version.
    pub async fn cas(
        &self,
        table: &str,
        key: impl AsRef<[u8]>,
        version: u64,
        data: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Outcome<Guarded<u64>> {
        let request = key_request(Verb::Cas, table, key).number(version).word(data);
        outcome::swapped(&self.outcome(&expiring(request, ttl)).await?)
    }

    /// `DELETE`: takes the entry away, if there is one.
    pub async fn delete(&self, table: &str, key: impl AsRef<[u8]>) -> Outcome<()> {
        outcome::word(&self.outcome(&key_request(Verb::Delete, table, key)).await?, "ok")
    }

    /// `DELETE` at a version: takes the entry away only if it still stands at it.
    pub async fn delete_at(
        &self,
        table: &str,
        key: impl AsRef<[u8]>,
        version: u64,
    ) -> Outcome<Guarded<()>> {
        let request = key_request(Verb::Delete, table, key).number(version);
        outcome::guarded(&self.outcome(&request).await?)
    }

    /// `TOUCH`: a new time to live from now, `None` for ever: whether there was an entry.
    pub async fn touch(
        &self,
        table: &str,
        key: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Outcome<bool> {
        let request = key_request(Verb::Touch, table, key).number(ttl.map_or(0, millis));
        match outcome::guarded(&self.outcome(&request).await?)? {
            Guarded::Done(()) => Ok(true),
            Guarded::Nil => Ok(false),
            Guarded::Conflict(version) => {
                Err(Error::Unexpected(format!("conflict {version}, and no version was asked for")))
            }
        }
    }

    /// `TOUCH` at a version: a new time to live only if the entry still stands at it.
    pub async fn touch_at(
        &self,
        table: &str,
        key: impl AsRef<[u8]>,
        ttl: Option<Duration>,
        version: u64,
    ) -> Outcome<Guarded<()>> {
        let request = key_request(Verb::Touch, table, key);
        let request = request.number(ttl.map_or(0, millis)).number(version);
        outcome::guarded(&self.outcome(&request).await?)
    }
}

/// Commands on tables and the node.
impl Client {
    /// `CREATE`: makes the table, unless it stands.
    pub async fn create(&self, table: &str, options: TableOptions) -> Outcome<Created> {
        outcome::created(&self.outcome(&create(table, &options)).await?)
    }

    /// `DROP`: takes the table away with all that it holds.
    pub async fn drop_table(&self, table: &str) -> Outcome<()> {
        outcome::word(&self.outcome(&table_request(Verb::Drop, table)).await?, "dropped")
    }

    /// `REVIVE`: takes a table that was fenced back into service.
    pub async fn revive(&self, table: &str) -> Outcome<()> {
        outcome::word(&self.outcome(&table_request(Verb::Revive, table)).await?, "ok")
    }

    /// `COUNT`: entries that have not expired.
    pub async fn count(&self, table: &str) -> Outcome<u64> {
        outcome::number(&self.outcome(&table_request(Verb::Count, table)).await?)
    }

    /// `SCAN`: the table's keys, fetched as they are asked for. A key that
    /// stands all the while comes at least once.
    #[must_use]
    pub fn scan(&self, table: &str) -> Keys {
        Keys::new(self.clone(), table)
    }

    /// `DESCRIBE`: options, sizes and counters, by name.
    pub async fn describe(&self, table: &str) -> Outcome<Vec<(String, String)>> {
        outcome::fields(self.outcome(&table_request(Verb::Describe, table)).await?)
    }

    /// `TABLES`: the names of all tables.
    pub async fn tables(&self) -> Outcome<Vec<String>> {
        outcome::texts(self.outcome(&Request::new(Verb::Tables)).await?)
    }

    /// `PING`: whether the server answers.
    pub async fn ping(&self) -> Outcome<()> {
        outcome::word(&self.outcome(&Request::new(Verb::Ping)).await?, "pong")
    }
}

pub(crate) fn key_request(verb: Verb, table: &str, key: impl AsRef<[u8]>) -> Request {
    table_request(verb, table).word(key)
}

pub(crate) fn table_request(verb: Verb, table: &str) -> Request {
    Request::new(verb).word(table)
}

pub(crate) fn expiring(request: Request, ttl: Option<Duration>) -> Request {
    match ttl {
        Some(ttl) => request.word("EXPIRE").number(millis(ttl)),
        None => request,
    }
}

/// Whole milliseconds, a fraction as one; what is past the limit the server refuses.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn create(table: &str, options: &TableOptions) -> Request {
    let numbers = [
        ("MAXBYTES", options.bytes_max),
        ("MAXENTRIES", options.entries_max),
        ("MAXVALUE", options.value_bytes_max),
        ("TTL", options.ttl.map(Ttl::as_millis)),
    ];
    let mut request = table_request(Verb::Create, table);
    for (name, number) in numbers {
        if let Some(number) = number {
            request = request.word(name).number(number);
        }
    }
    if options.once { request.word("ONCE").word("yes") } else { request }
}
