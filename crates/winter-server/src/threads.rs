//! The threads that sessions live on: as many as are of use.
//!
//! Every client has a home: the thread with its number's remainder by the number
//! of threads in use. Whoever finds itself elsewhere moves when it has nothing
//! under way, so that a session which asks for nothing is not woken for it.
//! [`govern`] feeds core's [`Governor`] with what the system says of the threads.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use winter_core::threads::{Governor, Sample};

use crate::node::faults;
use crate::process::{self, ThreadTimes};
use crate::server::Shared;

/// How often threads are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// How often threads are asked whether they answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long they may take: far longer than a session's turn.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The threads that sessions live on.
#[derive(Debug)]
pub struct Threads {
    handles: Box<[Handle]>,
    active: AtomicUsize,
}

impl Default for Threads {
    /// None: whoever works on what a node shares is the first and only one.
    fn default() -> Self {
        Self { handles: Box::default(), active: AtomicUsize::new(1) }
    }
}

impl Threads {
    /// Threads with these runtimes, all in use.
    pub(crate) fn new(handles: impl IntoIterator<Item = Handle>) -> Self {
        let handles: Box<[_]> = handles.into_iter().collect();
        Self { active: AtomicUsize::new(handles.len().max(1)), handles }
    }

    /// How many are in use.
    #[inline]
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Uses the first `active` threads, one at least and all at the most.
    pub fn set_active(&self, active: usize) {
        self.active.store(active.min(self.handles.len()).max(1), Ordering::Relaxed);
    }

    /// The number of the thread on which the session of the client with this
    /// number is to live.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of threads")]
    pub fn home(&self, client: u64) -> usize {
        (client % self.active() as u64) as usize
    }

    /// The runtime of a thread.
    pub(crate) fn handle(&self, number: usize) -> &Handle {
        &self.handles[number]
    }

    /// Ends once each has done what was there before.
    async fn answer(&self) {
        // Those that have stopped answer as well: nobody waits for them.
        join_all(self.handles.iter().map(|handle| handle.spawn(async {}))).await;
    }
}

/// Asks the threads again and again whether they answer. While one stands still
/// the node is not ready: probes are answered elsewhere, and would not notice.
pub async fn listen(shared: Arc<Shared>) {
    let is_failing = |is_failing| {
        shared.node.health.note("sessions", |work| work.is_failing = is_failing);
    };
    is_failing(false);
    loop {
        sleep(ASK_EVERY).await;
        let mut answer = pin!(shared.threads.answer());
        if timeout(ANSWER_MAX, &mut answer).await.is_ok() {
            continue;
        }
        tracing::error!("a thread that serves clients stands still; the node is not ready");
        is_failing(true);
        answer.await;
        tracing::info!("all threads that serve clients answer again");
        is_failing(false);
    }
}

/// Decides again and again how many threads are in use, from what `times` tells
/// of each. All are in use where the system does not tell.
pub async fn govern(shared: Arc<Shared>, times: Arc<[ThreadTimes]>) {
    let threads = &shared.threads;
    let mut governor = Governor::new(times.len());
    threads.set_active(governor.active());
    let mut seen = None;
    loop {
        sleep(SAMPLE_EVERY).await;
        faults::point("threads");
        let Some(now) = Seen::now(&times) else { break };
        if let Some(before) = seen.replace(now) {
            let (active, sample) = (governor.active(), now.since(&before));
            let wanted = governor.decide(&sample);
            if wanted != active {
                tracing::debug!(threads = wanted, before = active, ?sample, "threads in use");
                threads.set_active(wanted);
            }
        }
    }
    tracing::debug!("the system does not tell how busy threads are; all of them are in use");
    threads.set_active(times.len());
}

/// What the system has counted of the threads and the machine.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    run: Duration,
    wait: Duration,
    idle: Duration,
}

impl Seen {
    fn now(times: &[ThreadTimes]) -> Option<Self> {
        let mut seen = Self {
            at: Instant::now(),
            run: Duration::ZERO,
            wait: Duration::ZERO,
            idle: process::idle_time()?,
        };
        for thread in times {
            let (run, wait) = thread.read()?;
            seen.run += run;
            seen.wait += wait;
        }
        Some(seen)
    }

    fn since(&self, before: &Self) -> Sample {
        Sample {
            span: self.at - before.at,
            run: self.run.saturating_sub(before.run),
            wait: self.wait.saturating_sub(before.wait),
            idle: self.idle.saturating_sub(before.idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use winter_core::store::Seed;

    use super::*;
    use crate::config::Config;
    use crate::node::Node;

    #[test]
    fn clients_are_spread_over_the_threads_in_use() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let threads = Threads::new(vec![runtime.handle().clone(); 4]);
        let homes = |threads: &Threads| (1..=8).map(|id| threads.home(id)).collect::<Vec<_>>();
        assert_eq!(homes(&threads), [1, 2, 3, 0, 1, 2, 3, 0]);
        threads.set_active(2);
        assert_eq!(homes(&threads), [1, 0, 1, 0, 1, 0, 1, 0]);
        threads.set_active(0);
        assert_eq!((threads.active(), homes(&threads)), (1, vec![0; 8]));
        threads.set_active(9);
        assert_eq!(threads.active(), 4);
    }

    #[tokio::test]
    async fn a_node_of_which_a_thread_stands_still_is_not_ready() {
        tokio::time::pause();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let runtime = runtime.unwrap();
        let node = Node::new(Config::default(), Seed(1, 2));
        let mut shared = Shared::new(node, ([127, 0, 0, 1], 1).into());
        shared.threads = Threads::new([runtime.handle().clone()]);
        let shared = Arc::new(shared);
        let (go_on, stands_still) = std::sync::mpsc::channel::<()>();
        runtime.spawn(async move { stands_still.recv() });
        tokio::spawn(listen(Arc::clone(&shared)));
        while shared.unready().is_none() {
            sleep(ASK_EVERY).await;
        }
        assert_eq!(shared.unready().as_deref(), Some("failing: sessions"));
        go_on.send(()).unwrap();
        while shared.unready().is_some() {
            sleep(ASK_EVERY).await;
        }
        runtime.shutdown_background();
    }

    #[test]
    fn the_system_tells_how_long_a_thread_ran() {
        let times = ThreadTimes::of_this_thread().expect("there is /proc");
        let ran = || times.read().map(|(run, _)| run);
        // A thread's time is counted when it gives its core away, or at a tick.
        let before = winter_testkit::eventually("it has run", ran);
        while ran() < Some(before + Duration::from_millis(5)) {
            std::hint::spin_loop();
        }
    }
}
