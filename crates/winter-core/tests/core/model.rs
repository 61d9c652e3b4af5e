//! A partition against a `BTreeMap`: the same operations done to both, and the
//! answers, the counts and the bytes compared. The fuzz targets share this file.

use std::collections::{BTreeMap, BTreeSet};

use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::fault::Kind;
use winter_core::protocol::Dialect;
use winter_core::reply::Reply;
use winter_core::store::index::Tag;
use winter_core::store::partition::{Holdings, Mended};
use winter_core::store::{HashedKey, Partition, Seed, Table, TableId};
use winter_core::time::{Timestamp, Ttl};

/// Versions begin here, as those of a node that was started later do.
const FIRST_VERSION: u64 = 1 << 40;
/// Tables of the model, each with options of its own.
pub(crate) const TABLES: usize = 3;

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A command on a key.
    Key { table: u8, key: u8, verb: Verb, size: u8, ttl: Option<u16>, guess: Guess },
    /// The clock of whoever calls moves, perhaps back.
    Time(i16),
    /// That clock is set to the deadline of an entry, or a little beside it.
    Deadline { table: u8, nth: u8, beside: i8 },
    /// Reclaims what is due, so many pages of it.
    Maintain(u8),
    /// Counts a table.
    Count(u8),
    /// One step of the table's scan.
    Scan { table: u8, count: u8 },
    /// Drops a table and makes another in its slot.
    Drop(u8),
}

/// Which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Gets,
    Ttl,
    PutNew,
    Add,
    Put,
    Cas,
    Delete,
    DeleteVersion,
    Touch,
    TouchVersion,
}

impl Verb {
    pub(crate) const ALL: [Self; 11] = [
        Self::Put,
        Self::Add,
        Self::PutNew,
        Self::Cas,
        Self::Delete,
        Self::DeleteVersion,
        Self::Touch,
        Self::TouchVersion,
        Self::Get,
        Self::Gets,
        Self::Ttl,
    ];
}

/// Which version a command names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// The one that stands.
    Right,
    /// One less.
    Stale,
    /// One that never was.
    Wild,
}

/// How a run may differ without a difference in its answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) seed: Seed,
    /// Whether `Maintain` does anything: reclaiming is no part of the state.
    pub(crate) maintains: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    version: u64,
    data: Vec<u8>,
    deadline: Option<u64>,
}

impl Item {
    /// Bytes of the entry and its slot, by the layout that `entry` describes.
    fn bytes(&self, key: &[u8]) -> u64 {
        let number = |n: u64| u64::from((64 - n.leading_zeros()).div_ceil(8));
        let lengths = if key.len() < 256 { 1 } else { 2 } + number(self.data.len() as u64).max(1);
        let deadline = if self.deadline.is_some() { 7 } else { 0 };
        let header = 1 + lengths + number(self.version - FIRST_VERSION) + deadline;
        header + (key.len() + self.data.len()) as u64 + 8
    }
}

#[derive(Default)]
struct Scanning {
    from: Option<Tag>,
    /// Keys that have stood since the scan began.
    standing: BTreeSet<Vec<u8>>,
    seen: BTreeSet<Vec<u8>>,
}

struct World {
    variant: Variant,
    partition: Partition,
    tables: Vec<Table>,
    items: Vec<BTreeMap<Vec<u8>, Item>>,
    scans: Vec<Scanning>,
    /// What whoever calls believes.
    wall: u64,
    /// The highest time that the partition was shown.
    clock: u64,
    version: u64,
    tables_made: u64,
    answers: Vec<u8>,
}

/// Does `ops` to a partition and to the model: the answers.
///
/// # Panics
/// When they differ.
pub(crate) fn run(ops: &[Op], variant: Variant) -> Vec<u8> {
    let mut world = World::new(variant);
    for op in ops {
        world.step(op);
    }
    world.check_everything();
    world.answers
}

impl World {
    fn new(variant: Variant) -> Self {
        let mut world = Self {
            variant,
            partition: Partition::new(variant.seed, FIRST_VERSION),
            tables: Vec::new(),
            items: vec![BTreeMap::new(); TABLES],
            scans: (0..TABLES).map(|_| Scanning::default()).collect(),
            wall: 1_000_000,
            clock: 0,
            version: FIRST_VERSION,
            tables_made: 0,
            answers: Vec::new(),
        };
        world.tables = (0..TABLES).map(|number| world.make_table(number)).collect();
        world
    }

    fn make_table(&mut self, number: usize) -> Table {
        let options = match number {
            0 => TableOptions::default(),
            1 => TableOptions {
                entries_max: Some(1 << 40),
                ttl: Ttl::from_millis(5_000),
                ..TableOptions::default()
            },
            _ => TableOptions {
                bytes_max: Some(1 << 40),
                value_bytes_max: Some(2_050),
                once: true,
                ..TableOptions::default()
            },
        };
        self.tables_made += 1;
        let slot = u32::try_from(number).expect("a few tables");
        Table::new(TableId(self.tables_made), slot, "t", options)
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Key { table, key, verb, size, ttl, guess } => {
                self.key(usize::from(table) % TABLES, &key_of(key), verb, size, ttl, guess);
            }
            Op::Time(by) => self.wall = self.wall.saturating_add_signed(i64::from(by)),
            Op::Deadline { table, nth, beside } => {
                let items = &self.items[usize::from(table) % TABLES];
                let mut deadlines = items.values().filter_map(|item| item.deadline);
                if let Some(deadline) = deadlines.nth(usize::from(nth)) {
                    self.wall = deadline.saturating_add_signed(i64::from(beside));
                }
            }
            Op::Maintain(pages) => {
                if self.variant.maintains {
                    let now = Timestamp::from_millis(self.wall);
                    let more = self.partition.maintain(now, usize::from(pages));
                    let due = self.partition.next_due();
                    let clock = Timestamp::from_millis(self.clock.max(self.wall));
                    assert_eq!(more, due.is_some_and(|at| at <= clock));
                }
                // Time is shown to both, whether or not the one reclaims.
                self.tick();
                self.partition.maintain(Timestamp::from_millis(self.wall), 0);
            }
            Op::Count(table) => self.count(usize::from(table) % TABLES),
            Op::Scan { table, count } => self.scan(usize::from(table) % TABLES, count),
            Op::Drop(table) => self.drop_table(usize::from(table) % TABLES),
        }
        let held: u64 = self.partition.all_holdings().map(|(_, h)| h.allocated_bytes).sum();
        assert!(self.partition.allocated_bytes() as u64 >= held);
    }

    /// Brings the partition's clock to the caller's, and lets the model forget what has expired.
    fn tick(&mut self) {
        self.clock = self.clock.max(self.wall);
        let clock = self.clock;
        for (items, scan) in self.items.iter_mut().zip(&mut self.scans) {
            items.retain(|key, item| {
                let lives = item.deadline.is_none_or(|deadline| deadline > clock);
                if !lives {
                    scan.standing.remove(key);
                }
                lives
            });
        }
    }

    fn key(
        &mut self,
        table: usize,
        key: &[u8],
        verb: Verb,
        size: u8,
        ttl: Option<u16>,
        guess: Guess,
    ) {
        let data = data_of(size, self.version);
        let stands = self.items[table].get(key).map_or(self.version, |item| item.version);
        let expected = match guess {
            Guess::Right => stands,
            Guess::Stale => stands - 1,
            Guess::Wild => u64::MAX,
        };
        let ttl = ttl.and_then(|millis| Ttl::from_millis(u64::from(millis)));
        let write = Write { data: &data, ttl };
        let op = match verb {
            Verb::Get => KeyOp::Get,
            Verb::Gets => KeyOp::Gets,
            Verb::Ttl => KeyOp::Ttl,
            Verb::PutNew => KeyOp::PutNew(write),
            Verb::Add => KeyOp::Add(write),
            Verb::Put => KeyOp::Put(write),
            Verb::Cas => KeyOp::Cas(expected, write),
            Verb::Delete => KeyOp::Delete(None),
            Verb::DeleteVersion => KeyOp::Delete(Some(expected)),
            Verb::Touch => KeyOp::Touch(ttl, None),
            Verb::TouchVersion => KeyOp::Touch(ttl, Some(expected)),
        };
        self.apply(table, key, &op);
    }

    fn apply(&mut self, table: usize, key: &[u8], op: &KeyOp<'_>) {
        let at = Timestamp::from_millis(self.wall);
        let hashed = HashedKey::new(self.variant.seed, key);
        let (before, reclaimed) = (self.holdings(table), self.partition.reclaimed());
        let cost = self.partition.cost(at, &self.tables[table], hashed, op);
        self.tick();
        let refused = self.refused(table, op);
        let wanted = self.expected(table, key, op);
        let got = self.partition.apply(at, &self.tables[table], hashed, op);
        let mut bytes = Vec::new();
        Dialect::Resp3.write(&got, &mut bytes);
        match refused {
            Some(kind) => {
                assert!(matches!(got, Reply::Fault(ref fault) if fault.kind == kind), "{got:?}");
            }
            None => assert_eq!(bytes, wanted, "{op:?}"),
        }
        self.answers.extend(bytes);
        // Reclaiming may give bytes back in the same breath: then nothing exact can be said.
        if self.partition.reclaimed().expired == reclaimed.expired {
            let after = self.holdings(table);
            let grown = (
                after.entries.saturating_sub(before.entries),
                after.bytes.saturating_sub(before.bytes),
            );
            let foreseen = cost.map_or((0, 0), |cost| (cost.entries, cost.bytes));
            assert!(grown.0 <= foreseen.0 && grown.1 <= foreseen.1, "{op:?}: {grown:?} {cost:?}");
            if foreseen.0 == 1 && refused.is_none() {
                assert_eq!(grown, foreseen, "{op:?}");
            }
        }
    }

    /// What the table's options make of `op`, before anything is looked up.
    fn refused(&self, table: usize, op: &KeyOp<'_>) -> Option<Kind> {
        let options = self.tables[table].options;
        let overwrites = matches!(op, KeyOp::Put(_) | KeyOp::Cas(..) | KeyOp::Touch(..));
        if options.once && overwrites {
            return Some(Kind::Refused);
        }
        let (KeyOp::PutNew(write) | KeyOp::Add(write) | KeyOp::Put(write) | KeyOp::Cas(_, write)) =
            op
        else {
            return None;
        };
        let most = options.value_bytes_max.unwrap_or(u64::MAX);
        (write.data.len() as u64 > most).then_some(Kind::Limit)
    }

    /// Does `op` to the model: the answer, as RESP3 writes it.
    fn expected(&mut self, table: usize, key: &[u8], op: &KeyOp<'_>) -> Vec<u8> {
        if self.refused(table, op).is_some() {
            return Vec::new();
        }
        let clock = self.clock;
        let found = self.items[table].get(key).cloned();
        let stands = found.as_ref().map(|item| item.version);
        let reply = match (*op, &found) {
            (KeyOp::Get, Some(item)) => Reply::Data(&item.data),
            (KeyOp::Gets, Some(item)) => Reply::VersionData(item.version, &item.data),
            (KeyOp::Ttl, Some(item)) => match item.deadline {
                Some(deadline) => Reply::Integer(deadline - clock),
                None => Reply::Word("never"),
            },
            (KeyOp::PutNew(_), Some(_)) | (KeyOp::Delete(None), None) => Reply::Word("ok"),
            (KeyOp::Add(_), Some(item)) => Reply::WordVersion("exists", item.version),
            (KeyOp::Cas(expected, _), Some(item)) if expected != item.version => {
                Reply::WordVersion("conflict", item.version)
            }
            (KeyOp::Delete(Some(expected)) | KeyOp::Touch(_, Some(expected)), Some(item))
                if expected != item.version =>
            {
                Reply::WordVersion("conflict", item.version)
            }
            (KeyOp::PutNew(write), None) => {
                self.write(table, key, write);
                Reply::Word("ok")
            }
            (KeyOp::Add(write), None) => Reply::WordVersion("added", self.write(table, key, write)),
            (KeyOp::Put(write), _) | (KeyOp::Cas(_, write), Some(_)) => {
                Reply::WordVersion("ok", self.write(table, key, write))
            }
            (KeyOp::Delete(_), Some(_)) => {
                self.items[table].remove(key);
                self.scans[table].standing.remove(key);
                Reply::Word("ok")
            }
            (KeyOp::Touch(ttl, _), Some(_)) => {
                let item = self.items[table].get_mut(key).expect("it was found");
                item.deadline = ttl.map(|ttl| clock + ttl.as_millis());
                assert_eq!(Some(item.version), stands, "a new time to live is no new version");
                Reply::Word("ok")
            }
            (_, None) => Reply::Nil,
        };
        let mut bytes = Vec::new();
        Dialect::Resp3.write(&reply, &mut bytes);
        bytes
    }

    fn write(&mut self, table: usize, key: &[u8], write: Write<'_>) -> u64 {
        self.version += 1;
        let ttl = write.ttl.or(self.tables[table].options.ttl);
        let deadline = ttl.map(|ttl| self.clock + ttl.as_millis());
        let item = Item { version: self.version, data: write.data.to_vec(), deadline };
        self.items[table].insert(key.to_vec(), item);
        self.version
    }

    fn count(&mut self, table: usize) {
        self.tick();
        let at = Timestamp::from_millis(self.wall);
        let counted = self.partition.count(at, &self.tables[table]);
        assert_eq!(counted, self.items[table].len() as u64);
        self.answers.extend(counted.to_le_bytes());
        self.check_holdings(table);
    }

    fn scan(&mut self, table: usize, count: u8) {
        self.tick();
        let items = &self.items[table];
        let scan = &mut self.scans[table];
        if scan.from.is_none() {
            *scan = Scanning::default();
            scan.standing = items.keys().cloned().collect();
        }
        scan.standing.retain(|key| items.contains_key(key));
        let from = scan.from.unwrap_or(Tag::of(0));
        let mut keys = Vec::new();
        let at = Timestamp::from_millis(self.wall);
        let (next, looked_at) =
            self.partition.scan(at, &self.tables[table], from, b"", u64::from(count), &mut keys);
        assert!(next.is_none_or(|next| next > from), "a step goes on");
        assert!(keys.len() as u64 <= looked_at);
        for key in &keys {
            assert!(items.contains_key(key), "a scan shows what is there");
        }
        scan.seen.extend(keys);
        scan.from = next;
        if next.is_none() {
            assert!(scan.standing.is_subset(&scan.seen), "a scan shows all that stood");
        }
    }

    fn drop_table(&mut self, number: usize) {
        let detached = self.partition.detach(&self.tables[number]);
        if let Some(slice) = detached {
            assert!(slice.is_sound(self.variant.seed));
        }
        let old = std::mem::take(&mut self.items[number]);
        let fresh = self.make_table(number);
        let gone = std::mem::replace(&mut self.tables[number], fresh);
        self.scans[number] = Scanning::default();
        assert_eq!(self.holdings(number), Holdings::default());
        // What still names the table that is gone reads nothing of its namesake.
        if let Some(key) = old.keys().next() {
            let key = HashedKey::new(self.variant.seed, key);
            let at = Timestamp::from_millis(0);
            assert_eq!(self.partition.apply(at, &gone, key, &KeyOp::Get), Reply::Nil);
        }
    }

    fn holdings(&self, table: usize) -> Holdings {
        self.partition.holdings(&self.tables[table])
    }

    /// After a count nothing expired is left, and what is held is what the model holds.
    fn check_holdings(&self, table: usize) {
        let held = self.holdings(table);
        let items = &self.items[table];
        assert_eq!(held.entries, items.len() as u64);
        assert_eq!(held.bytes, items.iter().map(|(key, item)| item.bytes(key)).sum::<u64>());
        if let Some(usage) = &self.tables[table].usage {
            assert_eq!((usage.entries(), usage.bytes()), (held.entries, held.bytes));
        }
    }

    /// Every entry, every count, and that nothing is left when all is deleted.
    fn check_everything(&mut self) {
        for table in 0..TABLES {
            assert_eq!(self.partition.mend(&self.tables[table]), Mended::Sound);
            for key in self.items[table].keys().cloned().collect::<Vec<_>>() {
                self.apply(table, &key, &KeyOp::Gets);
                self.apply(table, &key, &KeyOp::Ttl);
            }
            self.count(table);
            self.scans[table].from = None;
            while {
                self.scan(table, 7);
                self.scans[table].from.is_some()
            } {}
            assert_eq!(self.scans[table].seen.len(), self.items[table].len());
        }
        assert!(self.partition.is_sound(), "the counts of bytes agree with a recount");
        for table in 0..TABLES {
            for key in self.items[table].keys().cloned().collect::<Vec<_>>() {
                self.apply(table, &key, &KeyOp::Delete(None));
            }
            assert_eq!(self.holdings(table), Holdings::default());
        }
        assert!(self.partition.is_sound());
    }
}

/// Short keys, keys whose length takes two bytes, and one of the longest.
fn key_of(number: u8) -> Vec<u8> {
    let length = match number % 64 {
        63 => 65_535,
        60..63 => 300,
        58..60 => usize::from(number % 64) + 197,
        _ => 0,
    };
    let mut key = format!("key-{number}").into_bytes();
    key.resize(length.max(key.len()), b'.');
    key
}

/// Data of lengths that matter: none, where a length takes another byte, where
/// an entry no longer shares a page, where it is longer than a page.
fn data_of(size: u8, version: u64) -> Vec<u8> {
    let length = match size {
        0..120 => usize::from(size),
        120..140 => 250 + usize::from(size - 120),
        140..180 => 500 + usize::from(size - 140) * 20,
        180..240 => 2_000 + usize::from(size - 180),
        240..254 => 16_340 + usize::from(size - 240) * 5,
        _ => 65_535 + usize::from(size - 254),
    };
    version.to_le_bytes().into_iter().cycle().take(length).collect()
}
