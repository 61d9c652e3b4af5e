//! Background work that is started again when it fails.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use winter_core::supervise::{Intensity, RestartLog, Verdict};

use crate::server::Shared;

const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(10);

/// Runs `work` until it returns; when it panics, starts it again with back-off,
/// unless `stop` is cancelled. Work that keeps failing makes the node unready
/// until it has held for the longest back-off.
pub async fn supervise<F>(
    name: &'static str,
    shared: Arc<Shared>,
    stop: CancellationToken,
    mut work: impl FnMut() -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut restarts = RestartLog::default();
    let mut backoff = BACKOFF_LEAST;
    shared.health.note(name, |_| {});
    while !stop.is_cancelled() {
        let mut running = tokio::spawn(work());
        let ended = match timeout(BACKOFF_MOST, &mut running).await {
            Ok(ended) => ended,
            Err(_) => {
                backoff = BACKOFF_LEAST;
                shared.health.note(name, |work| work.is_failing = false);
                running.await
            }
        };
        match ended {
            Ok(()) => return,
            Err(error) => tracing::error!(task = name, %error, "background work failed"),
        }
        let verdict = restarts.record(shared.node.clock.now(), Intensity::default());
        shared.health.note(name, |work| {
            work.restarts += 1;
            work.is_failing |= verdict == Verdict::Fence;
        });
        if verdict == Verdict::Fence {
            tracing::error!(task = name, "background work keeps failing; the node is not ready");
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MOST);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use winter_core::store::Seed;

    use super::*;
    use crate::config::Config;
    use crate::node::Node;
    use crate::server::Work;

    fn shared() -> Arc<Shared> {
        let node = Node::new(Config::default(), Seed(1, 2));
        Arc::new(Shared::new(node, ([127, 0, 0, 1], 1).into()))
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
        let shared = shared();
        let stop = CancellationToken::new();
        tokio::spawn(supervise("chore", Arc::clone(&shared), stop, fails(6)));
        let mut was_unready = None;
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            was_unready = was_unready.or(shared.unready());
        }
        assert_eq!(was_unready.as_deref(), Some("failing: chore"));
        assert_eq!(shared.unready(), None, "it holds");
        assert_eq!(shared.health.all(), [("chore", Work { is_failing: false, restarts: 6 })]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_started_again_once_told_to_stop() {
        let shared = shared();
        let stop = CancellationToken::new();
        stop.cancel();
        supervise("chore", Arc::clone(&shared), stop, fails(u64::MAX)).await;
        assert_eq!(shared.health.all(), [("chore", Work::default())]);
    }
}
