//! Many operations in few entries.
//!
//! An entry costs a message to each replica and back, however long it is. So
//! what waits goes together: the batcher proposes at once when nothing is in
//! flight, and what comes in the meantime fills the next entry. That one goes
//! when the first is through, or when it is full: a second in flight that is
//! not would cost as much as the first, and carry half.
//!
//! It also keeps the deadlines: an operation that could not be proposed in time
//! is refused, and nothing was done; one that was proposed and has no reply in
//! time is unknown. A waiter may give up sooner, by a deadline of its own.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use winter_core::time::Timestamp;

use super::counters::Counters;
use super::error::ProposeError;
use super::gather::{Gather, Outcome, Slot};
use super::machine::Machine;
use super::options::Options;

/// How soon a proposer that was not ready is asked again.
const READY_WAIT: Duration = Duration::from_millis(2);
/// What an operation takes in the queue beside its bytes, about.
const OPERATION_BYTES: usize = 128;

/// The reply to an operation, once it is applied here.
#[derive(Debug)]
pub struct Pending<R>(Gather<R>);

impl<R> Pending<R> {
    /// Waits no longer than until `deadline`. If it was not proposed by then, it never is.
    pub async fn until(self, deadline: Instant) -> Result<R, ProposeError> {
        only(self.0.until(deadline).await)
    }
}

impl<R> Future for Pending<R> {
    type Output = Result<R, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(only)
    }
}

fn only<R>(mut outcomes: Vec<Outcome<R>>) -> Result<R, ProposeError> {
    let outcome = outcomes.pop().unwrap_or(Err(ProposeError::Unknown));
    outcome.and_then(|mut replies| replies.pop().ok_or(ProposeError::Unknown))
}

/// Operations of one group that keep together: they stand in one entry, one
/// after the other. What one machine makes of several operations' bytes in a row
/// must be what it makes of them one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The operations' bytes.
    pub bytes: Vec<u8>,
    /// How many they are.
    pub count: usize,
}

impl From<Bytes> for Batch {
    fn from(operation: Bytes) -> Self {
        Self { bytes: operation.into(), count: 1 }
    }
}

/// Where packed entries go.
pub(super) trait Proposer<R>: Send + Sync + 'static {
    /// Whether an entry would be taken, as far as is known. A leader that was
    /// just elected is confirmed within a moment, and a full log has room within
    /// another, which is worth the wait.
    fn is_ready(&self) -> bool;

    /// Proposes an entry, which `flight` hears of. Returns as soon as its place
    /// among the others is certain.
    fn propose(&self, entry: Bytes, flight: Flight<R>) -> impl Future<Output = ()> + Send;
}

/// The end of the queue at which operations are put in.
#[derive(Debug)]
pub(super) struct Queue<R> {
    sender: mpsc::Sender<Waiting<R>>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    /// With so many bytes an entry is full, of which the batcher is told.
    entry_bytes: usize,
    filled: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting<R> {
    batch: Batch,
    since: Instant,
    slot: Slot<R>,
}

impl<R> Waiting<R> {
    fn bytes(&self) -> usize {
        self.batch.bytes.len() + OPERATION_BYTES
    }
}

impl<R> Queue<R> {
    /// Puts an operation in, behind all that were put in before.
    pub(super) fn put(&self, operation: Bytes) -> Result<Pending<R>, ProposeError> {
        let mut gather = Gather::default();
        self.put_batch(operation.into(), &mut gather)?;
        Ok(Pending(gather))
    }

    /// Puts a batch in, of which `gather` is told in a slot of its own; in none
    /// when it is refused.
    pub(super) fn put_batch(
        &self,
        batch: Batch,
        gather: &mut Gather<R>,
    ) -> Result<(), ProposeError> {
        let bytes = batch.bytes.len() + OPERATION_BYTES;
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is longer than the queue alone may go through an empty one.
        let is_full = before > 0 && before + bytes > self.bytes_max;
        let place = if is_full {
            Err(ProposeError::Busy)
        } else {
            self.sender.try_reserve().map_err(|error| match error {
                mpsc::error::TrySendError::Full(()) => ProposeError::Busy,
                mpsc::error::TrySendError::Closed(()) => ProposeError::Stopped,
            })
        };
        match place {
            Ok(place) => {
                place.send(Waiting { batch, since: Instant::now(), slot: gather.slot() });
                if before < self.entry_bytes && before + bytes >= self.entry_bytes {
                    self.filled.notify_one();
                }
                Ok(())
            }
            Err(error) => {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Bytes that wait to be proposed.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// An entry on its way, and those who wait for its operations' replies.
pub(super) struct Flight<R> {
    waiters: Arc<Waiters<R>>,
}

struct Waiters<R> {
    /// How many operations each has in the entry.
    slots: Mutex<Vec<(usize, Slot<R>)>>,
    has_landed: AtomicBool,
    landed: Arc<Notify>,
    since: Instant,
    counters: Arc<Counters>,
}

impl<R> Waiters<R> {
    /// Tells all who still wait the same. Who gave up waiting is not missed.
    fn tell_all(&self, error: ProposeError) {
        for (_, slot) in self.slots.lock().drain(..) {
            slot.fill(Err(error));
        }
    }
}

impl<R> Flight<R> {
    /// The entry was applied: each operation has its reply, in order.
    pub(super) fn land(self, replies: Vec<R>) {
        self.waiters.counters.commit(self.waiters.since.elapsed());
        let slots = std::mem::take(&mut *self.waiters.slots.lock());
        let mut replies = replies.into_iter();
        for (count, slot) in slots {
            let replies: Vec<R> = replies.by_ref().take(count).collect();
            let is_whole = replies.len() == count;
            slot.fill(if is_whole { Ok(replies) } else { Err(ProposeError::Unknown) });
        }
    }

    /// The entry was refused or lost.
    pub(super) fn fail(self, error: ProposeError) {
        self.waiters.tell_all(error);
    }
}

/// Whatever happens to an entry, its place in flight is free afterwards.
impl<R> Drop for Flight<R> {
    fn drop(&mut self) {
        self.waiters.tell_all(ProposeError::Unknown);
        self.waiters.has_landed.store(true, Ordering::Release);
        self.waiters.landed.notify_one();
    }
}

/// A leader's clock. Entries are stamped with it, and never with less than the
/// entry before; the machine sees to it that this also holds between leaders.
pub type Stamp = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// The task that packs what waits, and proposes it.
pub(super) struct Batcher<M: Machine, P> {
    options: Options,
    stamp: Stamp,
    last_stamp: Timestamp,
    proposer: P,
    queue: mpsc::Receiver<Waiting<M::Reply>>,
    queue_bytes: Arc<AtomicUsize>,
    /// The first that waits, out of the queue so that its age can be seen.
    head: Option<Waiting<M::Reply>>,
    flights: VecDeque<(Instant, Arc<Waiters<M::Reply>>)>,
    /// An entry has landed, or another is full.
    woken: Arc<Notify>,
    counters: Arc<Counters>,
    /// Kept from entry to entry for its room.
    batches: Vec<Batch>,
}

impl<M: Machine, P: Proposer<M::Reply>> Batcher<M, P> {
    pub(super) fn new(
        options: Options,
        stamp: Stamp,
        proposer: P,
        counters: Arc<Counters>,
    ) -> (Queue<M::Reply>, Self) {
        let (sender, queue) = mpsc::channel(options.queue_operations_max);
        let bytes = Arc::new(AtomicUsize::new(0));
        let queue_bytes = Arc::clone(&bytes);
        let batcher = Self {
            options,
            stamp,
            last_stamp: Timestamp::default(),
            proposer,
            queue,
            queue_bytes,
            head: None,
            flights: VecDeque::new(),
            woken: Arc::default(),
            counters,
            batches: Vec::new(),
        };
        let queue = Queue {
            sender,
            bytes,
            bytes_max: options.queue_bytes_max,
            entry_bytes: options.entry_bytes_max,
            filled: Arc::clone(&batcher.woken),
        };
        (queue, batcher)
    }

    /// Packs and proposes until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let woken = Arc::clone(&self.woken);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = woken.notified() => {}
                waiting = self.queue.recv(), if self.head.is_none() => match waiting {
                    Some(waiting) => self.head = Some(waiting),
                    None => break,
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
            }
            self.expire(Instant::now());
            while self.has_room() && self.proposer.is_ready() {
                self.propose_next().await;
                self.flights.retain(|(_, waiters)| !waiters.has_landed.load(Ordering::Acquire));
            }
        }
        self.queue.close();
        while let Some(waiting) = self.next() {
            waiting.slot.fill(Err(ProposeError::Stopped));
        }
    }

    /// Whether something waits that should be proposed now.
    fn has_room(&self) -> bool {
        let is_full = || {
            self.queue.len() >= self.options.entry_operations_max
                || self.queue_bytes.load(Ordering::Relaxed) >= self.options.entry_bytes_max
        };
        let flying = self.flights.len();
        let may_fly = flying == 0 || flying < self.options.entries_in_flight_max && is_full();
        may_fly && self.head.is_some()
    }

    /// When something is due to be given up, or to be tried again.
    fn deadline(&self) -> Option<Instant> {
        let ready = self.has_room().then(|| Instant::now() + READY_WAIT);
        let queued = self.head.as_ref().map(|head| head.since + self.options.queue_wait);
        let waits = |(since, waiters): &(Instant, Arc<Waiters<_>>)| {
            let is_empty = waiters.slots.lock().is_empty();
            (!is_empty).then_some(*since + self.options.commit_wait)
        };
        queued.into_iter().chain(ready).chain(self.flights.iter().filter_map(waits)).min()
    }

    /// Gives up what is due, and forgets the entries that are through.
    fn expire(&mut self, now: Instant) {
        self.flights.retain(|(_, waiters)| !waiters.has_landed.load(Ordering::Acquire));
        for (since, waiters) in &self.flights {
            if *since + self.options.commit_wait <= now {
                waiters.tell_all(ProposeError::Unknown);
            }
        }
        // What is in the queue came no earlier than its head.
        while let Some(late) = self.head.take_if(|head| head.since + self.options.queue_wait <= now)
        {
            self.queue_bytes.fetch_sub(late.bytes(), Ordering::Relaxed);
            late.slot.fill(Err(ProposeError::Unavailable));
            self.head = self.queue.try_recv().ok();
        }
    }

    fn next(&mut self) -> Option<Waiting<M::Reply>> {
        let waiting = self.head.take().or_else(|| self.queue.try_recv().ok())?;
        self.queue_bytes.fetch_sub(waiting.bytes(), Ordering::Relaxed);
        Some(waiting)
    }

    /// Packs the next entry and proposes it.
    async fn propose_next(&mut self) {
        let mut slots = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some(waiting) = self.next_of(count, bytes) {
            if !waiting.slot.begin() {
                continue;
            }
            count += waiting.batch.count;
            bytes += waiting.batch.bytes.len();
            slots.push((waiting.batch.count, waiting.slot));
            self.batches.push(waiting.batch);
        }
        if slots.is_empty() {
            return;
        }
        self.last_stamp = self.last_stamp.max((self.stamp)());
        let entry = M::pack(&self.batches, self.last_stamp);
        self.batches.clear();
        self.counters.propose(count);
        let since = Instant::now();
        let waiters = Arc::new(Waiters {
            slots: Mutex::new(slots),
            has_landed: AtomicBool::new(false),
            landed: Arc::clone(&self.woken),
            since,
            counters: Arc::clone(&self.counters),
        });
        self.flights.push_back((since, Arc::clone(&waiters)));
        self.proposer.propose(entry, Flight { waiters }).await;
        if self.head.is_none() {
            self.head = self.queue.try_recv().ok();
        }
    }

    /// The next batch, if it fits an entry that has so many operations and bytes already.
    fn next_of(&mut self, count: usize, bytes: usize) -> Option<Waiting<M::Reply>> {
        if self.head.is_none() {
            self.head = self.queue.try_recv().ok();
        }
        let head = &self.head.as_ref()?.batch;
        let fits = count + head.count <= self.options.entry_operations_max
            && bytes + head.bytes.len() <= self.options.entry_bytes_max;
        if count == 0 || fits { self.next() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::consensus::machine::{Replies, Source, Target, Unreadable};

    /// Packs into lines; is never applied.
    struct Lines;

    impl Machine for Lines {
        type Reply = Bytes;
        type Source = Self;
        type Target = Self;

        fn pack(batches: &[Batch], stamp: Timestamp) -> Bytes {
            let stamp = stamp.as_millis().to_string().into_bytes();
            let batches = batches.iter().map(|batch| &*batch.bytes);
            [&*stamp].into_iter().chain(batches).collect::<Vec<_>>().join(&b' ').into()
        }

        fn apply(&mut self, _: u64, _: &[u8], _: &mut Replies<Bytes>) {}

        fn freeze(&self) -> Self {
            Self
        }

        fn receive(&self) -> Self {
            Self
        }

        fn install(&mut self, _: Self) -> Result<(), Unreadable> {
            Ok(())
        }
    }

    impl Source for Lines {
        fn next(&mut self, _: usize) -> Option<Bytes> {
            None
        }
    }

    impl Target for Lines {
        fn push(&mut self, _: &[u8]) -> Result<(), Unreadable> {
            Ok(())
        }
    }

    type Proposed = Arc<Mutex<VecDeque<(String, Flight<Bytes>)>>>;

    impl Proposer<Bytes> for Proposed {
        fn is_ready(&self) -> bool {
            self.lock().front().is_none_or(|(entry, _)| entry != "7 not ready")
        }

        async fn propose(&self, entry: Bytes, flight: Flight<Bytes>) {
            let entry = String::from_utf8(entry.to_vec()).unwrap();
            self.lock().push_back((entry, flight));
        }
    }

    /// A batcher whose clock says what `times` hold, one after the other.
    struct Bench {
        queue: Queue<Bytes>,
        proposed: Proposed,
        stop: CancellationToken,
    }

    impl Bench {
        fn new(options: Options, times: &'static [u64]) -> Self {
            let at = AtomicUsize::new(0);
            let stamp = move || {
                let at = at.fetch_add(1, Ordering::Relaxed).min(times.len() - 1);
                Timestamp::from_millis(times[at])
            };
            let proposed = Proposed::default();
            let (queue, batcher) = Batcher::<Lines, _>::new(
                options,
                Box::new(stamp),
                Arc::clone(&proposed),
                Arc::default(),
            );
            let stop = CancellationToken::new();
            tokio::spawn(batcher.run(stop.clone()));
            Self { queue, proposed, stop }
        }

        fn put(&self, operation: &'static str) -> Pending<Bytes> {
            self.queue.put(operation.into()).unwrap()
        }

        /// The entries in flight, once the batcher has done what it can.
        async fn flying(&self) -> Vec<String> {
            sleep(Duration::from_millis(1)).await;
            self.proposed.lock().iter().map(|(entry, _)| entry.clone()).collect()
        }

        fn next(&self) -> (String, Flight<Bytes>) {
            self.proposed.lock().pop_front().unwrap()
        }

        /// Lands the first entry, with what its operations are as their replies.
        fn land(&self) {
            let (entry, flight) = self.next();
            let replies = entry.split(' ').skip(1).map(|text| text.to_owned().into());
            flight.land(replies.collect());
        }
    }

    /// Anything that waits fills an entry.
    fn small() -> Options {
        Options { entry_bytes_max: 1, ..Options::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn one_entry_flies_and_what_comes_meanwhile_fills_the_next() {
        let bench = Bench::new(Options::default(), &[7]);
        let mut pending = vec![bench.put("a")];
        assert_eq!(bench.flying().await, ["7 a"], "at once, and alone");
        pending.extend(["b", "c"].map(|operation| bench.put(operation)));
        assert_eq!(bench.flying().await, ["7 a"]);
        pending.extend(["d", "e"].map(|operation| bench.put(operation)));
        bench.land();
        assert_eq!(bench.flying().await, ["7 b c d e"]);
        bench.land();
        for (pending, reply) in pending.into_iter().zip(["a", "b", "c", "d", "e"]) {
            assert_eq!(pending.await, Ok(reply.into()));
        }
        assert_eq!(bench.queue.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_entry_flies_beside_the_first_and_a_third_waits() {
        let options = Options { entry_bytes_max: 2 * OPERATION_BYTES, ..Options::default() };
        let bench = Bench::new(options, &[7]);
        let mut pending = vec![bench.put("a")];
        bench.flying().await;
        pending.push(bench.put("b"));
        assert_eq!(bench.flying().await, ["7 a"], "it is not full");
        pending.push(bench.put("c"));
        assert_eq!(bench.flying().await, ["7 a", "7 b c"]);
        pending.extend(["d", "e", "f"].map(|operation| bench.put(operation)));
        assert_eq!(bench.flying().await, ["7 a", "7 b c"]);
        bench.land();
        assert_eq!(bench.flying().await, ["7 b c", "7 d e f"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_bounded_in_operations_and_in_bytes() {
        let options = Options {
            entry_operations_max: 3,
            entry_bytes_max: 8,
            entries_in_flight_max: 100,
            ..Options::default()
        };
        let bench = Bench::new(options, &[7]);
        let operations = ["a", "b", "c", "d", "1234567", "12345678", "much longer", "e", "f"];
        let _pending = operations.map(|operation| bench.put(operation));
        assert_eq!(
            bench.flying().await,
            ["7 a b c", "7 d 1234567", "7 12345678", "7 much longer", "7 e f"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_not_torn_apart_and_its_replies_come_together() {
        let options =
            Options { entry_operations_max: 4, entries_in_flight_max: 100, ..Options::default() };
        let options = Options { entry_bytes_max: 100, ..options };
        let bench = Bench::new(options, &[7]);
        let mut gather = Gather::default();
        let _alone = bench.put("a");
        for (count, operations) in [(2, "b c"), (2, "d e"), (5, "f g h i j"), (1, "k")] {
            let batch = Batch { bytes: operations.into(), count };
            bench.queue.put_batch(batch, &mut gather).unwrap();
        }
        let flying = ["7 a b c", "7 d e", "7 f g h i j", "7 k"];
        assert_eq!(bench.flying().await, flying, "one that is too long goes alone");
        bench.land();
        bench.land();
        bench.next().1.fail(ProposeError::Unavailable);
        // It answers less than it was asked.
        bench.next().1.land(Vec::new());
        let replies = |texts: [&'static str; 2]| Ok(texts.map(Bytes::from).to_vec());
        let lost = Err(ProposeError::Unknown);
        let refused = Err(ProposeError::Unavailable);
        assert_eq!(gather.await, [replies(["b", "c"]), replies(["d", "e"]), refused, lost]);
        assert_eq!(bench.queue.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn stamps_never_go_back_though_the_clock_does() {
        let options = Options { entries_in_flight_max: 100, ..small() };
        let bench = Bench::new(options, &[5, 9, 3, 10]);
        let mut pending = Vec::new();
        for operation in ["a", "b", "c", "d"] {
            pending.push(bench.put(operation));
            bench.flying().await;
        }
        assert_eq!(bench.flying().await, ["5 a", "9 b", "9 c", "10 d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_proposed_in_time_is_refused_and_what_has_no_reply_is_unknown() {
        let bench = Bench::new(small(), &[7]);
        let flying = [bench.put("a"), {
            bench.flying().await;
            bench.put("b")
        }];
        bench.flying().await;
        let waiting = [bench.put("c"), bench.put("d")];
        advance(Duration::from_secs(1)).await;
        for waiting in waiting {
            assert_eq!(waiting.await, Err(ProposeError::Unavailable));
        }
        assert_eq!(bench.flying().await, ["7 a", "7 b"], "they were not proposed after all");
        for flying in flying {
            assert_eq!(flying.await, Err(ProposeError::Unknown));
        }
        // Their places are free again when their fate is known, and not before.
        let late = bench.put("e");
        assert_eq!(bench.flying().await.len(), 2);
        bench.land();
        assert_eq!(bench.flying().await, ["7 b", "7 e"]);
        drop(bench.next());
        bench.land();
        assert_eq!(late.await, Ok("e".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_up_while_it_waited_is_not_proposed() {
        let bench = Bench::new(small(), &[7]);
        let soon = || Instant::now() + Duration::from_millis(10);
        let flying = [bench.put("a"), {
            bench.flying().await;
            bench.put("b")
        }];
        bench.flying().await;
        let (given_up, waiting) = (bench.put("c"), bench.put("d"));
        assert_eq!(given_up.until(soon()).await, Err(ProposeError::Unavailable));
        for flying in flying {
            assert_eq!(flying.until(soon()).await, Err(ProposeError::Unknown));
        }
        bench.land();
        assert_eq!(bench.flying().await, ["7 b", "7 d"]);
        let last = bench.put("e");
        assert_eq!(last.until(soon()).await, Err(ProposeError::Unavailable));
        bench.land();
        bench.land();
        assert_eq!(waiting.await, Ok("d".into()));
        assert!(bench.flying().await.is_empty(), "there is nothing to propose");
        assert_eq!(bench.queue.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_entry_tells_all_its_waiters_and_a_dropped_one_too() {
        let bench = Bench::new(Options::default(), &[7]);
        let (one, other) = (bench.put("a"), bench.put("b"));
        bench.flying().await;
        bench.next().1.fail(ProposeError::NotLeader { leader: None });
        for pending in [one, other] {
            assert_eq!(pending.await, Err(ProposeError::NotLeader { leader: None }));
        }
        let dropped = bench.put("c");
        bench.flying().await;
        drop(bench.next());
        assert_eq!(dropped.await, Err(ProposeError::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_busy_by_bytes_but_one_long_operation_goes_through() {
        let options =
            Options { queue_bytes_max: 1000, entries_in_flight_max: 1, ..Options::default() };
        let bench = Bench::new(options, &[7]);
        let long = Bytes::from(vec![b'x'; 5000]);
        let _flying = bench.queue.put(long.clone()).unwrap();
        bench.flying().await;
        let _waiting = bench.queue.put(long.clone()).unwrap();
        assert_eq!(bench.queue.put("a".into()).unwrap_err(), ProposeError::Busy);
        bench.land();
        bench.flying().await;
        assert!(bench.queue.put("a".into()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_proposer_that_is_not_ready_is_waited_for() {
        let bench = Bench::new(small(), &[7]);
        let _flying = bench.put("not ready");
        bench.flying().await;
        let waiting = bench.put("a");
        sleep(Duration::from_millis(500)).await;
        assert_eq!(bench.flying().await, ["7 not ready"]);
        // It is ready again, and nobody tells.
        let held = bench.next();
        sleep(Duration::from_millis(5)).await;
        assert_eq!(bench.flying().await, ["7 a"]);
        bench.land();
        assert_eq!(waiting.await, Ok("a".into()));
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn when_it_stops_what_waits_was_not_done() {
        let bench = Bench::new(small(), &[7]);
        let flying = [bench.put("a"), {
            bench.flying().await;
            bench.put("b")
        }];
        bench.flying().await;
        let waiting = bench.put("c");
        bench.stop.cancel();
        assert_eq!(waiting.await, Err(ProposeError::Stopped));
        assert_eq!(bench.flying().await, ["7 a", "7 b"]);
        assert_eq!(bench.queue.put("d".into()).unwrap_err(), ProposeError::Stopped);
        bench.proposed.lock().clear();
        for flying in flying {
            assert_eq!(flying.await, Err(ProposeError::Unknown));
        }
    }
}
