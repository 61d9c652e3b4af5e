//! The calls to one peer over one connection: those that wait to be sent, and
//! those that wait for their answers.
//!
//! A call moves from the one to the other, under one lock, at the moment in
//! which the writer takes it. So whenever a call ends without an answer, it is
//! known whether it can have left this node.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use winter_core::cluster::GroupId;

use super::connection::{Source, Turn};
use super::error::{CallError, Lost, NotSent};
use super::frame::{Channel, HEAD_BYTES, Header, Outcome};
use super::options::Options;
use super::urgency::{Load, Urgency};

type Answer = Result<Bytes, CallError>;

/// How it stands between this node and a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is dialled, or will be when there is something to send.
    Connecting,
    /// It is connected, in this version of the protocol.
    Connected {
        /// What both speak.
        version: u16,
    },
    /// It is not connected, and calls are refused at once until the next attempt.
    Down(NotSent),
}

/// See the module.
pub(super) struct Lane {
    state: Mutex<State>,
    arrived: Notify,
    in_flight_max: usize,
    queue_bytes_max: usize,
    /// When there was nothing to send for so long, the connection is given up.
    idle_max: Option<Duration>,
}

struct State {
    link: Link,
    /// What waits to be sent, by [`Urgency`].
    queues: [Queue; 2],
    waiting: BTreeMap<u64, Awaited>,
    requests: u64,
    /// The longest body that both sides take.
    body_bytes_max: usize,
    /// The peer said goodbye, or we did: nothing more is sent on this connection.
    is_leaving: bool,
    last_sent: Instant,
}

#[derive(Default)]
struct Queue {
    calls: VecDeque<Queued>,
    load: Load,
    /// Calls of this urgency that wait for their answers.
    unanswered: usize,
}

impl Queue {
    fn pop(&mut self) -> Option<Queued> {
        let queued = self.calls.pop_front()?;
        self.load.take_off(Urgency::of(queued.channel), queued.body.len());
        Some(queued)
    }

    /// Takes a call out, if it is still there.
    fn remove(&mut self, request: u64) -> Option<Queued> {
        let queued = self.calls.remove(self.place(request).ok()?)?;
        self.load.take_off(Urgency::of(queued.channel), queued.body.len());
        Some(queued)
    }

    fn place(&self, request: u64) -> Result<usize, usize> {
        self.calls.binary_search_by_key(&request, |queued| queued.request)
    }
}

/// A call that was sent.
struct Awaited {
    urgency: Urgency,
    caller: oneshot::Sender<Answer>,
}

struct Queued {
    request: u64,
    channel: Channel,
    group: GroupId,
    body: Bytes,
    /// Who waits, and until when; nobody does for a message that wants no answer.
    caller: Option<(oneshot::Sender<Answer>, Instant)>,
}

impl Queued {
    /// Why it cannot be sent any more.
    fn unfit(&self, now: Instant, body_bytes_max: usize) -> Option<NotSent> {
        if self.body.len() > body_bytes_max {
            return Some(NotSent::TooLong);
        }
        let is_late = self.caller.as_ref().is_some_and(|(_, deadline)| *deadline <= now);
        is_late.then_some(NotSent::Deadline)
    }

    /// Counts as sent from here on.
    fn begin(self, now: Instant, state: &mut State) -> (Header, Bytes) {
        let Self { request, channel, group, body, caller } = self;
        let Some((caller, deadline)) = caller else {
            return (Header::OneWay { channel, group }, body);
        };
        let urgency = Urgency::of(channel);
        state.waiting.insert(request, Awaited { urgency, caller });
        state.queues[urgency as usize].unanswered += 1;
        let budget = deadline.saturating_duration_since(now).as_millis().max(1);
        let budget_millis = u32::try_from(budget).unwrap_or(u32::MAX);
        (Header::Request { request, channel, group, budget_millis }, body)
    }

    fn fail(self, why: NotSent) {
        if let Some((answer, _)) = self.caller {
            // Whoever waited may have gone.
            let _ = answer.send(Err(why.into()));
        }
    }
}

impl Lane {
    pub(super) fn new(options: &Options, idle_max: Option<Duration>) -> Self {
        Self {
            state: Mutex::new(State {
                link: Link::Connecting,
                queues: Default::default(),
                waiting: BTreeMap::new(),
                requests: 0,
                body_bytes_max: options.body_bytes_max,
                is_leaving: false,
                last_sent: Instant::now(),
            }),
            arrived: Notify::new(),
            in_flight_max: options.in_flight_max,
            queue_bytes_max: options.queue_bytes_max,
            idle_max,
        }
    }

    /// Queues a call, and waits for its answer until `deadline`.
    pub(super) async fn call(
        &self,
        channel: Channel,
        group: GroupId,
        body: Bytes,
        deadline: Instant,
    ) -> Answer {
        if deadline <= Instant::now() {
            return Err(NotSent::Deadline.into());
        }
        let (answer, mut answered) = oneshot::channel();
        let request = self.push(channel, group, body, Some((answer, deadline)))?;
        let waiting = Waiting { lane: self, request };
        match tokio::time::timeout_at(deadline, &mut answered).await {
            Ok(answer) => answer.expect("each end of a call is told"),
            Err(_) => {
                let known = self.withdraw(waiting.request);
                // What became of it may have been told in the last moment.
                answered.try_recv().unwrap_or(Err(known))
            }
        }
    }

    /// Queues a message that wants no answer.
    pub(super) fn send(
        &self,
        channel: Channel,
        group: GroupId,
        body: Bytes,
    ) -> Result<(), NotSent> {
        self.push(channel, group, body, None).map(drop)
    }

    fn push(
        &self,
        channel: Channel,
        group: GroupId,
        body: Bytes,
        caller: Option<(oneshot::Sender<Answer>, Instant)>,
    ) -> Result<u64, NotSent> {
        let mut state = self.state.lock();
        if body.len() > state.body_bytes_max {
            return Err(NotSent::TooLong);
        }
        if let Link::Down(why) = state.link {
            return Err(why);
        }
        let request = state.requests;
        let urgency = Urgency::of(channel);
        let queue = &mut state.queues[urgency as usize];
        let has_room = queue.load.has_room(urgency, body.len(), self.queue_bytes_max);
        if queue.calls.len() + queue.unanswered >= self.in_flight_max || !has_room {
            return Err(NotSent::QueueFull);
        }
        queue.load.add(urgency, body.len());
        queue.calls.push_back(Queued { request, channel, group, body, caller });
        state.requests += 1;
        drop(state);
        self.arrived.notify_one();
        Ok(request)
    }

    /// Forgets a call that nobody waits for: what can be said of it.
    fn withdraw(&self, request: u64) -> CallError {
        let mut state = self.state.lock();
        if state.queues.iter_mut().any(|queue| queue.remove(request).is_some()) {
            return NotSent::Deadline.into();
        }
        state.take_awaited(request);
        Lost::Deadline.into()
    }

    /// Takes what became of a call.
    pub(super) fn answer(&self, request: u64, outcome: Outcome, body: Bytes) -> Answered {
        let mut state = self.state.lock();
        if request >= state.requests || state.is_queued(request) {
            return Answered::Never;
        }
        let Some(caller) = state.take_awaited(request) else { return Answered::Late };
        drop(state);
        let answer = match outcome {
            Outcome::Done => Ok(body),
            Outcome::Declined => Err(NotSent::Declined.into()),
            Outcome::Busy => Err(NotSent::Busy.into()),
            Outcome::Stopping => Err(NotSent::Stopping.into()),
            Outcome::Failed => Err(Lost::Failed.into()),
        };
        let is_taken = caller.send(answer).is_ok();
        self.arrived.notify_one();
        if is_taken { Answered::Taken } else { Answered::Late }
    }

    /// Lets calls queue for a connection that is about to be made.
    pub(super) fn connecting(&self) {
        self.state.lock().link = Link::Connecting;
    }

    /// A connection stands, on which longer bodies than `body_bytes_max` would be refused.
    pub(super) fn connected(&self, version: u16, body_bytes_max: usize) {
        let mut state = self.state.lock();
        state.body_bytes_max = body_bytes_max;
        state.link = Link::Connected { version };
        state.is_leaving = false;
        state.last_sent = Instant::now();
    }

    /// No connection can be had: what waits is told so, and so is who comes.
    pub(super) fn shut(&self, why: NotSent) {
        let mut state = self.state.lock();
        state.link = Link::Down(why);
        let mut failed = Vec::new();
        for queue in &mut state.queues {
            failed.extend(std::iter::from_fn(|| queue.pop()));
        }
        drop(state);
        failed.into_iter().for_each(|queued| queued.fail(why));
        self.arrived.notify_one();
    }

    /// The connection has ended: what was sent on it is lost.
    pub(super) fn lose(&self) {
        let mut state = self.state.lock();
        let waiting = std::mem::take(&mut state.waiting);
        state.queues.iter_mut().for_each(|queue| queue.unanswered = 0);
        drop(state);
        for awaited in waiting.into_values() {
            // Whoever waited may have gone.
            let _ = awaited.caller.send(Err(Lost::Closed.into()));
        }
    }

    /// Sends nothing more on this connection, and ends it when all answers have come.
    pub(super) fn leave(&self) {
        self.state.lock().is_leaving = true;
        self.arrived.notify_one();
    }

    /// Waits until there is something to send.
    pub(super) async fn wanted(&self) {
        while self.lengths().0 == 0 {
            self.arrived.notified().await;
        }
    }

    /// How it stands.
    pub(super) fn link(&self) -> Link {
        self.state.lock().link.clone()
    }

    /// Calls and bytes that wait to be sent, and calls that wait for their answers.
    pub(super) fn lengths(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        let queued = || state.queues.iter().flat_map(|queue| &queue.calls);
        let bytes = queued().map(|queued| queued.body.len()).sum();
        (queued().count(), bytes, state.waiting.len())
    }
}

impl State {
    /// Whether a call still waits to be sent.
    fn is_queued(&self, request: u64) -> bool {
        self.queues.iter().any(|queue| queue.place(request).is_ok())
    }

    /// Nobody waits for the answer to this call from here on.
    fn take_awaited(&mut self, request: u64) -> Option<oneshot::Sender<Answer>> {
        let awaited = self.waiting.remove(&request)?;
        self.queues[awaited.urgency as usize].unanswered -= 1;
        Some(awaited.caller)
    }
}

/// What an answer was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It was awaited.
    Taken,
    /// Its caller has given up.
    Late,
    /// Nothing was ever asked under this number.
    Never,
}

/// A call that is under way. When its caller gives up, it is forgotten.
struct Waiting<'a> {
    lane: &'a Lane,
    request: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Nothing is found if it was answered.
        self.lane.withdraw(self.request);
    }
}

impl Source for Lane {
    fn take(&self, batch: &mut Vec<(Header, Bytes)>, bytes: usize) -> Turn {
        let now = Instant::now();
        let mut failed = Vec::new();
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut taken = 0;
        for urgency in Urgency::ALL {
            // However much there is of the first, something goes of the second.
            let mut is_first = true;
            while (taken < bytes || is_first) && !state.is_leaving {
                let Some(queued) = state.queues[urgency as usize].pop() else { break };
                let unfit = queued.unfit(now, state.body_bytes_max);
                if let Some(why) = unfit {
                    failed.push((queued, why));
                    continue;
                }
                is_first = false;
                state.last_sent = now;
                taken += queued.body.len() + HEAD_BYTES;
                batch.push(queued.begin(now, state));
            }
        }
        failed.into_iter().for_each(|(queued, why)| queued.fail(why));
        let is_idle = self.idle_max.is_some_and(|max| now.duration_since(state.last_sent) >= max);
        let may_stop = state.is_leaving || is_idle;
        if may_stop && batch.is_empty() && state.waiting.is_empty() {
            // From here to the next connection, calls wait for that.
            state.is_leaving = true;
            return Turn::Stop;
        }
        Turn::Wait
    }

    async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
