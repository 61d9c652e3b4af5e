//! What a run has really met.
//!
//! A run that was to cut a leader off and never did has shown nothing, however
//! good its history. So whoever plans a run says what it must meet, and a run
//! that did not meet it is invalid: neither a pass nor a failure.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::History;

/// How often each kind of thing happened, and how often it had to.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<String, u64>,
    required: BTreeMap<String, u64>,
}

/// Something that happened too seldom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Its kind.
    pub kind: String,
    /// How often it happened.
    pub seen: u64,
    /// How often it had to.
    pub required: u64,
}

impl Coverage {
    /// From now on, `kind` has to happen at least `times`.
    pub fn require(&mut self, kind: impl Into<String>, times: u64) {
        self.required.insert(kind.into(), times);
    }

    /// Counts something that happened: a fault that took hold, say.
    pub fn saw(&mut self, kind: impl Into<String>) {
        *self.counts.entry(kind.into()).or_default() += 1;
    }

    /// Counts each operation by its word and the kind of its outcome (`ADD exists`,
    /// `GET unknown`), and by that kind alone (`unknown`).
    pub fn saw_history(&mut self, history: &History) {
        for op in history.operations() {
            let kind = op.outcome.kind();
            self.saw(format!("{} {kind}", op.call.word()));
            self.saw(kind);
        }
    }

    /// Takes another run's counts in, to judge many runs as one.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.counts {
            *self.counts.entry(kind.clone()).or_default() += count;
        }
        for (kind, &times) in &other.required {
            let required = self.required.entry(kind.clone()).or_default();
            *required = times.max(*required);
        }
    }

    /// How often `kind` happened.
    #[must_use]
    pub fn count(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or_default()
    }

    /// What happened too seldom. A run is valid if it missed nothing.
    #[must_use]
    pub fn missed(&self) -> Vec<Missed> {
        self.required
            .iter()
            .map(|(kind, &required)| Missed {
                kind: kind.clone(),
                seen: self.count(kind),
                required,
            })
            .filter(|missed| missed.seen < missed.required)
            .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.counts {
            writeln!(f, "{count:>8}  {kind}")?;
        }
        for Missed { kind, seen, required } in self.missed() {
            writeln!(f, "invalid: {kind} happened {seen} times, and had to {required} times")?;
        }
        Ok(())
    }
}
