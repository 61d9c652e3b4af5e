//! What clients ask, from a seed.
//!
//! A [`Workload`] knows nothing of connections: a driver takes calls from it and
//! tells it the replies, from which it learns versions. Clients that are to meet
//! on the same keys share one workload; workloads side by side need tables of
//! different numbers ([`Options::first_table`]).
//!
//! Keys and tables live short: the checker's worst case grows with what is asked
//! of one key, and a fresh key finds as many faults as an old one. Each value is
//! written once.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::dice::Dice;
use crate::history::{Action, Call, Key, KeyOp, Reply, Table, Value, Write};

/// The most that is asked of a key, what is asked of its table included.
pub const KEY_OPERATIONS_MAX: u32 = 200;
/// How many versions of a key are kept, so that stale ones are sent, too.
const VERSIONS_MAX: usize = 4;

/// What a workload is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// The same seed asks the same, if it is answered the same.
    pub seed: u64,
    /// The number of the first table.
    pub first_table: u32,
    /// Tables in use at a time.
    pub tables: usize,
    /// Keys in use at a time, in each table.
    pub keys: usize,
    /// The most calls for a key; at most [`KEY_OPERATIONS_MAX`] with its table's.
    pub key_calls_max: u32,
    /// The most `CREATE`s and `DROP`s of a table, before another takes its place.
    pub table_calls_max: u32,
    /// How many writes in a hundred name a time to live.
    pub expire_percent: u64,
    /// Times to live, in milliseconds.
    pub ttl_millis: RangeInclusive<u64>,
    /// What is asked how often.
    pub mix: Mix,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            first_table: 0,
            tables: 2,
            keys: 8,
            key_calls_max: 150,
            table_calls_max: 20,
            expire_percent: 10,
            ttl_millis: 20..=500,
            mix: Mix::default(),
        }
    }
}

/// How often each command is asked, against the others.
#[expect(missing_docs, reason = "each field is the command of its name")]
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub get: u32,
    pub gets: u32,
    pub put_new: u32,
    pub add: u32,
    pub put: u32,
    pub cas: u32,
    pub delete: u32,
    pub touch: u32,
    pub create: u32,
    pub drop: u32,
}

impl Default for Mix {
    /// Some of everything.
    fn default() -> Self {
        Self {
            get: 30,
            gets: 10,
            put_new: 10,
            add: 10,
            put: 10,
            cas: 10,
            delete: 10,
            touch: 5,
            create: 1,
            drop: 1,
        }
    }
}

impl Mix {
    /// Leases: taken, renewed and released by whoever holds them.
    #[must_use]
    pub const fn leases() -> Self {
        Self {
            get: 5,
            gets: 20,
            put_new: 0,
            add: 40,
            put: 0,
            cas: 5,
            delete: 15,
            touch: 15,
            // Once is not enough: it may fail.
            create: 1,
            drop: 0,
        }
    }

    /// Tables that come and go.
    #[must_use]
    pub const fn lifecycles() -> Self {
        Self {
            get: 30,
            gets: 0,
            put_new: 10,
            add: 20,
            put: 20,
            cas: 0,
            delete: 5,
            touch: 0,
            create: 10,
            drop: 5,
        }
    }

    const fn weights(&self) -> [u32; 10] {
        let Self { get, gets, put_new, add, put, cas, delete, touch, create, drop } = *self;
        [get, gets, put_new, add, put, cas, delete, touch, create, drop]
    }
}

/// A source of calls.
#[derive(Clone, Debug)]
pub struct Workload {
    options: Options,
    dice: Dice,
    tables: Vec<OpenTable>,
    next_table: u32,
    next_key: u32,
    next_value: u64,
}

#[derive(Clone, Debug)]
struct OpenTable {
    table: Table,
    calls_left: u32,
    /// Whether the last call for it was `CREATE`.
    is_wanted: bool,
    keys: Vec<OpenKey>,
}

#[derive(Clone, Debug)]
struct OpenKey {
    key: Key,
    calls_left: u32,
    /// The last versions that were answered, the newest last.
    versions: Vec<u64>,
}

impl Workload {
    /// A workload that asks for nothing but `options` says.
    ///
    /// # Panics
    /// If `options` has no tables, keys or calls, or more calls for a key than
    /// [`KEY_OPERATIONS_MAX`].
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { tables, keys, key_calls_max, table_calls_max, .. } = options;
        assert!(tables > 0 && keys > 0, "a workload needs tables and keys");
        assert!(key_calls_max > 0 && table_calls_max > 0, "a workload needs calls");
        assert!(
            key_calls_max.saturating_add(table_calls_max) <= KEY_OPERATIONS_MAX,
            "a key has at most {KEY_OPERATIONS_MAX} operations, its table's included"
        );
        let dice = Dice::new(options.seed);
        let next_table = options.first_table;
        let mut workload =
            Self { options, dice, tables: Vec::new(), next_table, next_key: 0, next_value: 0 };
        workload.tables = (0..tables).map(|_| workload.open_table()).collect();
        workload
    }

    /// What to ask next.
    pub fn next_call(&mut self) -> Call {
        let place = self.dice.place(self.tables.len());
        if self.tables[place].calls_left == 0 {
            self.tables[place] = self.open_table();
        }
        let wanted = self.tables[place].is_wanted;
        let choice = self.dice.weighted(&self.options.mix.weights());
        // A table that is not there is made, but not before somebody missed it.
        let action = match choice {
            _ if !wanted && self.dice.percent(50) => Action::Create,
            8 => Action::Create,
            9 => Action::Drop,
            _ => self.key_action(place, choice),
        };
        let open = &mut self.tables[place];
        if !matches!(action, Action::Key(..)) {
            open.calls_left -= 1;
            open.is_wanted = action == Action::Create;
        }
        Call { table: open.table, action }
    }

    /// Learns from a reply to what this workload asked.
    pub fn learn(&mut self, call: &Call, reply: &Reply) {
        let (Some(key), Some(version)) = (call.key(), reply.version()) else { return };
        let Some(open) = self.tables.iter_mut().find(|open| open.table == call.table) else {
            return;
        };
        let Some(open) = open.keys.iter_mut().find(|open| open.key == key) else { return };
        if let Err(place) = open.versions.binary_search(&version) {
            open.versions.insert(place, version);
            if open.versions.len() > VERSIONS_MAX {
                open.versions.remove(0);
            }
        }
    }

    fn key_action(&mut self, table: usize, choice: usize) -> Action {
        let place = self.dice.place(self.options.keys);
        if self.tables[table].keys[place].calls_left == 0 {
            self.tables[table].keys[place] = self.open_key();
        }
        let version = self.version(table, place);
        let with_version = self.dice.percent(60);
        let op = match (choice, version) {
            (0, _) => KeyOp::Get,
            (2, _) => KeyOp::PutNew(self.write()),
            (3, _) => KeyOp::Add(self.write()),
            (4, _) => KeyOp::Put(self.write()),
            (5, Some(version)) => KeyOp::Cas(version, self.write()),
            (6, version) => KeyOp::Delete(version.filter(|_| with_version)),
            (7, version) => {
                let ttl = self.dice.percent(80).then(|| self.ttl());
                KeyOp::Touch(ttl, version.filter(|_| with_version))
            }
            // With no version to go by, CAS has to learn one first.
            _ => KeyOp::Gets,
        };
        let open = &mut self.tables[table].keys[place];
        open.calls_left -= 1;
        Action::Key(open.key, op)
    }

    /// The key's newest version, mostly.
    fn version(&mut self, table: usize, key: usize) -> Option<u64> {
        let newest = self.dice.percent(75);
        let versions = &self.tables[table].keys[key].versions;
        if newest || versions.is_empty() {
            return versions.last().copied();
        }
        Some(versions[self.dice.place(versions.len())])
    }

    fn write(&mut self) -> Write {
        self.next_value += 1;
        let expires = self.dice.percent(self.options.expire_percent);
        Write { value: Value(self.next_value), ttl: expires.then(|| self.ttl()) }
    }

    fn ttl(&mut self) -> Duration {
        let (from, to) = (*self.options.ttl_millis.start(), *self.options.ttl_millis.end());
        assert!(0 < from && from <= to, "a time to live is a millisecond or longer");
        Duration::from_millis(from + self.dice.below(to - from + 1))
    }

    fn open_table(&mut self) -> OpenTable {
        let table = Table(self.next_table);
        self.next_table += 1;
        let keys = (0..self.options.keys).map(|_| self.open_key()).collect();
        OpenTable { table, calls_left: self.options.table_calls_max, is_wanted: false, keys }
    }

    fn open_key(&mut self) -> OpenKey {
        self.next_key += 1;
        let calls = 1 + self.dice.below(u64::from(self.options.key_calls_max));
        let calls_left = u32::try_from(calls).expect("it is at most a number of 32 bits");
        OpenKey { key: Key(self.next_key), calls_left, versions: Vec::new() }
    }
}
