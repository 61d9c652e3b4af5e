//! Many clients after one thing.

use std::time::{Duration, Instant};

use crate::winter;

#[test]
fn of_a_hundred_that_add_one_key_exactly_one_wins() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    for round in 0..5 {
        let mut replies: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..100)
                .map(|client| {
                    let mut wire = server.connect();
                    scope.spawn(move || wire.ask(&format!("ADD t key-{round} client-{client}")))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winner =
            replies.iter().position(|reply| reply.starts_with("added ")).expect("one wins");
        let version = replies.remove(winner).replace("added ", "");
        assert!(replies.iter().all(|reply| *reply == format!("exists {version}")), "{replies:?}");
        assert_eq!(wire.ask(&format!("GETS t key-{round}")), format!("{version} client-{winner}"));
    }
}

#[test]
fn of_a_hundred_that_put_one_key_new_one_stays_and_all_are_told_ok() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    std::thread::scope(|scope| {
        for client in 0..100 {
            let mut wire = server.connect();
            scope.spawn(move || {
                assert_eq!(wire.ask(&format!("PUTNEW t key client-{client}")), "ok");
                let seen = wire.ask("GET t key");
                for _ in 0..5 {
                    assert_eq!(wire.ask("GET t key"), seen);
                }
            });
        }
    });
}

#[test]
fn two_lives_of_a_key_never_overlap() {
    const LIFE: Duration = Duration::from_millis(8);
    // Deadlines are whole milliseconds, and so are the times that they come from.
    const ROUNDING: Duration = Duration::from_millis(2);
    let server = winter().start();
    server.connect().exchange("CREATE t\n", "created\n");
    // For each client: when it asked, when it was answered, and the version that it added.
    let mut lives: Vec<(u64, Instant, Instant)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mut wire = server.connect();
                scope.spawn(move || {
                    let end = Instant::now() + Duration::from_millis(700);
                    let mut added = Vec::new();
                    while Instant::now() < end {
                        let asked = Instant::now();
                        let reply = wire.ask(&format!("ADD t key v EXPIRE {}", LIFE.as_millis()));
                        if let Some(version) = reply.strip_prefix("added ") {
                            added.push((version.parse().unwrap(), asked, Instant::now()));
                        }
                    }
                    added
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    lives.sort_unstable();
    assert!(lives.len() > 3, "{}", lives.len());
    for pair in lives.windows(2) {
        let [(first, asked, _), (second, _, answered)] = pair else { unreachable!() };
        assert!(first < second, "version {first} was given twice");
        assert!(*answered - *asked + ROUNDING >= LIFE, "{first} and {second} lived at once");
    }
}

#[test]
fn a_table_made_dropped_and_used_at_once_answers_each_command_once() {
    let server = winter().set("WINTER_LOG", "warn,winter_server::server=info").start();
    std::thread::scope(|scope| {
        for client in 0..6 {
            let mut wire = server.connect();
            scope.spawn(move || {
                for n in 0..300 {
                    let line = match client {
                        0 => "CREATE t MAXENTRIES 50".to_owned(),
                        1 => "DROP t".to_owned(),
                        2 => format!("PUTNEW t k{n} v EXPIRE 20"),
                        3 => format!("PUT t k{} v", n % 100),
                        4 => "COUNT t".to_owned(),
                        _ => format!("GET t k{n}"),
                    };
                    let reply = wire.ask(&line);
                    let known = [
                        "created",
                        "already created",
                        "dropped",
                        "missing table",
                        "ok",
                        "nil",
                        "v",
                    ];
                    assert!(
                        known.contains(&&*reply)
                            || reply.starts_with("ok ")
                            || reply.starts_with("error quota: ")
                            || client == 4 && reply.parse::<u64>().is_ok_and(|count| count <= 50),
                        "{line}: {reply}"
                    );
                }
            });
        }
    });
    assert!(server.log().iter().all(|line| !line.contains("panic")), "{:?}", server.log());
}
