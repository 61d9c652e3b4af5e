//! Sessions that move from thread to thread, many times a second, lose nothing.
//!
//! The threads in use are set here, without regard to what is of use.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use winter_core::store::Seed;
use winter_server::Server;
use winter_server::config::Config;
use winter_server::server::Shared;
use winter_testkit::{Reply, Wire, eventually, request};

const THREADS: usize = 4;
/// Moves until a test has seen enough.
const MOVES: u64 = 400;

fn start() -> Server {
    let config = Config { port: 0, http_port: None, threads: THREADS, ..Config::default() };
    Server::start(config, Seed(1, 2)).unwrap()
}

fn moves(shared: &Shared) -> u64 {
    shared.node.stats.events.sessions_moved.read()
}

/// Lets `clients` work, all at once, while the number of threads in use changes.
fn while_sessions_move(shared: &Arc<Shared>, clients: Vec<Box<dyn FnOnce() + Send>>) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for active in (1..=THREADS).cycle() {
                shared.threads.set_active(active);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_micros(200));
            }
        });
        let clients: Vec<_> = clients.into_iter().map(|client| scope.spawn(client)).collect();
        let ended: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
}

/// Works in rounds until sessions have moved often enough.
fn client(
    shared: &Arc<Shared>,
    mut round: impl FnMut(&mut Wire, usize) + Send + 'static,
) -> Box<dyn FnOnce() + Send> {
    let shared = Arc::clone(shared);
    Box::new(move || {
        let mut wire = Wire::connect(shared.address);
        for n in 0.. {
            round(&mut wire, n);
            if n >= 20 && moves(&shared) >= MOVES {
                break;
            }
        }
    })
}

/// Sends `bytes` in pieces of a length that falls into the middle of commands.
fn send_in_pieces(wire: &mut Wire, bytes: &[u8], length: usize) {
    bytes.chunks(length).for_each(|piece| wire.send(piece));
}

#[test]
fn nothing_is_lost_or_answered_in_another_order() {
    let server = start();
    let shared = Arc::clone(server.shared());
    Wire::connect(shared.address).exchange("CREATE t\n", "created\n");
    let mut clients = Vec::new();
    for id in 0..3 {
        clients.push(client(&shared, move |wire, n| {
            let asked: String =
                (0..40).map(|k| format!("PUT t l{id}-{k} {n}.{k}\nGET t l{id}-{k}\n")).collect();
            send_in_pieces(wire, asked.as_bytes(), 37 + 100 * id);
            for k in 0..40 {
                assert!(wire.read_line().starts_with("ok "), "round {n}, {k}");
                assert_eq!(wire.read_line(), format!("{n}.{k}"));
            }
        }));
        clients.push(client(&shared, move |wire, n| {
            let key = format!("r{id}");
            let mut asked = Vec::new();
            for k in 0..40 {
                let value = format!("{n}\r\n{k}");
                asked.extend(request(&["PUT", "t", &key, &value]));
                asked.extend(request(&["GET", "t", &key]));
            }
            send_in_pieces(wire, &asked, 501 * (id + 1));
            for k in 0..40 {
                let _ = wire.read_reply();
                assert_eq!(wire.read_reply(), Reply::Bulk(format!("{n}\r\n{k}").into_bytes()));
            }
        }));
    }
    clients.push(client(&shared, |wire, n| {
        let value = vec![b'a' + u8::try_from(n % 26).unwrap(); 400_000 + n];
        let _ = wire.call(&[&b"PUT"[..], b"t", b"big", &value]);
        let got = wire.call(&["GET", "t", "big"]);
        assert!(got == Reply::Bulk(value), "round {n}");
    }));
    while_sessions_move(&shared, clients);
    eventually("they are forgotten", || shared.clients.is_empty().then_some(()));
    assert_eq!(shared.node.memory.buffers(), 0);
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_a_session_was_told_goes_with_it() {
    let server = start();
    let shared = Arc::clone(server.shared());
    let clients = (0..4).map(|id| {
        client(&shared, move |wire, n| {
            let name = format!("client-{id}");
            if n == 0 {
                let _ = wire.call(&["HELLO", "3", "SETNAME", &name]);
                wire.send(request(&["CLIENT", "REPLY", "OFF"]));
            }
            // Silent in one round, and heard in the next.
            wire.send(request(&["PING"]));
            wire.send(request(&["CLIENT", "REPLY", "ON"]));
            assert_eq!(wire.read_reply(), Reply::Simple("OK".to_owned()));
            assert_eq!(wire.call(&["CLIENT", "GETNAME"]), Reply::Bulk(name.into_bytes()));
            wire.send(request(&["CLIENT", "REPLY", "OFF"]));
        })
    });
    while_sessions_move(&shared, clients.collect());
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_session_that_asks_for_nothing_stays_where_it_is() {
    let server = start();
    let shared = server.shared();
    shared.threads.set_active(1);
    let mut wires: Vec<_> = (0..8).map(|_| Wire::connect(shared.address)).collect();
    wires.iter_mut().for_each(|wire| wire.exchange("PING\n", "pong\n"));
    shared.threads.set_active(4);
    wires[1..].iter_mut().for_each(|wire| wire.exchange("PING\n", "pong\n"));
    eventually("they have moved", || (moves(shared) >= 5).then_some(()));
    // Half a command keeps its session, until the rest has come.
    shared.threads.set_active(1);
    let before = moves(shared);
    wires.iter_mut().for_each(|wire| wire.send("PIN"));
    wires.iter_mut().for_each(Wire::expect_silence);
    assert_eq!(moves(shared), before);
    wires.iter_mut().for_each(|wire| wire.exchange("G\n", "pong\n"));
    eventually("they are back", || (moves(shared) == 2 * before).then_some(()));
    drop(wires);
    eventually("they are forgotten", || shared.clients.is_empty().then_some(()));
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_node_begins_with_one_thread_in_use_and_says_so() {
    let server = start();
    let threads = &server.shared().threads;
    eventually("it is one", || (threads.active() == 1).then_some(()));
    let mut wire = Wire::connect(server.address());
    let Reply::Bulk(info) = wire.call(&["INFO", "server"]) else { unreachable!("it is text") };
    let info = String::from_utf8(info).unwrap();
    assert!(info.contains("threads:4\r\nthreads_active:1\r\n"), "{info}");
    drop(wire);
    assert_eq!(server.stop(), 0);
}

#[test]
fn sessions_that_move_are_drained_like_others() {
    let server = start();
    let shared = Arc::clone(server.shared());
    let mut wires: Vec<_> = (0..20).map(|_| Wire::connect(shared.address)).collect();
    let client = move || {
        wires.iter_mut().for_each(|wire| wire.exchange("PING\n", "pong\n"));
        wires.iter_mut().for_each(|wire| wire.send("PING\n".repeat(100)));
        assert_eq!(server.stop(), 0);
        for mut wire in wires {
            wire.expect("pong\n".repeat(100));
            wire.expect_close();
        }
    };
    while_sessions_move(&shared, vec![Box::new(client)]);
}
