//! A map that is atomic by its making, behind a network that is not: what it
//! leaves is linearizable, and owes nothing to the checker's models.

use std::collections::BTreeMap;
use std::time::Duration;

use winter_sim::dice::Dice;
use winter_sim::history::{
    Action, Call, History, Key, KeyOp, Outcome, Recorder, Reply, Table, Value, Write,
};
use winter_sim::workload::{Options, Workload};

/// What the run is like.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) workload: Options,
    pub(crate) clients: u32,
    pub(crate) operations: u64,
    pub(crate) unknown_percent: u64,
    pub(crate) failed_percent: u64,
    /// By how much the servers' clock strays, in milliseconds, either way.
    pub(crate) skew_millis: u64,
}

struct Entry {
    value: Value,
    version: u64,
    deadline: Option<u64>,
}

#[derive(Default)]
struct Map {
    tables: BTreeMap<Table, BTreeMap<Key, Entry>>,
    version: u64,
    /// The servers' time in microseconds, which never goes back.
    clock: u64,
}

enum Happening {
    Ask { client: u32 },
    TakeEffect { client: u32, id: u64, call: Call, outcome: Expected },
    Answer { client: u32, id: u64, call: Call, outcome: Outcome },
}

#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Known,
    Failed,
    Unknown,
}

/// Happenings by their time in microseconds and their number.
type Agenda = BTreeMap<(u64, u64), Happening>;

/// Plays a run to its end.
pub(crate) fn play(run: &Run) -> History {
    let mut dice = Dice::new(run.workload.seed ^ 0x6d61_7021);
    let mut workload = Workload::new(run.workload.clone());
    let mut recorder = Recorder::default();
    let mut map = Map::default();
    let mut agenda = Agenda::new();
    let (mut asked, mut number) = (0, 0);
    let mut plan = |agenda: &mut Agenda, at: u64, happening| {
        number += 1;
        agenda.insert((at, number), happening);
    };
    for client in 0..run.clients {
        plan(&mut agenda, u64::from(client), Happening::Ask { client });
    }
    while let Some(((now, _), happening)) = agenda.pop_first() {
        let at = Duration::from_micros(now);
        match happening {
            Happening::Ask { .. } if asked == run.operations => {}
            Happening::Ask { client } => {
                asked += 1;
                let call = workload.next_call();
                let id = recorder.invoke(client, client % 3, at, call);
                let outcome = expected(run, &mut dice);
                plan(
                    &mut agenda,
                    now + delay(&mut dice, outcome),
                    Happening::TakeEffect { client, id, call, outcome },
                );
                if outcome == Expected::Unknown {
                    let outcome = Outcome::Unknown;
                    let at = now + 1_000 + dice.below(3_000);
                    plan(&mut agenda, at, Happening::Answer { client, id, call, outcome });
                }
            }
            Happening::TakeEffect { client, id, call, outcome } => {
                let outcome = match outcome {
                    Expected::Failed => Outcome::Failed,
                    // Some of what is not answered is not done, either.
                    Expected::Unknown if dice.percent(40) => continue,
                    Expected::Known | Expected::Unknown => {
                        let base = 1_000_000 + now - 1_000 * run.skew_millis;
                        let server = base + dice.below(2_000 * run.skew_millis + 1);
                        let reply = map.apply(server, call);
                        if outcome == Expected::Unknown {
                            continue;
                        }
                        Outcome::Known(reply)
                    }
                };
                let at = now + 1 + dice.below(1_500);
                plan(&mut agenda, at, Happening::Answer { client, id, call, outcome });
            }
            Happening::Answer { client, id, call, outcome } => {
                if let Outcome::Known(reply) = &outcome {
                    workload.learn(&call, reply);
                }
                recorder.complete(id, at, outcome);
                plan(&mut agenda, now + dice.below(2_000), Happening::Ask { client });
            }
        }
    }
    recorder.history()
}

fn expected(run: &Run, dice: &mut Dice) -> Expected {
    match dice.below(100) {
        roll if roll < run.unknown_percent => Expected::Unknown,
        roll if roll < run.unknown_percent + run.failed_percent => Expected::Failed,
        _ => Expected::Known,
    }
}

/// How long a call takes to take effect, in microseconds. What is unknown may be
/// very late.
fn delay(dice: &mut Dice, outcome: Expected) -> u64 {
    let spread = if outcome == Expected::Unknown && dice.percent(50) { 200_000 } else { 1_500 };
    1 + dice.below(spread)
}

impl Map {
    fn apply(&mut self, at: u64, call: Call) -> Reply {
        self.clock = self.clock.max(at);
        match call.action {
            Action::Create if self.tables.contains_key(&call.table) => Reply::AlreadyCreated,
            Action::Create => {
                self.tables.insert(call.table, BTreeMap::new());
                Reply::Created
            }
            Action::Drop if self.tables.remove(&call.table).is_some() => Reply::Dropped,
            Action::Drop => Reply::MissingTable,
            Action::Key(key, op) => self.key(call.table, key, op),
        }
    }

    fn key(&mut self, table: Table, key: Key, op: KeyOp) -> Reply {
        let (clock, version) = (self.clock, self.version + 1);
        let Some(entries) = self.tables.get_mut(&table) else { return Reply::MissingTable };
        entries.retain(|_, entry| entry.deadline.is_none_or(|deadline| clock < deadline));
        let deadline = |ttl: Option<Duration>| {
            ttl.map(|ttl| clock + u64::try_from(ttl.as_micros()).expect("it is short"))
        };
        let new = |Write { value, ttl }| Entry { value, version, deadline: deadline(ttl) };
        let stands = entries.get(&key).map(|entry| entry.version);
        let (reply, writes) = match (op, entries.get_mut(&key)) {
            (KeyOp::Get, Some(entry)) => (Reply::Data(entry.value), None),
            (KeyOp::Gets, Some(entry)) => (Reply::VersionData(entry.version, entry.value), None),
            (KeyOp::Get | KeyOp::Gets, None) => (Reply::Nil, None),
            (KeyOp::PutNew(_), Some(_)) => (Reply::Ok, None),
            (KeyOp::PutNew(write), None) => (Reply::Ok, Some(write)),
            (KeyOp::Add(_), Some(entry)) => (Reply::Exists(entry.version), None),
            (KeyOp::Add(write), None) => (Reply::Added(version), Some(write)),
            (KeyOp::Put(write), _) => (Reply::OkVersion(version), Some(write)),
            (KeyOp::Delete(None), _) => {
                entries.remove(&key);
                (Reply::Ok, None)
            }
            (KeyOp::Cas(..) | KeyOp::Delete(_) | KeyOp::Touch(..), None) => (Reply::Nil, None),
            (op, Some(entry)) if op.version().is_some_and(|v| v != entry.version) => {
                (Reply::Conflict(stands.expect("it stands")), None)
            }
            (KeyOp::Cas(_, write), Some(_)) => (Reply::OkVersion(version), Some(write)),
            (KeyOp::Delete(_), Some(_)) => {
                entries.remove(&key);
                (Reply::Ok, None)
            }
            (KeyOp::Touch(ttl, _), Some(entry)) => {
                entry.deadline = deadline(ttl);
                (Reply::Ok, None)
            }
        };
        if let Some(write) = writes {
            entries.insert(key, new(write));
            self.version = version;
        }
        reply
    }
}
