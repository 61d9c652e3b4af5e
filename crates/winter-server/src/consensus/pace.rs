//! The pace of a node's groups.
//!
//! openraft looks at the timers of each group some thirty times a second, and
//! sees to it that no two groups do so at the same moment. To wake up is most of
//! what an idle group costs, so here it is the other way round: the groups of a
//! node wake together, and what they have to say to a peer then is one write. Each
//! node has a beat of its own, so that elections do not coincide.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::async_runtime::{AsyncRuntime, Instant as _};
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt::{Select2, Select3, Select4};
use openraft_rt_tokio::{TokioInstant, TokioRuntime};
use tokio::task_local;
use winter_core::cluster::{GroupId, NodeId};

/// The time between two moments at which groups wake.
const BEAT: Duration = Duration::from_millis(40);

/// Tokio, but for election jitter: that comes from a seed which each group is
/// started with, so that a simulation can be replayed.
type Seeded = DeterministicRng<TokioRuntime>;

task_local! {
    static PACE: Pace;
}

/// When a node's groups wake: every 40 ms, from when it began.
#[derive(Clone, Copy, Debug)]
pub struct Pace(TokioInstant);

impl Pace {
    /// A pace that begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self(TokioInstant::now())
    }

    /// The first beat that is not before this moment.
    fn beat_from(self, moment: TokioInstant) -> TokioInstant {
        let since = moment.saturating_duration_since(self.0);
        let beats = since.as_nanos().div_ceil(BEAT.as_nanos());
        let beats = u32::try_from(beats).unwrap_or(u32::MAX);
        self.0 + BEAT * beats
    }
}

/// Where openraft's tasks run: what sleeps until a moment sleeps until the next
/// beat of the node.
pub(super) struct Paced(Seeded);

impl Paced {
    /// Runs what starts a group, and with it all of the group's tasks.
    pub(super) async fn scope<F: Future>(pace: Pace, seed: u64, work: F) -> F::Output {
        PACE.scope(pace, Seeded::scope(seed, work)).await
    }
}

/// A seed for a group's replica: of two nodes or groups never the same jitter.
pub(super) fn seed(me: NodeId, group: GroupId) -> u64 {
    let group = match group {
        GroupId::Meta => u64::MAX,
        GroupId::Data(partition) => u64::from(partition.0),
    };
    me.0.rotate_left(17) ^ group.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Paced").field(&self.0).finish()
    }
}

impl AsyncRuntime for Paced {
    type JoinError = <Seeded as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <Seeded as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <Seeded as AsyncRuntime>::Sleep;
    type Instant = <Seeded as AsyncRuntime>::Instant;
    type TimeoutError = <Seeded as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <Seeded as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <Seeded as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <Seeded as AsyncRuntime>::Mpsc;
    type Watch = <Seeded as AsyncRuntime>::Watch;
    type Oneshot = <Seeded as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Seeded as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        Seeded::spawn(PACE.scope(PACE.get(), future))
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Seeded::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        // Whoever waits for openraft from outside its tasks has no pace.
        let pace = PACE.try_get().ok();
        Seeded::sleep_until(pace.map_or(deadline, |pace| pace.beat_from(deadline)))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        Seeded::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        Seeded::timeout_at(deadline, future)
    }

    fn select2<A, B>(
        a: A,
        b: B,
    ) -> impl Future<Output = Select2<A::Output, B::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
    {
        Seeded::select2(a, b)
    }

    fn select3<A, B, C>(
        a: A,
        b: B,
        c: C,
    ) -> impl Future<Output = Select3<A::Output, B::Output, C::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
        C: Future + OptionalSend,
    {
        Seeded::select3(a, b, c)
    }

    fn select4<A, B, C, D>(
        a: A,
        b: B,
        c: C,
        d: D,
    ) -> impl Future<Output = Select4<A::Output, B::Output, C::Output, D::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
        C: Future + OptionalSend,
        D: Future + OptionalSend,
    {
        Seeded::select4(a, b, c, d)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        Seeded::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        Seeded::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(Seeded::new(threads))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(PACE.scope(Pace::begin(), future))
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Seeded::spawn_blocking(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_due_between_two_beats_is_due_at_the_second() {
        let pace = Pace::begin();
        let after = |micros| pace.0 + Duration::from_micros(micros);
        let cases = [(0, 0), (1, 40), (39_999, 40), (40_000, 40), (40_001, 80), (4_001_000, 4_040)];
        for (moment, beat) in cases {
            assert_eq!(pace.beat_from(after(moment)), after(beat * 1000), "{moment} µs");
        }
        let second = Duration::from_secs(1);
        assert_eq!(Pace(pace.0 + second).beat_from(pace.0), pace.0 + second, "before the first");
    }
}
