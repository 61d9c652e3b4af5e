//! The search for one order of moments.
//!
//! A configuration is the set of steps that have taken effect, and what stands
//! after them. From each, the search goes on with the steps that were invoked
//! before the first outstanding reply came, depth first: those that must take
//! effect in the order of their replies, then those that need not. Configurations
//! that were seen are not visited again.
//!
//! A set of steps is known by the exclusive or of random numbers of 128 bits,
//! one for each step (Zobrist): two sets that share one are not to be expected.

use std::collections::{BTreeSet, HashSet};

use super::step::{Model, Step};
use crate::dice::Dice;

/// The most states that are reported of a search.
const POSSIBLE_MAX: usize = 8;

/// What a search has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is such an order.
    Explained,
    /// There is none, and no step whose reply came after the event in place
    /// `furthest` was ever in the way.
    Stuck { furthest: u64 },
    /// The budget was used up.
    GaveUp,
}

/// What a search has found on its way.
pub(super) struct Searched {
    pub found: Found,
    /// How many configurations it has visited.
    pub visited: usize,
    /// What stood where it came furthest and could not go on.
    pub possible: Vec<String>,
}

/// Looks for an order of `steps`, in at most `steps_max` configurations.
pub(super) fn search<M: Model>(model: &M, steps: &[Step], steps_max: usize) -> Searched {
    let mut search = Search::new(model, steps);
    let found = search.run(steps_max);
    let visited = search.seen.len();
    Searched { found, visited, possible: search.possible.into_iter().collect() }
}

struct Search<'a, M: Model> {
    model: &'a M,
    steps: &'a [Step],
    /// Steps that must take effect and have not, as a ring through `steps.len()`.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Steps that need not take effect.
    optional: Vec<usize>,
    done: Vec<bool>,
    marks: Vec<u128>,
    /// The set of steps that have taken effect.
    mark: u128,
    seen: HashSet<(u128, M::State)>,
    furthest: u64,
    possible: BTreeSet<String>,
}

/// A configuration, and the steps from it that were not tried yet, last first.
struct Frame<S> {
    entered_by: usize,
    moves: Vec<(usize, S)>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, steps: &'a [Step]) -> Self {
        let end = steps.len();
        let mut dice = Dice::new(0x57_494e_5445_5221);
        let mut search = Self {
            model,
            steps,
            next: vec![end; end + 1],
            previous: vec![end; end + 1],
            optional: (0..end).filter(|&i| steps[i].by.is_none()).collect(),
            done: vec![false; end],
            marks: (0..end)
                .map(|_| u128::from(dice.roll()) << 64 | u128::from(dice.roll()))
                .collect(),
            mark: 0,
            seen: HashSet::new(),
            furthest: 0,
            possible: BTreeSet::new(),
        };
        let mut last = end;
        for i in (0..end).filter(|&i| steps[i].by.is_some()) {
            search.next[last] = i;
            search.previous[i] = last;
            last = i;
        }
        search.next[last] = end;
        search.previous[end] = last;
        search
    }

    fn run(&mut self, steps_max: usize) -> Found {
        let end = self.steps.len();
        if self.next[end] == end {
            return Found::Explained;
        }
        let moves = self.moves(&self.model.start());
        let mut path = vec![Frame { entered_by: end, moves }];
        while let Some(frame) = path.last_mut() {
            let Some((i, state)) = frame.moves.pop() else {
                self.undo(frame.entered_by);
                path.pop();
                continue;
            };
            self.act(i);
            if self.next[end] == end {
                return Found::Explained;
            }
            if !self.seen.insert((self.mark, state.clone())) {
                self.undo(i);
                continue;
            }
            if self.seen.len() > steps_max {
                return Found::GaveUp;
            }
            let moves = self.moves(&state);
            path.push(Frame { entered_by: i, moves });
        }
        Found::Stuck { furthest: self.furthest }
    }

    fn act(&mut self, i: usize) {
        self.done[i] = true;
        self.mark ^= self.marks[i];
        if self.steps[i].by.is_some() {
            let (previous, next) = (self.previous[i], self.next[i]);
            self.next[previous] = next;
            self.previous[next] = previous;
        }
    }

    /// Takes back the last step that was done.
    fn undo(&mut self, i: usize) {
        if i == self.steps.len() {
            return;
        }
        self.done[i] = false;
        self.mark ^= self.marks[i];
        if self.steps[i].by.is_some() {
            let (previous, next) = (self.previous[i], self.next[i]);
            self.next[previous] = i;
            self.previous[next] = i;
        }
    }

    /// The steps that can come next, the one to be tried first at the end.
    fn moves(&mut self, state: &M::State) -> Vec<(usize, M::State)> {
        let (candidates, limit) = self.candidates();
        self.note(state, limit);
        let mut moves = Vec::new();
        let mut states = Vec::new();
        for &(_, i) in &candidates {
            self.model.after(state, &self.steps[i], &mut states);
            // It changes nothing, here or anywhere: if there is an order at all,
            // there is one in which it comes next.
            if self.steps[i].observes && states.contains(state) {
                return vec![(i, state.clone())];
            }
            moves.extend(states.drain(..).map(|after| (i, after)));
        }
        for &i in &self.optional {
            let step = &self.steps[i];
            if step.invoked > limit {
                break;
            }
            if !self.done[i] && step.twin.is_none_or(|twin| self.done[twin]) {
                self.model.after(state, step, &mut states);
                moves.extend(
                    states.drain(..).filter(|after| after != state).map(|after| (i, after)),
                );
            }
        }
        moves.reverse();
        moves
    }

    /// The outstanding steps that were invoked before the first of their replies,
    /// in the order of these, and that reply's place.
    fn candidates(&self) -> (Vec<(u64, usize)>, u64) {
        let end = self.steps.len();
        let mut limit = u64::MAX;
        let mut candidates = Vec::new();
        let mut i = self.next[end];
        while i != end && self.steps[i].invoked < limit {
            let by = self.steps[i].by.expect("only steps that must take effect are in the ring");
            limit = limit.min(by);
            candidates.push((by, i));
            i = self.next[i];
        }
        candidates.retain(|&(_, i)| self.steps[i].invoked < limit);
        candidates.sort_unstable();
        (candidates, limit)
    }

    /// Remembers what stood before the furthest reply that was in the way.
    fn note(&mut self, state: &M::State, limit: u64) {
        if limit > self.furthest {
            self.furthest = limit;
            self.possible.clear();
        }
        if limit == self.furthest && self.possible.len() < POSSIBLE_MAX {
            self.possible.insert(state.to_string());
        }
    }
}
