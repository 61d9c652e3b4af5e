//! Client libraries that are not installed here, as their sources say that they
//! begin: the commands of each, in its letters and its order, and what it takes
//! for an answer. Each connection goes on as its users' would.

use winter_testkit::{Wire, eventually, request};

use crate::winter;

/// What StackExchange.Redis must be echoed before it trusts a connection: sixteen
/// bytes of a GUID, here the worst of them.
const TRACER: &str = "\0\r\n*1\r\n$4\r\nPING\x7f";
const ECHOED: &str = "$16\r\n\0\r\n*1\r\n$4\r\nPING\x7f\r\n";

const OK: Answer = Answer::Is("+OK\r\n");
/// The answer to `HELLO 3`.
const HELLO: Answer = Answer::Is(
    "%7\r\n$6\r\nserver\r\n$6\r\nwinter\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:3\r\n\
     $2\r\nid\r\n:ID\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
     $7\r\nmodules\r\n*0\r\n",
);
/// What no library takes amiss of a server that does not know its own events.
const NO_NOTIFICATIONS: Answer =
    Answer::Refusal("ERR unknown subcommand 'maint_notifications'. Try CLIENT HELP.");

/// What a client takes for an answer.
#[derive(Clone, Copy)]
enum Answer {
    /// These bytes, with the connection's number for `ID`.
    Is(&'static str),
    /// Text in the type that the version has for it, with these lines.
    Text(&'static [&'static str]),
    /// An error that begins so.
    Refusal(&'static str),
}

type Step = (&'static [&'static str], Answer);

/// What the client's number is, as another one sees it.
#[track_caller]
fn number_of(wire: &Wire, observer: &mut Wire) -> String {
    let address = wire.stream().local_addr().expect("it is connected");
    eventually("it is listed", || {
        let list = observer.call(&["CLIENT", "LIST"]).text();
        let line = list.lines().find(|line| line.contains(&format!(" addr={address} ")))?;
        line.strip_prefix("id=")?.split(' ').next().map(str::to_owned)
    })
}

#[track_caller]
fn is_answered(wire: &mut Wire, (words, answer): Step, number: &str) {
    match answer {
        Answer::Is(bytes) => wire.expect(bytes.replace("ID", number)),
        Answer::Text(lines) => {
            let text = wire.read_reply().text();
            for line in lines {
                assert!(text.lines().any(|is| is == *line), "{words:?}: no {line} in {text}");
            }
        }
        Answer::Refusal(begin) => {
            let text = wire.read_reply().text();
            // Libraries compare it without regard to the letters that they sent.
            assert!(text.to_lowercase().starts_with(&begin.to_lowercase()), "{words:?}: {text}");
        }
    }
}

/// A connection that begins with `steps`, one after the other and all at once, has
/// exactly one answer to each, and then works.
#[track_caller]
fn connects(steps: &[Step]) {
    let server = winter().start();
    let mut observer = server.connect();
    observer.exchange(request(&["CREATE", "t"]), "+created\r\n");
    let is_resp3 =
        steps.iter().any(|(_, answer)| matches!(answer, Answer::Is(is) if is.starts_with('%')));
    let nil = if is_resp3 { "_\r\n" } else { "$-1\r\n" };
    for is_pipelined in [false, true] {
        let mut wire = server.connect();
        let number = number_of(&wire, &mut observer);
        if is_pipelined {
            wire.send(steps.iter().flat_map(|(words, _)| request(words)).collect::<Vec<_>>());
        }
        for step in steps {
            if !is_pipelined {
                wire.send(request(step.0));
            }
            is_answered(&mut wire, *step, &number);
        }
        wire.exchange(request(&["GET", "t", "nothing"]), nil);
        wire.exchange(request(&["PUTNEW", "t", "k", "v"]), "+ok\r\n");
        wire.exchange(request(&["GET", "t", "k"]), "$1\r\nv\r\n");
        wire.exchange(request(&["QUIT"]), "+OK\r\n");
        wire.expect_close();
    }
}

/// All but the first commands of StackExchange.Redis, which are fired and forgotten:
/// one answer too many or too few, and all later ones are taken for another's.
macro_rules! stack_exchange {
    ($setting:ident, $($first:expr),+ $(,)?) => {
        connects(&[
            $($first,)+
            (&["CLIENT", "SETINFO", "lib-name", "SE.Redis"], OK),
            (&["CLIENT", "SETINFO", "lib-ver", "2.9.25"], OK),
            (&["CLIENT", "ID"], Answer::Is(":ID\r\n")),
            (&["CONFIG", "GET", "timeout"], $setting!("$7\r\ntimeout\r\n$1\r\n0\r\n")),
            (
                &["CONFIG", "GET", "replica-read-only"],
                $setting!("$17\r\nreplica-read-only\r\n$3\r\nyes\r\n"),
            ),
            (
                &["CONFIG", "GET", "slave-read-only"],
                $setting!("$15\r\nslave-read-only\r\n$3\r\nyes\r\n"),
            ),
            (&["CONFIG", "GET", "databases"], $setting!("$9\r\ndatabases\r\n$1\r\n1\r\n")),
            (
                &["SENTINEL", "MASTERS"],
                Answer::Refusal("ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS'"),
            ),
            (&["INFO", "replication"], Answer::Text(&["role:master", "connected_slaves:0"])),
            (&["INFO", "server"], Answer::Text(&["redis_version:7.4.0", "redis_mode:standalone"])),
            (&["CLUSTER", "NODES"], Answer::Refusal("ERR This instance has cluster support disabled")),
            (&["GET", "__Booksleeve_TieBreak"], Answer::Refusal("ERR wrong number of arguments")),
            (&["ECHO", TRACER], Answer::Is(ECHOED)),
            // A connection of its own, whose end this is.
            (
                &["SUBSCRIBE", "__Booksleeve_MasterChanged"],
                Answer::Refusal("ERR unknown command 'SUBSCRIBE', with args beginning with: "),
            ),
            (&["PING"], Answer::Is("+PONG\r\n")),
        ])
    };
}

macro_rules! array {
    ($pair:literal) => {
        Answer::Is(concat!("*2\r\n", $pair))
    };
}
macro_rules! map {
    ($pair:literal) => {
        Answer::Is(concat!("%1\r\n", $pair))
    };
}

#[test]
fn stack_exchange_redis_resp2() {
    stack_exchange!(array, (&["CLIENT", "SETNAME", "WEB-01"], OK));
}

#[test]
fn stack_exchange_redis_resp3() {
    stack_exchange!(
        map,
        (&["HELLO", "3", "SETNAME", "WEB-01"], HELLO),
        (&["CLIENT", "SETNAME", "WEB-01"], OK)
    );
}

#[test]
fn go_redis_resp3() {
    connects(&[
        (&["hello", "3", "setname", "app"], HELLO),
        (
            &["client", "maint_notifications", "on", "moving-endpoint-type", "external-ip"],
            NO_NOTIFICATIONS,
        ),
        (&["client", "setinfo", "LIB-NAME", "go-redis(,go1.25.1)"], OK),
        (&["client", "setinfo", "LIB-VER", "9.14.0"], OK),
        (&["ping"], Answer::Is("+PONG\r\n")),
    ]);
}

#[test]
fn go_redis_resp2() {
    let hello = "*14\r\n$6\r\nserver\r\n$6\r\nwinter\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:2\r\n\
                 $2\r\nid\r\n:ID\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
                 $7\r\nmodules\r\n*0\r\n";
    connects(&[
        (&["hello", "2"], Answer::Is(hello)),
        (&["select", "0"], OK),
        (&["client", "setname", "app"], OK),
        (&["client", "setinfo", "LIB-NAME", "go-redis(,go1.25.1)"], OK),
        (&["client", "setinfo", "LIB-VER", "9.14.0"], OK),
    ]);
}

#[test]
fn jedis_resp2() {
    connects(&[
        (&["CLIENT", "SETNAME", "app"], OK),
        (&["CLIENT", "SETINFO", "LIB-NAME", "jedis"], OK),
        (&["CLIENT", "SETINFO", "LIB-VER", "5.2.0"], OK),
        (&["SELECT", "0"], OK),
    ]);
}

#[test]
fn jedis_resp3() {
    connects(&[
        (&["HELLO", "3"], HELLO),
        (&["CLIENT", "SETNAME", "app"], OK),
        (&["CLIENT", "SETINFO", "LIB-NAME", "jedis(spring_v3.5)"], OK),
        (&["CLIENT", "SETINFO", "LIB-VER", "7.0.0"], OK),
    ]);
}

#[test]
fn lettuce_resp2() {
    connects(&[
        (&["PING"], Answer::Is("+PONG\r\n")),
        (&["CLIENT", "SETNAME", "app"], OK),
        (&["CLIENT", "SETINFO", "lib-name", "Lettuce"], OK),
        (&["CLIENT", "SETINFO", "lib-ver", "6.8.1.RELEASE/9bf9e7d"], OK),
    ]);
}

#[test]
fn lettuce_resp3() {
    connects(&[
        (&["HELLO", "3", "SETNAME", "app"], HELLO),
        (&["CLIENT", "SETINFO", "lib-name", "Lettuce"], OK),
        (&["CLIENT", "SETINFO", "lib-ver", "7.0.0.RELEASE/3d1c4e5"], OK),
        (
            &["CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "internal-ip"],
            NO_NOTIFICATIONS,
        ),
        (&["SELECT", "0"], OK),
    ]);
}

#[test]
fn fred_resp2() {
    connects(&[
        (&["PING"], Answer::Is("+PONG\r\n")),
        (&["CLIENT", "ID"], Answer::Is(":ID\r\n")),
        (&["INFO", "server"], Answer::Text(&["redis_version:7.4.0"])),
    ]);
}

#[test]
fn fred_resp3() {
    connects(&[
        (&["HELLO", "3"], HELLO),
        (&["PING"], Answer::Is("+PONG\r\n")),
        (&["CLIENT", "ID"], Answer::Is(":ID\r\n")),
        (&["INFO", "server"], Answer::Text(&["redis_version:7.4.0"])),
    ]);
}
