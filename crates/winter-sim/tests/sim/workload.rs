//! What clients ask.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use winter_sim::coverage::{Coverage, Missed};
use winter_sim::history::{Action, Call, History, Key, KeyOp, Outcome, Reply, Table};
use winter_sim::workload::{KEY_OPERATIONS_MAX, Mix, Options, Workload};

use crate::map::{Run, play};

fn played(seed: u64, mix: Mix) -> History {
    play(&Run {
        workload: Options { seed, mix, ..Options::default() },
        clients: 5,
        operations: 4_000,
        unknown_percent: 5,
        failed_percent: 5,
        skew_millis: 0,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn keys_live_short_and_values_are_written_once(seed: u64, is_lifecycle: bool) {
        let mix = if is_lifecycle { Mix::lifecycles() } else { Mix::default() };
        let mut of_tables: BTreeMap<Table, u32> = BTreeMap::new();
        let mut of_keys: BTreeMap<(Table, Key), u32> = BTreeMap::new();
        let mut values = BTreeSet::new();
        for op in played(seed, mix).operations() {
            match op.call.action {
                Action::Create | Action::Drop => *of_tables.entry(op.call.table).or_default() += 1,
                Action::Key(key, key_op) => {
                    *of_keys.entry((op.call.table, key)).or_default() += 1;
                    if let Some(write) = key_op.write() {
                        prop_assert!(values.insert(write.value));
                    }
                }
            }
        }
        prop_assert!(of_keys.len() > 20);
        for ((table, _), calls) in of_keys {
            prop_assert!(calls + of_tables.get(&table).unwrap_or(&0) <= KEY_OPERATIONS_MAX);
        }
    }

    #[test]
    fn a_seed_asks_the_same(seed: u64) {
        prop_assert_eq!(played(seed, Mix::leases()), played(seed, Mix::leases()));
    }
}

#[test]
fn versions_come_from_replies() {
    let mix = Mix { cas: 50, ..Mix::default() };
    let mut workload = Workload::new(Options { tables: 1, keys: 1, mix, ..Options::default() });
    let no_version = |call: &Call| match call.action {
        Action::Key(_, op) => op.version().is_none(),
        _ => true,
    };
    let calls: Vec<Call> = (0..40).map(|_| workload.next_call()).collect();
    assert!(calls.iter().all(no_version));
    // Only a key that is still in use takes a version.
    let learnt = (0..100).find_map(|_| {
        let call = workload.next_call();
        workload.learn(&call, &Reply::OkVersion(77));
        let next = workload.next_call();
        (!no_version(&next)).then_some(next)
    });
    let Action::Key(_, KeyOp::Cas(77, _) | KeyOp::Delete(Some(77)) | KeyOp::Touch(_, Some(77))) =
        learnt.expect("a version was sent").action
    else {
        panic!("{learnt:?}");
    };
}

#[test]
#[should_panic(expected = "at most 200 operations")]
fn a_key_that_would_live_long_is_refused() {
    let _ = Workload::new(Options { key_calls_max: 190, ..Options::default() });
}

#[test]
fn a_run_that_missed_its_fault_is_invalid() {
    let mut coverage = Coverage::default();
    coverage.require("a leader was cut off", 2);
    coverage.saw("a leader was cut off");
    let kind = "a leader was cut off".to_owned();
    assert_eq!(coverage.missed(), [Missed { kind, seen: 1, required: 2 }]);
    assert!(coverage.to_string().contains("invalid: a leader was cut off happened 1 times"));
    let mut other = Coverage::default();
    other.saw("a leader was cut off");
    coverage.merge(&other);
    assert_eq!(coverage.missed(), []);
}

#[test]
fn a_history_is_counted_by_command_and_outcome() {
    let mut coverage = Coverage::default();
    let history = played(3, Mix::default());
    coverage.saw_history(&history);
    let unknown = history.operations().iter().filter(|op| op.outcome == Outcome::Unknown).count();
    assert_eq!(coverage.count("unknown"), u64::try_from(unknown).unwrap());
    assert!(coverage.count("ADD exists") > 0 && coverage.count("CAS unknown") > 0, "{coverage}");
}
