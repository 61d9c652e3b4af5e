//! Who is connected.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use winter_core::command::Verb;
use winter_core::command::table::SPECS;
use winter_core::protocol::Dialect;
use winter_core::time::Timestamp;

const NO_COMMAND: u8 = u8::MAX;

/// The connections that are open.
#[derive(Debug, Default)]
pub struct Clients {
    last_id: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
}

/// One connection, as `CLIENT LIST` tells of it.
#[derive(Debug)]
pub struct Client {
    /// Its number, never used again.
    pub id: u64,
    /// The client's address.
    pub address: SocketAddr,
    /// Ours.
    pub local_address: SocketAddr,
    connected_at: Timestamp,
    told: Mutex<Told>,
    dialect: AtomicU8,
    last_verb: AtomicU8,
    last_at: AtomicU64,
}

/// What the client says of itself.
#[derive(Clone, Debug, Default)]
struct Told {
    name: String,
    library: String,
    library_version: String,
}

impl Clients {
    /// Takes a new connection in.
    #[must_use]
    pub fn open(
        &self,
        address: SocketAddr,
        local_address: SocketAddr,
        now: Timestamp,
    ) -> Arc<Client> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client {
            id,
            address,
            local_address,
            connected_at: now,
            told: Mutex::default(),
            dialect: AtomicU8::new(0),
            last_verb: AtomicU8::new(NO_COMMAND),
            last_at: AtomicU64::new(now.as_millis()),
        });
        self.open.lock().insert(id, Arc::clone(&client));
        client
    }

    /// Lets a connection go.
    pub fn close(&self, id: u64) {
        self.open.lock().remove(&id);
    }

    /// How many connections are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every connection, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.open.lock().values().cloned().collect()
    }
}

impl Client {
    /// The name that the client gave itself.
    #[must_use]
    pub fn name(&self) -> String {
        self.told.lock().name.clone()
    }

    /// Names the connection.
    pub fn set_name(&self, name: &str) {
        name.clone_into(&mut self.told.lock().name);
    }

    /// Notes the client's library.
    pub fn set_library(&self, name: &str) {
        name.clone_into(&mut self.told.lock().library);
    }

    /// Notes the version of the client's library.
    pub fn set_library_version(&self, version: &str) {
        version.clone_into(&mut self.told.lock().library_version);
    }

    /// Notes what the client last did.
    #[inline]
    pub fn note(&self, verb: Option<Verb>, dialect: Dialect, now: Timestamp) {
        self.last_verb.store(verb.map_or(NO_COMMAND, |verb| verb as u8), Ordering::Relaxed);
        self.last_at.store(now.as_millis(), Ordering::Relaxed);
        self.dialect.store(dialect as u8, Ordering::Relaxed);
    }

    /// What the client last asked for.
    #[must_use]
    pub fn last_verb(&self) -> Option<Verb> {
        let number = usize::from(self.last_verb.load(Ordering::Relaxed));
        SPECS.get(number).map(|spec| spec.verb)
    }

    /// The connection on one line, with the fields of Redis's own list, in their
    /// order: client libraries read them by name and fail where one is missing.
    /// What has no meaning here says what Redis says of a client that has none.
    #[must_use]
    pub fn describe(&self, now: Timestamp) -> String {
        let told = self.told.lock().clone();
        let seconds = |since: u64| now.as_millis().saturating_sub(since) / 1_000;
        let command =
            self.last_verb().map_or_else(|| "NULL".to_owned(), |verb| verb.spec().lower_name());
        let resp = match self.dialect.load(Ordering::Relaxed) {
            1 => "2",
            2 => "3",
            _ => "line",
        };
        format!(
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags=N db=0 sub=0 psub=0 ssub=0 \
             multi=-1 watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 \
             omem=0 tot-mem=0 events=r cmd={command} user=default redir=-1 resp={resp} \
             lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local_address,
            told.name,
            seconds(self.connected_at.as_millis()),
            seconds(self.last_at.load(Ordering::Relaxed)),
            told.library,
            told.library_version,
        )
    }
}
