//! A panic in a table's code: that client learns of it, the table is mended, and
//! every other table answers as if nothing had been.

use winter_testkit::{Reply, request};

use crate::kit::{Faulty, fault, fill, is_caught, is_whole, works};

#[test]
fn a_panic_in_a_command_costs_its_client_one_answer() {
    let faulty = Faulty::start(2);
    let (mut wire, mut other) = (faulty.connect(), faulty.connect());
    fill(&mut wire, "bad", 100);
    fill(&mut wire, "good", 100);
    for (n, line) in
        ["GET bad k1", "PUT bad k1 x", "DELETE bad k1", "TTL bad k1"].into_iter().enumerate()
    {
        fault("apply:bad", "1*panic");
        is_caught(&wire.ask(line), "bad");
        assert_eq!(wire.describe("bad", "restarts"), (n + 1).to_string());
        is_whole(&mut wire, "bad", 100);
    }
    works(&mut other, "good");
    works(&mut wire, "bad");
    faulty.has_logged(&["a table's code panicked", r#""table":"bad""#, "failpoint"]);
    assert_eq!(wire.describe("good", "restarts"), "0");
}

#[test]
fn a_panic_within_a_pipeline_keeps_every_reply_in_its_place() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 10);
    fill(&mut wire, "good", 10);
    fault("apply:bad", "2*off->1*panic->off");
    wire.send("GET good k1\nGET bad k1\nGET good k2\nGET bad k2\nGET good k3\nGET bad k3\nGET good k4\nGET bad k4\n");
    wire.expect("data-1\ndata-1\ndata-2\ndata-2\ndata-3\n");
    is_caught(&wire.read_line(), "bad");
    wire.expect("data-4\ndata-4\n");
    let mut resp = faulty.connect();
    fault("apply:bad", "1*panic");
    resp.send(
        [request(&["GET", "good", "k1"]), request(&["GET", "bad", "k1"]), request(&["PING"])]
            .concat(),
    );
    assert_eq!(resp.read_reply(), Reply::bulk("data-1"));
    let Reply::Error(text) = resp.read_reply() else { panic!("it was not caught") };
    assert!(text.starts_with("INTERNAL "), "{text}");
    assert_eq!(resp.read_reply(), Reply::Simple("PONG".into()));
}

#[test]
fn a_slice_that_a_fault_has_spoiled_is_made_anew_from_what_reads_well() {
    let faulty = Faulty::start(2);
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 2_000);
    fill(&mut wire, "good", 200);
    for point in ["apply:bad", "table:bad"] {
        fault(point, "1*return");
        is_caught(&wire.ask(if point == "apply:bad" { "GET bad k7" } else { "COUNT bad" }), "bad");
        faulty.has_logged(&["a slice of the table was made anew", r#""table":"bad""#]);
        is_whole(&mut wire, "bad", 2_000);
        is_whole(&mut wire, "good", 200);
    }
    assert_eq!(wire.describe("bad", "restarts"), "2");
    wire.exchange("DROP bad\nDROP good\n", "dropped\ndropped\n");
    faulty.store_is_down_to(64 << 10);
}

#[test]
fn a_panic_in_a_command_on_a_whole_table_is_caught_too() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 100);
    fill(&mut wire, "good", 100);
    for line in ["COUNT bad", "SCAN bad 0", "DESCRIBE bad"] {
        fault("table:bad", "1*panic");
        is_caught(&wire.ask(line), "bad");
        works(&mut wire, "good");
        is_whole(&mut wire, "bad", 100);
    }
    assert_eq!(wire.describe("bad", "restarts"), "3");
}

#[test]
fn a_drop_that_panics_drops_all_the_same() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    for actions in ["1*panic", "3*return", "panic"] {
        fill(&mut wire, "bad", 500);
        fill(&mut wire, "good", 100);
        fault("drop:bad", actions);
        wire.exchange("DROP bad\nGET bad k1\n", "dropped\nmissing table\n");
        fault("drop:bad", "off");
        is_whole(&mut wire, "good", 100);
        fill(&mut wire, "bad", 50);
        is_whole(&mut wire, "bad", 50);
        wire.exchange("DROP bad\nDROP good\n", "dropped\ndropped\n");
        faulty.store_is_down_to(64 << 10);
    }
}

#[test]
fn a_quota_stays_exact_through_faults() {
    let faulty = Faulty::start(2);
    let mut wire = faulty.connect();
    wire.exchange("CREATE q MAXENTRIES 300 MAXBYTES 1mb\n", "created\n");
    // Each kind of fault comes while six clients write.
    for (actions, revived) in [("100*off->3*panic->off", false), ("50*off->2*return->off", true)] {
        fault("apply:q", actions);
        std::thread::scope(|scope| {
            for client in 0..6 {
                let mut wire = faulty.connect();
                scope.spawn(move || {
                    for n in 0..100 {
                        let reply = wire.ask(&format!("ADD q {client}-{n} v"));
                        let known = ["added ", "exists ", "error quota: ", "error internal: "];
                        assert!(known.iter().any(|known| reply.starts_with(known)), "{reply}");
                    }
                });
            }
        });
        for n in 0..600 {
            let _ = wire.ask(&format!("PUTNEW q extra-{revived}-{n} v"));
        }
        assert_eq!(wire.ask("COUNT q"), "300");
        assert_eq!(wire.ask("REVIVE q"), "ok");
        for n in 0..100 {
            for client in 0..6 {
                wire.exchange(format!("DELETE q {client}-{n}\n"), "ok\n");
            }
        }
        for n in 0..600 {
            wire.exchange(format!("DELETE q extra-{revived}-{n}\n"), "ok\n");
        }
        assert_eq!(wire.ask("COUNT q"), "0");
    }
}

#[test]
fn a_hot_loop_on_one_table_leaves_the_others_their_answers() {
    let faulty = Faulty::start(2);
    let (mut wire, mut hot) = (faulty.connect(), faulty.connect());
    fill(&mut wire, "hot", 10);
    fill(&mut wire, "good", 100);
    // Each command on it takes 5 ms of a thread; 400 are asked for at once.
    fault("apply:hot", "sleep(5)");
    let asked: Vec<_> = (0..2)
        .map(|_| {
            let mut wire = faulty.connect();
            wire.send("GET hot k1\n".repeat(200));
            wire
        })
        .collect();
    is_whole(&mut wire, "good", 100);
    works(&mut wire, "good");
    for mut wire in asked {
        wire.expect("data-1\n".repeat(200));
    }
    fault("apply:hot", "off");
    works(&mut hot, "hot");
}

#[test]
fn faults_all_over_a_table_under_load_touch_no_other() {
    let faulty = Faulty::start(2);
    let mut wire = faulty.connect();
    fill(&mut wire, "bad", 500);
    fill(&mut wire, "good", 100);
    fault("apply:bad", "2%return");
    fault("table:bad", "20%panic");
    std::thread::scope(|scope| {
        for client in 0..4 {
            let mut wire = faulty.connect();
            scope.spawn(move || {
                for n in 0..300 {
                    let reply = match n % 4 {
                        0 => wire.ask(&format!("PUT bad c{client}-{n} v EXPIRE 50")),
                        1 => wire.ask(&format!("GET bad k{n}")),
                        2 => wire.ask(&format!("DELETE bad k{n}")),
                        _ => wire.ask("COUNT bad"),
                    };
                    assert!(!reply.is_empty());
                    wire.exchange("GET good k7\n", "data-7\n");
                    if n % 50 == 0 {
                        assert_eq!(wire.ask("REVIVE bad"), "ok");
                    }
                }
            });
        }
    });
    fault("apply:bad", "off");
    fault("table:bad", "off");
    is_whole(&mut wire, "good", 100);
    assert_eq!(wire.ask("REVIVE bad"), "ok");
    works(&mut wire, "bad");
    wire.exchange("DROP bad\nDROP good\n", "dropped\ndropped\n");
    faulty.store_is_down_to(64 << 10);
}
