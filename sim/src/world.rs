//! A run: hosts are made and nodes started, clients ask, faults happen and end,
//! and then all has to be as if nothing had happened.

mod amnesia;
mod checks;
mod clocks;
mod happen;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Builder;
use tracing::Level;
use turmoil::Sim;
use winter_server::cluster::View;
use winter_server::sabotage::{self, Sabotage};
use winter_sim::coverage::Coverage;
use winter_sim::dice::Dice;
use winter_sim::history::{Action, Call, KeyOp, Recorder};
use winter_sim::workload::{self, Mix, Workload};

use crate::client::{self, Asking};
use crate::dns::{self, Mood, Script};
use crate::faults::{Active, Kind};
use crate::node::{self, Slot};
use crate::options::{Broken, Options, Plan};
use crate::report::Report;
use crate::trace::Trace;
use checks::Seen;

/// How often the simulator looks at the nodes.
const LOOK: Duration = Duration::from_millis(250);
/// How long the cluster may take to form when DNS is honest and all nodes run.
const FORM_MAX: Duration = Duration::from_secs(90);
/// How long a fault that takes a replica waits for its moment.
const CALM_MAX: Duration = Duration::from_secs(20);
/// How long it may take until all is whole again after the last fault.
const HEAL_MAX: Duration = Duration::from_secs(180);
/// How long the last reads may take, and replicas to become equal.
const END_MAX: Duration = Duration::from_secs(60);
/// Commands that have to be answered when all is whole.
const ANSWERED_LEAST: u64 = 50;

/// In which order the tasks of a host that crashes end follows from their
/// numbers, and tokio counts them for the whole process. So runs wait for each
/// other, and each begins at a multiple of this, which is one of tokio's, too.
const TASK_NUMBERS: u64 = 1 << 10;
static ALONE: Mutex<()> = Mutex::new(());

/// A run under way.
struct World<'a> {
    sim: Sim<'a>,
    options: Options,
    dice: Dice,
    slots: Vec<Rc<Slot>>,
    script: Rc<RefCell<Script>>,
    asking: Rc<Asking>,
    trace: Trace,
    coverage: Coverage,
    problems: Vec<String>,
    active: Vec<Active>,
    /// Nodes that do not run, and when they are started.
    down: Vec<(usize, Duration)>,
    /// Nodes that were told to leave.
    leaving: BTreeSet<usize>,
    seen: Seen,
}

/// Runs what `options` say, with the nodes' logs shown up to `log`.
#[must_use]
pub fn run(options: Options, log: Option<Level>) -> Report {
    let _alone = ALONE.lock();
    go_to_first_task();
    let trace = Trace::showing(log);
    let subscriber = trace.clone();
    sabotage::set(match options.broken {
        Some(Broken::Reads) => Some(Sabotage::ReadsWithoutBarrier),
        Some(Broken::Acknowledgements) => Some(Sabotage::AcknowledgesEarly),
        Some(Broken::Expiry) => Some(Sabotage::ExpiresByOwnClock),
        Some(Broken::Identity) | None => None,
    });
    tracing::subscriber::with_default(subscriber, || World::new(options, trace).run())
}

fn go_to_first_task() {
    let number = || tokio::spawn(async {}).id().to_string().parse::<u64>();
    let runtime = Builder::new_current_thread().build().expect("it has no threads of its own");
    runtime.block_on(async { while !number().is_ok_and(|n| n.is_multiple_of(TASK_NUMBERS)) {} });
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

/// A part of a run; its problem, if it cannot go on.
type Phase<'a> = fn(&mut World<'a>) -> Result<(), String>;

impl World<'_> {
    fn new(options: Options, trace: Trace) -> Self {
        let mut dice = Dice::new(!options.seed);
        let mut sim = turmoil::Builder::new()
            .rng_seed(options.seed)
            .epoch(SystemTime::UNIX_EPOCH)
            .simulation_duration(Duration::from_secs(1 << 32))
            .tick_duration(Duration::from_millis(1))
            .max_message_latency(options.latency)
            .tcp_capacity(1 << 16)
            .build();
        let script = Rc::new(RefCell::new(Script::default()));
        let answers = Rc::clone(&script);
        sim.host("dns", move || dns::run(Rc::clone(&answers)));
        let spread = u64::try_from(options.start_spread.as_millis()).expect("it is short");
        let slots: Vec<Rc<Slot>> = (0..options.nodes)
            .map(|number| {
                let first_start = Duration::from_millis(dice.below(spread + 1));
                Rc::new(Slot::new(number, &options, first_start))
            })
            .collect();
        for (number, slot) in slots.iter().enumerate() {
            let slot = Rc::clone(slot);
            sim.host(host(number), move || node::run(Rc::clone(&slot)));
        }
        script.borrow_mut().nodes =
            (0..options.nodes).map(|number| sim.lookup(host(number))).collect();
        let asking = Rc::new(asking(&options));
        for process in 0..options.clients {
            let (asking, dice) = (Rc::clone(&asking), Dice::new(dice.roll()));
            let process = u32::try_from(process).expect("clients are few");
            sim.client(format!("client{process}"), client::run(process, asking, dice));
        }
        Self {
            sim,
            dice,
            slots,
            script,
            asking,
            trace,
            coverage: Coverage::default(),
            problems: Vec::new(),
            active: Vec::new(),
            down: Vec::new(),
            leaving: BTreeSet::new(),
            seen: Seen::default(),
            options,
        }
    }

    fn run(self) -> Report {
        let mut world = ManuallyDrop::new(self);
        match catch_unwind(AssertUnwindSafe(|| world.phases())) {
            Ok(()) => ManuallyDrop::into_inner(world).report(),
            // What has panicked midway is left as it is: to drop it could panic, too.
            Err(panic) => {
                world.problems.push(format!("a node panicked: {}", text(&*panic)));
                world.report()
            }
        }
    }

    fn phases(&mut self) {
        let phases: [Phase<'_>; 4] = [Self::form, Self::suffer, Self::heal, Self::end];
        for phase in phases {
            if let Err(problem) = phase(self) {
                self.problems.push(problem);
                break;
            }
        }
    }

    fn report(&mut self) -> Report {
        let history = self.asking.recorder.borrow().history();
        self.judge(&history);
        Report {
            options: self.options.clone(),
            problems: self.problems.clone(),
            coverage: self.coverage.clone(),
            history,
            took: self.sim.elapsed(),
            trace: self.trace.digest(),
        }
    }

    /// Lets DNS lie for a while, and then waits for a cluster.
    fn form(&mut self) -> Result<(), String> {
        let hosts: Vec<_> = self.script.borrow().nodes.clone();
        while self.sim.elapsed() < self.options.dns_lies {
            let moods = hosts.iter().map(|&host| (host, self.mood())).collect();
            self.script.borrow_mut().moods = moods;
            self.go_on(Duration::from_secs(1))?;
        }
        self.script.borrow_mut().moods.clear();
        let spread = self.options.start_spread;
        self.until("the cluster is not formed", FORM_MAX + spread, Self::is_whole)?;
        self.coverage.saw("the cluster was formed");
        Ok(())
    }

    fn mood(&mut self) -> Mood {
        let partial = self.dice.place(self.options.nodes);
        match self.dice.below(6) {
            0 => Mood::Empty,
            1 | 2 => Mood::Partial(partial),
            3 => Mood::Stale,
            4 => Mood::Fails,
            _ => Mood::Honest,
        }
    }

    /// Lets clients ask while faults happen.
    fn suffer(&mut self) -> Result<(), String> {
        self.asking.is_on.set(true);
        self.go_on(Duration::from_secs(2))?;
        match self.options.plan {
            Plan::Chance | Plan::Long => {}
            Plan::Amnesia => return self.forget(),
            Plan::Clocks => return self.misjudge(),
        }
        let end = self.sim.elapsed() + self.options.faults;
        while self.sim.elapsed() < end {
            let kind = Kind::draw(&mut self.dice);
            if kind.takes_a_replica() {
                self.calm_down()?;
            }
            if self.begin(kind) {
                let pause = u64::try_from(self.options.fault_pause.as_millis()).unwrap_or(1);
                let pause = Duration::from_millis(self.dice.below(pause) + 1);
                self.go_on(pause)?;
            } else {
                self.go_on(Duration::from_millis(50))?;
            }
        }
        self.coverage.require("faults", 2);
        Ok(())
    }

    /// Waits for a moment without faults and with all replicas in their places.
    fn calm_down(&mut self) -> Result<(), String> {
        let end = self.sim.elapsed() + CALM_MAX;
        while self.sim.elapsed() < end && !(self.active.is_empty() && self.is_whole()) {
            self.go_on(LOOK)?;
        }
        Ok(())
    }

    /// Ends all faults, and waits until all is whole and clients are answered.
    fn heal(&mut self) -> Result<(), String> {
        self.end_all();
        self.trace.note(millis(self.sim.elapsed()), "all faults have ended");
        self.until("the cluster is not whole again", HEAL_MAX, Self::is_whole)?;
        let before = self.asking.answered.get();
        self.until("clients are not answered", END_MAX, move |world| {
            world.asking.answered.get() >= before + ANSWERED_LEAST
        })
    }

    /// Reads every key once more, and compares the replicas.
    fn end(&mut self) -> Result<(), String> {
        self.asking.is_ending.set(true);
        self.go_on(Duration::from_secs(9))?;
        let history = self.asking.recorder.borrow().history();
        let keys: BTreeSet<_> = history
            .operations()
            .iter()
            .filter_map(|op| Some((op.call.table, op.call.key()?)))
            .collect();
        let read = |(table, key)| Call { table, action: Action::Key(key, KeyOp::Gets) };
        *self.asking.first.borrow_mut() = keys.into_iter().map(read).collect();
        self.until("the last reads are not answered", 2 * END_MAX, |world| {
            world.asking.first.borrow().is_empty()
        })?;
        self.go_on(Duration::from_secs(9))?;
        self.asking.is_on.set(false);
        self.until("replicas differ", END_MAX, Self::are_replicas_equal)
    }

    /// Goes on until something is so.
    fn until(
        &mut self,
        otherwise: &str,
        most: Duration,
        is_so: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let end = self.sim.elapsed() + most;
        while !is_so(self) {
            if self.sim.elapsed() > end {
                return Err(format!("{otherwise} after {most:?}\n{}", self.told()));
            }
            self.go_on(LOOK)?;
        }
        Ok(())
    }

    /// Lets time go on.
    fn go_on(&mut self, by: Duration) -> Result<(), String> {
        let end = self.sim.elapsed() + by;
        while self.sim.elapsed() < end {
            self.trace.tick(millis(self.sim.elapsed()));
            self.sim.step().map_err(|error| format!("a host failed: {error}"))?;
            self.end_due();
            self.start_again();
            if millis(self.sim.elapsed()).is_multiple_of(millis(LOOK)) {
                self.look();
            }
        }
        if self.problems.is_empty() { Ok(()) } else { Err("the run is cut short".to_owned()) }
    }

    /// Starts nodes whose time has come, or that ended by themselves.
    fn start_again(&mut self) {
        let now = self.sim.elapsed();
        for number in 0..self.slots.len() {
            if self.slots[number].ended.swap(false, Ordering::Relaxed) {
                let word = if self.leaving.remove(&number) { "has left" } else { "gave up" };
                self.coverage.saw(format!("a node {word}"));
                let wait = Duration::from_millis(100 + self.dice.below(2_000));
                self.stop(number, now + wait);
            }
        }
        let (due, waiting) = self.down.drain(..).partition(|(_, at)| *at <= now);
        self.down = waiting;
        let due: Vec<(usize, Duration)> = due;
        for (number, _) in due {
            self.trace.note(millis(now), &format!("{} starts", host(number)));
            self.sim.bounce(host(number));
        }
    }

    /// Ends a node, to be started again at `until`.
    fn stop(&mut self, number: usize, until: Duration) {
        self.trace.note(millis(self.sim.elapsed()), &format!("{} stops", host(number)));
        drop(self.slots[number].cluster.take());
        self.slots[number].hand.set(None);
        self.sim.crash(host(number));
        self.down.push((number, until));
    }

    /// What the nodes that run say.
    fn views(&self) -> Vec<(usize, View)> {
        let running = self.slots.iter().enumerate();
        running
            .filter_map(|(number, slot)| Some((number, slot.cluster.borrow().as_ref()?.view())))
            .collect()
    }
}

fn asking(options: &Options) -> Asking {
    // Where clocks are wrong, it is lives that are to be looked at.
    let expire_percent = match options.plan {
        Plan::Clocks => 50,
        _ if options.clocks_lie => 30,
        _ => 10,
    };
    let mix = match options.plan {
        Plan::Clocks => Mix { get: 300, put_new: 0, cas: 0, delete: 0, drop: 0, ..Mix::default() },
        _ if options.tables_come_and_go => Mix::lifecycles(),
        _ => Mix::default(),
    };
    let workload = Workload::new(workload::Options {
        seed: options.seed,
        expire_percent,
        ttl_millis: 200..=3_000,
        mix,
        ..workload::Options::default()
    });
    Asking {
        workload: RefCell::new(workload),
        first: RefCell::default(),
        recorder: RefCell::new(Recorder::default()),
        is_on: Cell::default(),
        is_ending: Cell::default(),
        answered: Cell::default(),
        hosts: (0..options.nodes).map(host).collect(),
        think: options.think,
        padding: options.padding,
    }
}

/// The name of a host with a node.
fn host(number: usize) -> String {
    format!("node{number}")
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("584 million years")
}
