//! Histories that people would argue about, written out.

use crate::judge;
use winter_sim::history::History;
use winter_sim::linearizability::{Object, Options, TableMoments, Verdict, check};

#[track_caller]
fn good(events: &str) {
    let verdict = judge(events);
    assert!(verdict.passes(), "{verdict}");
}

/// A violation that the reply of operation `culprit` shows.
#[track_caller]
fn bad(culprit: u64, events: &str) {
    let verdict = judge(events);
    let found = match &verdict {
        Verdict::Violation(violation) => Some(violation.culprit),
        Verdict::Linearizable | Verdict::Undecided(_) => None,
    };
    assert_eq!(found, Some(culprit), "{verdict}");
}

#[test]
fn what_was_written_is_read() {
    good("1 #1 p1 n1 PUT t0 k1 v1\n 2 #1 ok 7\n 3 #2 p2 n2 GETS t0 k1\n 4 #2 7 v1");
}

#[test]
fn a_read_beside_a_write_may_see_either() {
    good("1 #1 p1 n1 PUT t0 k1 v1\n 2 #2 p2 n2 GET t0 k1\n 3 #2 nil\n 4 #1 ok 1");
    good("1 #1 p1 n1 PUT t0 k1 v1\n 2 #2 p2 n2 GET t0 k1\n 3 #2 v1\n 4 #1 ok 1");
}

#[test]
fn two_reads_beside_a_write_cannot_go_back() {
    bad(
        3,
        "1 #1 p1 n1 PUT t0 k1 v1
         2 #2 p2 n2 GET t0 k1
         3 #2 v1
         4 #3 p2 n3 GET t0 k1
         5 #3 nil
         6 #1 ok 1",
    );
}

#[test]
fn a_stale_read_is_found() {
    bad(
        3,
        "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 ok 1
         3 #2 p1 n1 PUT t0 k1 v2
         4 #2 ok 2
         5 #3 p2 n2 GET t0 k1
         6 #3 v1",
    );
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    bad(2, "1 #1 p1 n1 PUTNEW t0 k1 v1\n 2 #1 ok\n 3 #2 p2 n2 GET t0 k1\n 4 #2 nil");
}

#[test]
fn two_winners_are_found() {
    bad(
        2,
        "1 #1 p1 n1 ADD t0 k1 v1
         1 #2 p2 n2 ADD t0 k1 v2
         2 #1 added 1
         3 #2 added 2",
    );
}

#[test]
fn the_first_writer_of_putnew_stays() {
    good(
        "1 #1 p1 n1 PUTNEW t0 k1 v1
         2 #1 ok
         3 #2 p2 n2 PUTNEW t0 k1 v2
         4 #2 ok
         5 #3 p2 n2 GET t0 k1
         6 #3 v1",
    );
    bad(
        3,
        "1 #1 p1 n1 PUTNEW t0 k1 v1
         2 #1 ok
         3 #2 p2 n2 PUTNEW t0 k1 v2
         4 #2 ok
         5 #3 p2 n2 GET t0 k1
         6 #3 v2",
    );
}

#[test]
fn a_loser_is_told_the_version_that_stands() {
    let lost = "1 #1 p1 n1 ADD t0 k1 v1\n 2 #1 added 5\n 3 #2 p2 n2 ADD t0 k1 v2\n 4 #2 exists";
    good(&format!("{lost} 5"));
    bad(2, &format!("{lost} 6"));
}

#[test]
fn a_version_that_repeats_is_found() {
    bad(
        3,
        "1 #1 p1 n1 ADD t0 k1 v1
         2 #1 added 5
         3 #2 p1 n1 DELETE t0 k1
         4 #2 ok
         5 #3 p1 n1 ADD t0 k1 v2
         6 #3 added 5",
    );
}

#[test]
fn versions_grow_past_the_end_of_a_table() {
    let again = "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 ok 5
         3 #2 p1 n1 DROP t0
         4 #2 dropped
         5 #3 p1 n1 CREATE t0
         6 #3 created
         7 #4 p1 n1 PUT t0 k1 v2
         8 #4 ok";
    good(&format!("{again} 6"));
    bad(4, &format!("{again} 4"));
}

#[test]
fn a_version_that_was_not_answered_is_greater_than_those_before() {
    let written = "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 ok 5
         3 #2 p1 n1 DELETE t0 k1
         4 #2 ok
         5 #3 p1 n1 PUTNEW t0 k1 v2
         6 #3 ok
         7 #4 p1 n1 GETS t0 k1
         8 #4";
    good(&format!("{written} 6 v2"));
    bad(4, &format!("{written} 5 v2"));
}

#[test]
fn a_fencing_token_that_is_spent_opens_nothing() {
    bad(
        4,
        "1 #1 p1 n1 ADD t0 k1 v1
         2 #1 added 5
         3 #2 p1 n1 DELETE t0 k1 5
         4 #2 ok
         5 #3 p2 n2 ADD t0 k1 v2
         6 #3 added 6
         7 #4 p1 n1 DELETE t0 k1 5
         8 #4 ok",
    );
}

#[test]
fn of_two_swaps_from_one_version_one_wins() {
    let swaps = "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 ok 1
         3 #2 p1 n1 CAS t0 k1 1 v2
         3 #3 p2 n2 CAS t0 k1 1 v3
         4 #2 ok 2
         5 #3";
    good(&format!("{swaps} conflict 2"));
    bad(3, &format!("{swaps} ok 3"));
    bad(3, &format!("{swaps} nil"));
    bad(3, &format!("{swaps} conflict 1"));
}

#[test]
fn an_unknown_write_may_come_late_and_may_never_come() {
    let late = "1 #1 p1 n1 PUT t0 k1 v1\n 2 #1 unknown
         3 #2 p2 n2 GET t0 k1\n 4 #2 nil";
    good(late);
    good(&format!("{late}\n 5 #3 p2 n2 GET t0 k1\n 6 #3 v1"));
}

#[test]
fn an_unknown_write_comes_once() {
    bad(
        4,
        "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 unknown
         3 #2 p2 n2 GET t0 k1
         4 #2 v1
         5 #3 p2 n2 DELETE t0 k1
         6 #3 ok
         7 #4 p2 n2 GET t0 k1
         8 #4 v1",
    );
}

#[test]
fn a_failed_write_never_comes() {
    bad(2, "1 #1 p1 n1 PUT t0 k1 v1\n 2 #1 failed\n 3 #2 p2 n2 GET t0 k1\n 4 #2 v1");
}

#[test]
fn a_reply_that_no_command_gives_is_found() {
    bad(1, "1 #1 p1 n1 GET t0 k1\n 2 #1 other half of v1");
}

#[test]
fn an_unread_write_with_an_unknown_outcome_explains_a_version() {
    good(
        "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 unknown
         3 #2 p2 n2 ADD t0 k1 v2
         4 #2 exists 3
         5 #3 p2 n2 DELETE t0 k1 3
         6 #3 ok",
    );
}

#[test]
fn an_entry_is_gone_after_its_time_to_live_and_not_before() {
    // Written between 1.000 and 1.010 for 100 ms, and clocks differ by 1 ms.
    let read = |from: &str, to: &str, reply: &str| {
        format!(
            "1 #1 p1 n1 PUT t0 k1 v1 EXPIRE 100
             1.010 #1 ok 1
             {from} #2 p2 n2 GET t0 k1
             {to} #2 {reply}"
        )
    };
    good(&read("1.097", "1.098", "v1"));
    bad(2, &read("1.097", "1.098", "nil"));
    good(&read("1.099", "1.099", "nil"));
    good(&read("1.111", "1.112", "v1"));
    good(&read("1.112", "1.113", "nil"));
    bad(2, &read("1.112", "1.113", "v1"));
}

#[test]
fn a_resurrected_entry_is_found() {
    bad(
        3,
        "1 #1 p1 n1 PUT t0 k1 v1 EXPIRE 100
         1.050 #1 ok 1
         1.110 #2 p2 n2 GET t0 k1
         1.111 #2 nil
         1.112 #3 p2 n3 GET t0 k1
         1.113 #3 v1",
    );
}

#[test]
fn whoever_read_an_unknown_write_bounds_its_life() {
    let read = "1 #1 p1 n1 PUT t0 k1 v1 EXPIRE 100
         1.050 #1 unknown
         5 #2 p2 n2 GET t0 k1
         5.001 #2 v1";
    good(&format!("{read}\n 5.101 #3 p2 n2 GET t0 k1\n 5.102 #3 v1"));
    bad(3, &format!("{read}\n 5.103 #3 p2 n2 GET t0 k1\n 5.104 #3 v1"));
}

#[test]
fn touch_begins_a_life_anew_or_ends_it() {
    let touched = |touch: &str| {
        format!(
            "1 #1 p1 n1 PUT t0 k1 v1 EXPIRE 100
             1 #1 ok 1
             1.050 #2 p1 n1 TOUCH t0 k1 {touch}
             1.050 #2 ok
             1.140 #3 p1 n1 GET t0 k1
             1.140 #3"
        )
    };
    good(&format!("{} v1", touched("100 1")));
    bad(3, &format!("{} nil", touched("100 1")));
    good(&format!("{} v1", touched("0")));
    bad(3, &format!("{} v1", touched("10")));
    bad(2, &format!("{} v1", touched("100 2")));
}

#[test]
fn a_new_write_has_no_timer_of_the_old_one() {
    bad(
        3,
        "1 #1 p1 n1 PUT t0 k1 v1 EXPIRE 100
         1 #1 ok 1
         1.010 #2 p1 n1 PUT t0 k1 v2
         1.010 #2 ok 2
         2 #3 p1 n1 GET t0 k1
         2 #3 nil",
    );
}

#[test]
fn a_table_that_is_missing_after_it_was_created_is_found() {
    bad(1, "1 #1 p1 n2 GET t0 k1\n 2 #1 missing table");
}

#[test]
fn a_dropped_table_answers_nothing() {
    let dropped = "1 #1 p1 n1 DROP t0\n 2 #1 dropped\n 3 #2 p1 n2 PUT t0 k1 v1\n 4 #2";
    good(&format!("{dropped} missing table"));
    bad(2, &format!("{dropped} ok 1"));
}

#[test]
fn a_table_of_the_same_name_is_another() {
    bad(
        4,
        "1 #1 p1 n1 PUT t0 k1 v1
         2 #1 ok 1
         3 #2 p1 n1 DROP t0
         4 #2 dropped
         5 #3 p1 n1 CREATE t0
         6 #3 created
         7 #4 p1 n1 GET t0 k1
         8 #4 v1",
    );
}

#[test]
fn a_table_is_created_once() {
    bad(1, "1 #1 p1 n1 CREATE t0\n 2 #1 created");
    good("1 #1 p1 n1 CREATE t0\n 2 #1 already created");
    good(
        "1 #1 p1 n1 DROP t0\n 2 #1 unknown
         3 #2 p1 n1 CREATE t0\n 4 #2 created
         5 #3 p1 n1 DROP t0\n 6 #3 dropped",
    );
}

/// Each key has its explanation, but no moment of `CREATE` does for both.
const TORN: &str = "1 #0 p1 n1 CREATE t5
     2 #1 p2 n2 GET t5 k1
     3 #1 nil
     4 #2 p2 n2 GET t5 k2
     5 #2 missing table
     6 #0 created";

#[test]
fn a_table_comes_at_one_moment_for_all_keys() {
    let history: History = TORN.parse().unwrap();
    let Verdict::Violation(violation) = check(&history, &Options::default()) else {
        panic!("no violation");
    };
    assert_eq!(violation.culprit, 2);
    assert!(matches!(violation.object, Object::Table(_)), "{violation}");
    let options = Options { table_moments: TableMoments::OnePerKey, ..Options::default() };
    assert!(check(&history, &options).passes());
}

#[test]
fn tables_have_nothing_to_do_with_each_other() {
    good("1 #1 p1 n1 GET t1 k1\n 2 #1 missing table\n 3 #2 p1 n1 GET t0 k1\n 4 #2 nil");
}

#[test]
fn nothing_is_linearizable() {
    assert!(check(&History::default(), &Options::default()).passes());
}
