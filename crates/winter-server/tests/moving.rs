//! Sessions that move from thread to thread, many times a second, lose nothing.
//!
//! The threads in use are set here, without regard to what is of use.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use winter_core::store::Seed;
use winter_core::store::partition::Holdings;
use winter_server::Server;
use winter_server::config::Config;
use winter_server::node::Table;
use winter_server::server::Shared;
use winter_testkit::{DEADLINE, Reply, Wire, eventually, request, within};

const THREADS: usize = 4;
/// Commands of a round.
const ROUND: usize = 60;
/// Queues and places of tables that partitions keep: some hundred bytes each.
const LEFT_BYTES_MAX: u64 = 128 << 10;
/// A few dropped tables, each of which a thread keeps until it next asks for its name.
const KEPT_BYTES_MAX: u64 = 16 << 10;
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

/// One round of whatever changes what is held: new entries and longer ones, deadlines,
/// quotas, and a table that comes and goes.
fn a_round_of_everything(dice: &mut fastrand::Rng) -> String {
    let line = |dice: &mut fastrand::Rng| {
        let (key, what, table) =
            (dice.u8(..150), dice.u8(..120), ["t", "u", "few"][dice.usize(..3)]);
        let data = "x".repeat(if dice.u8(..20) == 0 { 5_000 } else { dice.usize(..300) });
        match what {
            0 => "DROP u\n".to_owned(),
            1..=4 => "CREATE u MAXBYTES 100kb\n".to_owned(),
            5..=8 => format!("COUNT {table}\n"),
            9..=25 => format!("DELETE {table} k{key}\n"),
            26..=35 => format!("TOUCH {table} k{key} {}\n", dice.u8(..30)),
            36..=55 => format!("PUT {table} k{key} {data} EXPIRE {}\n", dice.u8(1..60)),
            56..=70 => format!("ADD {table} k{key} {data} EXPIRE 600000\n"),
            _ => format!("PUT {table} k{key} {data}\n"),
        }
    };
    (0..ROUND).map(|_| line(dice)).collect()
}

#[test]
fn what_is_counted_is_what_tables_and_partitions_hold() {
    let server = start();
    let shared = Arc::clone(server.shared());
    Wire::connect(shared.address)
        .exchange("CREATE t\nCREATE few MAXENTRIES 100\n", "created\ncreated\n");
    let clients = (0..6).map(|id| {
        let mut dice = fastrand::Rng::with_seed(id);
        client(&shared, move |wire, _| {
            wire.send(a_round_of_everything(&mut dice));
            (0..ROUND).for_each(|_| assert!(!wire.read_line().starts_with("error usage")));
        })
    });
    while_sessions_move(&shared, clients.collect());
    let node = &shared.node;
    let held = || {
        let partitions = node.shards.iter().map(|shard| shard.lock().allocated_bytes() as u64);
        let tables = node.catalog.all();
        partitions.sum::<u64>() + tables.iter().map(|table| table.own_bytes() as u64).sum::<u64>()
    };
    let settled = || {
        let (counted, held): (u64, u64) = (node.memory.store(), held());
        (held..=held + KEPT_BYTES_MAX).contains(&counted).then_some(held)
    };
    let held = within(3 * DEADLINE, "what was dropped is freed", settled);
    assert!(held > LEFT_BYTES_MAX, "{held} bytes: nothing was done");
    assert!(node.shards.iter().all(|shard| shard.lock().is_sound()));
    eventually("quotas are measured in what is held", || {
        let is_so = |(table, held): &(Arc<Table>, Holdings)| {
            let counted = table.core.usage.as_ref().map(|usage| (usage.entries(), usage.bytes()));
            counted.is_none_or(|counted| counted == (held.entries, held.bytes))
        };
        node.survey().tables.iter().all(is_so).then_some(())
    });
    let mut wire = Wire::connect(shared.address);
    for table in ["t", "u", "few"] {
        wire.send(format!("DROP {table}\n"));
        let _ = wire.read_line();
    }
    let left =
        within(3 * DEADLINE, "all is freed", || settled().filter(|&left| left < LEFT_BYTES_MAX));
    assert!(node.survey().tables.is_empty(), "{left} bytes are left");
    drop(wire);
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
