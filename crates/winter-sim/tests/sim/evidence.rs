//! What is told of a history that is not linearizable.

use std::fmt::Write as _;
use std::time::Duration;

use winter_sim::history::{Call, History, Operation, ParseError};
use winter_sim::linearizability::{Options, Verdict, check};
use winter_sim::workload;

use crate::map::{Run, play};
use crate::{exact, judge};

#[test]
fn evidence_is_short_and_says_what_could_have_been() {
    let mut events = String::new();
    for n in 1..50 {
        let _ = write!(
            events,
            "{n} #{n}1 p1 n1 PUT t0 k1 v{n}\n{n} #{n}2 p2 n2 GET t0 k1\n{n} #{n}2 v{n}\n{n} #{n}1 ok {n}\n"
        );
    }
    events += "60 #700 p3 n2 GET t0 k1\n 61 #700 v48\n 62 #701 p3 n2 GET t0 k1\n 63 #701 nil";
    let Verdict::Violation(violation) = judge(&events) else { panic!("no violation") };
    assert_eq!(violation.culprit, 700);
    assert_eq!(violation.possible, ["v49 at version 49"]);
    let told = violation.to_string();
    assert!(told.contains("key k1 of table t0 is not linearizable"), "{told}");
    assert!(!told.contains("#701") && !told.contains("#12 "), "{told}");
    let again: History = told.parse().expect("evidence reads well");
    assert!(matches!(check(&again, &exact()), Verdict::Violation(_)));
}

#[test]
fn evidence_has_operations_of_one_key_only() {
    let told = judge(
        "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 ok 1
         3 #2 p1 n1 PUT t0 k2 v2
         4 #2 ok 2
         5 #3 p1 n1 GET t0 k1
         6 #3 nil",
    )
    .to_string();
    assert!(told.contains("k1") && !told.contains("k2"), "{told}");
}

#[test]
fn a_search_that_gives_up_is_no_pass() {
    let mut events = String::new();
    for n in 1..20 {
        let _ = writeln!(events, "{n} #{n} p{n} n1 PUT t0 k1 v{n} EXPIRE 100000");
    }
    events += "30 #30 p0 n1 GET t0 k1\n 31 #30 v99";
    let text = format!("0 #0 p0 n0 CREATE t0\n0 #0 created\n{events}");
    let history: History = text.parse().unwrap();
    let verdict = check(&history, &Options { steps_max: 1_000, ..exact() });
    assert!(matches!(verdict, Verdict::Undecided(ref objects) if objects.len() == 1), "{verdict}");
    assert!(!verdict.passes());
}

#[test]
fn a_history_survives_its_text() {
    let run = Run {
        workload: workload::Options { seed: 5, ..Default::default() },
        clients: 8,
        operations: 2_000,
        unknown_percent: 10,
        failed_percent: 5,
        skew_millis: 0,
    };
    let history = play(&run);
    let read: History = history.to_string().parse().unwrap();
    // Only the places of events are counted anew: without gaps, as they were.
    assert_eq!(read, history);
}

#[test]
fn a_time_keeps_its_nanoseconds() {
    let text = "1.000000001 #0 p0 n0 GET t0 k0\n1.000002 #0 other thing\n";
    let history: History = text.parse().unwrap();
    assert_eq!(history.operations()[0].invoked.at, Duration::from_nanos(1_000_000_001));
    assert_eq!(history.to_string(), text);
}

#[test]
fn what_is_no_history_is_named_with_its_line() {
    for (text, line) in [
        ("x", 1),
        ("\n1 GET", 2),
        ("1 #1 GET", 1),
        ("1 #1 p1 n1 GET t1", 1),
        ("1 #1 p1 n1 GET t1 k1 k2", 1),
        ("1 #1 p1 n1 PUT t1 k1 v1 EXPIRES 5", 1),
        ("1 #1 p1 n1 GET t1 k1\n2 #1 maybe", 2),
        ("1 #1 p1 n1 GET t1 k1\n2 #1 nil\n3 #1 nil", 3),
        ("1.0000000001 #1 p1 n1 GET t1 k1", 1),
    ] {
        let error: ParseError = text.parse::<History>().unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
    }
}

#[test]
fn a_beginning_knows_no_later_replies() {
    let text =
        "1 #0 p0 n0 GET t0 k0\n2 #1 p0 n0 GET t0 k0\n3 #0 nil\n4 #2 p0 n0 GET t0 k0\n5 #1 nil";
    let history: History = text.parse().unwrap();
    let beginning = history.until(2);
    let calls: Vec<(u64, Call, bool)> = beginning
        .operations()
        .iter()
        .map(|op: &Operation| (op.id, op.call, op.answer().is_some()))
        .collect();
    let call = history.operations()[0].call;
    assert_eq!(calls, [(0, call, true), (1, call, false)]);
}
