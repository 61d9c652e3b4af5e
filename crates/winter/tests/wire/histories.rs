//! What many clients are told by one node, on several threads, has an order: each
//! command takes effect at one moment between its request and its reply, whatever
//! expires, comes and goes meanwhile. The checker that judges clusters judges it.

use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use winter_sim::coverage::Coverage;
use winter_sim::history::{Action, Call, History, Key, KeyOp, Outcome, Recorder, Table};
use winter_sim::linearizability::{Options as Strictness, TableMoments, check};
use winter_sim::workload::{Mix, Options, Workload};
use winter_testkit::{Server, ServerBuilder, eventually};

use crate::shared_state::Client;
use crate::winter;

/// What each client asks at a time: one thing and one more, or a pipeline.
const DEPTHS: [usize; 8] = [1, 1, 1, 1, 2, 3, 8, 24];
const CALLS_EACH: usize = 2_000;
/// What clients measure and the server's whole milliseconds may differ by so much.
const TICKS: Duration = Duration::from_millis(2);

/// The node that clients ask, and what they write down of it.
struct Run {
    began: Instant,
    workload: Mutex<Workload>,
    recorder: Mutex<Recorder>,
}

impl Run {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().expect("nobody panics with it")
    }

    fn workload(&self) -> MutexGuard<'_, Workload> {
        self.workload.lock().expect("nobody panics with it")
    }

    /// Asks for all of `calls` before the first reply is read.
    fn ask(&self, client: &mut Client, process: u32, calls: &[Call]) {
        let at = self.began.elapsed();
        let ids: Vec<u64> =
            calls.iter().map(|&call| self.recorder().invoke(process, 1, at, call)).collect();
        client.send(calls.iter().map(ToString::to_string));
        for (&id, call) in ids.iter().zip(calls) {
            let outcome = Outcome::of_line(&client.read());
            self.recorder().complete(id, self.began.elapsed(), outcome.clone());
            if let Outcome::Known(reply) = outcome {
                self.workload().learn(call, &reply);
            }
        }
    }

    fn history(&self) -> History {
        self.recorder().history()
    }
}

/// A server all of whose threads are in use from the start: it is kept from seeing
/// how idle the machine is. Where a mount of one's own takes more rights than
/// there are, it decides for itself.
fn with_all_threads(threads: usize) -> Server {
    const WORDS: [&str; 5] = [
        "unshare",
        "--mount",
        "/bin/sh",
        "-c",
        "mount --bind /dev/null /proc/uptime && exec \"$0\" \"$@\"",
    ];
    let of = |builder: ServerBuilder| builder.set("WINTER_THREADS", threads).start();
    let may = Command::new(WORDS[0]).args(&WORDS[1..]).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        return of(winter());
    }
    let server = of(winter().by_way_of(WORDS.map(str::to_owned).into()));
    let active = format!("threads_active:{threads}");
    eventually("all threads are in use", || {
        server.connect().ask_lines("INFO server").contains(&active).then_some(())
    });
    server
}

/// Lets clients ask as `options` say, and judges what they were told.
fn judge(threads: usize, options: Options, required: &[&str]) {
    let server = with_all_threads(threads);
    let run = Run {
        began: Instant::now(),
        workload: Mutex::new(Workload::new(options)),
        recorder: Mutex::default(),
    };
    thread::scope(|scope| {
        for (process, depth) in (0..).zip(DEPTHS) {
            let mut client = Client::of(&server, process);
            let (run, process) = (&run, u32::try_from(process).expect("few"));
            scope.spawn(move || {
                for _ in 0..CALLS_EACH / depth {
                    let calls: Vec<Call> = {
                        let mut workload = run.workload();
                        (0..depth).map(|_| workload.next_call()).collect()
                    };
                    run.ask(&mut client, process, &calls);
                }
            });
        }
    });
    let mut last = Client::of(&server, 0);
    for (table, key) in keys(&run.history()) {
        let call = Call { table, action: Action::Key(key, KeyOp::Gets) };
        run.ask(&mut last, u32::MAX, &[call]);
    }
    let history = run.history();
    let mut coverage = Coverage::default();
    coverage.saw_history(&history);
    required.iter().for_each(|&kind| coverage.require(kind, 10));
    assert!(coverage.missed().is_empty(), "{coverage}");
    assert_eq!(coverage.count("unknown") + coverage.count("failed"), 0, "{coverage}");
    let strictness =
        Strictness { epsilon: TICKS, table_moments: TableMoments::One, ..Strictness::default() };
    let verdict = check(&history, &strictness);
    assert!(verdict.passes(), "{verdict}");
}

fn keys(history: &History) -> std::collections::BTreeSet<(Table, Key)> {
    let of = |call: &Call| Some((call.table, call.key()?));
    history.operations().iter().filter_map(|op| of(&op.call)).collect()
}

#[test]
fn what_two_threads_answer_has_an_order() {
    let options = Options { seed: 21, ttl_millis: 1..=60, ..Options::default() };
    let required = [
        "ADD added",
        "ADD exists",
        "CAS ok",
        "CAS conflict",
        "DELETE conflict",
        "TOUCH ok",
        "GET data",
        "GETS data",
        "GET nil",
        "PUTNEW ok",
    ];
    judge(2, options, &required);
}

#[test]
fn what_four_threads_answer_has_an_order_while_entries_expire() {
    let options = Options {
        seed: 22,
        keys: 6,
        expire_percent: 70,
        ttl_millis: 1..=10,
        mix: Mix { drop: 0, ..Mix::default() },
        ..Options::default()
    };
    let required = ["ADD added", "ADD exists", "CAS ok", "CAS nil", "TOUCH nil", "GET data"];
    judge(4, options, &required);
}

#[test]
fn what_four_threads_answer_has_an_order_while_tables_come_and_go() {
    let options = Options {
        seed: 23,
        keys: 4,
        table_calls_max: 60,
        key_calls_max: 100,
        mix: Mix::lifecycles(),
        ..Options::default()
    };
    let required = [
        "CREATE created",
        "CREATE already created",
        "DROP dropped",
        "GET missing table",
        "PUT missing table",
        "GET data",
        "ADD added",
    ];
    judge(4, options, &required);
}
