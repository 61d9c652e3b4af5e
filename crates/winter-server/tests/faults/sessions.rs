//! A panic in a session's own code ends that session, and only that.

use winter_testkit::eventually;

use crate::kit::{Faulty, fault, fill, works};

#[test]
fn a_panic_in_a_session_closes_its_connection_only() {
    // One thread: the others are served by the very thread that panicked.
    let faulty = Faulty::start(1);
    let mut wire = faulty.connect();
    fill(&mut wire, "t", 10);
    let mut others: Vec<_> = (0..10).map(|_| faulty.connect()).collect();
    for wire in &mut others {
        wire.exchange("PING\n", "pong\n");
    }
    for n in 1..=10 {
        let mut broken = faulty.connect();
        broken.exchange("GET t k1\n", "data-1\n");
        fault("session", "1*panic");
        // Replies of the turn that panicked must reach nobody, whoever is next.
        broken.send("GET t k2\nGET t k3\nPING\n");
        broken.expect_close();
        wire.exchange("GET t none\n", "nil\n");
        for wire in &mut others {
            wire.exchange("PING\n", "pong\n");
        }
        let ended = faulty.metric(r#"winter_sessions_ended_total{reason="panic"}"#);
        assert_eq!(ended, f64::from(n));
    }
    eventually("they are forgotten", || (faulty.shared().clients.len() == 11).then_some(()));
    assert_eq!(faulty.shared().node.memory.buffers(), 0);
    works(&mut wire, "t");
}

#[test]
fn a_panic_while_a_node_drains_does_not_keep_it_from_stopping() {
    let faulty = Faulty::start(2);
    let mut wires: Vec<_> = (0..10).map(|_| faulty.connect()).collect();
    for wire in &mut wires {
        wire.exchange("PING\n", "pong\n");
    }
    fault("session", "5*panic->off");
    for wire in &mut wires {
        wire.send("PING\n");
    }
    drop(faulty);
    let answered = wires.iter_mut().filter_map(|wire| {
        let came = wire.read_to_end();
        assert!(came.is_empty() || came == b"pong\n");
        (!came.is_empty()).then_some(())
    });
    assert_eq!(answered.count(), 5);
}
