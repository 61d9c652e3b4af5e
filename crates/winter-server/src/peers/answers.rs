//! The requests of one connection that are worked on, and their answers that
//! wait to be sent.
//!
//! Whoever does not take its answers is not read from, so there are never many
//! more of them than there were requests under way.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connection::{Source, Turn};
use super::frame::{HEAD_BYTES, Header, Outcome};
use super::urgency::{Load, Urgency};

pub(super) struct Answers {
    state: Mutex<State>,
    arrived: Notify,
    taken: Notify,
    in_flight_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    /// Answers that wait, by [`Urgency`].
    queues: [VecDeque<(Header, Bytes)>; 2],
    queue_bytes: usize,
    /// What is worked on, by [`Urgency`].
    under_way: [UnderWay; 2],
    has_ended: bool,
}

#[derive(Default)]
struct UnderWay {
    requests: usize,
    load: Load,
}

impl Answers {
    pub(super) fn new(in_flight_max: usize, bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            taken: Notify::new(),
            in_flight_max,
            bytes_max,
        }
    }

    /// Whether one more request, of so many bytes, may be worked on.
    pub(super) fn admit(&self, urgency: Urgency, bytes: usize) -> bool {
        let mut state = self.state.lock();
        let under_way = &mut state.under_way[urgency as usize];
        if under_way.requests >= self.in_flight_max
            || !under_way.load.has_room(urgency, bytes, self.bytes_max)
        {
            return false;
        }
        under_way.requests += 1;
        under_way.load.add(urgency, bytes);
        true
    }

    /// A request that was admitted is done with.
    pub(super) fn let_go(&self, urgency: Urgency, bytes: usize) {
        let under_way = &mut self.state.lock().under_way[urgency as usize];
        under_way.requests -= 1;
        under_way.load.take_off(urgency, bytes);
    }

    /// Queues a request's answer, if it wants one.
    pub(super) fn answer(
        &self,
        urgency: Urgency,
        number: Option<u64>,
        outcome: Outcome,
        body: Bytes,
    ) {
        if let Some(request) = number {
            self.push_with(urgency, Header::Answer { request, outcome }, body);
        }
    }

    /// Queues a frame without a body.
    pub(super) fn push(&self, header: Header) {
        self.push_with(Urgency::Prompt, header, Bytes::new());
    }

    fn push_with(&self, urgency: Urgency, header: Header, body: Bytes) {
        let mut state = self.state.lock();
        if state.has_ended {
            return;
        }
        state.queue_bytes += body.len();
        state.queues[urgency as usize].push_back((header, body));
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits until few enough answers wait.
    pub(super) async fn room(&self) {
        while self.is_full() {
            self.taken.notified().await;
        }
    }

    fn is_full(&self) -> bool {
        let state = self.state.lock();
        let queued: usize = state.queues.iter().map(VecDeque::len).sum();
        queued >= self.in_flight_max || state.queue_bytes > self.bytes_max
    }

    /// The connection has ended: answers that come from now on are let go.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.has_ended = true;
        state.queues = Default::default();
    }
}

impl Source for Answers {
    fn take(&self, batch: &mut Vec<(Header, Bytes)>, bytes: usize) -> Turn {
        let mut state = self.state.lock();
        let mut taken = 0;
        for urgency in Urgency::ALL {
            // However much there is of the first, something goes of the second.
            let mut is_first = true;
            while taken < bytes || is_first {
                let Some((header, body)) = state.queues[urgency as usize].pop_front() else {
                    break;
                };
                is_first = false;
                state.queue_bytes -= body.len();
                taken += body.len() + HEAD_BYTES;
                batch.push((header, body));
            }
        }
        drop(state);
        if taken > 0 {
            self.taken.notify_one();
        }
        Turn::Wait
    }

    async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
