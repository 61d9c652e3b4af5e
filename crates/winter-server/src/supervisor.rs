//! Background work that is started again when it fails.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use winter_core::supervise::{Intensity, RestartLog, Verdict};

use crate::node::Node;

const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(10);

/// How background work is, by its name.
#[derive(Debug, Default)]
pub struct Health {
    work: Mutex<BTreeMap<&'static str, Work>>,
}

/// How one piece of background work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Whether it keeps failing, so that the node is not ready.
    pub is_failing: bool,
    /// How often it was started again.
    pub restarts: u64,
}

impl Health {
    /// Changes what is known of the work called `name`.
    pub fn note(&self, name: &'static str, change: impl FnOnce(&mut Work)) {
        change(self.work.lock().entry(name).or_default());
    }

    /// The work that keeps failing.
    #[must_use]
    pub fn failing(&self) -> Vec<&'static str> {
        self.work.lock().iter().filter(|(_, work)| work.is_failing).map(|(name, _)| *name).collect()
    }

    /// All background work, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, Work)> {
        self.work.lock().iter().map(|(name, work)| (*name, *work)).collect()
    }
}

/// Runs `work` until it returns; when it panics, starts it again with back-off,
/// unless `stop` is cancelled, which also ends a back-off. Work that keeps failing makes
/// the node unready until it has held for the longest back-off.
pub async fn supervise<F>(
    name: &'static str,
    node: Arc<Node>,
    stop: CancellationToken,
    mut work: impl FnMut() -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut restarts = RestartLog::default();
    let mut backoff = BACKOFF_LEAST;
    node.health.note(name, |_| {});
    while !stop.is_cancelled() {
        let mut running = tokio::spawn(work());
        let ended = match timeout(BACKOFF_MOST, &mut running).await {
            Ok(ended) => ended,
            Err(_) => {
                backoff = BACKOFF_LEAST;
                node.health.note(name, |work| work.is_failing = false);
                running.await
            }
        };
        match ended {
            Ok(()) => return,
            Err(error) => tracing::error!(task = name, %error, "background work failed"),
        }
        let verdict = restarts.record(node.clock.now(), Intensity::default());
        node.health.note(name, |work| {
            work.restarts += 1;
            work.is_failing |= verdict == Verdict::Fence;
        });
        if verdict == Verdict::Fence {
            tracing::error!(task = name, "background work keeps failing; the node is not ready");
        }
        stop.run_until_cancelled(sleep(backoff)).await;
        backoff = (backoff * 2).min(BACKOFF_MOST);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use winter_core::store::Seed;

    use super::*;
    use crate::config::Config;

    fn node() -> Arc<Node> {
        Arc::new(Node::new(Config::default(), Seed(1, 2)))
    }

    /// Panics so many times, then holds.
    fn fails(times: u64) -> impl FnMut() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let left = Arc::new(AtomicU64::new(times));
        move || {
            let is_bad =
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            Box::pin(async move {
                assert!(!is_bad, "as the test wants it");
                std::future::pending::<()>().await;
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_keeps_failing_makes_the_node_unready_until_it_holds() {
        let node = node();
        let stop = CancellationToken::new();
        tokio::spawn(supervise("chore", Arc::clone(&node), stop, fails(6)));
        let mut failed = Vec::new();
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            failed.extend(node.health.failing());
        }
        failed.dedup();
        assert_eq!(failed, ["chore"]);
        assert!(node.health.failing().is_empty(), "it holds");
        assert_eq!(node.health.all(), [("chore", Work { is_failing: false, restarts: 6 })]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_back_off_ends_at_once_when_told_to_stop() {
        let node = node();
        let stop = CancellationToken::new();
        let supervised =
            tokio::spawn(supervise("chore", Arc::clone(&node), stop.clone(), fails(u64::MAX)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let told = tokio::time::Instant::now();
        stop.cancel();
        supervised.await.expect("it ends well");
        assert_eq!(told.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_started_again_once_told_to_stop() {
        let node = node();
        let stop = CancellationToken::new();
        stop.cancel();
        supervise("chore", Arc::clone(&node), stop, fails(u64::MAX)).await;
        assert_eq!(node.health.all(), [("chore", Work::default())]);
    }
}
