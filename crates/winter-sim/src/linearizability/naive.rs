//! The search against one without any of its short cuts: no cache, no twins, no
//! reads that come first, nothing settled beforehand.

use std::time::Duration;

use super::key;
use super::search::{Found, search};
use super::step::{Model, Step};
use crate::dice::Dice;
use crate::history::{
    Action, Call, History, Key, KeyOp, Outcome, Recorder, Reply, Table, Value, Write,
};

const EPSILON: Duration = Duration::from_millis(2);

/// Whether some order explains `steps` from `state`, tried one after the other.
fn explains(model: &key::Model, state: &key::State, steps: &[Step]) -> bool {
    let Some(limit) = steps.iter().filter_map(|step| step.by).min() else { return true };
    steps.iter().enumerate().filter(|(_, step)| step.invoked < limit).any(|(i, step)| {
        let mut states = Vec::new();
        model.after(state, step, &mut states);
        let rest: Vec<Step> = [&steps[..i], &steps[i + 1..]].concat();
        states.iter().any(|state| explains(model, state, &rest))
    })
}

/// What may take effect of a history. What was read, by its only writer, was
/// written by then: that bounds when it was, and is no short cut.
fn all_steps(history: &History) -> Vec<Step> {
    let operations = history.operations();
    let mut steps: Vec<Step> =
        operations.iter().filter(|op| op.outcome != Outcome::Failed).map(Step::of).collect();
    let written = |step: &Step| match step.call.action {
        Action::Key(_, op) => op.write().map(|write| write.value),
        Action::Create | Action::Drop => None,
    };
    let values: Vec<Value> = steps.iter().filter_map(written).collect();
    for step in steps.iter_mut().filter(|step| step.reply.is_none()) {
        let Some(value) = written(step) else { continue };
        if values.iter().filter(|&&other| other == value).count() > 1 {
            continue;
        }
        let reads = |reply: &Reply| match *reply {
            Reply::Data(read) | Reply::VersionData(_, read) => read == value,
            _ => false,
        };
        let answers = operations.iter().filter_map(|op| op.answer());
        step.ended = answers.filter(|(reply, _)| reads(reply)).map(|(_, event)| event.at).min();
    }
    steps
}

fn random_call(dice: &mut Dice, value: u64) -> Call {
    let ttl = dice.percent(25).then(|| Duration::from_millis(1 + dice.below(12)));
    let write = Write { value: Value(value), ttl };
    let version = dice.percent(60).then(|| 1 + dice.below(4));
    let op = match dice.below(10) {
        0 => KeyOp::Get,
        1 => KeyOp::Gets,
        2 | 3 => KeyOp::PutNew(write),
        4 => KeyOp::Add(write),
        5 | 6 => KeyOp::Put(write),
        7 => KeyOp::Cas(1 + dice.below(4), write),
        8 => KeyOp::Delete(version),
        _ => KeyOp::Touch(ttl, version),
    };
    let action = match dice.below(20) {
        0 => Action::Create,
        1 => Action::Drop,
        _ => Action::Key(Key(0), op),
    };
    Call { table: Table(0), action }
}

/// A reply that the call can have in some state, so that about as many of the
/// histories are good as are bad.
fn random_outcome(dice: &mut Dice, call: Call, values: u64) -> Outcome {
    let version = 1 + dice.below(5);
    let value = Value(dice.below(values));
    let Action::Key(_, op) = call.action else {
        return match (dice.below(3), call.action) {
            (0, _) => Outcome::Unknown,
            (1, Action::Create) => Outcome::Known(Reply::AlreadyCreated),
            (_, Action::Create) => Outcome::Known(Reply::Created),
            (1, _) => Outcome::Known(Reply::MissingTable),
            _ => Outcome::Known(Reply::Dropped),
        };
    };
    if !op.reads() && dice.percent(35) {
        return Outcome::Unknown;
    }
    let replies = match op {
        _ if dice.percent(3) => return Outcome::Known(Reply::MissingTable),
        KeyOp::Get => vec![Reply::Nil, Reply::Data(value), Reply::Data(value)],
        KeyOp::Gets => vec![Reply::Nil, Reply::VersionData(version, value)],
        KeyOp::PutNew(_) | KeyOp::Delete(None) => vec![Reply::Ok],
        KeyOp::Add(_) => vec![Reply::Added(version), Reply::Exists(version)],
        KeyOp::Put(_) => vec![Reply::OkVersion(version)],
        KeyOp::Cas(..) => vec![Reply::Nil, Reply::OkVersion(version), Reply::Conflict(version)],
        KeyOp::Delete(_) => vec![Reply::Nil, Reply::Ok, Reply::Conflict(version)],
        KeyOp::Touch(_, None) => vec![Reply::Nil, Reply::Ok],
        KeyOp::Touch(..) => vec![Reply::Nil, Reply::Ok, Reply::Conflict(version)],
    };
    Outcome::Known(replies[dice.place(replies.len())].clone())
}

/// A short history with a table, and replies at random.
fn random_history(seed: u64) -> History {
    let mut dice = Dice::new(seed);
    let mut recorder = Recorder::default();
    let create = Call { table: Table(0), action: Action::Create };
    let id = recorder.invoke(0, 0, Duration::ZERO, create);
    recorder.complete(id, Duration::ZERO, Outcome::Known(Reply::Created));
    let length = 2 + dice.below(5);
    let mut running = Vec::new();
    let (mut at, mut invoked) = (Duration::ZERO, 0);
    while invoked < length || !running.is_empty() {
        at += Duration::from_millis(dice.below(6));
        if invoked < length && (running.is_empty() || dice.percent(50)) {
            // One value in eight is written again.
            let value = if dice.below(8) == 0 { 0 } else { invoked };
            let call = random_call(&mut dice, value);
            running.push((recorder.invoke(0, 0, at, call), call));
            invoked += 1;
        } else {
            let (id, call) = running.remove(dice.place(running.len()));
            recorder.complete(id, at, random_outcome(&mut dice, call, length));
        }
    }
    recorder.history()
}

#[test]
fn short_cuts_change_no_verdict() {
    let model = key::Model { epsilon: EPSILON };
    let (mut good, mut bad, mut fewer) = (0, 0, 0);
    for seed in 0..60_000 {
        let history = random_history(seed);
        let steps = model.steps(&history);
        let found = search(&model, &steps, 1_000_000).found;
        let all = all_steps(&history);
        let is_good = explains(&model, &model.start(), &all);
        assert_eq!(found == Found::Explained, is_good, "seed {seed}: {found:?}\n{history}");
        good += u32::from(is_good);
        bad += u32::from(!is_good);
        fewer += u32::from(is_good && steps.len() < all.len());
    }
    assert!(good > 5_000 && bad > 5_000 && fewer > 500, "{good} good, {bad} bad, {fewer} settled");
}

#[test]
fn what_is_stuck_is_stuck_beyond_its_furthest_reply() {
    let model = key::Model { epsilon: EPSILON };
    for seed in 0..20_000 {
        let history = random_history(seed);
        let Found::Stuck { furthest } = search(&model, &model.steps(&history), 1_000_000).found
        else {
            continue;
        };
        let before = history.until(furthest - 1);
        let found = search(&model, &model.steps(&before), 1_000_000).found;
        assert_eq!(found, Found::Explained, "seed {seed}\n{history}");
    }
}
