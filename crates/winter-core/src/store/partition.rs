//! What a command means.
//!
//! A [`Partition`] is one state machine: the same commands at the same times
//! make the same answers and the same entries. Where bytes lie, and when expired
//! ones are reclaimed, is no part of that state: reclaiming is local and lazy.

mod cost;
mod handover;
mod slices;
mod touch;
mod upkeep;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::arena::PageNumber;
use super::entry::Entry;
use super::hash::{HashedKey, Seed};
use super::index::Tag;
use super::slice::{Found, Reclaimed, Slice, Spot};
use super::table::{Table, TableId};
use crate::command::parse::too_long;
use crate::command::{KeyOp, Version, Write};
use crate::fault::{Fault, Kind};
use crate::reply::Reply;
use crate::time::{Deadline, Timestamp, Ttl};

pub use cost::Cost;
use slices::Slices;

/// Bytes of keys that one scan step returns at the most.
const SCAN_BYTES_MAX: usize = 1 << 20;

/// A page to be swept: when, of the slice in which slot, and which.
type Due = Reverse<(Timestamp, u32, PageNumber)>;

/// Where the versions of a partition begin that begins at `at`: its milliseconds
/// since 1970, shifted so far that a partition would have to take two million
/// writes a second to outrun the clock. What begins anew hence never repeats a
/// version, however soon, and fencing tokens that were given out stay smaller than
/// new ones; all fit a double's 53 bits until 2109.
#[must_use]
pub const fn first_version(at: Timestamp) -> Version {
    at.as_millis() << 11
}

/// The slice of every table that has entries in this partition.
#[derive(Debug)]
pub struct Partition {
    seed: Seed,
    /// Versions count from here, so that a restarted node does not repeat them.
    first_version: Version,
    version: u64,
    /// The highest time that was brought: time never goes back.
    clock: Timestamp,
    slices: Slices,
    /// Pages to be swept, by when; some of it is out of date.
    due: BinaryHeap<Due>,
    reclaimed: Reclaimed,
}

/// What a table holds in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Entries, expired ones that were not yet reclaimed among them.
    pub entries: u64,
    /// Bytes of entries and their slots.
    pub bytes: u64,
    /// Bytes allocated for them.
    pub allocated_bytes: u64,
}

impl std::ops::AddAssign for Holdings {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.allocated_bytes += other.allocated_bytes;
    }
}

/// What was done about a slice after a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// Its invariants hold; nothing was done.
    Sound,
    /// It was made anew, and so many entries did not read well.
    Rebuilt {
        /// Entries that are gone.
        lost: usize,
    },
}

impl Partition {
    /// An empty partition whose versions are greater than `first_version`.
    #[must_use]
    pub fn new(seed: Seed, first_version: Version) -> Self {
        Self {
            seed,
            first_version,
            version: 0,
            clock: Timestamp::from_millis(0),
            slices: Slices::default(),
            due: BinaryHeap::new(),
            reclaimed: Reclaimed { expired: 0, moved: 0 },
        }
    }

    /// Bytes that the partition has allocated.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.slices.allocated_bytes() + self.due.capacity() * size_of::<Due>()
    }

    /// What reclaiming has done so far.
    #[must_use]
    pub const fn reclaimed(&self) -> Reclaimed {
        self.reclaimed
    }

    /// Does `op` with `key` of `table` at the time `at`. Total: every operation
    /// has an answer, and nothing of the outside is asked.
    pub fn apply(
        &mut self,
        at: Timestamp,
        table: &Table,
        key: HashedKey<'_>,
        op: &KeyOp<'_>,
    ) -> Reply<'_> {
        self.advance(at);
        match *op {
            KeyOp::Get => match self.live(table, key) {
                Some(found) => Reply::Data(found.entry.data),
                None => Reply::Nil,
            },
            KeyOp::Gets => match self.live(table, key) {
                Some(found) => {
                    Reply::VersionData(self.first_version + found.entry.version, found.entry.data)
                }
                None => Reply::Nil,
            },
            KeyOp::Ttl => match self.live(table, key).map(|found| found.entry.deadline) {
                Some(Some(deadline)) => Reply::Integer(deadline.millis_left(self.clock)),
                Some(None) => Reply::Word("never"),
                None => Reply::Nil,
            },
            _ => self.mutate(table, key, op),
        }
    }

    /// The reply is made where the caller wants it: copying one would wait for
    /// everything that was written before.
    fn mutate(&mut self, table: &Table, key: HashedKey<'_>, op: &KeyOp<'_>) -> Reply<'static> {
        if let Err(fault) = permitted(table, op) {
            return Reply::Fault(fault);
        }
        let slice = self.slices.at(table.slot);
        // A later table in its slot: the table was dropped, and whoever still
        // names it comes too late.
        if slice.is_some_and(|slice| slice.table() > table.id) {
            return Reply::MissingTable;
        }
        let slice = slice.filter(|slice| slice.table() == table.id);
        let sought = slice.map(|slice| slice.seek(key));
        let spot = sought.as_ref().map_or(Spot::First, Spot::of);
        let found = sought.and_then(Result::ok);
        let live = found.filter(|found| !is_expired(&found.entry, self.clock));
        let stands = live.map(|found| self.first_version + found.entry.version);
        let mut store = |write, reply: fn(Version) -> Reply<'static>| {
            self.store(table, key, write, spot).map_or_else(Reply::Fault, reply)
        };
        let ok = |version| Reply::WordVersion("ok", version);
        match (*op, stands) {
            (KeyOp::PutNew(_), Some(_)) => Reply::Word("ok"),
            (KeyOp::PutNew(write), None) => store(write, |_| Reply::Word("ok")),
            (KeyOp::Add(_), Some(version)) => Reply::WordVersion("exists", version),
            (KeyOp::Add(write), None) => {
                store(write, |version| Reply::WordVersion("added", version))
            }
            (KeyOp::Put(write), _) => store(write, ok),
            (KeyOp::Delete(None), None) => Reply::Word("ok"),
            (KeyOp::Cas(..) | KeyOp::Delete(_) | KeyOp::Touch(..), None) => Reply::Nil,
            (
                KeyOp::Cas(expected, _)
                | KeyOp::Delete(Some(expected))
                | KeyOp::Touch(_, Some(expected)),
                Some(version),
            ) if expected != version => Reply::WordVersion("conflict", version),
            (KeyOp::Cas(_, write), Some(_)) => store(write, ok),
            (KeyOp::Delete(_), Some(_)) => {
                self.remove(table, spot);
                Reply::Word("ok")
            }
            (KeyOp::Touch(ttl, _), Some(_)) => {
                self.touch(table, key, ttl, spot).map_or_else(Reply::Fault, |()| Reply::Word("ok"))
            }
            (KeyOp::Get | KeyOp::Gets | KeyOp::Ttl, _) => unreachable!("reads do not come here"),
        }
    }

    /// How many entries of `table` have not expired at `at`.
    pub fn count(&mut self, at: Timestamp, table: &Table) -> u64 {
        self.reclaim_expired(at, table);
        self.slices.of(table).map_or(0, |slice| slice.entries() as u64)
    }

    /// One step of a scan from tag `from`: keys that begin with `prefix` go to
    /// `found`, and at least `count` entries are looked at. Answers where to go
    /// on, and how many entries were looked at; `None` at the partition's end.
    #[must_use]
    pub fn scan(
        &mut self,
        at: Timestamp,
        table: &Table,
        from: Tag,
        prefix: &[u8],
        count: u64,
        found: &mut Vec<Vec<u8>>,
    ) -> (Option<Tag>, u64) {
        self.advance(at);
        let now = self.clock;
        let (mut looked_at, mut bytes) = (0, 0);
        let (mut last, mut next) = (None, None);
        let Some(slice) = self.slices.of(table) else { return (None, 0) };
        slice.walk(from, |tag, entry| {
            // Keys of one tag go together: the cursor cannot tell them apart.
            if (looked_at >= count || bytes >= SCAN_BYTES_MAX) && last != Some(tag) {
                next = Some(tag);
                return false;
            }
            last = Some(tag);
            looked_at += 1;
            if entry.key.starts_with(prefix) && !is_expired(&entry, now) {
                bytes += entry.key.len();
                found.push(entry.key.to_vec());
            }
            true
        });
        (next, looked_at)
    }

    /// What `table` holds here.
    #[must_use]
    pub fn holdings(&self, table: &Table) -> Holdings {
        self.slices.of(table).map_or_else(Holdings::default, holdings_of)
    }

    /// What each table holds here, by the table's slot and identity: a slot is
    /// used again after a drop, and whoever knows the tables may be behind.
    pub fn all_holdings(&self) -> impl Iterator<Item = ((u32, TableId), Holdings)> {
        self.holdings_from(0, u32::MAX)
    }

    /// What the tables in `count` slots from `first` on hold here.
    pub fn holdings_from(
        &self,
        first: u32,
        count: u32,
    ) -> impl Iterator<Item = ((u32, TableId), Holdings)> {
        let slices = self.slices.range(first, count);
        slices.map(|(slot, slice)| ((slot, slice.table()), holdings_of(slice)))
    }

    #[inline]
    fn live(&self, table: &Table, key: HashedKey<'_>) -> Option<Found<'_>> {
        self.slices.of(table)?.find(key).filter(|found| !is_expired(&found.entry, self.clock))
    }

    #[inline]
    fn deadline_of(&self, table: &Table, write: Write<'_>) -> Option<Deadline> {
        write.ttl.or(table.options.ttl).map(|ttl| self.clock.after(ttl))
    }

    fn store(
        &mut self,
        table: &Table,
        key: HashedKey<'_>,
        write: Write<'_>,
        spot: Spot,
    ) -> Result<Version, Fault> {
        let deadline = self.deadline_of(table, write);
        let version = self.version + 1;
        let entry = Entry { version, deadline, key: key.key, data: write.data };
        self.put(table, key.hash, &entry, spot)?;
        self.version = version;
        Ok(self.first_version + version)
    }

    /// A new deadline is a new entry; its version stays, so that a lease can be renewed again.
    fn touch(
        &mut self,
        table: &Table,
        key: HashedKey<'_>,
        ttl: Option<Ttl>,
        spot: Spot,
    ) -> Result<(), Fault> {
        let deadline = ttl.map(|ttl| self.clock.after(ttl));
        let found = self.live(table, key).expect("it stands");
        if found.entry.deadline == deadline {
            return Ok(());
        }
        let (version, data) = (found.entry.version, found.entry.data.to_vec());
        self.put(table, key.hash, &Entry { version, deadline, key: key.key, data: &data }, spot)
    }

    /// Writes `entry` where its key was found to stand or belong.
    fn put(
        &mut self,
        table: &Table,
        hash: u64,
        entry: &Entry<'_>,
        spot: Spot,
    ) -> Result<(), Fault> {
        let now = self.clock;
        let (page, is_untidy) = self.slices.write(table, |slice| {
            let page = slice.write(hash, entry, spot, now);
            (page, upkeep::is_untidy(slice))
        })?;
        if entry.deadline.is_some() {
            self.schedule(table.slot, page);
        }
        if is_untidy {
            self.tidy_up(table.slot);
        }
        Ok(())
    }

    fn remove(&mut self, table: &Table, spot: Spot) {
        let Spot::Taken(place) = spot else { unreachable!("it stands") };
        self.slices.with(table.slot, |slice| slice.remove(place));
        self.tidy(table.slot);
    }
}

fn holdings_of(slice: &Slice) -> Holdings {
    Holdings {
        entries: slice.entries() as u64,
        bytes: slice.entry_bytes() as u64,
        allocated_bytes: slice.allocated_bytes() as u64,
    }
}

fn is_expired(entry: &Entry<'_>, now: Timestamp) -> bool {
    entry.deadline.is_some_and(|deadline| deadline.has_passed(now))
}

/// Whether the table's options allow `op`.
fn permitted(table: &Table, op: &KeyOp<'_>) -> Result<(), Fault> {
    if table.options.once && matches!(op, KeyOp::Put(_) | KeyOp::Cas(..) | KeyOp::Touch(..)) {
        return Err(Fault::new(
            Kind::Refused,
            "the table is write-once (ONCE yes): PUT, CAS and TOUCH are refused",
        ));
    }
    let Some(write) = op.written() else { return Ok(()) };
    match table.options.value_bytes_max {
        Some(most) if write.data.len() as u64 > most => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            Err(too_long("the value", write.data.len(), most))
        }
        _ => Ok(()),
    }
}
