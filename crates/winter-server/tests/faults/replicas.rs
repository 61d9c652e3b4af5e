//! A panic in a table's code on a replica: the same promises as on a node alone.

use winter_testkit::eventually;

use crate::kit::{Faulty, fault, fill, is_caught, is_whole, works};

const FENCED: &str =
    "error internal: the table keeps failing and is out of service; REVIVE or DROP it";

#[test]
fn a_panic_in_a_replicated_command_costs_its_client_one_answer() {
    let faulty = Faulty::cluster();
    let (mut wire, mut other) = (faulty.connect(), faulty.connect());
    fill(&mut wire, "bad", 50);
    fill(&mut wire, "good", 50);
    for (n, line) in ["PUT bad k1 x", "GET bad k1", "DELETE bad k1"].into_iter().enumerate() {
        fault("apply:bad", "1*panic");
        is_caught(&wire.ask(line), "bad");
        assert_eq!(wire.describe("bad", "restarts"), (n + 1).to_string());
        is_whole(&mut wire, "bad", 50);
    }
    // The others of the same entry of the log are done.
    fault("apply:bad", "1*panic");
    wire.send("PUT good k1 data-1\nPUT bad k1 x\nPUT good k2 data-2\n");
    assert!(wire.read_line().starts_with("ok "));
    is_caught(&wire.read_line(), "bad");
    assert!(wire.read_line().starts_with("ok "));
    is_whole(&mut wire, "good", 50);
    works(&mut other, "good");
    works(&mut wire, "bad");
    faulty.has_logged(&["a table's code panicked", r#""table":"bad""#, "failpoint"]);
    assert_eq!(faulty.metric(r#"winter_table_restarts_total{table="bad"}"#), 4.0);
    assert_eq!(wire.describe("good", "restarts"), "0");
}

#[test]
fn a_table_that_keeps_failing_on_a_replica_is_fenced_until_it_is_revived() {
    let faulty = Faulty::cluster();
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 50);
    fill(&mut wire, "good", 50);
    for _ in 0..2 {
        fault("apply:bad", "panic");
        for _ in 0..6 {
            is_caught(&wire.ask("PUT bad k1 x"), "bad");
        }
        fault("apply:bad", "off");
        for line in ["GET bad k1", "PUT bad k1 v", "COUNT bad"] {
            assert_eq!(wire.ask(line), FENCED, "{line}");
        }
        assert_eq!(wire.describe("bad", "fenced"), "yes");
        is_whole(&mut wire, "good", 50);
        assert_eq!(wire.ask("REVIVE bad"), "ok");
        eventually("it is revived", || (wire.ask("GET bad k1") == "data-1").then_some(()));
        is_whole(&mut wire, "bad", 50);
    }
    assert_eq!(faulty.shared().unready(), None);
}
