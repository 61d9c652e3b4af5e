//! Why a history is not linearizable, in as few lines as can be had.

use super::search::{Found, Searched, search};
use super::step::Model;
use super::{Object, Violation};
use crate::history::{History, Operation};

/// The most searches that go into leaving reads out.
const TRIES_MAX: usize = 500;
/// The most configurations and steps that these searches look at, together.
const WORK_MAX: usize = 1_000_000;

/// Finds the shortest beginning of `part` that has no explanation, and leaves
/// out of it what only observes and is not needed.
pub(super) fn explain<M: Model>(
    model: &M,
    object: Object,
    part: History,
    furthest: u64,
    steps_max: usize,
) -> Violation {
    let try_one = |part: &History| search(model, &model.steps(part), steps_max);
    let evidence = without_observers(model, shortest(part, furthest, &try_one), steps_max);
    let searched = try_one(&evidence);
    let culprit = evidence
        .operations()
        .iter()
        .filter_map(|op| op.answer().map(|(_, event)| (event.order, op.id)))
        .max()
        .expect("what has no reply is explained by never taking effect");
    Violation { object, evidence, culprit: culprit.1, possible: searched.possible }
}

fn is_stuck(searched: &Searched) -> bool {
    matches!(searched.found, Found::Stuck { .. })
}

/// The shortest beginning that has no explanation. If an explanation exists, one
/// does for every beginning, so that it can be found by halving.
fn shortest(part: History, furthest: u64, try_one: &impl Fn(&History) -> Searched) -> History {
    let mut replies: Vec<u64> = part
        .operations()
        .iter()
        .filter_map(|op| op.answer().map(|(_, event)| event.order))
        .filter(|&order| order >= furthest)
        .collect();
    replies.sort_unstable();
    let mut best = part;
    let (mut low, mut high) = (0, replies.len());
    while low < high {
        // The search was stuck at the first: it is the likeliest.
        let middle = if low == 0 && high == replies.len() { 0 } else { usize::midpoint(low, high) };
        let beginning = best.until(replies[middle]);
        if is_stuck(&try_one(&beginning)) {
            high = middle;
            best = beginning;
        } else {
            low = middle + 1;
        }
    }
    best
}

/// Leaves out operations that only observe: in halves, in quarters, and so on,
/// down to one by one.
fn without_observers<M: Model>(model: &M, mut part: History, steps_max: usize) -> History {
    let steps = model.steps(&part);
    let step_of = |op: &Operation| {
        let place = steps.binary_search_by_key(&op.invoked.order, |step| step.invoked);
        place.ok().map(|place| &steps[place])
    };
    // What is no step has no part in the search.
    part = part.only(|op| step_of(op).is_some());
    let observes = |op: &&Operation| step_of(op).is_some_and(|step| step.observes);
    let mut observers: Vec<u64> =
        part.operations().iter().filter(observes).map(|op| op.id).collect();
    let (mut tries, mut work) = (0, 0);
    let mut chunk = observers.len().div_ceil(2);
    while chunk > 0 {
        let mut kept = Vec::new();
        for ids in observers.chunks(chunk) {
            let shorter = part.only(|op| ids.binary_search(&op.id).is_err());
            tries += 1;
            let left = WORK_MAX.saturating_sub(work).min(steps_max);
            if tries > TRIES_MAX || left == 0 {
                return part;
            }
            let searched = search(model, &model.steps(&shorter), left);
            work += searched.visited + shorter.operations().len();
            if is_stuck(&searched) {
                part = shorter;
            } else {
                kept.extend_from_slice(ids);
            }
        }
        observers = kept;
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    part
}
