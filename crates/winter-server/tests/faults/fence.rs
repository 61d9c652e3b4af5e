//! A table that keeps failing is fenced until it is revived or dropped.

use winter_testkit::Wire;

use crate::kit::{Faulty, fault, fill, is_caught, is_whole, works};

const FENCED: &str =
    "error internal: the table keeps failing and is out of service; REVIVE or DROP it";

/// Makes `table` fail as often as it takes.
#[track_caller]
fn fence(wire: &mut Wire, table: &str) {
    fault(&format!("apply:{table}"), "panic");
    for _ in 0..6 {
        is_caught(&wire.ask(&format!("GET {table} k1")), table);
    }
    fault(&format!("apply:{table}"), "off");
    assert_eq!(wire.ask(&format!("GET {table} k1")), FENCED);
}

#[test]
fn a_fenced_table_answers_internal_and_all_others_go_on() {
    let faulty = Faulty::start(2);
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 100);
    fill(&mut wire, "good", 100);
    fence(&mut wire, "bad");
    for line in ["GET bad k1", "PUT bad k1 v", "DELETE bad k1", "COUNT bad", "SCAN bad 0"] {
        assert_eq!(wire.ask(line), FENCED, "{line}");
    }
    assert_eq!(wire.ask("CREATE bad"), "already created");
    assert_eq!(wire.describe("bad", "fenced"), "yes");
    assert_eq!(wire.describe("bad", "restarts"), "6");
    assert_eq!(wire.describe("good", "fenced"), "no");
    faulty.has_logged(&["the table keeps failing and is fenced", r#""table":"bad""#]);
    is_whole(&mut wire, "good", 100);
    works(&mut wire, "good");
    // A fenced table is no reason to take the node's other tables away.
    assert_eq!(faulty.shared().unready(), None);
    assert_eq!(faulty.metric(r#"winter_table_restarts_total{table="bad"}"#), 6.0);
}

#[test]
fn a_revived_table_has_all_its_data_and_a_clean_sheet() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 100);
    for _ in 0..2 {
        fence(&mut wire, "bad");
        assert_eq!(wire.ask("REVIVE bad"), "ok");
        is_whole(&mut wire, "bad", 100);
        works(&mut wire, "bad");
    }
    // Fewer faults than a fence takes are forgiven again.
    fault("apply:bad", "5*panic");
    for _ in 0..5 {
        is_caught(&wire.ask("GET bad k1"), "bad");
    }
    is_whole(&mut wire, "bad", 100);
}

#[test]
fn a_fenced_table_can_be_dropped_and_made_again() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 100);
    fence(&mut wire, "bad");
    wire.exchange("DROP bad\nGET bad k1\nREVIVE bad\n", "dropped\nmissing table\nmissing table\n");
    faulty.store_is_down_to(64 << 10);
    fill(&mut wire, "bad", 10);
    is_whole(&mut wire, "bad", 10);
    assert_eq!(wire.describe("bad", "restarts"), "0");
}
