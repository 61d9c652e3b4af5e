//! Background work that fails is started again; a table's share in it is the table's.

use winter_testkit::{Wire, eventually};

use crate::kit::{Faulty, Pause, fault, fill, works};

/// Has `work` fail for good: the node is not ready, says why, and table `t` works.
#[track_caller]
fn keeps_failing(faulty: &Faulty, wire: &mut Wire, work: &str) {
    fault(work, "panic");
    let why = eventually("it is not ready", || {
        works(wire, "t");
        faulty.shared().unready()
    });
    assert_eq!(why, format!("failing: {work}"));
    faulty.has_logged(&["background work keeps failing", work]);
}

#[test]
fn a_panic_in_reclaiming_one_table_is_that_tables() {
    let faulty = Faulty::start(2);
    let mut wire = faulty.connect();
    for (n, actions) in ["1*panic", "1*return"].into_iter().enumerate() {
        fault("reclaim:bad", actions);
        wire.exchange("CREATE bad TTL 30\nCREATE good TTL 30\n", "created\ncreated\n");
        for k in 0..300 {
            wire.exchange(format!("PUTNEW bad k{k} v\nPUTNEW good k{k} v\n"), "ok\nok\n");
        }
        eventually("the fault came", || (wire.describe("bad", "restarts") == "1").then_some(()));
        faulty.store_is_down_to(64 << 10);
        assert_eq!(faulty.work("maintenance").restarts, 0, "round {n}");
        assert_eq!(wire.describe("good", "restarts"), "0");
        works(&mut wire, "bad");
        wire.exchange("DROP bad\nDROP good\n", "dropped\ndropped\n");
    }
    faulty.has_logged(&["a table's code panicked", r#""table":"bad""#, "reclaim:bad"]);
}

#[test]
fn maintenance_that_fails_is_started_again_and_counted() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    wire.exchange("CREATE t TTL 50\n", "created\n");
    fault("maintenance", "2*panic");
    eventually("it fails", || (faulty.work("maintenance").restarts == 2).then_some(()));
    faulty.has_logged(&["background work failed", "maintenance"]);
    for k in 0..300 {
        wire.exchange(format!("PUTNEW t k{k} v\n"), "ok\n");
    }
    faulty.store_is_down_to(64 << 10);
    assert_eq!(faulty.shared().unready(), None);
}

#[test]
fn work_that_keeps_failing_makes_the_node_unready_and_nothing_else_stops() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "t", 100);
    keeps_failing(&faulty, &mut wire, "maintenance");
    works(&mut faulty.connect(), "t");
}

#[test]
fn a_listener_that_fails_loses_one_connection_and_goes_on() {
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "t", 10);
    fault("accept", "1*panic");
    let mut lost = faulty.connect();
    lost.expect_close();
    works(&mut wire, "t");
    works(&mut faulty.connect(), "t");
    assert_eq!(faulty.work("listener").restarts, 1);
    assert_eq!(faulty.shared().unready(), None);
}

#[test]
fn http_that_fails_loses_one_answer_and_goes_on() {
    const OK: &str = "HTTP/1.1 200 OK";
    let faulty = Faulty::with_http(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "t", 10);
    assert!(faulty.http("/readyz").starts_with(OK));
    fault("http", "1*panic");
    assert_eq!(faulty.http("/livez"), "");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert!(faulty.http(path).starts_with(OK), "{path}");
    }
    let restarts = r#"winter_background_restarts_total{task="http"} 1"#;
    assert!(faulty.http("/metrics").contains(restarts));
    works(&mut wire, "t");
}

/// Who decides how many threads are in use fails: all go on with those there are.
#[test]
fn a_count_of_threads_that_fails_is_started_again_and_costs_no_command() {
    let faulty = Faulty::start(2);
    let mut wires: Vec<_> = (0..4).map(|_| faulty.connect()).collect();
    fill(&mut wires[0], "t", 10);
    fault("threads", "2*panic");
    eventually("it fails", || (faulty.work("threads").restarts == 2).then_some(()));
    faulty.has_logged(&["background work failed", "threads"]);
    wires.iter_mut().for_each(|wire| works(wire, "t"));
    works(&mut faulty.connect(), "t");
    assert_eq!(faulty.shared().unready(), None);
    keeps_failing(&faulty, &mut wires[0], "threads");
}

#[test]
fn probes_and_scrapes_are_answered_while_every_thread_of_sessions_stands_still() {
    let faulty = Faulty::with_http(2);
    let mut wires: Vec<_> = (0..8).map(|_| faulty.connect()).collect();
    wires.iter_mut().for_each(|wire| wire.exchange("PING\n", "pong\n"));
    let pause = Pause::at("session");
    wires.iter_mut().for_each(|wire| wire.send("PING\n"));
    for path in ["/livez", "/readyz", "/metrics"].repeat(3) {
        assert!(faulty.http(path).starts_with("HTTP/1.1 200 OK"), "{path}");
    }
    drop(pause);
    wires.iter_mut().for_each(|wire| wire.expect("pong\n"));
}

#[test]
fn a_clusters_upkeep_that_fails_is_started_again_and_costs_no_command() {
    let faulty = Faulty::cluster();
    let mut wire = faulty.connect();
    fill(&mut wire, "t", 10);
    fault("life", "2*panic");
    eventually("it fails", || (faulty.work("life").restarts == 2).then_some(()));
    works(&mut wire, "t");
    wire.exchange("CREATE u\nPUTNEW u k v\nDROP u\n", "created\nok\ndropped\n");
    assert_eq!(faulty.shared().unready(), None);
    keeps_failing(&faulty, &mut wire, "life");
}
