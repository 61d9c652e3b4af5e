//! Waiting for several outcomes at once.
//!
//! A batch of commands is spread over many groups, and whoever asked can do
//! nothing before the last of them is through. Waking it for each would cost
//! more than the commands do, so it is woken once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::error::ProposeError;

/// What became of operations that were submitted together: a reply to each, or
/// the same error for all.
pub type Outcome<R> = Result<Vec<R>, ProposeError>;

/// Outcomes to come, in the order in which their slots were made. Await it only
/// when all slots are given away.
#[derive(Debug)]
pub struct Gather<R>(Arc<Shared<R>>);

#[derive(Debug)]
struct Shared<R> {
    /// Slots that are not filled.
    left: AtomicUsize,
    /// Empty when nobody waits any more.
    outcomes: Mutex<Vec<Outcome<R>>>,
    waker: AtomicWaker,
}

/// The place of one outcome. Left empty, it says that nothing was done; once it has
/// begun, that nobody knows.
#[derive(Debug)]
pub(super) struct Slot<R> {
    shared: Arc<Shared<R>>,
    at: usize,
    outcome: Option<Outcome<R>>,
}

impl<R> Default for Gather<R> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            left: AtomicUsize::new(0),
            outcomes: Mutex::default(),
            waker: AtomicWaker::new(),
        }))
    }
}

impl<R> Gather<R> {
    /// A place for one more outcome.
    pub(super) fn slot(&mut self) -> Slot<R> {
        let mut outcomes = self.0.outcomes.lock();
        let at = outcomes.len();
        outcomes.push(Err(ProposeError::Unavailable));
        drop(outcomes);
        self.0.left.fetch_add(1, Ordering::Relaxed);
        Slot { shared: Arc::clone(&self.0), at, outcome: None }
    }

    /// How many slots were made.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.outcomes.lock().len()
    }

    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits no longer than until `deadline`. What has not begun by then never does.
    pub async fn until(mut self, deadline: Instant) -> Vec<Outcome<R>> {
        let gathered = timeout_at(deadline, &mut self).await;
        gathered.unwrap_or_else(|_| std::mem::take(&mut *self.0.outcomes.lock()))
    }
}

impl<R> Future for Gather<R> {
    type Output = Vec<Outcome<R>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.waker.register(context.waker());
        if self.0.left.load(Ordering::Acquire) > 0 {
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut *self.0.outcomes.lock()))
    }
}

impl<R> Slot<R> {
    /// Notes that from here on it may be done: whether anybody still waits for it.
    pub(super) fn begin(&self) -> bool {
        let mut outcomes = self.shared.outcomes.lock();
        let place = outcomes.get_mut(self.at);
        place.map(|outcome| *outcome = Err(ProposeError::Unknown)).is_some()
    }

    /// Tells the outcome.
    pub(super) fn fill(mut self, outcome: Outcome<R>) {
        self.outcome = Some(outcome);
    }
}

impl<R> Drop for Slot<R> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take()
            && let Some(place) = self.shared.outcomes.lock().get_mut(self.at)
        {
            *place = outcome;
        }
        if self.shared.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll::{Pending, Ready};
    use std::time::Duration;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn outcomes_come_together_and_in_the_order_of_their_slots() {
        let mut gather = Gather::default();
        let (first, second, third) = (gather.slot(), gather.slot(), gather.slot());
        third.fill(Ok(vec![3]));
        first.fill(Ok(vec![1]));
        assert_eq!(poll!(&mut gather), Pending);
        second.fill(Err(ProposeError::Busy));
        let expected = vec![Ok(vec![1]), Err(ProposeError::Busy), Ok(vec![3])];
        assert_eq!(poll!(&mut gather), Ready(expected));
    }

    #[tokio::test]
    async fn a_slot_that_is_let_go_says_that_nobody_knows_if_it_has_begun() {
        let mut gather = Gather::<()>::default();
        let (waits, begun) = (gather.slot(), gather.slot());
        assert!(begun.begin());
        drop((waits, begun));
        assert_eq!(gather.await, [Err(ProposeError::Unavailable), Err(ProposeError::Unknown)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_begun_at_the_deadline_never_does() {
        let mut gather = Gather::default();
        let (done, begun, waits) = (gather.slot(), gather.slot(), gather.slot());
        assert!(done.begin() && begun.begin());
        done.fill(Ok(vec![1]));
        let expected = [Ok(vec![1]), Err(ProposeError::Unknown), Err(ProposeError::Unavailable)];
        assert_eq!(gather.until(Instant::now() + Duration::from_secs(1)).await, expected);
        assert!(!waits.begin());
        begun.fill(Ok(vec![2]));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_last_outcome_only() {
        use futures_util::task::{ArcWake, waker};

        #[derive(Default)]
        struct Wakes(AtomicUsize);
        impl ArcWake for Wakes {
            fn wake_by_ref(wakes: &Arc<Self>) {
                wakes.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let wakes = Arc::<Wakes>::default();
        let waker = waker(Arc::clone(&wakes));
        let mut gather = Gather::default();
        let slots = [gather.slot(), gather.slot(), gather.slot()];
        assert!(Pin::new(&mut gather).poll(&mut Context::from_waker(&waker)).is_pending());
        for (left, slot) in slots.into_iter().enumerate() {
            assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "after {left}");
            slot.fill(Ok(vec![left]));
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }
}
