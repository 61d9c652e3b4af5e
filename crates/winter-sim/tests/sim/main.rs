//! Histories, good and bad, before the checker.

mod evidence;
mod map;
mod random;
mod scripts;
mod workload;

use std::time::Duration;

use winter_sim::history::History;
use winter_sim::linearizability::{Options, Verdict, check};

/// Judges a history that is written out, as events that follow `CREATE t0`.
fn judge(events: &str) -> Verdict {
    let text = format!("0 #0 p0 n0 CREATE t0\n0 #0 created\n{events}");
    let history: History = text.parse().expect("the history reads well");
    check(&history, &exact())
}

/// Deadlines to the millisecond.
fn exact() -> Options {
    Options { epsilon: Duration::from_millis(1), ..Options::default() }
}
