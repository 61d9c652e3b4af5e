//! Many clients, one key: each command takes effect at one moment between its
//! request and its reply, whichever dialect it came in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use winter_testkit::{Reply, Server, Wire, request};

use crate::winter;

const CLIENTS: usize = 100;

fn with_table() -> Server {
    let server = winter().start();
    assert_eq!(server.connect().ask("CREATE t"), "created");
    server
}

/// A connection that asks the same in either dialect.
pub(crate) enum Client {
    Line(Wire),
    Resp(Wire),
}

impl Client {
    /// The `n`th client: every other one speaks RESP.
    pub(crate) fn of(server: &Server, n: usize) -> Self {
        let wire = server.connect();
        if n.is_multiple_of(2) { Self::Line(wire) } else { Self::Resp(wire) }
    }

    /// The reply as the line dialect writes it.
    #[track_caller]
    fn ask(&mut self, line: &str) -> String {
        self.send([line.to_owned()]);
        self.read()
    }

    /// Sends requests, as the line dialect writes them, at once.
    #[track_caller]
    pub(crate) fn send(&mut self, lines: impl IntoIterator<Item = String>) {
        let lines = lines.into_iter();
        match self {
            Self::Line(wire) => wire.send(lines.map(|line| line + "\n").collect::<String>()),
            Self::Resp(wire) => {
                let frame = |line: String| request(&line.split(' ').collect::<Vec<_>>());
                wire.send(lines.flat_map(frame).collect::<Vec<u8>>());
            }
        }
    }

    /// Reads one reply, as the line dialect writes it.
    #[track_caller]
    pub(crate) fn read(&mut self) -> String {
        let wire = match self {
            Self::Line(wire) => return wire.read_line(),
            Self::Resp(wire) => wire,
        };
        match wire.read_reply() {
            Reply::NullBulk => "nil".to_owned(),
            Reply::Array(items) => items
                .iter()
                .map(|item| match item {
                    Reply::Integer(n) => n.to_string(),
                    other => other.text(),
                })
                .collect::<Vec<_>>()
                .join(" "),
            other => other.text().replace("MISSINGTABLE ", ""),
        }
    }
}

/// What every one of [`CLIENTS`] is answered when all ask at once.
fn at_once(server: &Server, request: impl Fn(usize) -> String + Sync) -> Vec<String> {
    let barrier = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let ask = |n| {
            let mut client = Client::of(server, n);
            barrier.wait();
            client.ask(&request(n))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || ask(n))).collect();
        clients.into_iter().map(|client| client.join().expect("it is answered")).collect()
    })
}

/// The word and the version of an answer.
#[track_caller]
fn version(answer: &str, word: &str) -> Option<u64> {
    let version = answer.strip_prefix(word)?.strip_prefix(' ')?;
    Some(version.parse().unwrap_or_else(|_| panic!("no version: {answer}")))
}

#[test]
fn of_many_that_add_a_key_one_wins() {
    let server = with_table();
    for round in 0..10 {
        let answers = at_once(&server, |n| format!("ADD t k{round} {n}"));
        let winners: Vec<_> =
            (0..CLIENTS).filter(|&n| version(&answers[n], "added").is_some()).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let standing = version(&answers[winners[0]], "added").expect("it won");
        let lost = answers.iter().filter(|a| version(a, "exists") == Some(standing)).count();
        assert_eq!(lost, CLIENTS - 1, "all others are told the winner's version: {answers:?}");
        let gets = server.connect().ask(&format!("GETS t k{round}"));
        assert_eq!(gets, format!("{standing} {}", winners[0]));
    }
}

#[test]
fn of_many_that_putnew_a_key_the_first_stays() {
    let server = with_table();
    for round in 0..10 {
        let answers = at_once(&server, |n| format!("PUTNEW t k{round} {n}"));
        assert!(answers.iter().all(|answer| answer == "ok"), "{answers:?}");
        let mut reader = server.connect();
        let stays = reader.ask(&format!("GETS t k{round}"));
        let later = at_once(&server, |n| format!("PUTNEW t k{round} late-{n}"));
        assert!(later.iter().all(|answer| answer == "ok"));
        assert_eq!(reader.ask(&format!("GETS t k{round}")), stays);
    }
}

#[test]
fn of_many_that_create_or_drop_a_table_one_does() {
    let server = winter().start();
    let count = |answers: &[String], word: &str| answers.iter().filter(|a| *a == word).count();
    for _ in 0..5 {
        let answers = at_once(&server, |_| "CREATE t".to_owned());
        assert_eq!(count(&answers, "created"), 1);
        assert_eq!(count(&answers, "already created"), CLIENTS - 1);
        let answers = at_once(&server, |_| "DROP t".to_owned());
        assert_eq!(count(&answers, "dropped"), 1);
        assert_eq!(answers.iter().filter(|a| a.contains("missing table")).count(), CLIENTS - 1);
    }
}

/// A counter, and what is known from outside of how far it must and may be.
#[derive(Default)]
struct Counter {
    /// Increments that a client has begun.
    begun: AtomicU64,
    /// Increments that a client was told of.
    acknowledged: AtomicU64,
}

#[test]
fn counters_by_compare_and_set_lose_and_repeat_nothing() {
    const COUNTERS: usize = 4;
    const WRITERS: usize = 12;
    const EACH: u64 = 150;
    let server = with_table();
    for key in 0..COUNTERS {
        assert_eq!(server.connect().ask(&format!("PUTNEW t c{key} 0")), "ok");
    }
    let counters: [Counter; COUNTERS] = std::array::from_fn(|_| Counter::default());
    let writers_left = AtomicU64::new(WRITERS as u64);
    let successes = thread::scope(|scope| {
        let (server, counters, left) = (&server, &counters, &writers_left);
        for n in 0..4 {
            scope.spawn(move || read_counters(&mut Client::of(server, n), counters, left));
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                scope.spawn(move || {
                    let _ends = Leaves(left);
                    let key = n % COUNTERS;
                    let mut client = Client::of(server, n / COUNTERS);
                    (key, increment(&mut client, key, &counters[key], EACH))
                })
            })
            .collect();
        writers.into_iter().map(|w| w.join().expect("it counts")).collect::<Vec<_>>()
    });
    let total = EACH * (WRITERS / COUNTERS) as u64;
    for key in 0..COUNTERS {
        // Value by value, the version that it was written with.
        let of_key = successes.iter().filter(|(k, _)| *k == key).flat_map(|(_, s)| s.clone());
        let chain: BTreeMap<u64, u64> = of_key.clone().collect();
        assert_eq!(of_key.count() as u64, total);
        assert_eq!(chain.keys().copied().collect::<Vec<_>>(), (1..=total).collect::<Vec<_>>());
        assert!(chain.values().is_sorted_by(|a, b| a < b), "versions grow with the writes");
        let last = format!("{} {total}", chain[&total]);
        assert_eq!(server.connect().ask(&format!("GETS t c{key}")), last);
    }
}

/// Counts a thread out, also when it fails.
struct Leaves<'a>(&'a AtomicU64);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Increments a counter `times` times: the values that were written, and their versions.
fn increment(client: &mut Client, key: usize, counter: &Counter, times: u64) -> Vec<(u64, u64)> {
    let mut written = Vec::new();
    let mut begun = false;
    while written.len() < usize::try_from(times).expect("few") {
        let gets = client.ask(&format!("GETS t c{key}"));
        let (seen, value) = gets.split_once(' ').expect("the counter is there");
        let next = value.parse::<u64>().expect("a number") + 1;
        if !begun {
            counter.begun.fetch_add(1, Ordering::SeqCst);
            begun = true;
        }
        let answer = client.ask(&format!("CAS t c{key} {seen} {next}"));
        if let Some(version) = version(&answer, "ok") {
            counter.acknowledged.fetch_add(1, Ordering::SeqCst);
            begun = false;
            written.push((next, version));
        } else {
            let standing = version(&answer, "conflict").expect("the counter is there");
            assert!(standing > seen.parse().expect("a version"), "{answer} after {seen}");
        }
    }
    written
}

/// Reads counters while others write: never fewer than were acknowledged before,
/// never more than were begun.
fn read_counters(client: &mut Client, counters: &[Counter], writers_left: &AtomicU64) {
    while writers_left.load(Ordering::SeqCst) > 0 {
        for (key, counter) in counters.iter().enumerate() {
            let least = counter.acknowledged.load(Ordering::SeqCst);
            let value: u64 = client.ask(&format!("GET t c{key}")).parse().expect("a number");
            let most = counter.begun.load(Ordering::SeqCst);
            assert!((least..=most).contains(&value), "{value} is not in {least}..={most}");
        }
    }
}

/// One command as its client saw it.
#[derive(Clone, Copy)]
struct Seen {
    sent: Instant,
    answered: Instant,
    /// The version that stood; `None` for `nil`.
    version: Option<u64>,
    /// Whether this command began the life.
    began: bool,
}

const LIFE: Duration = Duration::from_millis(5);
const WATCHED: Duration = Duration::from_millis(1_500);
/// The server's clock counts whole milliseconds.
const TICK: Duration = Duration::from_millis(1);

#[test]
fn lives_of_a_key_neither_overlap_nor_come_back() {
    let server = with_table();
    let seen: Vec<Seen> = thread::scope(|scope| {
        let server = &server;
        let clients: Vec<_> = (0..8)
            .map(|n| scope.spawn(move || watch_lives(&mut Client::of(server, n / 2), n % 2 == 0)))
            .collect();
        clients.into_iter().flat_map(|c| c.join().expect("it is answered")).collect()
    });
    let mut lives: Vec<Seen> = seen.iter().filter(|seen| seen.began).copied().collect();
    lives.sort_by_key(|life| life.version);
    let versions: BTreeSet<_> = lives.iter().map(|life| life.version).collect();
    assert_eq!(versions.len(), lives.len(), "two lives have one version");
    assert!(lives.len() > 50, "only {} lives: nothing was tried", lives.len());
    assert!(seen.iter().all(|s| s.version.is_none() || versions.contains(&s.version)));
    for pair in lives.windows(2) {
        let earliest_end = pair[0].sent + LIFE - TICK;
        assert!(pair[1].answered >= earliest_end, "a life began while the last one ran");
    }
    let nils: Vec<&Seen> = seen.iter().filter(|seen| seen.version.is_none()).collect();
    assert!(nils.len() > 50, "only {} were nil: nothing was tried", nils.len());
    for life in lives {
        let of_life = seen.iter().filter(|seen| seen.version == life.version);
        let last_sent = of_life.map(|seen| seen.sent).max().expect("its beginning was seen");
        // Whoever was told nil after the life began was told that it was over.
        let end = nils.iter().filter(|nil| nil.sent > life.answered).map(|nil| nil.answered).min();
        assert!(end.is_none_or(|end| last_sent <= end), "an expired entry came back");
    }
}

/// Begins lives of one key, or looks at them.
fn watch_lives(client: &mut Client, begins: bool) -> Vec<Seen> {
    let started = Instant::now();
    let mut seen = Vec::new();
    while started.elapsed() < WATCHED {
        // Not at every turn, so that the key is away for some of the time.
        let adds = begins && seen.len().is_multiple_of(8);
        let sent = Instant::now();
        let answer = client.ask(if adds { "ADD t k v EXPIRE 5" } else { "GETS t k" });
        let answered = Instant::now();
        let began = version(&answer, "added");
        let stood = if adds { version(&answer, "exists") } else { None };
        let found = answer.strip_suffix(" v").map(|v| v.parse().expect("a version"));
        let version = began.or(stood).or(found);
        assert!(version.is_some() || answer == "nil", "{answer}");
        seen.push(Seen { sent, answered, version, began: began.is_some() });
    }
    seen
}
