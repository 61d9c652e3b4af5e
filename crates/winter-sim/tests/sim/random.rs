//! Many histories from seeds: all that are good pass, and hardly any that was
//! tampered with does.

use std::time::Duration;

use winter_sim::coverage::Coverage;
use winter_sim::dice::Dice;
use winter_sim::history::{History, Operation, Outcome, Reply, Value};
use winter_sim::linearizability::{Options, Verdict, check};
use winter_sim::workload::{self, Mix};

use crate::map::{Run, play};

const SKEW_MILLIS: u64 = 4;

fn run(seed: u64, mix: Mix) -> Run {
    let workload = workload::Options { seed, mix, expire_percent: 20, ..Default::default() };
    Run {
        workload,
        clients: 12,
        operations: 1_500,
        unknown_percent: 6,
        failed_percent: 4,
        skew_millis: SKEW_MILLIS,
    }
}

/// Both ends of a life may stray.
fn options() -> Options {
    Options { epsilon: Duration::from_millis(4 * SKEW_MILLIS), ..Options::default() }
}

fn mixes() -> [Mix; 3] {
    [Mix::default(), Mix::leases(), Mix::lifecycles()]
}

#[test]
fn what_was_atomic_passes() {
    let mut coverage = Coverage::default();
    for kind in [
        "GET data",
        "GET nil",
        "GET missing table",
        "GETS data",
        "PUTNEW ok",
        "ADD added",
        "ADD exists",
        "PUT ok",
        "CAS ok",
        "CAS conflict",
        "CAS nil",
        "DELETE ok",
        "DELETE conflict",
        "TOUCH ok",
        "TOUCH nil",
        "CREATE created",
        "CREATE already created",
        "DROP dropped",
        "DROP missing table",
        "PUT unknown",
        "DROP unknown",
        "PUT failed",
    ] {
        coverage.require(kind, 10);
    }
    for seed in 0..40 {
        for mix in mixes() {
            let history = play(&run(seed, mix));
            coverage.saw_history(&history);
            let verdict = check(&history, &options());
            assert!(verdict.passes(), "seed {seed}: {verdict}");
        }
    }
    assert_eq!(coverage.missed(), [], "{coverage}");
}

#[test]
fn many_unknown_outcomes_pass() {
    for seed in 100..110 {
        let run = Run { unknown_percent: 20, ..run(seed, Mix::default()) };
        let verdict = check(&play(&run), &options());
        assert!(verdict.passes(), "seed {seed}: {verdict}");
    }
}

#[test]
fn a_hundred_clients_pass() {
    for seed in 200..203 {
        let run = Run { clients: 100, ..run(seed, Mix::default()) };
        let verdict = check(&play(&run), &options());
        assert!(verdict.passes(), "seed {seed}: {verdict}");
    }
}

/// The parts stay small however long the run is, and so does the work.
#[test]
fn a_long_history_is_decided() {
    let long = Run { operations: 50_000, ..run(300, Mix::default()) };
    let history = play(&long);
    let options = Options { steps_max: 60_000, ..options() };
    assert!(check(&history, &options).passes());
    let history = tamper(&history, &mut Dice::new(1));
    assert!(matches!(check(&history, &options), Verdict::Violation(_)));
}

/// Where searches are at their worst: a fifth unknown, and no explanation.
#[test]
fn bad_histories_with_many_unknown_outcomes_are_mostly_decided() {
    let (mut found, mut undecided) = (0, 0);
    for seed in 400..440 {
        let run = Run { unknown_percent: 20, ..run(seed, Mix::default()) };
        let history = tamper(&play(&run), &mut Dice::new(seed));
        match check(&history, &options()) {
            Verdict::Violation(_) => found += 1,
            Verdict::Undecided(_) => undecided += 1,
            Verdict::Linearizable => {}
        }
    }
    assert!(found >= 28 && undecided <= 4, "{found} found, {undecided} undecided");
}

/// Another reply of the same form that the map did not give.
fn tampered(reply: &Reply, older: &[Value], dice: &mut Dice) -> Reply {
    let value = older[dice.place(older.len())];
    match *reply {
        Reply::Ok => Reply::Nil,
        Reply::OkVersion(version) => Reply::OkVersion(version.saturating_sub(dice.below(100))),
        Reply::Added(version) => Reply::Exists(version),
        Reply::Exists(version) => Reply::Added(version),
        Reply::Conflict(_) => Reply::Nil,
        Reply::Nil => Reply::Data(value),
        Reply::Data(_) => Reply::Data(value),
        Reply::VersionData(version, _) => Reply::VersionData(version, value),
        Reply::MissingTable => Reply::Nil,
        Reply::Created => Reply::AlreadyCreated,
        Reply::AlreadyCreated => Reply::Created,
        Reply::Dropped => Reply::MissingTable,
        Reply::Other(_) => unreachable!("the map gives no such reply"),
    }
}

/// The history with one reply changed.
fn tamper(history: &History, dice: &mut Dice) -> History {
    let mut operations: Vec<Operation> = history.operations().to_vec();
    loop {
        let i = dice.place(operations.len());
        let call = operations[i].call;
        let older: Vec<Value> = operations[..i]
            .iter()
            .filter(|op| op.call.table == call.table && op.call.key() == call.key())
            .filter_map(|op| match op.outcome {
                Outcome::Known(Reply::Data(value) | Reply::VersionData(_, value)) => Some(value),
                _ => None,
            })
            .collect();
        let Outcome::Known(reply) = &operations[i].outcome else { continue };
        if older.is_empty() {
            continue;
        }
        let other = tampered(reply, &older, dice);
        if other != *reply {
            operations[i].outcome = Outcome::Known(other);
            return operations.into();
        }
    }
}

/// What passes has another explanation: a read beside a write may see either, and
/// a deadline may be a little off.
#[test]
fn a_tampered_reply_is_nearly_always_found() {
    let (mut found, mut undecided, mut missed) = (0, 0, 0);
    for seed in 0..60 {
        for mix in mixes() {
            let history = play(&run(seed, mix));
            let mut dice = Dice::new(seed);
            let history = tamper(&history, &mut dice);
            match check(&history, &options()) {
                Verdict::Violation(_) => found += 1,
                Verdict::Undecided(_) => undecided += 1,
                Verdict::Linearizable => missed += 1,
            }
        }
    }
    assert!(
        found >= 160 && undecided == 0,
        "{found} found, {undecided} undecided, {missed} missed"
    );
}
