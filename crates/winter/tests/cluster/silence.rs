//! Nodes that fall silent: their connections stay open, and nothing comes. Nobody
//! waits for them for longer than `WINTER_COMMAND_TIMEOUT`, and nothing that is
//! answered meanwhile, or when they wake, is wrong.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use winter_testkit::{TestCluster, Wire, eventually};

use crate::watch::{ask_all, number_of, standing};
use crate::winter;

const TIMEOUT: Duration = Duration::from_millis(600);
/// The least that nobody waits for: a machine that has much else to do is late.
const TOO_LATE: Duration = Duration::from_secs(6);

/// Commands that change nothing: they may be unavailable, but never unknown.
const READS: [&str; 7] =
    ["GET t k0", "GETS t k1", "TTL t k2", "COUNT t", "SCAN t 0", "TABLES", "DESCRIBE t"];
/// Commands that change something.
const WRITES: [&str; 10] = [
    "PUTNEW t new v",
    "ADD t added v",
    "PUT t k3 w",
    "CAS t k4 1 w",
    "DELETE t k5",
    "DELETE t k6 1",
    "TOUCH t k7 60000",
    "CREATE u",
    "DROP gone",
    "REVIVE t",
];
/// What is told of a command whose outcome is not known, be its leader lost or only late.
const UNKNOWN: &str = "error unknown: no answer came: the leader was lost, or the command's time ran out; it may or may not have been done";
/// Keys of which some are in each partition: those that nobody could be asked for
/// must not be there in the end.
const FRESH: usize = 40;

fn cluster(settings: &[(&str, &str)]) -> TestCluster {
    let own = winter().set("WINTER_COMMAND_TIMEOUT", "600ms");
    let cluster = settings.iter().fold(own, |own, (name, value)| own.set(name, value)).start();
    let mut wire = cluster.connect(0);
    // On a machine that has much else to do a leader may be late with it.
    for table in ["t", "gone"] {
        eventually("a table is made", || {
            wire.ask(&format!("CREATE {table}")).ends_with("created").then_some(())
        });
    }
    eventually("all is written", || {
        let replies = ask_all(&mut wire, |n| format!("PUT t k{n} v"));
        replies.iter().all(|reply| reply.starts_with("ok ")).then_some(())
    });
    cluster
}

/// Pauses `silent`, and asks everything of the others, each on a connection of its own:
/// how many replies were errors.
#[track_caller]
fn all_is_answered_in_time(cluster: &TestCluster, silent: &[usize]) -> usize {
    let others: Vec<usize> = (0..3).filter(|number| !silent.contains(number)).collect();
    let connect = |number: &usize| cluster.connect(*number);
    let lines = || READS.iter().chain(&WRITES);
    let mut asked: Vec<(&str, Wire)> =
        others.iter().flat_map(|number| lines().map(|line| (*line, connect(number)))).collect();
    let mut writers: Vec<Wire> = others.iter().map(connect).collect();
    silent.iter().for_each(|&number| cluster.pause(number));
    let began = Instant::now();
    for (line, wire) in &mut asked {
        wire.send(format!("{line}\n"));
    }
    for (n, wire) in writers.iter_mut().enumerate() {
        wire.send((0..FRESH).map(|key| format!("ADD t {n}.{key} v\n")).collect::<String>());
    }
    let mut errors = 0;
    for (line, wire) in &mut asked {
        let reply = wire.read_line();
        let late = began.elapsed();
        assert!(late < TOO_LATE, "{line} after {late:?}, of {TIMEOUT:?}: {reply}");
        let is_error = reply.starts_with("error ");
        let may_be =
            reply.starts_with("error unavailable: ") || WRITES.contains(line) && reply == UNKNOWN;
        assert!(!is_error || may_be, "{line}: {reply}");
        errors += usize::from(is_error);
    }
    let mut written = Vec::new();
    for wire in &mut writers {
        written.push((0..FRESH).map(|_| wire.read_line()).collect::<Vec<String>>());
    }
    let late = began.elapsed();
    assert!(late < TOO_LATE, "pipelines after {late:?}, of {TIMEOUT:?}");
    silent.iter().for_each(|&number| cluster.resume(number));
    for (n, replies) in written.iter().enumerate() {
        for (key, reply) in replies.iter().enumerate() {
            let stands = eventually("it is read", || {
                let read = cluster.connect(others[0]).ask(&format!("GET t {n}.{key}"));
                (!read.starts_with("error ")).then_some(read)
            });
            match reply {
                added if added.starts_with("added ") => assert_eq!(stands, "v", "{n}.{key}"),
                undone if undone.starts_with("error unavailable: ") => {
                    assert_eq!(stands, "nil", "{n}.{key} was not done: {undone}");
                }
                unknown => assert_eq!(unknown, UNKNOWN, "{n}.{key}"),
            }
            errors += usize::from(reply.starts_with("error "));
        }
    }
    errors
}

#[test]
fn nobody_waits_for_leaders_that_are_silent() {
    let cluster = cluster(&[]);
    let leader = number_of(&cluster, &standing(&cluster, 0).meta_leader);
    let errors = all_is_answered_in_time(&cluster, &[leader]);
    assert!(errors > 0, "nobody was kept waiting: the leader was asked nothing");
}

#[test]
fn nobody_waits_for_a_majority_that_is_silent() {
    let cluster = cluster(&[]);
    let errors = all_is_answered_in_time(&cluster, &[1, 2]);
    assert!(errors > FRESH / 2, "{errors} errors: most must fail without a majority");
}

/// Sends each of `asked` to node `number` on a connection of its own, as many lines as
/// there are: the first lines of the replies, which must all be there within `most`.
#[track_caller]
fn replies_within(
    most: Duration,
    cluster: &TestCluster,
    number: usize,
    asked: &[String],
) -> Vec<Vec<String>> {
    let mut wires: Vec<Wire> = asked.iter().map(|_| cluster.connect(number)).collect();
    let began = Instant::now();
    wires.iter_mut().zip(asked).for_each(|(wire, lines)| wire.send(lines));
    let read = |(wire, lines): (&mut Wire, &String)| {
        let replies: Vec<String> = lines.lines().map(|_| wire.read_line()).collect();
        let took = began.elapsed();
        assert!(took < most, "{lines} after {took:?}: {replies:?}");
        replies
    };
    wires.iter_mut().zip(asked).map(read).collect()
}

#[test]
fn without_a_majority_every_command_is_answered_within_its_time_and_told_why() {
    const MOST: Duration = Duration::from_millis(5_200);
    const WHY: &str = "error unavailable: this node hears no majority of the replicas";
    let cluster = cluster(&[("WINTER_COMMAND_TIMEOUT", "4200ms")]);
    let first = standing(&cluster, 0).nodes.into_keys().next().unwrap();
    eventually("partitions are led in turn", || {
        (standing(&cluster, 0).leaders[0] == first).then_some(())
    });
    let last = number_of(&cluster, &first);
    let line = |line: &&str| format!("{line}\n");
    let mut asked: Vec<String> = READS.iter().chain(&WRITES).map(line).collect();
    asked.push((0..50).map(|n| format!("ADD t many{n} v\n")).collect());
    (0..3).filter(|&number| number != last).for_each(|number| cluster.pause(number));
    // Its lease still holds, so that some are read or proposed; what is asked next waits
    // here, then for connections until these are given up, and then here again.
    replies_within(MOST, &cluster, last, &asked);
    replies_within(MOST, &cluster, last, &asked);
    for (lines, replies) in asked.iter().zip(replies_within(MOST, &cluster, last, &asked)) {
        let is_told = |reply: &String| reply.starts_with(WHY) && reply.contains("nothing was done");
        assert!(replies.iter().all(is_told), "{lines}: {replies:?}");
    }
}

#[test]
fn where_a_majority_is_asked_for_reads_none_is_answered_without_it() {
    let cluster = cluster(&[("WINTER_READS", "quorum")]);
    let leader = number_of(&cluster, &standing(&cluster, 0).leaders[0]);
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    let mut wire = cluster.connect(leader);
    let read = |wire: &mut Wire| ask_all(wire, |n| format!("GET t k{n}"));
    eventually("all is read", || read(&mut wire).iter().all(|reply| reply == "v").then_some(()));
    others.iter().for_each(|&number| cluster.pause(number));
    // Its lease would let it answer now.
    let unconfirmed = read(&mut wire);
    let why = "error unavailable: no leader took it in time; nothing was done";
    let is_refused = |reply: &String| reply.starts_with(why);
    assert!(unconfirmed.iter().all(is_refused), "nobody has confirmed this: {unconfirmed:?}");
    others.iter().for_each(|&number| cluster.resume(number));
    eventually("all is read again", || {
        read(&mut wire).iter().all(|reply| reply == "v").then_some(())
    });
}

/// What may stand under a key, by what one connection was told: the last write that
/// was acknowledged or read, and later ones of which nobody knows.
#[derive(Default)]
struct Possible {
    values: BTreeSet<usize>,
    version: u64,
}

impl Possible {
    fn wrote(&mut self, value: usize, reply: &str) {
        match reply.strip_prefix("ok ") {
            Some(version) => {
                let version: u64 = version.parse().unwrap();
                assert!(version > self.version, "{version} after {}", self.version);
                (self.values, self.version) = (BTreeSet::from([value]), version);
            }
            None if reply.starts_with("error unknown: ") => drop(self.values.insert(value)),
            None => assert!(reply.starts_with("error unavailable: "), "{reply}"),
        }
    }

    fn read(&mut self, reply: &str) {
        if reply.starts_with("error unavailable: ") || reply == "nil" && self.version == 0 {
            return;
        }
        let value: usize = reply.parse().unwrap_or_else(|_| panic!("{reply} is read"));
        assert!(self.values.contains(&value), "{value} is read, of {:?}", self.values);
        // What came before it is over.
        self.values.retain(|&other| other >= value);
    }
}

/// Writes and reads a few keys, many at once and in turns, until told to stop.
fn write_and_read(mut wire: Wire, stop: &AtomicBool, told: &[AtomicUsize; 2]) {
    let mut keys: [Possible; 8] = Default::default();
    for turn in 0.. {
        let values = turn * 40..(turn + 1) * 40;
        let line = |value: usize| {
            let key = value % keys.len();
            format!("PUT t o{key} {value}\nGET t o{key}\n")
        };
        wire.send(values.clone().map(line).collect::<String>());
        for value in values {
            let key = &mut keys[value % 8];
            let reply = wire.read_line();
            told[usize::from(reply.starts_with("error "))].fetch_add(1, Ordering::Relaxed);
            key.wrote(value, &reply);
            key.read(&wire.read_line());
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
}

#[test]
fn commands_of_one_connection_keep_their_order_when_leaders_fall_silent_and_wake() {
    let cluster = cluster(&[]);
    let leader = number_of(&cluster, &standing(&cluster, 0).leaders[0]);
    let (stop, told) = (AtomicBool::new(false), [AtomicUsize::new(0), AtomicUsize::new(0)]);
    let wait = |what: usize, more: usize| {
        let wanted = told[what].load(Ordering::Relaxed) + more;
        eventually("it is told so", || {
            (told[what].load(Ordering::Relaxed) >= wanted).then_some(())
        });
    };
    std::thread::scope(|scope| {
        let wire = cluster.connect((leader + 1) % 3);
        let writer = scope.spawn(|| write_and_read(wire, &stop, &told));
        wait(0, 100);
        cluster.pause(leader);
        // Some wait for it, and are found there when it wakes.
        wait(1, 1);
        wait(0, 100);
        cluster.resume(leader);
        wait(0, 400);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
}
